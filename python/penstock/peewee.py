# SPDX-License-Identifier: BSD-2-Clause
"""`SqliteQueueDatabase` for Peewee, over Penstock: change one import.

    from penstock.peewee import SqliteQueueDatabase    # was: from playhouse.sqliteq import SqliteQueueDatabase

Constructor, methods, cursors and exceptions are those of playhouse.sqliteq. docs/python.md says what differs.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any, Callable, Sequence

import peewee
from peewee import SENTINEL, OperationalError
from playhouse.sqlite_ext import SqliteExtDatabase
from playhouse.sqliteq import ResultTimeout, ShutdownException, WriterPaused

from . import _penstock, guard
from . import database as _database
from .errors import Forked, Misuse, Paused, Shutdown, Stopped, Timeout, TwoSqlites

__all__ = ['AsyncCursor', 'ResultTimeout', 'ShutdownException', 'SqliteQueueDatabase', 'WriterPaused']

# Peewee prefers pysqlite3 where that is there. It is the one that has to be the writer's.
guard.one_sqlite(peewee.sqlite3)

_queries = logging.getLogger('peewee')
_logger = logging.getLogger('peewee.sqliteq')
_wrapper = getattr(peewee, '__exception_wrapper__')

_SYNCHRONOUS = {'0': 'off', '1': 'normal', '2': 'full', '3': 'extra'}


class _Connection(peewee.sqlite3.Connection):  # type: ignore[misc]
    """A connection that can be held weakly."""


def _is_open(connection: Any) -> bool:
    try:
        connection.total_changes
    except peewee.sqlite3.ProgrammingError:
        return False
    return True


class AsyncCursor:
    """What a write came to, or will come to: it waits when it is asked. For ResultTimeout the write still happens: ask again."""

    __slots__ = ('sql', 'params', 'commit', 'timeout', '_pending', '_result', '_error', '_rows', '_index')

    def __init__(self, sql: str, params: Any, commit: Any, timeout: float | None, pending: Any, error: BaseException | None) -> None:
        self.sql = sql
        self.params = params
        self.commit = commit
        self.timeout = timeout
        self._pending = pending
        self._error = error
        self._result: Any = None
        self._rows: list[tuple[Any, ...]] | None = None
        self._index = 0

    def _wait(self, timeout: float | None = None) -> Any:
        if self._result is not None:
            return self._result
        if self._error is None:
            timeout = self.timeout if timeout is None else timeout
            try:
                self._result = self._pending(timeout)
            except Timeout:
                raise ResultTimeout('results not ready, timed out.') from None
            except Exception as error:
                self._error = error
        if self._error is not None:
            _raise(self._error)
        return self._result

    def _fetched(self) -> list[tuple[Any, ...]]:
        if self._rows is None:
            self._rows = self._wait().rows
        return self._rows

    def __iter__(self) -> AsyncCursor:
        self._fetched()
        return self

    def next(self) -> tuple[Any, ...]:
        rows = self._fetched()
        if self._index >= len(rows):
            raise StopIteration
        self._index += 1
        return rows[self._index - 1]

    __next__ = next

    @property
    def lastrowid(self) -> int:
        """Rowid of the row inserted; 0 when nothing was."""
        return self._wait().lastrowid  # type: ignore[no-any-return]

    @property
    def rowcount(self) -> int:
        """Rows changed."""
        return self._wait().changes  # type: ignore[no-any-return]

    @property
    def description(self) -> tuple[tuple[Any, ...], ...] | None:
        columns = self._wait().columns
        return tuple((name, None, None, None, None, None, None) for name in columns) if columns else None

    def close(self) -> None:
        self._rows = []

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self, None)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        return [row for _, row in zip(range(size), self)]


def _raise(error: BaseException) -> None:
    """As playhouse.sqliteq and Peewee would raise it."""
    if isinstance(error, Paused):
        raise WriterPaused(str(error)) from error
    if isinstance(error, (Shutdown, Stopped)):
        raise ShutdownException(str(error)) from error
    with _wrapper:
        # Peewee goes by the names of its classes; what it does not know is an OperationalError.
        if isinstance(error, TwoSqlites) or type(error).__name__ in _wrapper.exceptions:
            raise error
        if isinstance(error, peewee.sqlite3.OperationalError):
            raise peewee.sqlite3.OperationalError(str(error)) from error
        raise error


class SqliteQueueDatabase(SqliteExtDatabase):  # type: ignore[misc]
    """Peewee's class over Penstock: all writes go to one writer thread, and wait for it no longer than they must.

    use_gevent, autostart, queue_max_size, results_timeout, pragmas and the rest: as in playhouse.sqliteq.
    penstock: a dict of keys of Penstock's (`penstock config`), such as {'synchronous': 'normal', 'batch_max': 2000}.
    durable: outcomes survive a power loss, with synchronous=normal too.

    The file is opened at first use.
    """

    WAL_MODE_ERROR_MESSAGE = (
        'SQLite must be configured to use the WAL journal mode when using this feature. WAL mode allows one or more readers to continue '
        'reading while another connection writes to the database.'
    )

    def __init__(
        self, database: Any, use_gevent: bool = False, autostart: bool = True, queue_max_size: int | None = None,
        results_timeout: float | None = None, *args: Any, penstock: dict[str, Any] | None = None, durable: bool = False, **kwargs: Any,
    ) -> None:
        kwargs['check_same_thread'] = False
        kwargs.setdefault('factory', _Connection)
        self._use_gevent = use_gevent
        self._autostart = autostart
        self._queue_max_size = queue_max_size
        self._results_timeout = results_timeout
        self._penstock_keys = dict(penstock or {})
        self._durable = durable
        self._is_stopped = not autostart
        self._queue: _database.Database | None = None
        self._queue_lock = threading.RLock()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        super().__init__(database, pragmas=self._validate_journal_mode(kwargs.pop('pragmas', None)), *args, **kwargs)
        guard.watch(self)

    def init(self, database: Any, *args: Any, **kwargs: Any) -> None:
        """Another file: what is queued for the old one is written first."""
        if database == ':memory:' or kwargs.get('uri'):
            raise ValueError('a queue database is a file of its own: neither :memory: nor a URI')
        if str(database).startswith('rqlite://'):
            raise ValueError('a cluster cannot be read through Peewee\'s connections: use penstock.Database, and submit the SELECTs')
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.close()
        super().init(database, *args, **kwargs)

    def _validate_journal_mode(self, pragmas: Any = None) -> dict[str, Any]:
        checked: dict[str, Any] = {name.lower(): value for name, value in dict(pragmas or {}).items()}
        if str(checked.get('journal_mode', 'wal')).lower() != 'wal':
            raise ValueError(self.WAL_MODE_ERROR_MESSAGE)
        checked['journal_mode'] = 'wal'
        return checked

    # ---- the queue ----

    def _keys(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keys and the pragmas of the writer."""
        keys: dict[str, Any] = {'when_stopped': 'hold', 'autostart': not self._is_stopped, 'busy_timeout_ms': int(self._timeout * 1000)}
        if self._queue_max_size:
            keys['ring_slots'] = max(2, self._queue_max_size)
        pragmas = {name.lower(): value for name, value in self._pragmas}
        pragmas.pop('journal_mode', None)
        pragmas.pop('wal_autocheckpoint', None)
        if 'synchronous' in pragmas:
            value = str(pragmas.pop('synchronous')).lower()
            keys['synchronous'] = _SYNCHRONOUS.get(value, value)
        if 'busy_timeout' in pragmas:
            keys['busy_timeout_ms'] = pragmas.pop('busy_timeout')
        keys.update(self._penstock_keys)
        return keys, pragmas

    def queue(self) -> Any:
        """The `penstock.Database` behind it, for what Peewee has no name for."""
        if self._queue is not None:
            return self._queue
        with self._queue_lock:
            if self._queue is None:
                if self.deferred:
                    raise peewee.InterfaceError('Error, database must be initialized before opening a connection.')
                self._queue = self._make_queue()
        return self._queue

    def _make_queue(self) -> _database.Database:
        keys, pragmas = self._keys()
        kind: Any = _database.Database
        if self._use_gevent:
            from .gevent import Database as kind
        queue: _database.Database = kind(self.database, pragmas=pragmas, **keys)
        for name, (function, count) in self._functions.items():
            queue.create_function(name, count, function, deterministic=_deterministic(function))
        for name, (aggregate, count) in self._aggregates.items():
            queue.create_aggregate(name, count, aggregate)
        for name, (aggregate, count) in self._window_functions.items():
            queue.create_window_function(name, count, aggregate)
        for name, compare in self._collations.items():
            queue.create_collation(name, compare)
        for extension in self._extensions:
            queue.load_extension(extension)
        for name, path in self._attached.items():
            queue.on_connect(f'ATTACH DATABASE "{path}" AS "{name}"')
        return queue

    def queue_size(self) -> int:
        """Writes that have no outcome yet."""
        return self._queue.queue_depth if self._queue is not None else 0

    # ---- statements ----

    def execute_sql(
        self, sql: str, params: Any = None, commit: Any = SENTINEL, timeout: float | None = None, durable: bool | None = None
    ) -> Any:
        """A SELECT on this thread's own connection; anything else, or with commit=True, by the writer: an AsyncCursor."""
        if commit is SENTINEL:
            commit = not sql.lower().startswith('select')
        if not commit:
            return super().execute_sql(sql, params, commit=commit)
        _queries.debug((sql, params))
        timeout = self._results_timeout if timeout is None else timeout
        try:
            pending, error = self._pending(sql, params, self._durable if durable is None else durable), None
        except (peewee.PeeweeException, TypeError, ValueError, OverflowError):
            raise
        except Exception as refused:
            pending, error = None, refused
        return AsyncCursor(sql, params, commit, timeout, pending, error)

    def _pending(self, sql: str, params: Any, durable: bool) -> Callable[[float | None], Any]:
        queue = self.queue()
        if self._use_gevent:
            result = queue._start(sql, params, durable, False, None)
            return lambda timeout: queue._get(result, timeout)
        handle = queue._open().submit(sql, params, -1, queue._flags(sql, durable, False), 0)

        def wait(timeout: float | None) -> Any:
            if not handle.wait(_database._usec(timeout, -1)):
                raise Timeout('the time is over; it will still run')
            error = handle.error()
            if error is not None:
                raise error
            return handle

        return wait

    def group(self, statements: Sequence[Any], timeout: float | None = None) -> Any:
        """Several statements that happen together or not at all: Peewee queries, strings, or (sql, params)."""
        members = [one if isinstance(one, (str, tuple)) else self.get_sql_context().sql(one).query() for one in statements]
        return self._checked(self.queue().group, [m if isinstance(m, str) else (m[0], tuple(m[1] or ())) for m in members], timeout=timeout)

    def call(self, function: Callable[[_penstock.Connection], Any], timeout: float | None = None) -> Any:
        """Runs function(connection) on the writer thread, in a transaction of its own: see `penstock.Database.call`."""
        return self._checked(self.queue().call, function, timeout=timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Waits until everything accepted before has its outcome."""
        self._checked(self.queue().flush, timeout)

    def counters(self) -> dict[str, Any]:
        """See `penstock.Database.counters`."""
        counters: dict[str, Any] = self.queue().counters()
        return counters

    def _checked(self, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except Timeout:
            raise ResultTimeout('results not ready, timed out.') from None
        except Forked:
            raise
        except peewee.sqlite3.Error as error:
            _raise(error)

    # ---- verbs ----

    def start(self) -> bool:
        """Whether it was stopped, and runs now."""
        with self._queue_lock:
            if not self._is_stopped:
                return False
            self._is_stopped = False
            queue = self._queue
            if queue is not None:
                self._checked(queue.start)
        return True

    def stop(self) -> bool:
        """Waits for what is queued. What comes then is held until the next start. Whether it was running."""
        with self._queue_lock:
            if self._is_stopped:
                return False
            queue = self._queue
            if queue is not None:
                self._checked(queue.stop)
            self._is_stopped = True
        return True

    def is_stopped(self) -> bool:
        return self._is_stopped

    def pause(self) -> None:
        """Waits for what is queued, and closes the writer's connection. Writes are told WriterPaused. A second pauser waits its turn."""
        try:
            self.queue().pause()
        except Misuse:
            _logger.error('writer received pause, but is already paused.')

    def unpause(self) -> None:
        try:
            self.queue().unpause()
        except Misuse:
            _logger.error('writer received unpause, but is already running.')

    def __unsupported__(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(
            f'This method is not supported by {type(self)!r}: each write is a transaction of its own. group() takes several statements '
            'that happen together, call() a function that reads, decides and writes.'
        )

    atomic = transaction = savepoint = __unsupported__

    # ---- functions ----

    def register_function(self, fn: Any, name: str | None = None, num_params: int = -1, deterministic: bool | None = None) -> None:
        """deterministic: it may run twice and share a batch. None: only Peewee's own functions are."""
        if deterministic is not None:
            fn.penstock_deterministic = deterministic
        super().register_function(fn, name, num_params)
        if self._queue is not None:
            self._queue.create_function(name or fn.__name__, num_params, fn, deterministic=_deterministic(fn))

    def register_aggregate(self, klass: Any, name: str | None = None, num_params: int = -1) -> None:
        super().register_aggregate(klass, name, num_params)
        if self._queue is not None:
            self._queue.create_aggregate(name or klass.__name__.lower(), num_params, klass)

    def register_window_function(self, klass: Any, name: str | None = None, num_params: int = -1) -> None:
        super().register_window_function(klass, name, num_params)
        if self._queue is not None:
            self._queue.create_window_function(name or klass.__name__.lower(), num_params, klass)

    def register_collation(self, fn: Any, name: str | None = None) -> None:
        super().register_collation(fn, name)
        if self._queue is not None:
            self._queue.create_collation(name or fn.__name__, fn)

    def unregister_function(self, name: str) -> None:
        super().unregister_function(name)
        if self._queue is not None:
            self._queue.drop('function', name)

    def load_extension(self, extension: str) -> None:
        super().load_extension(extension)
        if self._queue is not None:
            self._queue.load_extension(extension)

    def attach(self, filename: str, name: str) -> bool:
        """For the writer, this thread's connection and each that is opened later."""
        if name in self._attached:
            if self._attached[name] == filename:
                return False
            raise OperationalError('schema "%s" already attached.' % name)
        self._attached[name] = filename
        sql = f'ATTACH DATABASE "{filename}" AS "{name}"'
        if self._queue is not None:
            self._checked(self._queue.on_connect, sql)
        if not self.is_closed():
            super().execute_sql(sql, commit=False)
        return True

    def detach(self, name: str) -> bool:
        if name not in self._attached:
            return False
        sql = f'ATTACH DATABASE "{self._attached.pop(name)}" AS "{name}"'
        if self._queue is not None:
            self._queue.drop('sql', sql)
            self._checked(self._queue.execute, f'DETACH DATABASE "{name}"')
        if not self.is_closed():
            super().execute_sql(f'DETACH DATABASE "{name}"', commit=False)
        return True

    # ---- reading, and forks ----

    def _connect(self) -> Any:
        path = os.path.abspath(self.database)
        guard.may_open(path)
        if not os.path.exists(path):
            self.queue().open()  # it creates the file for this user alone
        connection = super()._connect()
        connection.execute('PRAGMA wal_autocheckpoint = 0')
        with self._queue_lock:
            self._connections.add(connection)
        return connection

    def _open_connections(self) -> list[Any]:
        return [one for one in list(self._connections) if _is_open(one)]

    def _open_files(self) -> list[tuple[int, int]]:
        identity = guard.identity(os.path.abspath(self.database)) if self.database and self._open_connections() else None
        return [identity] if identity is not None else []

    def _in_child(self) -> None:
        self._connections = weakref.WeakSet()
        self._queue_lock = threading.RLock()
        self._lock = threading.RLock()
        self._state = type(self._state)()  # type: ignore[has-type]


def _deterministic(function: Any) -> bool:
    declared = getattr(function, 'penstock_deterministic', None)
    if declared is not None:
        return bool(declared)
    return (getattr(function, '__module__', None) or '').split('.')[0] in ('peewee', 'playhouse')
