# SPDX-License-Identifier: BSD-2-Clause
"""penstock.Database, as the docstrings say it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import datetime
import gc
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import weakref

import penstock
from kit import Case


class Values(Case):
    def test_each_type_comes_back(self):
        db = self.open()
        values = (None, 0, -2**63, 2**63 - 1, 1.5, float('inf'), '', 'ä\0b', b'', b'\0\xff', True)
        db.execute('CREATE TABLE t(a)')
        for value in values:
            with self.subTest(value):
                row, = db.execute('INSERT INTO t VALUES(?) RETURNING a, typeof(a)', (value,)).rows
                kind = {int: 'integer', float: 'real', str: 'text', bytes: 'blob', type(None): 'null', bool: 'integer'}[type(value)]
                self.assertEqual(row, (value, kind))

    def test_more_values_than_at_hand(self):
        db = self.open()
        for count in (15, 16, 17, 100, 1000):
            row, = db.execute('SELECT ' + ','.join('?' * count), list(range(count))).rows
            self.assertEqual(row, tuple(range(count)))

    def test_buffers_and_adapters(self):
        db = self.open()
        moment = datetime.datetime(2026, 1, 2, 3, 4, 5)

        class Point:
            def __conform__(self, protocol):
                return '1;2'

        row, = db.execute('SELECT ?, ?, ?, ?', (bytearray(b'ab'), memoryview(b'cd'), moment, Point())).rows
        self.assertEqual(row, (b'ab', b'cd', '2026-01-02 03:04:05', '1;2'))

    def test_what_no_value_is(self):
        db = self.open()
        for value, error in ((2**63, OverflowError), (object(), TypeError), ([1], TypeError), ('\ud800', UnicodeEncodeError)):
            with self.subTest(value), self.assertRaises(error):
                db.execute('SELECT ?', (value,))
        self.assertEqual(db.execute('SELECT ?', (1,)).rows, [(1,)])

    def test_values_that_are_changed_meanwhile(self):
        """Nothing is read from the caller's objects behind the submit."""
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        for number in range(100):
            blob = bytearray(b'%03d' % number * 100)
            params = [blob]
            future = db.submit('INSERT INTO t VALUES(?)', params)
            blob[:] = b'x' * len(blob)
            params.clear()
            future.result()
        self.assertEqual(self.rows('SELECT count(*) FROM t WHERE a LIKE \'x%\''), [(0,)])

    def test_named(self):
        db = self.open()
        sql = "SELECT :b, @a, $c, ':no', \"b\" /* :no */ FROM (SELECT 1 AS b) -- :no\nWHERE :b = 2"
        self.assertEqual(db.execute(sql, {'a': 1, 'b': 2, 'c': 3}).rows, [(2, 1, 3, ':no', 1)])
        with self.assertRaises(penstock.InterfaceError):
            db.execute(sql, {'a': 1, 'b': 2})
        with self.assertRaises(penstock.InterfaceError):
            db.execute('SELECT ?', {'a': 1})


