# SPDX-License-Identifier: BSD-2-Clause
"""`Database`: one SQLite database to which every thread writes through one writer thread."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sqlite3
import sys
import threading
import weakref
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import quote

from . import _penstock, guard
from .delivery import Delivery, Future, tell
from .errors import CantOpen, Error, Full, Stopped, Timeout, error_of
from .parameters import in_order

# The stubs of sqlite3 do not know that one argument will do.
_penstock.begin(error_of, getattr(sqlite3, 'adapt'))

FOREVER = -1

_DURABLE, _ALONE, _CANCELLABLE = 1, 2, 4

_FUNCTION, _AGGREGATE, _WINDOW, _COLLATION, _SQL, _EXTENSION = range(6)

# What the path of a cluster begins with; it names no file.
_CLUSTER = 'rqlite://'

Params = Sequence[Any] | dict[str, Any] | None


def _usec(seconds: float | None, none: int) -> int:
    if seconds is None:
        return none
    if not seconds >= 0:
        raise ValueError('a time in seconds is not negative')
    return int(min(seconds, 9e11) * 1e6)


def _path(path: str) -> str:
    """As the library is to have it, wherever the program goes meanwhile."""
    return path if path == ':memory:' or path.startswith(_CLUSTER) else os.path.abspath(path)


def _text(value: Any) -> str:
    """A key's value as the configuration file would have it."""
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return str(value)


class _Core:
    """What belongs to one opened engine, and is closed without the Database."""

    def __init__(self, timeout_usec: int, on_error: Callable[[BaseException], None] | None) -> None:
        self.engine = _penstock.Engine(timeout_usec)
        self.on_error = on_error
        self.delivery: Delivery | None = None
        self.pid = os.getpid()

    def close(self, usec: int, give_up_after: bool) -> None:
        if self.pid != os.getpid():
            return  # the parent's
        try:
            self.engine.close(usec)
        except Timeout:
            if not give_up_after:
                raise
            self.engine.close(FOREVER, 1)
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            delivery.close()
        tell(self.engine, self.on_error)


