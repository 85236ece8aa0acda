# SPDX-License-Identifier: BSD-2-Clause
"""Peewee's SqliteQueueDatabase: PRODUCERS threads insert ROWS rows in all; prints how many seconds that took.

usage: peewee_rows.py DATABASE NORMAL|FULL PRODUCERS ROWS wait|none

wait: each thread for each outcome, before its next row. none: for none of them; the time ends when all are written.
"""
import sys
import threading
import time

from playhouse.sqliteq import SqliteQueueDatabase

INSERT = "INSERT INTO t VALUES(?,?,?,?)"


def produce(database, barrier, rows, waits, failures):
    barrier.wait()
    try:
        for i in range(rows):
            text = "%032x" % i
            cursor = database.execute_sql(INSERT, (None, i, text, float(i)))
            if waits:
                cursor.rowcount  # waits for the outcome, and raises when there was an error
    except Exception as error:
        failures.append(error)


def main():
    path, synchronous, producers, rows, ack = sys.argv[1:]
    producers, rows = int(producers), int(rows)
    database = SqliteQueueDatabase(path, autostart=False, pragmas={"synchronous": synchronous})
    before = database.execute_sql("SELECT count(*) FROM t").fetchone()[0]
    database.start()
    barrier = threading.Barrier(producers + 1)
    failures = []
    threads = [
        threading.Thread(target=produce, args=(database, barrier, rows // producers, ack == "wait", failures))
        for _ in range(producers)
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    barrier.wait()
    for thread in threads:
        thread.join()
    database.stop()  # and with it everything in the queue
    seconds = time.monotonic() - started
    after = database.execute_sql("SELECT count(*) FROM t").fetchone()[0]
    if failures or after - before != rows:
        print(f"peewee_rows.py: {after - before} rows of {rows}: {failures[:1]}", file=sys.stderr)
        return 1
    print(seconds)
    return 0


sys.exit(main())