class Writing(Case):
    def setUp(self):
        super().setUp()
        self.db = self.open()
        self.db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)')

    def test_execute(self):
        result = self.db.execute('INSERT INTO t VALUES(7, 1), (8, 2) RETURNING a, b')
        self.assertEqual((result.rows, result.columns, result.lastrowid, result.changes), ([(7, 1), (8, 2)], ('a', 'b'), 8, 2))
        self.assertEqual(self.db.execute('DELETE FROM t WHERE a = 7').lastrowid, 0)
        self.assertGreater(self.db.execute('SELECT 1').ticket, result.ticket)

    def test_errors(self):
        self.db.execute('INSERT INTO t VALUES(1, 1)')
        cases = (
            ('INSERT INTO t VALUES(2, 1)', (), penstock.IntegrityError, sqlite3.IntegrityError, 'SQLITE_CONSTRAINT_UNIQUE'),
            ('nonsense', (), penstock.OperationalError, sqlite3.OperationalError, 'SQLITE_ERROR'),
            ('SELECT ?', (), penstock.InterfaceError, sqlite3.InterfaceError, 'SQLITE_RANGE'),
        )
        for sql, params, ours, theirs, name in cases:
            with self.subTest(sql), self.assertRaises(ours) as caught:
                self.db.execute(sql, params)
            self.assertIsInstance(caught.exception, theirs)
            self.assertIsInstance(caught.exception, penstock.Error)
            self.assertEqual(caught.exception.sqlite_errorname, name)
        with self.assertRaises(penstock.OperationalError):
            self.db.execute('BEGIN')

    def test_messages_need_not_be_utf8(self):
        bad = "SELECT json_extract('{}', 'a' || CAST(x'ff41' AS TEXT))"
        with self.assertRaisesRegex(penstock.OperationalError, '\ufffd'):
            self.db.execute(bad)
        with self.assertRaisesRegex(penstock.OperationalError, '\ufffd'):
            self.db.submit(bad).result()
        failures = []
        db = self.open(on_error=failures.append)
        db.post(bad)
        db.close()
        self.assertIn('\ufffd', str(failures[0]))

    def test_futures(self):
        futures = [self.db.submit('INSERT INTO t VALUES(?, ?)', (number, number % 50)) for number in range(100)]
        done, missing = concurrent.futures.wait(futures, 60)
        self.assertFalse(missing)
        self.assertEqual([future.result().lastrowid for future in futures[:50]], list(range(50)))
        for future in futures[50:]:
            self.assertIsInstance(future.exception(), penstock.IntegrityError)

    def test_future_calls_back(self):
        called = threading.Event()
        self.db.submit('SELECT 1').add_done_callback(lambda future: called.set() if future.result().rows == [(1,)] else None)
        self.assertTrue(called.wait(60))

    def test_future_cancelled(self):
        db = self.open(when_paused='hold')
        db.pause()
        held = db.submit('INSERT INTO t VALUES(1, 1)', cancellable=True)
        plain = db.submit('INSERT INTO t VALUES(2, 2)')
        with self.assertRaises(concurrent.futures.TimeoutError):
            held.result(0.001)
        self.assertTrue(held.cancel())
        self.assertFalse(plain.cancel())
        db.unpause()
        self.assertFalse(concurrent.futures.wait([held, plain], 60).not_done)
        self.assertEqual(plain.result(60).lastrowid, 2)
        self.assertTrue(held.cancelled())
        self.assertEqual(self.rows('SELECT a FROM t'), [(2,)])

    def test_executemany(self):
        rows = [(number, number) for number in range(3000)]
        self.assertEqual(self.db.executemany('INSERT INTO t VALUES(?, ?)', iter(rows)), 3000)
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.executemany('INSERT INTO t VALUES(?, ?)', [(3000, 3000), (3001, 7), (3002, 3002)])
        self.assertEqual(caught.exception.failed_member, 1)
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(3002,)])
        self.assertEqual(self.db.executemany('INSERT INTO t VALUES(?, ?)', [(4000, 4000)], wait=False), 1)
        self.db.flush()
        self.assertEqual(self.rows('SELECT b FROM t WHERE a = 4000'), [(4000,)])

    def test_executemany_atomic(self):
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.executemany('INSERT INTO t VALUES(?, ?)', [(1, 1), (2, 1)], atomic=True)
        self.assertEqual(caught.exception.failed_member, 1)
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(0,)])
        self.assertEqual(self.db.executemany('INSERT INTO t VALUES(?, ?)', [(1, 1), (2, 2)], atomic=True), 2)
        self.assertEqual(self.db.executemany('INSERT INTO t VALUES(?, ?)', [], atomic=True), 0)

    def test_executemany_ends_with_its_rows(self):
        def rows():
            yield 1, 1
            raise KeyError('mine')

        for wait in (True, False):
            with self.assertRaises(KeyError):
                self.db.executemany('INSERT OR REPLACE INTO t VALUES(?, ?)', rows(), wait=wait)
        self.db.flush()
        self.assertEqual(self.rows('SELECT a FROM t'), [(1,)])

    def test_group(self):
        result = self.db.group([('INSERT INTO t VALUES(?, ?)', (1, 1)), 'SELECT count(*) FROM t'])
        self.assertEqual((result.changes, result.members[0].lastrowid, result.members[1].rows), (1, 1, [(1,)]))
        with self.assertRaises(penstock.IntegrityError) as caught:
            self.db.group([('INSERT INTO t VALUES(?, ?)', (2, 2)), ('INSERT INTO t VALUES(?, ?)', (3, 1))])
        self.assertEqual(caught.exception.failed_member, 1)
        self.assertEqual(self.rows('SELECT a FROM t'), [(1,)])
        failed = self.db.group([('INSERT INTO t VALUES(?, ?)', (2, 2)), ('INSERT INTO t VALUES(?, ?)', (3, 1))], wait=False)
        self.assertEqual(failed.exception(60).failed_member, 1)
        with self.assertRaises(penstock.Error) as caught:
            self.db.execute('INSERT INTO t VALUES(3, 1)')
        self.assertIsNone(caught.exception.failed_member)
        member = self.db.group(['SELECT 5'], wait=False).result(60).members[0]
        gc.collect()
        self.assertEqual(member.rows, [(5,)])  # it holds on to its group

    def test_call(self):
        def move(connection):
            (count,), = connection.execute('SELECT count(*) FROM t')
            connection.execute('INSERT INTO t VALUES(?, ?)', (count + 1, 'called'))
            return connection.changes, connection.lastrowid, threading.current_thread() is not threading.main_thread()

        self.assertEqual(self.db.call(move), (1, 1, True))
        self.assertEqual(self.rows('SELECT * FROM t'), [(1, 'called')])

    def test_call_that_raises(self):
        class Mine(Exception):
            pass

        def fail(connection):
            connection.execute('INSERT INTO t VALUES(1, 1)')
            raise Mine('here')

        with self.assertRaisesRegex(Mine, 'here'):
            self.db.call(fail)
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(0,)])
        with self.assertRaises(penstock.OperationalError):
            self.db.call(lambda connection: connection.execute('COMMIT'))

    def test_call_whose_connection_is_kept(self):
        kept = self.db.call(lambda connection: connection)
        with self.assertRaises(penstock.Misuse):
            kept.execute('SELECT 1')

    def test_call_that_waits(self):
        with self.assertRaises(penstock.Misuse):
            self.db.call(lambda connection: self.db.execute('SELECT 1'))

    def test_call_that_submits(self):
        futures = []
        self.db.call(lambda connection: futures.append(self.db.submit('INSERT INTO t VALUES(1, 1)')))
        self.assertEqual(futures[0].result(60).lastrowid, 1)

    def test_post(self):
        failures = []
        db = penstock.Database(self.path, on_error=failures.append, synchronous='off')
        db.post('INSERT INTO t VALUES(1, 1)')
        db.post('INSERT INTO t VALUES(2, 1)')
        db.close()
        self.assertEqual([type(failure) for failure in failures], [penstock.IntegrityError])

    def test_post_tells_the_log(self):
        class Heard(logging.Handler):
            event = threading.Event()

            def emit(self, record):
                self.event.set()

        handler = Heard()
        logging.getLogger('penstock').addHandler(handler)
        self.addCleanup(logging.getLogger('penstock').removeHandler, handler)
        with self.assertLogs('penstock', 'ERROR') as logged:
            logging.getLogger('penstock').addHandler(handler)
            self.db.post('nonsense')
            self.assertTrue(handler.event.wait(60))  # at once, not at the close
        self.assertIn('nonsense', logged.output[0])

    def test_deadline_and_timeout(self):
        db = self.open(when_paused='hold')
        db.pause()
        late = db.submit('INSERT INTO t VALUES(1, 1)', deadline=0)
        with self.assertRaises(penstock.Timeout) as caught:
            db.execute('INSERT INTO t VALUES(2, 2)', timeout=0.001)
        self.assertIsInstance(caught.exception, TimeoutError)
        db.unpause()
        self.assertIsInstance(late.exception(60), penstock.Expired)
        db.flush()
        self.assertEqual(self.rows('SELECT a FROM t'), [(2,)])

    def test_durable(self):
        with self.assertRaises(penstock.Misuse):
            self.db.execute('SELECT 1', durable=True)  # synchronous=off
        self.db.close()
        db = self.open(synchronous='normal')
        before = db.counters()['wal_syncs']
        db.execute('INSERT INTO t VALUES(1, 1)', durable=True)
        self.assertGreater(db.counters()['wal_syncs'], before)

    def test_full(self):
        db = self.open(when_paused='hold', ring_slots=2)
        db.pause()
        db.post('SELECT 1')
        db.post('SELECT 1')
        for again in (
            lambda: db.post('SELECT 1', timeout=0), lambda: db.execute('SELECT 1', timeout=0.001), lambda: db.submit('SELECT 1', timeout=0.001),
            lambda: db.executemany('SELECT ?', [(1,)], wait=False, timeout=0.001),
        ):
            with self.assertRaises(penstock.Full):
                again()
        waiting = threading.Thread(target=db.post, args=('INSERT INTO t VALUES(9, 9)',))
        waiting.start()
        db.unpause()
        waiting.join()
        db.flush()
        self.assertEqual(self.rows('SELECT a FROM t'), [(9,)])

    def test_full_at_once(self):
        db = self.open(when_paused='hold', ring_slots=2, when_full='fail')
        db.pause()
        db.post('SELECT 1')
        db.post('SELECT 1')
        with self.assertRaises(penstock.Full):
            db.post('SELECT 1')  # for ever is no longer than that here


