# SPDX-License-Identifier: BSD-2-Clause
"""For asyncio: `await db.execute(...)`, thousands at once, without a thread for each wait.

    db = penstock.aio.Database('app.db')
    result = await db.execute('INSERT INTO t VALUES(?)', (1,))
    await db.close()

The outcomes come by a completion queue, whose descriptor each loop watches. When a task is cancelled, what it has submitted still
happens; a deadline limits that.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from . import _penstock, database
from .database import Params
from .outbox import Outbox
from .parameters import in_order


class _Loop:
    """What one event loop has of a database. It does not know the loop, which would never be let go of then."""

    def __init__(self, engine: _penstock.Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.outbox = Outbox(engine)
        self.pausing = asyncio.Lock()
        loop.add_reader(self.outbox.fileno(), self.outbox.deliver)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.outbox.fileno())
        self.outbox.close()


class Database:
    """As `penstock.Database`, with its arguments, or one of these that is shared with threads. Any number of loops and tasks."""

    def __init__(self, path: Any, **arguments: Any) -> None:
        self.database = path if isinstance(path, database.Database) else database.Database(path, **arguments)
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        engine = await loop.run_in_executor(None, self.database._open)
        here = self._loops.get(loop)
        if here is not None and here.engine is not engine:
            here.close(loop)
            here = None
        if here is None:
            here = self._loops[loop] = _Loop(engine, loop)
        return here

    async def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None or here.engine is not self.database._engine:
            here = await self._begin(loop)
        return here

    async def _run(self, verb: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, verb, *arguments)

    async def open(self) -> Database:
        """Opens the engine now, if it is not open."""
        await self._here()
        return self

    async def execute(
        self, sql: str, params: Params = None, *, durable: bool = False, alone: bool = False, deadline: float | None = None
    ) -> _penstock.Result:
        """Runs one statement: its Result. deadline: seconds; what has not begun by then is Expired. Room in the queue is waited for."""
        here = await self._here()
        values = in_order(sql, params) if isinstance(params, dict) else params
        result: _penstock.Result = await self._submit(here, sql, values, durable, alone, deadline)
        return result

    def _submit(
        self, here: _Loop, what: Any, values: Sequence[Any] | None, durable: bool, alone: bool, deadline: float | None
    ) -> asyncio.Future[Any]:
        when = 0 if deadline is None else _penstock.deadline(database._usec(deadline, 0))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        here.outbox.put(future, what, values, self.database._flags(what, durable, alone), when)
        return future

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]], *, atomic: bool = False, durable: bool = False) -> int:
        """One statement for each row: how many rows changed. atomic: together or not at all. Otherwise the first error is raised at the end."""
        here = await self._here()
        if atomic:
            group = [(sql, row) for row in rows]
            whole: _penstock.Result | None = await self._submit(here, group, None, durable, False, None) if group else None
            return whole.changes if whole is not None else 0
        futures = [self._submit(here, sql, row, durable, False, None) for row in rows]
        results = await asyncio.gather(*futures, return_exceptions=True)
        for number, result in enumerate(results):
            if isinstance(result, BaseException):
                result.failed_member = number  # type: ignore[attr-defined]
                raise result
        return sum(result.changes for result in results)

    async def group(
        self, statements: Sequence[str | tuple[str, Sequence[Any]]], *, durable: bool = False, deadline: float | None = None
    ) -> _penstock.Result:
        """Several statements that happen together or not at all."""
        result: _penstock.Result = await self._submit(await self._here(), list(statements), None, durable, False, deadline)
        return result

    async def call(self, function: Callable[[_penstock.Connection], Any], *, durable: bool = False, deadline: float | None = None) -> Any:
        """Runs function(connection) on the writer thread, in a transaction of its own: what it returns."""
        return (await self._submit(await self._here(), function, None, durable, False, deadline)).value

    def post(self, sql: str, params: Params = None) -> None:
        """Fire and forget. Full when there is no room: it does not wait. The database has to be open."""
        self.database.post(sql, params, timeout=0)

    async def flush(self, timeout: float | None = None) -> None:
        """Waits until everything accepted before has its outcome."""
        await self._run(self.database.flush, timeout)

    async def pause(self, timeout: float | None = None) -> None:
        """Waits for what is queued and closes the writer's connection: until `unpause` the file is yours."""
        here = await self._here()
        await here.pausing.acquire()
        try:
            await self._run(self.database.pause, timeout)
        except BaseException:
            here.pausing.release()
            raise

    async def unpause(self, timeout: float | None = None) -> None:
        """Ends a pause."""
        here = await self._here()
        await self._run(self.database.unpause, timeout)
        if here.pausing.locked():
            here.pausing.release()

    @asynccontextmanager
    async def paused(self, timeout: float | None = None) -> AsyncIterator[Database]:
        """async with db.paused(): the file is yours within."""
        await self.pause(timeout)
        try:
            yield self
        finally:
            await self.unpause()

    async def close(self, timeout: float | None = None, *, give_up: bool = False) -> None:
        """Waits until everything accepted has its outcome, and closes the engine. The loop runs on meanwhile."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self.database.close(timeout, give_up=give_up))
        here = self._loops.pop(loop, None)
        if here is not None:
            here.close(loop)

    async def __aenter__(self) -> Database:
        return await self.open()

    async def __aexit__(self, *exception: Any) -> None:
        await self.close()