class Database:
    """One SQLite database, written by one writer thread.

    The constructor touches nothing: the file is opened at first use, or by `open()`. So a Database of a module may be made before a
    server forks its workers.

    path: the file, which is created (mode 0600) when it is missing. ':memory:' is refused. Or the str 'rqlite://HOST:PORT,.../': a
    cluster (experimental), which has no functions, calls, pragmas and readers.
    timeout: how long calls wait that say nothing, in seconds; None: for ever.
    pragmas: a dict or pairs, for each connection of the engine, in their order.
    on_error: called with the exception of each write that nobody waits for. Not on the writer thread. None: they are logged.
    exit_timeout: how long the end of Python waits for what is queued, in seconds; what has not begun then is given up.
    config_file: an INI file. keys: any key of `penstock config`, such as synchronous='normal', batch_max=2000.

    Any thread may use it, and any number at once. Whatever waits releases the GIL, and Ctrl-C ends the wait, not the write. Errors are
    those of `penstock.errors`.
    """

    _delivers = True  # by a thread of its own

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float | None = None,
        pragmas: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
        exit_timeout: float = 10.0,
        config_file: str | os.PathLike[str] | None = None,
        **keys: Any,
    ) -> None:
        self.path = _path(os.fspath(path))
        self._timeout = _usec(timeout, FOREVER)
        self._pragmas = [(name, _text(value)) for name, value in dict(pragmas or {}).items()]
        self._on_error = on_error
        self._exit_timeout = _usec(exit_timeout, FOREVER)
        self._config_file = os.fspath(config_file) if config_file is not None else None
        self._keys = {name: _text(value) for name, value in keys.items()}
        self._entries: dict[tuple[int, str, int], tuple[bool, Any]] = {}
        self._volatile: re.Pattern[str] | None = None
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._core: _Core | None = None
        self._engine: _penstock.Engine | None = None
        self._closed = False
        _databases.add(self)
        guard.watch(self)

    def __repr__(self) -> str:
        return f'<penstock.Database {self.path!r} {self.phase}>'

    # ---- open and close ----

    def open(self) -> Database:
        """Opens the engine now, if it is not open. Errors: CantOpen, ConfigError, TwoSqlites, Forked."""
        with self._lock:
            if self._engine is None:
                self._closed = False
                self._open()
        return self

    def _open(self) -> _penstock.Engine:
        with self._lock:
            if self._engine is not None:
                return self._engine
            if self._closed:
                raise Stopped('the database is closed')
            if not self._is_cluster():
                guard.one_sqlite()
                guard.may_open(self.path)
            core = _Core(self._timeout, self._on_error)
            for (kind, name, arguments), (deterministic, function) in self._entries.items():
                core.engine.register(kind, name, arguments, deterministic, function)
            core.engine.open(self.path, self._keys, self._pragmas, self._config_file)
            self._core = core
            self._engine = core.engine
            weakref.finalize(self, _let_go, core, self._exit_timeout).atexit = False
            _end_with_process()
            if self._delivers:
                core.delivery = Delivery(core.engine, self._on_error)
            return core.engine

    def _futures(self) -> _penstock.Completions:
        with self._lock:
            self._open()
            core = self._core
            if core is None or core.delivery is None:
                raise Stopped('the database is closed')
            return core.delivery.queue

    def close(self, timeout: float | None = None, *, give_up: bool = False) -> None:
        """Waits until everything accepted has its outcome, and closes the engine.

        timeout: in seconds; None: for ever. When it is over: Timeout, or with give_up what has not begun gets Shutdown. Other threads'
        calls are told Stopped. A closed Database may be opened again by `open()`.
        """
        with self._lock:
            core = self._core
            self._closed = True
        if core is None:
            return
        core.close(_usec(timeout, FOREVER), give_up)
        with self._lock:
            if self._core is core:
                self._core = None
                self._engine = None

    def __enter__(self) -> Database:
        return self.open()

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _is_cluster(self) -> bool:
        return self.path.startswith(_CLUSTER)

    def _open_files(self) -> list[tuple[int, int]]:
        if self._is_cluster():
            return []  # nor locks
        identity = guard.identity(self.path) if self._engine is not None or self._open_connections() else None
        return [identity] if identity is not None else []

    def _open_connections(self) -> list[Any]:
        return [reader for reader in list(self._readers) if reader.is_open()]

    def _in_child(self) -> None:
        self._lock = threading.RLock()
        if self._core is not None:
            _inherited.append(self._core)  # it is the parent's: it must not be closed here, nor freed
        self._readers = weakref.WeakSet()
        self._core = None
        self._engine = None

    # ---- writing ----

    def _flags(self, what: Any, durable: bool, alone: bool) -> int:
        flags = (_DURABLE if durable else 0) | (_ALONE if alone else 0)
        if self._volatile is not None and isinstance(what, str) and self._volatile.search(what):
            flags |= _ALONE
        return flags

    def execute(
        self, sql: str, params: Params = None, *, timeout: float | None = None, durable: bool = False, alone: bool = False,
        deadline: float | None = None,
    ) -> _penstock.Result:
        """Runs one statement and waits for its outcome: `rows`, `lastrowid`, `changes`, `columns`.

        timeout: seconds to wait; Timeout then, and the write still happens. durable: survives a power loss, with synchronous=normal too.
        alone: runs once, in autocommit, between the batches. deadline: seconds; what has not begun by then is Expired, without effect.
        """
        values = in_order(sql, params) if isinstance(params, dict) else params
        flags = self._flags(sql, durable, alone) if durable or alone or self._volatile is not None else 0
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        when = 0 if deadline is None else _penstock.deadline(_usec(deadline, 0))
        return (self._engine or self._open()).execute(sql, values, usec, flags, when)

    def submit(
        self, sql: str, params: Params = None, *, timeout: float | None = None, durable: bool = False, alone: bool = False,
        deadline: float | None = None, cancellable: bool = False,
    ) -> Future:
        """Submits one statement: a `concurrent.futures.Future` of its Result.

        timeout: seconds to wait for room in the queue; Full then. cancellable: `Future.cancel` works until it has begun.
        """
        return self._submit(sql, params, timeout, durable, alone, deadline, cancellable)

    def _submit(
        self, what: Any, params: Params, timeout: float | None, durable: bool, alone: bool, deadline: float | None, cancellable: bool = False
    ) -> Future:
        values = in_order(what, params) if isinstance(params, dict) else params
        flags = self._flags(what, durable, alone) | (_CANCELLABLE if cancellable else 0)
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        when = 0 if deadline is None else _penstock.deadline(_usec(deadline, 0))
        queue = self._futures()
        future = Future()
        future._queue = queue
        if queue.submit(future, what, values, usec, flags, when) is None:
            raise Full('there was no room in time')
        return future

    def post(
        self, sql: str, params: Params = None, *, timeout: float | None = None, alone: bool = False, deadline: float | None = None
    ) -> None:
        """Submits one statement and forgets it. What fails is told to on_error, and counted. timeout: for room, in seconds."""
        values = in_order(sql, params) if isinstance(params, dict) else params
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        when = 0 if deadline is None else _penstock.deadline(_usec(deadline, 0))
        (self._engine or self._open()).post(sql, values, usec, self._flags(sql, False, alone), when)

    def executemany(
        self, sql: str, rows: Iterable[Sequence[Any]], *, atomic: bool = False, wait: bool = True, timeout: float | None = None,
        durable: bool = False,
    ) -> int:
        """One statement for each row of an iterable: how many rows changed.

        atomic: they happen together or not at all, at most 65536 of them. Otherwise each is a submission of its own, and the first error
        is raised when all have their outcome. An error's `failed_member` is the row. wait=False: fire and forget; it gives how many were
        accepted.
        """
        engine = self._engine or self._open()
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        flags = self._flags(sql, durable, False)
        if atomic:
            group = [(sql, row) for row in rows]
            if not group:
                return 0
            if not wait:
                engine.post(group, None, usec, flags, 0)
                return len(group)
            return engine.execute(group, None, usec, flags, 0).changes
        if not wait:
            return engine.post_many(sql, rows, usec, flags, 0)
        _, changes, _, first, error = engine.run_many(sql, rows, usec, flags, 0)
        if error is not None:
            if isinstance(error, sqlite3.Error):
                error.failed_member = first  # type: ignore[attr-defined]
            raise error
        return changes

    def group(
        self, statements: Sequence[str | tuple[str, Sequence[Any]]], *, timeout: float | None = None, durable: bool = False,
        deadline: float | None = None, wait: bool = True,
    ) -> Any:
        """Several statements that happen together or not at all: each is a str, or (str, params).

        Gives the Result, whose `members` are those of each. An error's `failed_member` is the index of the one that failed. wait=False:
        gives a Future of it.
        """
        whole = [one if isinstance(one, str) else (one[0], one[1]) for one in statements]
        if not wait:
            return self._submit(whole, None, timeout, durable, False, deadline)
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        when = 0 if deadline is None else _penstock.deadline(_usec(deadline, 0))
        engine = self._engine or self._open()
        handle = engine.submit(whole, None, usec, self._flags(whole, durable, False), when)
        return self._outcome(handle, usec)

    def _outcome(self, handle: _penstock.Result, usec: int) -> _penstock.Result:
        if not handle.wait(usec):
            raise Timeout('the time is over; it will still run')
        error = handle.error()
        if error is None:
            return handle
        raise error

    def call(
        self, function: Callable[[_penstock.Connection], Any], *, timeout: float | None = None, durable: bool = False,
        deadline: float | None = None,
    ) -> Any:
        """Runs function(connection) on the writer thread in a transaction of its own, and gives what it returns.

        connection has `execute(sql, params)`, which gives a list of rows, `changes` and `lastrowid`, and is good until the function
        returns. An exception rolls back, and is raised here. It runs once. Everybody waits meanwhile.
        """
        usec = self._timeout if timeout is None else _usec(timeout, FOREVER)
        when = 0 if deadline is None else _penstock.deadline(_usec(deadline, 0))
        engine = self._engine or self._open()
        return engine.execute(function, None, usec, _DURABLE if durable else 0, when).value

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything accepted before has its outcome. timeout: in seconds; Timeout then."""
        if self._engine is not None:
            self._engine.flush(self._timeout if timeout is None else _usec(timeout, FOREVER))

    # ---- verbs ----

    def start(self, timeout: float | None = None) -> None:
        """Starts the writer again after `stop`. Errors: CantOpen, Failed, Timeout."""
        (self._engine or self._open()).start(self._timeout if timeout is None else _usec(timeout, FOREVER))

    def stop(self, timeout: float | None = None, *, give_up: bool = False) -> None:
        """Waits for what is queued and stops the writer; calls are told Stopped until `start`. give_up: what has not begun gets Shutdown."""
        if self._engine is not None:
            self._engine.stop(self._timeout if timeout is None else _usec(timeout, FOREVER), int(give_up))

    def pause(self, timeout: float | None = None) -> None:
        """Waits for what is queued and closes the writer's connection: until `unpause` the file is yours. A second pauser waits its turn."""
        (self._engine or self._open()).pause(self._timeout if timeout is None else _usec(timeout, FOREVER))

    def unpause(self, timeout: float | None = None) -> None:
        """Ends a pause; any thread may. Misuse when there is none."""
        (self._engine or self._open()).unpause(self._timeout if timeout is None else _usec(timeout, FOREVER))

    @contextlib.contextmanager
    def paused(self, timeout: float | None = None) -> Iterator[Database]:
        """with db.paused(): the file is yours within."""
        self.pause(timeout)
        try:
            yield self
        finally:
            self.unpause(timeout)

    def reconfigure(self, **keys: Any) -> None:
        """Changes keys that are live (`penstock config`) while it runs."""
        (self._engine or self._open()).reconfigure({name: _text(value) for name, value in keys.items()})

    # ---- functions ----

    def _register(self, kind: int, name: str, arguments: int, deterministic: bool, function: Any) -> None:
        key = kind, name, arguments
        with self._lock:
            before = self._entries.get(key)
            self._enter(key, (deterministic, function))
            engine = self._engine
        if engine is None:
            return
        try:
            engine.register(kind, name, arguments, deterministic, function)
        except Timeout:
            raise  # it will still get there
        except Error:
            with self._lock:
                self._enter(key, before)
            raise

    def _enter(self, key: tuple[int, str, int], what: tuple[bool, Any] | None) -> None:
        if what is not None:
            self._entries[key] = what
        else:
            self._entries.pop(key, None)
        volatile = [
            re.escape(entry) for (kind, entry, _), (steady, _) in self._entries.items() if kind in (_FUNCTION, _AGGREGATE, _WINDOW) and not steady
        ]
        self._volatile = re.compile(r'\b(?:' + '|'.join(volatile) + r')\s*["`\]]?\s*\(', re.IGNORECASE) if volatile else None

    def create_function(self, name: str, narg: int, function: Callable[..., Any], *, deterministic: bool = False) -> None:
        """A function of Python's in SQL, at any time; again under a name, and it is replaced. narg: -1 for any number.

        It runs on the writer thread, with the GIL. One that is not declared deterministic runs once for each outcome: its statement runs
        alone, and it is refused in a group. One that is may run twice, when a neighbour's failure makes its batch replay.
        """
        self._register(_FUNCTION, name, narg, deterministic, function)

    def create_aggregate(self, name: str, narg: int, aggregate: Callable[[], Any], *, deterministic: bool = True) -> None:
        """A class with `step` and `finalize`, as in sqlite3."""
        self._register(_AGGREGATE, name, narg, deterministic, aggregate)

    def create_window_function(self, name: str, narg: int, aggregate: Callable[[], Any], *, deterministic: bool = True) -> None:
        """A class with `step`, `inverse`, `value` and `finalize`, as in sqlite3."""
        self._register(_WINDOW, name, narg, deterministic, aggregate)

    def create_collation(self, name: str, compare: Callable[[str, str], int]) -> None:
        """A collation: negative, 0 or positive, and the same always."""
        self._register(_COLLATION, name, 0, True, compare)

    def on_connect(self, sql: str) -> None:
        """SQL that each connection of the writer's runs from now on, such as ATTACH."""
        self._register(_SQL, sql, 0, True, None)

    def load_extension(self, path: str) -> None:
        """An extension of SQLite's that each connection of the writer's loads from now on."""
        self._register(_EXTENSION, path, 0, True, None)

    def drop(self, kind: str, name: str) -> None:
        """Takes back what was registered: kind is 'function', 'aggregate', 'window', 'collation', 'sql' or 'extension'."""
        number = ('function', 'aggregate', 'window', 'collation', 'sql', 'extension').index(kind)
        with self._lock:
            for key in [key for key in self._entries if key[0] == number and key[1] == name]:
                del self._entries[key]
        if self._engine is not None:
            self._engine.drop(number, name)

    # ---- reading ----

    def reader(self) -> _Reader:
        """A connection of sqlite3's that only reads, with the functions and collations. The caller's, to be closed; it never checkpoints."""
        if self._is_cluster():
            raise CantOpen('a cluster gives no connection to read with: submit the SELECT')
        self._open()
        guard.may_open(self.path)
        reader = _Reader(f'file:{quote(self.path)}?mode=rw', uri=True, isolation_level=None)
        for (kind, name, arguments), (deterministic, function) in self._entries.items():
            if kind == _FUNCTION:
                reader.create_function(name, arguments, function, deterministic=deterministic)
            elif kind == _AGGREGATE:
                reader.create_aggregate(name, arguments, function)
            elif kind == _COLLATION:
                reader.create_collation(name, function)
        reader.execute('PRAGMA query_only = 1')
        reader.execute('PRAGMA wal_autocheckpoint = 0')
        self._readers.add(reader)
        return reader

    # ---- what it tells ----

    @property
    def phase(self) -> str:
        """'RUNNING', 'PAUSED', ..., or 'CLOSED'."""
        return self._engine.phase() if self._engine is not None else 'CLOSED'

    @property
    def is_stopped(self) -> bool:
        """Whether no writer runs."""
        return self._engine is None or self._engine.is_stopped()

    @property
    def failure(self) -> tuple[int, str] | None:
        """Why the engine failed: SQLite's extended code and a text; None: it has not."""
        return self._engine.failure() if self._engine is not None else None

    @property
    def queue_depth(self) -> int:
        """Accepted submissions without an outcome."""
        return self._engine.queue_depth() if self._engine is not None else 0

    @property
    def queue_capacity(self) -> int:
        """Slots of the queue."""
        return self._engine.queue_capacity() if self._engine is not None else 0

    def counters(self) -> dict[str, Any]:
        """What was counted since open, as one snapshot. Times are in nanoseconds."""
        return (self._engine or self._open()).counters()


