# SPDX-License-Identifier: BSD-2-Clause
"""Peewee's SqliteQueueDatabase in one of several processes: THREADS threads insert rows, each waiting for each outcome.

usage: peewee_turns.py DATABASE NORMAL|FULL THREADS

Says "ready", begins at a line from stdin, and ends with stdin: prints how many rows there were, and the longest wait in ns.
"""
import sys
import threading
import time

from playhouse.sqliteq import SqliteQueueDatabase

INSERT = "INSERT INTO t VALUES(?,?,?,?)"
PATIENCE = 60  # seconds, for the lock of the others: as long as a plain connection's


class User(threading.Thread):
    def __init__(self, database, go, over):
        super().__init__()
        self.database, self.go, self.over = database, go, over
        self.rows, self.worst, self.failure = 0, 0, None

    def insert(self):
        begun = time.monotonic_ns()
        cursor = self.database.execute_sql(INSERT, (None, self.rows, "%032x" % self.rows, float(self.rows)))
        cursor.rowcount  # waits for the outcome, and raises when there was an error
        self.rows += 1
        self.worst = max(self.worst, time.monotonic_ns() - begun)

    def run(self):
        self.go.wait()
        try:
            while not self.over.is_set():
                self.insert()
        except Exception as error:
            self.failure = error


def main():
    path, synchronous, threads = sys.argv[1:]
    database = SqliteQueueDatabase(path, autostart=False, timeout=PATIENCE, pragmas={"synchronous": synchronous})
    database.start()
    go, over = threading.Event(), threading.Event()
    users = [User(database, go, over) for _ in range(int(threads))]
    # One row, so that everything is open.
    users[0].insert()
    users[0].rows = users[0].worst = 0
    for user in users:
        user.start()
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    sys.stdin.read()
    rows = sum(user.rows for user in users)
    over.set()
    for user in users:
        user.join()
    database.stop()
    failures = [user.failure for user in users if user.failure is not None]
    if failures:
        print(f"peewee_turns.py: {failures[0]}", file=sys.stderr)
        return 1
    print(rows, max(user.worst for user in users))
    return 0


sys.exit(main())
