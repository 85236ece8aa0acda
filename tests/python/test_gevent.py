# SPDX-License-Identifier: BSD-2-Clause
"""penstock.gevent: the hub runs while a greenlet waits."""

from __future__ import annotations

import gevent
from gevent.event import AsyncResult

import penstock
import penstock.gevent
from kit import Case


class Gevent(Case):
    def setUp(self):
        super().setUp()
        self.db = penstock.gevent.Database(self.path, synchronous='off', when_paused='hold', ring_slots=16)
        self.addCleanup(self.db.close, 5, give_up=True)
        self.db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)')

    def test_many_greenlets_in_a_small_ring(self):
        greenlets = [gevent.spawn(self.db.execute, 'INSERT INTO t(b) VALUES(?)', (number,)) for number in range(1000)]
        gevent.joinall(greenlets)
        self.assertEqual(sorted(greenlet.value.lastrowid for greenlet in greenlets), list(range(1, 1001)))

    def test_the_hub_runs_meanwhile(self):
        seen = []
        self.db.pause()
        waiting = gevent.spawn(self.db.execute, 'SELECT 1')
        second = gevent.spawn(self.db.pause)
        flush = gevent.spawn(self.db.flush)
        gevent.spawn(seen.append, 1).join()
        gevent.sleep(0.01)
        self.assertEqual((seen, waiting.dead, second.dead, flush.dead), ([1], False, False, False))
        with self.assertRaises(penstock.Timeout):
            self.db.execute('INSERT INTO t(b) VALUES(7)', timeout=0.001)
        self.db.unpause()
        second.join()
        self.assertEqual(self.db.phase, 'PAUSED')
        self.db.unpause()
        gevent.joinall([waiting, flush])
        self.assertEqual(waiting.value.rows, [(1,)])
        self.assertEqual(self.rows('SELECT b FROM t'), [(7,)])

    def test_the_rest(self):
        with self.assertRaises(penstock.IntegrityError):
            self.db.group(['INSERT INTO t(b) VALUES(1)', 'INSERT INTO t(b) VALUES(1)'])
        self.assertEqual(self.db.executemany('INSERT INTO t(b) VALUES(?)', [(1,), (2,)]), 2)
        self.assertEqual(self.db.call(lambda connection: connection.execute('SELECT count(*) FROM t')), [(2,)])
        self.assertEqual(self.db.submit('SELECT 3').get().rows, [(3,)])
        for number in range(100):
            self.db.post('INSERT INTO t(b) VALUES(?)', (100 + number,))
        self.db.flush()
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(102,)])

    def test_errors_of_what_nobody_waits_for(self):
        heard = AsyncResult()
        db = penstock.gevent.Database(self.path, synchronous='off', on_error=heard.set)
        db.post('nonsense')
        while not heard.ready():
            gevent.sleep(0.01)
        self.assertIsInstance(heard.get(), penstock.OperationalError)
        db.close()

    def test_monkey_patched(self):
        """Plain threads are greenlets then; the future's thread too."""
        self.db.close()
        out = self.good('''
            from gevent import monkey
            monkey.patch_all()
            import sys, threading
            import penstock, penstock.gevent
            for kind in penstock.gevent.Database, penstock.Database:
                db = kind(sys.argv[1], synchronous='off')
                local = threading.local()
                db.create_function('f', 1, lambda x: x + 1)
                threads = [threading.Thread(target=lambda: db.execute('INSERT INTO t(b) SELECT f(ifnull(max(b), 0)) FROM t')) for _ in range(20)]
                [thread.start() for thread in threads]
                [thread.join() for thread in threads]
                future = db.submit('SELECT count(*) FROM t')
                print((future.get() if kind is penstock.gevent.Database else future.result()).rows)
                db.close()
        ''')
        self.assertEqual(out.split(), ['[(20,)]', '[(40,)]'])
