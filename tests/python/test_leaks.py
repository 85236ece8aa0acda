# SPDX-License-Identifier: BSD-2-Clause
"""Memory stays flat over many calls of each kind: PENSTOCK_PYTHON_CALLS of them, 20000 unless said.

Looked at is what the process has of the machine's memory, and how many blocks Python has of it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys

import penstock
import penstock.aio
from kit import Case

CALLS = int(os.environ.get('PENSTOCK_PYTHON_CALLS', '20000'))


def resident() -> int:
    gc.collect()
    if 'asan' in os.environ.get('LD_PRELOAD', ''):
        return 0  # it keeps what was freed
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class Leaks(Case):
    def flat(self, once, calls: int) -> None:
        """Many calls after as many to begin with."""
        for _ in range(calls // 4):
            once()
        memory, blocks = resident(), sys.getallocatedblocks()
        for _ in range(calls):
            once()
        self.assertLess(resident() - memory, max(3 << 20, calls * 16))
        self.assertLess(sys.getallocatedblocks() - blocks, max(200, calls // 10))

    def test_each_way(self):
        db = self.open(on_error=lambda error: None)
        db.execute('CREATE TABLE t(a INTEGER PRIMARY KEY, b)')
        db.execute("INSERT INTO t VALUES(1, 'x')")
        db.create_function('f', 1, lambda value: value, deterministic=True)

        def refused():
            try:
                db.execute("INSERT INTO t VALUES(1, 'x')")
            except penstock.IntegrityError:
                pass

        def many():
            db.executemany('UPDATE t SET b = ?', ((number,) for number in range(100)))
            db.executemany('UPDATE t SET b = ?', ((str(number),) for number in range(100)), atomic=True)
            db.executemany('nonsense ?', ((bytearray(b'1'),) for number in range(10)), wait=False)

        def forget():
            for _ in range(20):
                db.post('UPDATE t SET b = ?', ('y',))
                db.submit('SELECT 1')
                db.post("INSERT INTO t VALUES(1, 'x')")
            # Also until the thread that delivers has told all before it.
            db.submit('SELECT 1').result()

        for share, once in (
            (1, lambda: db.execute('UPDATE t SET b = ? RETURNING a, b', (b'abc',)).rows), (4, refused), (200, many), (60, forget),
            (4, lambda: db.submit('SELECT f(?), ?', (1.5, 'text'), cancellable=True).result().rows),
            (8, lambda: db.group([('UPDATE t SET b = ?', (1,)), 'SELECT 1']).members[1].rows),
            (8, lambda: db.call(lambda connection: connection.execute('SELECT ?', (1,)))), (100, lambda: db.counters()),
            (2000, lambda: db.create_function('f', 1, lambda value: value, deterministic=True)),
        ):
            with self.subTest(share):
                self.flat(once, CALLS // share)

    def test_asyncio(self):
        async def whole():
            async with penstock.aio.Database(self.path, synchronous='off', ring_slots=64) as db:
                async def once():
                    await asyncio.gather(*(db.execute('SELECT ?', (number,)) for number in range(100)))

                for _ in range(CALLS // 400):
                    await once()
                memory = resident()
                for _ in range(CALLS // 100):
                    await once()
                self.assertLess(resident() - memory, max(3 << 20, CALLS * 16))

        asyncio.run(whole())

    def test_databases(self):
        """Opened, used and closed, with a thread for futures."""
        def once():
            db = penstock.Database(self.path, synchronous='off')
            db.create_function('f', 0, lambda: 1)
            db.submit('SELECT f()').result()
            db.call(lambda connection: None)
            db.close()

        self.flat(once, CALLS // 200)
