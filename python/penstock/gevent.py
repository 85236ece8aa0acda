# SPDX-License-Identifier: BSD-2-Clause
"""For gevent: a Database whose waits let other greenlets run. With and without monkey patching.

The outcomes come by a completion queue, whose descriptor the hub of each thread watches. Verbs (open, flush, pause, stop, close) wait in
the hub's thread pool.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Iterable, Sequence

import gevent
from gevent.event import AsyncResult
from gevent.lock import Semaphore

from . import _penstock, database
from .database import Params
from .delivery import tell
from .errors import Full, Timeout
from .outbox import Outbox
from .parameters import in_order


class _Hub:
    """What one hub has of a database. The watcher is active while something is out, so it keeps no loop alive."""

    def __init__(self, engine: _penstock.Engine, on_error: Callable[[BaseException], None] | None) -> None:
        self.engine = engine
        self.events = gevent.get_hub().loop.io(engine.events_fileno(), 1, ref=False)
        self.events.start(tell, engine, on_error)
        self.outbox = Outbox(engine)
        self.watcher = gevent.get_hub().loop.io(self.outbox.fileno(), 1)

    def put(self, what: Any, values: Sequence[Any] | None, flags: int, deadline: int) -> Any:
        result = AsyncResult()
        self.outbox.put(result, what, values, flags, deadline)
        if not self.watcher.active:
            self.watcher.start(self.deliver)
        return result

    def deliver(self) -> None:
        self.outbox.deliver()
        if not self.outbox.late and not self.outbox.queue.outstanding():
            self.watcher.stop()


class Database(database.Database):
    """As `penstock.Database`. `submit` gives an AsyncResult of gevent's."""

    _delivers = False  # hubs do; a thread that was begun in the pool would be a greenlet there, when threads are patched

    def __init__(self, path: Any, **arguments: Any) -> None:
        super().__init__(path, **arguments)
        self._hubs = threading.local()
        self._pausing = Semaphore()

    def _open(self) -> _penstock.Engine:
        return self._engine or self._in_pool(super()._open)

    def _in_pool(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """On a thread of the pool, while other greenlets run."""
        return gevent.get_hub().threadpool.apply(verb, arguments, named)

    def _hub(self) -> _Hub:
        engine = self._open()
        hub: _Hub | None = getattr(self._hubs, 'hub', None)
        if hub is None or hub.engine is not engine:
            hub = self._hubs.hub = _Hub(engine, self._on_error)
        return hub

    def _in_child(self) -> None:
        super()._in_child()
        database._inherited.append(self._hubs)
        self._hubs = threading.local()
        self._pausing = Semaphore()

    def _start(self, what: Any, params: Params, durable: bool, alone: bool, deadline: float | None) -> Any:
        values = in_order(what, params) if isinstance(params, dict) else params
        when = 0 if deadline is None else _penstock.deadline(database._usec(deadline, 0))
        return self._hub().put(what, values, self._flags(what, durable, alone), when)

    def _get(self, result: Any, timeout: float | None) -> Any:
        try:
            return result.get(timeout=timeout if timeout is not None or self._timeout < 0 else self._timeout / 1e6)
        except gevent.Timeout:
            raise Timeout('the time is over; it will still run') from None

    def execute(
        self, sql: str, params: Params = None, *, timeout: float | None = None, durable: bool = False, alone: bool = False,
        deadline: float | None = None,
    ) -> _penstock.Result:
        result: _penstock.Result = self._get(self._start(sql, params, durable, alone, deadline), timeout)
        return result

    def submit(self, sql: str, params: Params = None, **options: Any) -> Any:
        """Gives an AsyncResult. It never waits: without room in the queue it is submitted later."""
        return self._start(sql, params, options.get('durable', False), options.get('alone', False), options.get('deadline'))

    def post(
        self, sql: str, params: Params = None, *, timeout: float | None = None, alone: bool = False, deadline: float | None = None
    ) -> None:
        self._hub()
        try:
            super().post(sql, params, timeout=0, alone=alone, deadline=deadline)
        except Full:
            self._in_pool(super().post, sql, params, timeout=timeout, alone=alone, deadline=deadline)

    def executemany(
        self, sql: str, rows: Iterable[Sequence[Any]], *, atomic: bool = False, wait: bool = True, timeout: float | None = None,
        durable: bool = False,
    ) -> int:
        changes: int = self._in_pool(super().executemany, sql, list(rows), atomic=atomic, wait=wait, timeout=timeout, durable=durable)
        return changes

    def group(
        self, statements: Sequence[str | tuple[str, Sequence[Any]]], *, timeout: float | None = None, durable: bool = False,
        deadline: float | None = None, wait: bool = True,
    ) -> Any:
        result = self._start(list(statements), None, durable, False, deadline)
        return self._get(result, timeout) if wait else result

    def call(
        self, function: Callable[[_penstock.Connection], Any], *, timeout: float | None = None, durable: bool = False,
        deadline: float | None = None,
    ) -> Any:
        return self._get(self._start(function, None, durable, False, deadline), timeout).value

    def flush(self, timeout: float | None = None) -> None:
        self._in_pool(super().flush, timeout)

    def start(self, timeout: float | None = None) -> None:
        self._in_pool(super().start, timeout)

    def stop(self, timeout: float | None = None, *, give_up: bool = False) -> None:
        self._in_pool(super().stop, timeout, give_up=give_up)

    def pause(self, timeout: float | None = None) -> None:
        """As there. A greenlet that pauses while another one has waits its turn."""
        if not self._pausing.acquire(timeout=timeout):
            raise Timeout('another pause has not ended in time')
        try:
            self._in_pool(super().pause, timeout)
        except BaseException:
            self._pausing.release()
            raise

    def unpause(self, timeout: float | None = None) -> None:
        self._in_pool(super().unpause, timeout)
        if self._pausing.locked():
            self._pausing.release()

    def close(self, timeout: float | None = None, *, give_up: bool = False) -> None:
        self._in_pool(super().close, timeout, give_up=give_up)
