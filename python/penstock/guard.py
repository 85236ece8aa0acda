# SPDX-License-Identifier: BSD-2-Clause
"""What would lose data without a word, and is refused: two copies of SQLite, and a database that was open at a fork."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from typing import Any, Callable, Protocol

from . import _penstock
from .errors import Forked, TwoSqlites

WAY_OUT = (
    'use a Python whose sqlite3 is linked to the system\'s libsqlite3 (Debian\'s python3 is), and build penstock with the same one; '
    'without Peewee nor reads by sqlite3, no second copy must open the file'
)

_checked: set[int] = set()


def _memory(module: Any) -> Callable[[], Any]:
    return lambda: module.connect(':memory:')


def one_sqlite(module: Any = sqlite3) -> None:
    """Raises `TwoSqlites` unless a module like sqlite3 uses the copy of SQLite that the writer uses. Looked at once for each module.

    POSIX locks belong to the process. Each copy takes itself for the only one: when one closes the file, the other's locks are gone,
    and it may remove the -wal under the writer. What was acknowledged is lost then.
    """
    if id(module) in _checked:
        return
    if not _penstock.same_sqlite(_memory(module)):
        ours = _penstock.sqlite_version()[0]
        theirs = getattr(module, 'sqlite_version', '?')
        raise TwoSqlites(f'the module {module.__name__} has a copy of SQLite ({theirs}) beside the writer\'s ({ours}): {WAY_OUT}')
    _checked.add(id(module))


class Opener(Protocol):
    """Who has files open, and has to know of a fork."""

    def _open_files(self) -> list[tuple[int, int]]: ...

    def _open_connections(self) -> list[Any]: ...

    def _in_child(self) -> None: ...


_openers: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: set[tuple[int, int]] = set()
_at_fork: list[tuple[int, int]] = []
_kept: list[Any] = []  # the parent's connections: a child must not close them, as it would when it lets go of them
_lock = threading.RLock()


def identity(path: str) -> tuple[int, int] | None:
    """The file that a path leads to; None: there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def watch(opener: Opener) -> None:
    """From now on it is told of forks."""
    with _lock:
        _openers.add(opener)


def may_open(path: str) -> None:
    """Raises `Forked` when the file was open in the parent at the fork.

    SQLite in the child has the parent's book of locks: it would take the parent's locks for its own, and write without any.
    """
    if _inherited and identity(path) in _inherited:
        raise Forked(
            f'{path} was open in the parent when this process was forked: SQLite would take the parent\'s locks for its own. Open it '
            'after the fork (it opens at first use), close it before, or begin processes by spawn'
        )


def _before() -> None:
    _lock.acquire()
    _at_fork.clear()
    for opener in list(_openers):
        _at_fork.extend(opener._open_files())
        _kept.extend(opener._open_connections())


def _in_parent() -> None:
    _kept.clear()
    _lock.release()


def _in_child() -> None:
    global _lock
    _inherited.update(_at_fork)
    _lock = threading.RLock()
    for opener in list(_openers):
        opener._in_child()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
