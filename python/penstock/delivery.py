# SPDX-License-Identifier: BSD-2-Clause
"""The thread that gives outcomes to futures, and events to the log and to on_error. The writer thread never takes the GIL for that."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import select
import threading
from typing import Any, Callable

from . import _penstock
from .errors import error_of
from .outbox import MOST, settle

logger = logging.getLogger('penstock')

_LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO}


class Future(concurrent.futures.Future[Any]):
    """A future of a submission. `result(timeout)` raises `TimeoutError` when the time is over; the write still happens then."""

    _queue: _penstock.Completions | None = None

    def cancel(self) -> bool:
        """Whether it will not run: only what was submitted with cancellable=True, and has not begun. Any thread."""
        if self.done() or self._queue is None:
            return self.cancelled()
        if not self._queue.cancel(self):
            return False
        return super().cancel()


def tell(engine: _penstock.Engine, on_error: Callable[[BaseException], None] | None) -> None:
    """Hands on what the engine has said since the last time."""
    for kind, first, second, message in engine.events():
        if kind == 'log':
            # Nobody here checkpoints, so the WAL-reset bug is nothing to warn each user of.
            level = logging.INFO if second == _penstock.EVENTS['WAL_RESET_BUG'] else _LEVELS.get(first, logging.INFO)
            logger.log(level, '%s', message)
            continue
        error = error_of(first, message, second & 0xFF, second)
        if on_error is None:
            logger.error('a statement that nobody waits for failed: %s', message)
            continue
        try:
            on_error(error)
        except Exception:
            logger.exception('on_error failed')


class Delivery:
    """One thread of one engine. It ends with `close`, when all outcomes are delivered."""

    def __init__(self, engine: _penstock.Engine, on_error: Callable[[BaseException], None] | None) -> None:
        self.engine = engine
        self.on_error = on_error
        self.queue = engine.completions(MOST)
        self.end, self.ender = os.pipe()
        self.thread = threading.Thread(target=self._run, name='penstock-delivery', daemon=True)
        self.thread.start()

    def _run(self) -> None:
        poll = select.poll()
        for descriptor in (self.queue.fileno(), self.engine.events_fileno(), self.end):
            poll.register(descriptor, select.POLLIN)  # POLLHUP of `end` comes unasked
        while True:
            ended = any(descriptor == self.end for descriptor, _ in poll.poll())
            while taken := self.queue.take():
                for future, result in taken:
                    if future.cancelled():
                        future.set_running_or_notify_cancel()  # so that concurrent.futures.wait hears of it
                    else:
                        settle(future, result)
            tell(self.engine, self.on_error)
            if ended:
                return

    def close(self) -> None:
        """After the engine's: what was accepted has its outcome then. Not in a forked child."""
        os.close(self.ender)
        if threading.current_thread() is not self.thread:
            self.thread.join()
        self.queue.close()
        os.close(self.end)

