# SPDX-License-Identifier: BSD-2-Clause
"""Peewee's SqliteQueueDatabase for NSEC: prints rows, seconds, p50, p99, p99.9 and the longest in ns.

usage: peewee_uses.py DATABASE one|eight|many|in_flight|forget THREADS NSEC

in_flight: one thread with 1000 in flight, which waits on the oldest. forget: a queue of 1000, so that it ends soon after the last.
"""
import sys
import threading
import time
from collections import deque

from playhouse.sqliteq import SqliteQueueDatabase

INSERT = "INSERT INTO t VALUES(?,?,?,?)"
FLIGHT = 1000


class User(threading.Thread):
    def __init__(self, database, barrier, use, nsec):
        super().__init__()
        self.database, self.barrier, self.use, self.nsec = database, barrier, use, nsec
        self.took, self.rows, self.failure = [], 0, None

    def submit(self):
        i = self.rows
        self.rows += 1
        return self.database.execute_sql(INSERT, (None, i, "%032x" % i, float(i)))

    def hear(self, begun, cursor):
        cursor.rowcount  # waits for the outcome, and raises when there was an error
        self.took.append(time.monotonic_ns() - begun)

    def produce(self):
        flight = deque()
        until = time.monotonic_ns() + self.nsec
        while (begun := time.monotonic_ns()) < until:
            cursor = self.submit()
            if self.use == "in_flight":
                flight.append((begun, cursor))
                if len(flight) == FLIGHT:
                    self.hear(*flight.popleft())
            elif self.use != "forget":
                self.hear(begun, cursor)
        while flight:
            self.hear(*flight.popleft())

    def run(self):
        self.barrier.wait()
        try:
            self.produce()
        except Exception as error:
            self.failure = error


def main():
    path, use, threads, nsec = sys.argv[1:]
    database = SqliteQueueDatabase(path, autostart=False, queue_max_size=FLIGHT, pragmas={"synchronous": "FULL"})
    before = database.execute_sql("SELECT count(*) FROM t").fetchone()[0]
    database.start()
    barrier = threading.Barrier(int(threads) + 1)
    users = [User(database, barrier, use, int(nsec)) for _ in range(int(threads))]
    for user in users:
        user.start()
    started = time.monotonic()
    barrier.wait()
    for user in users:
        user.join()
    database.stop()  # and with it everything in the queue
    seconds = time.monotonic() - started
    after = database.execute_sql("SELECT count(*) FROM t").fetchone()[0]
    rows = sum(user.rows for user in users)
    failures = [user.failure for user in users if user.failure]
    if failures or after - before != rows:
        print(f"peewee_uses.py: {after - before} rows of {rows}: {failures[:1]}", file=sys.stderr)
        return 1
    took = sorted(nsec for user in users for nsec in user.took)

    def quantile(part):
        return took[min(len(took) - 1, int(part * len(took)))] if took else 0

    print(rows, seconds, quantile(0.5), quantile(0.99), quantile(0.999), quantile(1))
    return 0


sys.exit(main())
