# SPDX-License-Identifier: BSD-2-Clause
"""All threads and tasks of a program write to one SQLite database through one writer thread.

    import penstock

    db = penstock.Database('app.db')
    db.execute('CREATE TABLE IF NOT EXISTS t(a, b)')
    print(db.execute('INSERT INTO t VALUES(?, ?)', (7, 'seven')).lastrowid)
    db.close()

`penstock.aio` is for asyncio, `penstock.gevent` for gevent, `penstock.peewee` for Peewee.
"""

from __future__ import annotations

from . import _penstock
from ._penstock import Connection, Result
from .database import Database, Future, metrics
from .errors import (
    Cancelled, CantOpen, ConfigError, DatabaseError, DataError, Error, Expired, Failed, Forked, Full, IntegrityError, InterfaceError,
    InternalError, Misuse, OperationalError, Paused, Shutdown, Stopped, Timeout, TooBig, TwoSqlites, Unknown,
)

__version__ = _penstock.version

__all__ = [
    'Cancelled', 'CantOpen', 'ConfigError', 'Connection', 'DataError', 'Database', 'DatabaseError', 'Error', 'Expired', 'Failed', 'Forked',
    'Full', 'Future', 'IntegrityError', 'InterfaceError', 'InternalError', 'Misuse', 'OperationalError', 'Paused', 'Result', 'Shutdown',
    'Stopped', 'Timeout', 'TooBig', 'TwoSqlites', 'Unknown', 'metrics',
]
