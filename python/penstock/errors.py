# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong, as exceptions.

Each is an `Error`, and so an `sqlite3.Error`. What SQLite said of a statement is of the class that sqlite3 would raise too, so
`except sqlite3.IntegrityError` goes on working. What Penstock says has a class for each status:

    class          accepted?  may it be submitted again?
    Shutdown       yes        yes: it had no effect, and never will
    Unknown        yes        only if doing it twice does no harm: it may be there
    Expired        yes        yes, with a later deadline: it had no effect
    Cancelled      yes        yes: it had no effect
    Timeout        yes        no: it will still run
    Full           no         yes, later
    Paused         no         yes, after the unpause
    Stopped        no         yes, after a start
    Failed         no         yes, after a stop and a start
    Forked         no         in the parent
    TooBig, Misuse no         not as it is
"""

from __future__ import annotations

import sqlite3
from typing import Type

from . import _penstock


class Error(sqlite3.Error):
    """Any of them. Attributes: `status` (a number of `STATUSES`), `sqlite_errorcode` (SQLite's extended code, or 0), `sqlite_errorname`."""

    status: int = 0
    sqlite_errorcode: int = 0
    sqlite_errorname: str = ''
    failed_member: int | None = None


class OperationalError(Error, sqlite3.OperationalError):
    """SQLite refused the statement, which had no effect."""


class DatabaseError(Error, sqlite3.DatabaseError):
    """The database is malformed, or SQLite gave another code."""


class IntegrityError(Error, sqlite3.IntegrityError):
    """A constraint failed; the statement had no effect."""


class DataError(Error, sqlite3.DataError):
    """A value is too large."""


class InterfaceError(Error, sqlite3.InterfaceError):
    """The statement was not used as it should be; such as a wrong number of values."""


class InternalError(Error, sqlite3.InternalError):
    """SQLite met a state that it does not know."""


class Shutdown(OperationalError):
    """Accepted, but the engine was closed or failed before it ran; it had no effect."""


class Unknown(OperationalError):
    """The commit, or the sync after it, failed: it may or may not be there."""


class Expired(OperationalError):
    """Its deadline passed before it had begun; it had no effect."""


class Cancelled(OperationalError):
    """It was cancelled before it had begun; it had no effect."""


class Full(OperationalError):
    """There was no room in the queue in time; nothing was accepted."""


class Paused(OperationalError):
    """The engine is paused; nothing was accepted."""


class Stopped(OperationalError):
    """The engine is stopped or the database closed; nothing was accepted."""


class Failed(OperationalError):
    """The engine failed; `Database.failure` says why."""


class TooBig(DataError):
    """The statement or a value is larger than SQLite can hold."""


class Misuse(InterfaceError):
    """The call is not allowed here, or its arguments are wrong."""


class Forked(OperationalError):
    """This is a forked child, and the database was open in the parent when it forked."""


class Timeout(OperationalError, TimeoutError):
    """The time is over. What was accepted will still run: do not submit it again."""


class ConfigError(InterfaceError, ValueError):
    """A key is unknown, or its value out of range."""


class CantOpen(OperationalError):
    """The database or its configuration file cannot be opened or used."""


class TwoSqlites(OperationalError):
    """Two copies of SQLite are in the process. Each would drop the other's locks, and lose data."""


_OF_STATUS: dict[str, Type[Error]] = {
    'SHUTDOWN': Shutdown, 'UNKNOWN': Unknown, 'EXPIRED': Expired, 'CANCELLED': Cancelled, 'FULL': Full, 'PAUSED': Paused,
    'STOPPED': Stopped, 'FAILED': Failed, 'TOOBIG': TooBig, 'MISUSE': Misuse, 'FORKED': Forked, 'TIMEOUT': Timeout,
    'CONFIG': ConfigError, 'CANTOPEN': CantOpen,
}
_CLASSES: dict[int, Type[Error]] = {number: _OF_STATUS.get(name, OperationalError) for name, number in _penstock.STATUSES.items()}

# By SQLite's primary code, as sqlite3 does it.
_OF_CODE: dict[int, Type[Error]] = {
    2: InternalError, 12: InternalError,
    11: DatabaseError, 26: DatabaseError,
    18: DataError,
    19: IntegrityError, 20: IntegrityError,
    21: InterfaceError, 25: InterfaceError,
}


def error_of(status: int, message: str, code: int, extended_code: int) -> BaseException:
    """The exception that a status is."""
    if status == _penstock.STATUSES['NOMEM'] or code == 7:
        return MemoryError(message)
    if status == _penstock.STATUSES['ERROR']:
        kind = _OF_CODE.get(code, OperationalError)
    else:
        kind = _CLASSES.get(status, OperationalError)
    error = kind(message)
    error.status = status
    error.sqlite_errorcode = extended_code
    error.sqlite_errorname = _penstock.code_name(extended_code) or ''
    return error