class Verbs(Case):
    def test_pause(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        with db.paused():
            self.assertEqual(db.phase, 'PAUSED')
            with self.assertRaises(penstock.Paused):
                db.execute('SELECT 1')
            with self.assertRaises(penstock.Misuse):
                db.pause()
        self.assertEqual(db.execute('SELECT 1').rows, [(1,)])
        with self.assertRaises(penstock.Misuse):
            db.unpause()

    def test_second_pauser_waits(self):
        db = self.open()
        db.pause()
        with self.subTest('in time'):
            errors = []

            def impatient():
                try:
                    db.pause(0.01)
                except penstock.Timeout as error:
                    errors.append(error)

            thread = threading.Thread(target=impatient)
            thread.start()
            thread.join()
            self.assertEqual(len(errors), 1)
        second = threading.Thread(target=db.pause)
        second.start()
        db.unpause()
        second.join()
        self.assertEqual(db.phase, 'PAUSED')
        db.unpause()

    def test_slow_unpause_ends_no_other_pause(self):
        db = self.open()
        # Opening takes longer than one wait without a look at signals; and whoever looks waits for the GIL.
        db.on_connect('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000) SELECT count(x) FROM c')
        for _ in range(10):
            db.pause()
            second = threading.Thread(target=db.pause)
            second.start()
            begun = threading.Event()
            holder = threading.Thread(target=lambda: begun.wait() and ctypes.PyDLL(None).usleep(300000))
            holder.start()
            begun.set()
            db.unpause()
            second.join()
            self.assertEqual(db.phase, 'PAUSED')
            db.unpause()
            holder.join()

    def test_stop_and_start(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        db.post('INSERT INTO t VALUES(1)')
        db.stop()
        self.assertTrue(db.is_stopped)
        self.assertEqual(self.rows('SELECT a FROM t'), [(1,)])
        with self.assertRaises(penstock.Stopped):
            db.execute('SELECT 1')
        db.start()
        self.assertEqual(db.execute('SELECT 1').rows, [(1,)])

    def test_close(self):
        db = self.open()
        self.assertEqual(db.phase, 'CLOSED')
        future = db.submit('CREATE TABLE t(a)')
        db.close()
        self.assertTrue(future.done())
        with self.assertRaises(penstock.Stopped):
            db.execute('SELECT 1')
        db.close()
        with db:
            self.assertEqual(db.execute('SELECT count(*) FROM t').rows, [(0,)])

    def test_close_gives_up(self):
        db = self.open(when_paused='hold')
        db.pause()
        held = db.submit('SELECT 1')
        db.close(0.01, give_up=True)
        self.assertIsInstance(held.exception(60), penstock.Shutdown)

    def test_close_while_others_call(self):
        """Threads that outlive the database are told so, whatever they were at."""
        for _ in range(10):
            db = penstock.Database(self.path, synchronous='off', ring_slots=64)
            db.execute('CREATE TABLE IF NOT EXISTS t(a)')
            ends = []

            def produce(how):
                try:
                    while True:
                        how()
                except penstock.Stopped:
                    ends.append(how)

            hows = [
                lambda: db.execute('INSERT INTO t VALUES(1)'), lambda: db.post('INSERT INTO t VALUES(1)'),
                lambda: db.submit('INSERT INTO t VALUES(1)'), lambda: db.executemany('INSERT INTO t VALUES(?)', [(1,)] * 200),
                lambda: db.call(lambda connection: connection.execute('SELECT 1')), lambda: db._open().flush(-1), lambda: db._open().counters(),
            ]
            threads = [threading.Thread(target=produce, args=(how,)) for how in hows]
            for thread in threads:
                thread.start()
            db.execute('INSERT INTO t VALUES(1)')
            db.close()
            for thread in threads:
                thread.join()
            self.assertEqual(len(ends), len(hows))

    def test_dropped_without_close(self):
        db = penstock.Database(self.path, synchronous='off')
        db.execute('CREATE TABLE t(a)')
        db.submit('SELECT 1').result()
        for number in range(1000):
            db.post('INSERT INTO t VALUES(?)', (number,))
        gone = weakref.ref(db)
        del db
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(1000,)])

    def test_dropped_on_the_writer_thread(self):
        """The last reference goes in a function there, which cannot wait for its own thread; what is queued is written all the same."""
        self.good('''
            import sys, threading, time
            import penstock
            db = penstock.Database(sys.argv[1], synchronous='off', exit_timeout=600)
            db.execute('CREATE TABLE t(a)')
            db.create_function('slow', 1, lambda value: time.sleep(0.001) or value, deterministic=True)
            gate, held = threading.Event(), [db]
            result = db._engine.submit(lambda connection: gate.wait() and held.clear(), None, -1, 0, 0)
            for number in range(300):
                db.post('INSERT INTO t VALUES(slow(?))', (number,))
            del db
            gate.set()
            result.wait(-1)
        ''')
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(300,)])

    def test_open(self):
        for path, arguments, error in (
            (':memory:', {}, penstock.CantOpen), (os.path.join(self.folder, 'no', 'x.db'), {}, penstock.CantOpen),
            (self.path, {'ring_slots': 'many'}, penstock.ConfigError), (self.path, {'nonsense': 1}, penstock.ConfigError),
        ):
            with self.subTest(path), self.assertRaises(error):
                penstock.Database(path, **arguments).open()
        db = self.open(pragmas={'user_version': 7})
        self.assertFalse(os.path.exists(self.path))  # the constructor touches nothing
        self.assertEqual(db.execute('PRAGMA user_version').rows, [(7,)])
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_configuration_file(self):
        name = os.path.join(self.folder, 'penstock.ini')
        with open(name, 'w') as file:
            file.write('ring_slots = 64\n')
        self.assertEqual(self.open(config_file=name).open().queue_capacity, 64)

    def test_reconfigure(self):
        db = self.open(when_paused='refuse')
        db.reconfigure(when_paused='hold')
        with db.paused():
            held = db.submit('SELECT 1')
        self.assertEqual(held.result(60).rows, [(1,)])
        with self.assertRaises(penstock.ConfigError):
            db.reconfigure(ring_slots=4)

    def test_counters_and_metrics(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        counters = db.counters()
        self.assertEqual((counters['accepted'], counters['committed'], counters['queue_depth']), (1, 1, 0))
        self.assertEqual(counters['outcome_nsec']['count'], 1)
        self.assertIn('{engine="mine"}', penstock.metrics([db], ['mine']))
        self.assertIn(self.path, penstock.metrics([db]))

    def test_failure(self):
        db = self.open(synchronous='full')
        db.execute('CREATE TABLE t(a)')
        self.assertIsNone(db.failure)
        os.rename(self.path, self.path + '.gone')
        with self.assertRaises(penstock.Failed):
            while True:
                with contextlib.suppress(penstock.Unknown, penstock.Shutdown):
                    db.execute('INSERT INTO t VALUES(1)')
        self.assertEqual(db.phase, 'FAILED')
        self.assertEqual(penstock._penstock.code_name(db.failure[0]), 'SQLITE_READONLY_DBMOVED')

    def test_reader(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        db.create_function('twice', 1, lambda value: 2 * value, deterministic=True)
        reader = db.reader()
        self.addCleanup(reader.close)
        self.assertEqual(reader.execute('SELECT twice(count(*) + 1) FROM t').fetchall(), [(2,)])
        with self.assertRaises(sqlite3.OperationalError):
            reader.execute('INSERT INTO t VALUES(1)')

    def test_command(self):
        script = os.path.join(self.folder, 'a.sql')
        with open(script, 'w') as file:
            file.write('CREATE TABLE t(a); INSERT INTO t VALUES(42);')
        subprocess.run([sys.executable, '-m', 'penstock', 'run', self.path, script], check=True, capture_output=True)
        self.assertEqual(self.rows('SELECT a FROM t'), [(42,)])


class Threads(Case):
    def test_many_producers(self):
        """Each thread's writes keep their order, and none is lost."""
        db = self.open(ring_slots=64)
        db.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, thread, number)')

        def produce(thread):
            for number in range(200):
                how = number % 3
                arguments = 'INSERT INTO t(thread, number) VALUES(?, ?)', (thread, number)
                if how == 0:
                    db.post(*arguments)
                elif how == 1:
                    db.execute(*arguments)
                else:
                    db.submit(*arguments)

        threads = [threading.Thread(target=produce, args=(thread,)) for thread in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        db.flush()
        rows = self.rows('SELECT thread, number FROM t ORDER BY id')
        for thread in range(16):
            self.assertEqual([number for who, number in rows if who == thread], list(range(200)))
