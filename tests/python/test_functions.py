# SPDX-License-Identifier: BSD-2-Clause
"""Python's functions in SQL: at any time, on every connection, and how often."""

from __future__ import annotations

import os
import threading

import penstock
from kit import Case


class Total:
    """A sum, as an aggregate and over a window."""

    def __init__(self):
        self.total = 0

    def step(self, value):
        self.total += value

    def inverse(self, value):
        self.total -= value

    def value(self):
        return self.total

    finalize = value


class Functions(Case):
    def test_before_and_after_start_and_again(self):
        db = self.open()
        db.create_function('f', 1, lambda value: ('before', value)[0])
        self.assertEqual(db.execute('SELECT f(1)').rows, [('before',)])
        db.create_function('f', 1, lambda value: 'again')
        db.create_function('late', -1, lambda *values: len(values))
        self.assertEqual(db.execute('SELECT f(1), late(), late(1, 2)').rows, [('again', 0, 2)])
        with self.assertRaises(penstock.OperationalError):
            db.execute('SELECT f()')
        with db.paused():
            pass  # another connection
        self.assertEqual(db.execute('SELECT f(1), late(1)').rows, [('again', 1)])
        db.stop()
        db.create_function('while_stopped', 0, lambda: 1)
        db.start()
        self.assertEqual(db.execute('SELECT while_stopped(), f(1)').rows, [(1, 'again')])
        db.drop('function', 'late')
        with self.assertRaises(penstock.OperationalError):
            db.execute('SELECT late()')

    def test_values(self):
        db = self.open()
        db.create_function('same', 1, lambda value: value)
        for value in (None, 1, -2**63, 1.5, 'ä\0b', b'', b'\0\xff'):
            self.assertEqual(db.execute('SELECT same(?)', (value,)).rows, [(value,)])
        db.create_function('bad', 0, object)
        db.create_function('raises', 0, lambda: 1 / 0)
        with self.assertRaisesRegex(penstock.OperationalError, r'user-defined function raised exception \(bad: TypeError\)'):
            db.execute('SELECT bad()')
        with self.assertRaisesRegex(penstock.OperationalError, r'\(raises: ZeroDivisionError\)'):
            db.execute('SELECT raises()')

    def test_aggregates_windows_and_collations(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        db.executemany('INSERT INTO t VALUES(?)', [(1,), (2,), (4,)])
        db.create_aggregate('total_of', 1, Total)
        db.create_window_function('running', 1, Total)
        db.create_collation('backwards', lambda left, right: (left < right) - (left > right))
        self.assertEqual(db.execute('SELECT total_of(a) FROM t').rows, [(7,)])
        self.assertEqual(db.execute('SELECT total_of(a) FROM t WHERE 0').rows, [(0,)])
        self.assertEqual(
            db.execute('SELECT running(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t').rows, [(1,), (3,), (6,)]
        )
        self.assertEqual(db.execute("SELECT column1 FROM (VALUES('a'), ('c'), ('b')) ORDER BY 1 COLLATE backwards").rows, [('c',), ('b',), ('a',)])

        class Fails(Total):
            def step(self, value):
                raise KeyError(value)

        db.create_aggregate('total_of', 1, Fails)
        with self.assertRaises(penstock.OperationalError):
            db.execute('SELECT total_of(a) FROM t')

    def test_on_connect(self):
        other = os.path.join(self.folder, 'other.db')
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        db.on_connect(f"ATTACH '{other}' AS other")
        db.execute('CREATE TABLE other.o(a)')
        with db.paused():
            pass
        db.execute('INSERT INTO other.o VALUES(1)')
        db.close()
        db.open()
        db.execute('INSERT INTO other.o VALUES(2)')
        self.assertEqual(self.rows('SELECT a FROM o', other), [(1,), (2,)])
        with self.assertRaises(penstock.OperationalError):
            db.on_connect('nonsense')
        with db.paused():
            pass  # what was refused is not kept
        db.close()
        db.open()
        self.assertEqual(db.execute('SELECT a FROM other.o').rows, [(1,), (2,)])

    def test_one_thread_state(self):
        """threading.local keeps its values from one function to the next, as long as the writer lives."""
        local = threading.local()

        def count():
            local.number = getattr(local, 'number', 0) + 1
            return local.number

        db = self.open()
        db.create_function('count_calls', 0, count)
        self.assertEqual([db.execute('SELECT count_calls()').rows[0][0] for _ in range(5)], [1, 2, 3, 4, 5])
        self.assertEqual(db.call(lambda connection: count()), 6)
        db.stop()
        db.start()
        self.assertEqual(db.execute('SELECT count_calls()').rows, [(1,)])

    def calls_beside_a_failure(self, **declared) -> tuple[int, int]:
        """How often a function ran for each of twenty rows, in a trigger, where the text does not show it; in one batch with a failure."""
        db = self.open(when_paused='hold')
        calls = []
        db.create_function('called', 1, lambda value: calls.append(value) or value, **declared)
        db.execute('CREATE TABLE t(a UNIQUE)')
        db.execute('CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT called(new.a); END')
        db.pause()
        futures = [db.submit('INSERT INTO t VALUES(?)', (number,)) for number in range(20)]
        futures.append(db.submit('INSERT OR ROLLBACK INTO t VALUES(0)'))
        db.unpause()
        self.assertIsInstance(futures.pop().exception(60), penstock.IntegrityError)
        for future in futures:
            future.result(60)
        self.assertEqual(sorted(set(calls)), list(range(20)))
        replays = db.counters()['replayed_batches']
        db.close()
        os.unlink(self.path)
        return len(calls), replays

    def test_once(self):
        self.assertEqual(self.calls_beside_a_failure()[0], 20)
        # So it would be without the guard.
        calls, replays = self.calls_beside_a_failure(deterministic=True)
        self.assertGreater(replays, 0)
        self.assertGreater(calls, 20)

    def test_groups(self):
        db = self.open()
        db.create_function('volatile', 0, lambda: 1)
        db.create_function('steady', 0, lambda: 2, deterministic=True)
        with self.assertRaisesRegex(penstock.OperationalError, 'deterministic'):
            db.group(['SELECT volatile()'])
        self.assertEqual(db.group(['SELECT steady()']).members[0].rows, [(2,)])
        self.assertEqual(db.call(lambda connection: connection.execute('SELECT volatile()')), [(1,)])

    def test_a_function_that_submits(self):
        db = self.open()
        db.execute('CREATE TABLE t(a)')
        db.create_function('note', 1, lambda value: db.post('INSERT INTO t VALUES(?)', (value,)))
        db.execute('SELECT note(7)')
        db.flush()
        self.assertEqual(self.rows('SELECT a FROM t'), [(7,)])

        def waits():
            with self.assertRaises(penstock.Misuse):
                db.execute('SELECT 1')
            with self.assertRaises(penstock.Misuse):
                db.create_function('other', 0, lambda: 1)

        db.create_function('waits', 0, waits)
        db.execute('SELECT waits()')

    def test_trusted_schema(self):
        """Schemas of Python's users name Python's functions in triggers."""
        db = self.open()
        db.create_function('shout', 1, str.upper, deterministic=True)
        db.execute('CREATE TABLE t(a, b)')
        db.execute('CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET b = shout(new.a) WHERE rowid = new.rowid; END')
        db.execute("INSERT INTO t(a) VALUES('x')")
        self.assertEqual(self.rows('SELECT b FROM t'), [('X',)])
        db.close()
        # So it would be if the schema were not trusted.
        strict = self.open(trusted_schema='no')
        strict.create_function('shout', 1, str.upper, deterministic=True)
        with self.assertRaisesRegex(penstock.OperationalError, 'unsafe use of shout'):
            strict.execute("INSERT INTO t(a) VALUES('x')")