class _Reader(sqlite3.Connection):
    """A connection that can be held weakly."""

    def is_open(self) -> bool:
        try:
            self.total_changes
        except sqlite3.ProgrammingError:
            return False
        return True


def metrics(databases: Iterable[Database], names: Sequence[str | None] | None = None) -> str:
    """The counters of several open databases as one text for Prometheus. names: what each is called; None: its path."""
    engines = [database._open() for database in databases]
    return _penstock.metrics(engines, list(names) if names is not None else [None] * len(engines))


# ---- the end ----


def _let_go(core: _Core, usec: int) -> None:
    """Closes what nobody has any more. The last one may have been a function on the writer thread, which cannot wait for itself."""
    if _penstock.inside():
        threading.Thread(target=core.close, args=(usec, True), daemon=False).start()
    else:
        core.close(usec, True)


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []  # engines of the parent


def _end() -> None:
    """Closes what is open, each with its exit_timeout, and then nothing of Python is called any more."""
    for database in list(_databases):
        core = database._core
        if core is not None and core.pid == os.getpid():
            with contextlib.suppress(Exception):
                core.close(database._exit_timeout, True)
    _penstock.finalize()


atexit.register(_end)
_process = 0


def _end_with_process() -> None:
    """A child of multiprocessing's ends without atexit."""
    global _process
    process = sys.modules.get('multiprocessing.process')
    if _process == os.getpid() or process is None or process.parent_process() is None:
        return
    _process = os.getpid()
    from multiprocessing.util import Finalize

    Finalize(None, _end, exitpriority=100)


__all__ = ['Database', 'Future', 'metrics']
