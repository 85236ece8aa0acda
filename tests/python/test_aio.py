# SPDX-License-Identifier: BSD-2-Clause
"""penstock.aio: outcomes on the loop's descriptor."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import penstock
import penstock.aio
from kit import Case


class Asyncio(Case):
    def run_with(self, test, **arguments):
        async def whole():
            async with penstock.aio.Database(self.path, synchronous='off', **arguments) as db:
                await db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE)')
                await test(db)

        asyncio.run(whole())

    def test_execute(self):
        async def test(db):
            result = await db.execute('INSERT INTO t VALUES(?, ?) RETURNING b', (7, 'seven'))
            self.assertEqual((result.rows, result.lastrowid), ([('seven',)], 7))
            self.assertEqual((await db.execute('SELECT :a', {'a': 5})).rows, [(5,)])
            with self.assertRaises(penstock.IntegrityError):
                await db.execute('INSERT INTO t VALUES(?, ?)', (8, 'seven'))

        self.run_with(test)

    def test_thousand_tasks_in_a_small_ring(self):
        """All come through, in the order in which they were begun, and no thread but the writer and the pool's one is there."""
        async def test(db):
            before = threading.active_count()
            results = await asyncio.gather(*(db.execute('INSERT INTO t(b) VALUES(?)', (number,)) for number in range(1000)))
            self.assertEqual([result.lastrowid for result in results], list(range(1, 1001)))
            self.assertEqual(threading.active_count(), before)

        self.run_with(test, ring_slots=16)

    def test_the_loop_runs_meanwhile(self):
        async def test(db):
            async with db.paused():
                waiting = asyncio.ensure_future(db.execute('SELECT 1'))
                second = asyncio.ensure_future(db.pause())
                await asyncio.sleep(0.01)
                self.assertFalse(waiting.done())
                self.assertFalse(second.done())
            await second
            await db.unpause()
            self.assertEqual((await waiting).rows, [(1,)])

        self.run_with(test, when_paused='hold')

    def test_a_cancelled_task_takes_nothing_back(self):
        async def test(db):
            async with db.paused():
                tasks = [asyncio.ensure_future(db.execute('INSERT INTO t(b) VALUES(?)', (number,))) for number in range(50)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await db.flush()
            self.assertEqual((await db.execute('SELECT count(*) FROM t')).rows, [(50,)])

        self.run_with(test, when_paused='hold')

    def test_the_rest(self):
        async def test(db):
            self.assertEqual(await db.executemany('INSERT INTO t(b) VALUES(?)', ((number,) for number in range(100))), 100)
            self.assertEqual(await db.executemany('INSERT INTO t(b) VALUES(?)', [(200,), (201,)], atomic=True), 2)
            with self.assertRaises(penstock.IntegrityError) as caught:
                await db.executemany('INSERT INTO t(b) VALUES(?)', [(300,), (7,)])
            self.assertEqual(caught.exception.failed_member, 1)
            with self.assertRaises(penstock.IntegrityError) as caught:
                await db.executemany('INSERT INTO t(b) VALUES(?)', [(310,), (311,), (7,)], atomic=True)
            self.assertEqual(caught.exception.failed_member, 2)
            group = await db.group([('INSERT INTO t(b) VALUES(?)', (400,)), 'SELECT count(*) FROM t'])
            self.assertEqual(group.members[1].rows, [(104,)])
            self.assertEqual(await db.call(lambda connection: connection.execute('SELECT 9')), [(9,)])
            with self.assertRaises(ZeroDivisionError):
                await db.call(lambda connection: 1 / 0)
            with self.assertRaises(penstock.Expired):
                await db.execute('SELECT 1', deadline=0)
            db.post('INSERT INTO t(b) VALUES(500)')
            await db.flush()

        self.run_with(test)
        self.assertEqual(self.rows('SELECT count(*) FROM t WHERE b = 500'), [(1,)])

    def test_two_loops_and_a_thread_share_it(self):
        shared = self.open()
        shared.execute('CREATE TABLE t(a)')

        def loop():
            async def produce():
                db = penstock.aio.Database(shared)
                await asyncio.gather(*(db.execute('INSERT INTO t VALUES(1)') for _ in range(100)))

            asyncio.run(produce())

        threads = [threading.Thread(target=loop) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            shared.execute('INSERT INTO t VALUES(2)')
        for thread in threads:
            thread.join()
        self.assertEqual(shared.execute('SELECT count(*) FROM t').rows, [(300,)])

    def test_loops_come_and_go(self):
        """Each asyncio.run has a loop of its own; nothing of it stays with the database."""
        shared = self.open()

        async def once():
            db = penstock.aio.Database(shared)
            databases.append(db)
            await db.execute('SELECT 1')

        databases = []
        asyncio.run(once())
        gc.collect()
        before = len(os.listdir('/proc/self/fd'))
        db = penstock.aio.Database(shared)
        for _ in range(20):
            asyncio.run(db.flush())
            asyncio.run(self.one(db))
        gc.collect()
        self.assertLess(len(os.listdir('/proc/self/fd')), before + 10)

    async def one(self, db):
        await db.execute('SELECT 1')

    def test_refused(self):
        async def test(db):
            async with db.paused():
                with self.assertRaises(penstock.Paused):
                    await db.execute('SELECT 1')

        self.run_with(test)
