# SPDX-License-Identifier: BSD-2-Clause
"""What was submitted with something like a future, until its outcome is there: one for each loop, hub or thread that delivers."""

from __future__ import annotations

from collections import deque
from concurrent.futures import InvalidStateError
from typing import Any, Protocol, Sequence

from . import _penstock

MOST = 1 << 20


class Waiter(Protocol):
    """A future of asyncio's or concurrent.futures', or an AsyncResult of gevent's."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Any, /) -> None: ...


Order = tuple[Any, Any, 'Sequence[Any] | None', int, int]


def settle(waiter: Waiter, result: _penstock.Result, value: bool = False) -> None:
    """Gives the outcome to who waits, unless it has gone."""
    try:
        if waiter.done():
            return
        error = result.error()
        if error is None:
            waiter.set_result(result.value if value else result)
        else:
            waiter.set_exception(error)
    except InvalidStateError:
        pass  # it was cancelled just now


class Outbox:
    """Only one thread may use it, but `deliver`, which one other may call."""

    def __init__(self, engine: _penstock.Engine) -> None:
        self.queue = engine.completions(MOST)
        self.late: deque[Order] = deque()

    def fileno(self) -> int:
        """Readable when there is something to deliver, or room."""
        return self.queue.fileno()

    def put(self, waiter: Waiter, what: Any, params: Sequence[Any] | None, flags: int, deadline: int) -> None:
        """Never waits. Without room it is submitted later, in order; what is refused then, its waiter is told."""
        if self.late or self.queue.submit(waiter, what, params, 0, flags, deadline) is None:
            self.late.append((waiter, what, params, flags, deadline))

    def _put_late(self) -> None:
        while self.late:
            waiter, what, params, flags, deadline = self.late[0]
            if not waiter.done():
                try:
                    if self.queue.submit(waiter, what, params, 0, flags, deadline) is None:
                        return
                except Exception as error:
                    waiter.set_exception(error)
            self.late.popleft()

    def deliver(self) -> None:
        """Takes what has its outcome, and submits what had no room."""
        for waiter, result in self.queue.take():
            settle(waiter, result)
        if self.late:
            self._put_late()

    def close(self) -> None:
        """Delivers the rest; what still has no outcome goes on, and nobody hears of it."""
        while taken := self.queue.take():
            for waiter, result in taken:
                settle(waiter, result)
        self.queue.close()
