# SPDX-License-Identifier: BSD-2-Clause
"""penstock.Database("rqlite://..."): a cluster behind the same calls, as docs/python.md says it.

The second half needs a node: PENSTOCK_RQLITED names the program, if it is not in PATH.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import penstock
import penstock.aio
from kit import Case

# Of the discard service: no node is there.
NOBODY = 'rqlite://127.0.0.1:9/'


def refusal(path: str, **arguments) -> BaseException:
    """What opening it comes to, which must not go well."""
    with penstock.Database(path, busy_limit_ms=1, **arguments):
        pass
    raise AssertionError(f'{path} was opened')


def is_built() -> bool:
    try:
        refusal(NOBODY)
    except penstock.CantOpen as error:
        return 'built without' not in str(error)
    return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


class Path(Case):
    def test_stays_as_it_is(self):
        self.assertEqual(penstock.Database('rqlite://me@db1:4001,db2/?tls=yes').path, 'rqlite://me@db1:4001,db2/?tls=yes')
        # A file by that name, as it is for the library.
        self.assertEqual(penstock.Database('rqlite:/db1').path, os.path.abspath('rqlite:/db1'))
        self.assertEqual(penstock.Database(pathlib.Path('app.db')).path, os.path.abspath('app.db'))

    def test_of_a_build_without(self):
        if is_built():
            self.skipTest('the extension was built with clusters')
        with self.assertRaisesRegex(penstock.CantOpen, 'built without clusters'):
            refusal(NOBODY)


class Refused(Case):
    """What is refused before a node is asked."""

    def setUp(self):
        super().setUp()
        if not is_built():
            self.skipTest('the extension was built without clusters: libcurl or yajl was missing')

    def test_nobody_there(self):
        with self.assertRaisesRegex(penstock.CantOpen, 'the cluster cannot be used'):
            refusal(NOBODY)

    def test_settings(self):
        for arguments, sentence in (
            ({'pragmas': {'cache_size': 100}}, 'PRAGMA cache_size is refused'),
            ({'synchronous': 'normal'}, 'what a cluster has committed is durable'),
        ):
            with self.subTest(arguments), self.assertRaisesRegex(penstock.ConfigError, sentence):
                refusal(NOBODY, **arguments)

    def test_password(self):
        with self.assertRaisesRegex(penstock.Error, 'PENSTOCK_CLUSTER_PASSWORD') as caught:
            refusal('rqlite://me:secret@127.0.0.1:9/')
        self.assertNotIn('secret', str(caught.exception))

    def test_functions(self):
        database = penstock.Database(NOBODY, busy_limit_ms=1)
        database.create_function('twice', 1, lambda value: 2 * value)
        with self.assertRaisesRegex(penstock.ConfigError, 'a cluster runs no function of the program'):
            database.open()
        database.drop('function', 'twice')
        with self.assertRaisesRegex(penstock.CantOpen, 'the cluster cannot be used'):
            database.open()

    def test_peewee(self):
        try:
            from penstock.peewee import SqliteQueueDatabase
        except ImportError:
            self.skipTest('there is no peewee')
        with self.assertRaisesRegex(ValueError, 'cluster'):
            SqliteQueueDatabase(NOBODY)


class Node(unittest.TestCase):
    """One real node for all of them."""

    @classmethod
    def setUpClass(cls):
        program = os.environ.get('PENSTOCK_RQLITED') or shutil.which('rqlited')
        if not is_built():
            raise unittest.SkipTest('the extension was built without clusters: libcurl or yajl was missing')
        if program is None:
            raise unittest.SkipTest('there is no rqlited in PATH, and PENSTOCK_RQLITED names none')
        cls.folder = tempfile.mkdtemp(prefix='penstock-python-node-')
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        port, raft = free_port(), free_port()
        prctl, dies = ctypes.CDLL(None).prctl, 1
        with open(os.path.join(cls.folder, 'log'), 'wb') as log:
            node = subprocess.Popen(
                [program, '-fk', '-http-addr', f'127.0.0.1:{port}', '-raft-addr', f'127.0.0.1:{raft}', os.path.join(cls.folder, 'node')],
                stdout=log, stderr=log, preexec_fn=lambda: prctl(dies, signal.SIGKILL),
            )
        cls.addClassCleanup(node.wait)
        cls.addClassCleanup(node.kill)
        cls.path = f'rqlite://127.0.0.1:{port}/'

    def setUp(self):
        self.db = penstock.Database(self.path, busy_limit_ms=120000)
        self.addCleanup(self.db.close, 30, give_up=True)
        self.db.execute('DROP TABLE IF EXISTS t')
        self.db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB)')

    def rows(self, sql='SELECT a FROM t ORDER BY a'):
        return self.db.execute(sql).rows

    def test_execute(self):
        result = self.db.execute('INSERT INTO t VALUES(?, ?, ?)', (7, 'ä\0b', b'\0\xff'))
        self.assertEqual((result.lastrowid, result.changes), (7, 1))
        self.db.execute('INSERT INTO t VALUES(:a, :b, NULL)', {'a': 8, 'b': 'eight'})
        self.assertEqual(self.rows('SELECT a, b, c FROM t ORDER BY a'), [(7, 'ä\0b', b'\0\xff'), (8, 'eight', None)])
        with self.assertRaisesRegex(penstock.IntegrityError, 'UNIQUE'):
            self.db.execute("INSERT INTO t VALUES(9, 'eight', NULL)")
        for sql in ('BEGIN', 'PRAGMA page_size = 512', '-- nothing', 'SELECT 1; SELECT 2'):
            with self.subTest(sql), self.assertRaises(penstock.Error):
                self.db.execute(sql)
        self.assertEqual(self.rows(), [(7,), (8,)])

    def test_executemany(self):
        rows = [(number, str(number % 90)) for number in range(100)]
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.executemany('INSERT INTO t(a, b) VALUES(?, ?)', rows)
        self.assertEqual((caught.exception.failed_member, len(self.rows())), (90, 90))
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.executemany('INSERT INTO t(a, b) VALUES(?, ?)', [(100, 'x'), (101, 'x')], atomic=True)
        self.assertEqual((caught.exception.failed_member, len(self.rows())), (1, 90))
        self.assertEqual(self.db.executemany('INSERT INTO t(a) VALUES(?)', [(100,), (101,)], wait=False), 2)
        self.db.flush()
        self.assertEqual(len(self.rows()), 92)

    def test_group(self):
        self.assertEqual([one.changes for one in self.db.group(["INSERT INTO t(a) VALUES(1)", ('UPDATE t SET b = ?', ('b',))]).members], [1, 1])
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.group(['INSERT INTO t(a) VALUES(2)', 'INSERT INTO t(a) VALUES(1)'])
        self.assertEqual(caught.exception.failed_member, 1)
        with self.assertRaises(penstock.Error):
            self.db.group(['INSERT INTO t(a) VALUES(2)', 'SELECT 1'])
        self.assertEqual(self.rows(), [(1,)])

    def test_futures(self):
        futures = [self.db.submit('INSERT INTO t(a) VALUES(?)', (number % 150,)) for number in range(200)]
        self.assertEqual([future.result(300).lastrowid for future in futures[:150]], list(range(150)))
        for future in futures[150:]:
            self.assertIsInstance(future.exception(300), penstock.IntegrityError)

    def test_asyncio(self):
        async def main():
            async with penstock.aio.Database(self.path) as db:
                results = await asyncio.gather(*(db.execute('INSERT INTO t(a) VALUES(?) RETURNING a', (number,)) for number in range(100)))
                self.assertEqual([result.rows for result in results], [[(number,)] for number in range(100)])
                await db.group(['DELETE FROM t WHERE a > 1', "UPDATE t SET b = 'b' WHERE a = 1"])
                self.assertEqual((await db.execute('SELECT a, b FROM t ORDER BY a')).rows, [(0, None), (1, 'b')])

        asyncio.run(main())

    def test_what_has_no_place_there(self):
        with self.assertRaisesRegex(penstock.Misuse, 'a cluster runs no function of the program'):
            self.db.call(lambda connection: None)
        with self.assertRaisesRegex(penstock.CantOpen, 'submit the SELECT'):
            self.db.reader()
        with self.assertRaisesRegex(penstock.Misuse, 'a cluster runs no function of the program'):
            self.db.create_function('twice', 1, lambda value: 2 * value)
        with self.assertRaisesRegex(penstock.Misuse, 'a cluster runs no function of the program'):
            self.db.on_connect('PRAGMA cache_size = 100')
        # None of that is in the way later.
        self.db.close()
        self.db.open()
        with self.db.paused():
            self.assertEqual(self.db.phase, 'PAUSED')
        self.db.execute('INSERT INTO t(a) VALUES(1)')
        self.assertEqual(self.rows(), [(1,)])

    def test_a_child_opens_it_too(self):
        """No locks are its parent's."""
        child = os.fork()
        if child == 0:
            try:
                self.db.execute('INSERT INTO t(a) VALUES(1)')
                self.db.close()
                os._exit(0)
            finally:
                os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.db.execute('INSERT INTO t(a) VALUES(2)')
        self.assertEqual(self.rows(), [(1,), (2,)])
