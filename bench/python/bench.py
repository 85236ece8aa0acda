#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Rows a second and p99 of the ways to write to one SQLite database from Python: bench/python/bench.py [options]

Writers take turns, round by round, in one stretch of time. Ratios are taken within a round; a figure is the median of the rounds, with the
smallest and the largest behind it. Every row is a transaction for its caller, with synchronous=FULL. --help says the options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import peewee
import playhouse.sqliteq

import penstock
import penstock.aio
import penstock.peewee

TEXT = 'twenty bytes of text'
INSERT = 'INSERT INTO t(a, b) VALUES(?, ?)'
CREATE = 'CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)'


# ---- writers that threads wait for: begin(path) -> write(number), end() ----


class Penstock:
    def begin(self, path):
        self.db = penstock.Database(path)
        self.db.execute(CREATE)
        execute = self.db.execute
        return lambda number: execute(INSERT, (number, TEXT))

    def end(self):
        self.db.close()


class Sqlite:
    """One connection of sqlite3's and a lock, which everybody waits for."""

    def connect(self, path):
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def execute(self):
        return self.connection.execute

    def begin(self, path):
        self.connection = self.connect(path)
        execute = self.execute()
        list(execute('PRAGMA journal_mode = WAL'))
        execute('PRAGMA synchronous = FULL')
        execute(CREATE)
        lock = threading.Lock()

        def write(number):
            with lock:
                execute(INSERT, (number, TEXT))

        return write

    def end(self):
        self.connection.close()


class Apsw(Sqlite):
    def connect(self, path):
        import apsw

        return apsw.Connection(path)

    def execute(self):
        cursor = self.connection.cursor()
        return cursor.execute


class Model:
    """Peewee's models over a class of database."""

    def __init__(self, kind):
        self.kind = kind

    def begin(self, path):
        self.db = self.kind(path, pragmas={'synchronous': 2})

        class Row(peewee.Model):
            a = peewee.IntegerField()
            b = peewee.TextField()

            class Meta:
                database = self.db

        self.db.execute_sql(str(CREATE).replace(' t(', ' row(')).fetchall()
        return lambda number: Row.create(a=number, b=TEXT)

    def end(self):
        self.db.stop()
        if isinstance(self.db, penstock.peewee.SqliteQueueDatabase):
            self.db.queue().close()


class Statement(Model):
    """The same class, without Peewee's building of SQL."""

    def begin(self, path):
        self.db = self.kind(path, pragmas={'synchronous': 2})
        self.db.execute_sql(CREATE).fetchall()
        execute = self.db.execute_sql
        return lambda number: execute(INSERT, (number, TEXT)).lastrowid


def writers():
    chosen = {
        'peewee/models': lambda: Model(playhouse.sqliteq.SqliteQueueDatabase),
        'peewee/execute_sql': lambda: Statement(playhouse.sqliteq.SqliteQueueDatabase),
        'penstock.peewee/models': lambda: Model(penstock.peewee.SqliteQueueDatabase),
        'penstock.peewee/execute_sql': lambda: Statement(penstock.peewee.SqliteQueueDatabase),
        'penstock/execute': Penstock,
        'sqlite3/lock': Sqlite,
    }
    try:
        import apsw  # noqa: F401

        chosen['apsw/lock'] = Apsw
    except ImportError:
        print('not here: apsw (python3-apsw)')
    return chosen


def measure_threads(writer, path, count, seconds):
    """Rows a second, and the p99 of a row in microseconds."""
    write = writer.begin(path)
    times = [[] for _ in range(count)]
    end = 0.0
    begun = threading.Barrier(count + 1)

    def produce(mine):
        begun.wait()
        number = 0
        while (before := time.perf_counter()) < end:
            write(number)
            mine.append(time.perf_counter() - before)
            number += 1

    threads = [threading.Thread(target=produce, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    end = start + seconds
    begun.wait()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    writer.end()
    every = sorted(one for mine in times for one in mine)
    return len(every) / took, every[int(len(every) * 0.99)] * 1e6


# ---- tasks ----


def measure_tasks(kind, path, count, seconds):
    times = []

    async def whole():
        if kind == 'penstock.aio':
            db = penstock.aio.Database(path)
            execute = db.execute
        else:
            import aiosqlite

            db = await aiosqlite.connect(path, isolation_level=None)
            execute = db.execute
            await execute('PRAGMA journal_mode = WAL')
            await execute('PRAGMA synchronous = FULL')
        await execute(CREATE)
        end = time.perf_counter() + seconds

        async def task():
            number = 0
            while (before := time.perf_counter()) < end:
                await execute(INSERT, (number, TEXT))
                times.append(time.perf_counter() - before)
                number += 1

        start = time.perf_counter()
        await asyncio.gather(*(task() for _ in range(count)))
        took = time.perf_counter() - start
        await db.close()
        return took

    took = asyncio.run(whole())
    times.sort()
    return len(times) / took, times[int(len(times) * 0.99)] * 1e6


# ---- fire and forget ----


def measure_forget(kind, path, rows):
    if kind == 'sqlite3/one transaction':
        db = sqlite3.connect(path)
        db.execute('PRAGMA journal_mode = WAL')
        db.execute(CREATE)
        start = time.perf_counter()
        with db:
            db.executemany(INSERT, ((number, TEXT) for number in range(rows)))
    elif kind == 'peewee/execute_sql':
        db = playhouse.sqliteq.SqliteQueueDatabase(path, pragmas={'synchronous': 2})
        db.execute_sql(CREATE).fetchall()
        rows //= 20
        start = time.perf_counter()
        for number in range(rows):
            cursor = db.execute_sql(INSERT, (number, TEXT))
        cursor.fetchall()
        took = time.perf_counter() - start
        db.stop()
        return rows / took
    else:
        db = penstock.Database(path)
        db.execute(CREATE)
        start = time.perf_counter()
        if kind == 'penstock/executemany':
            db.executemany(INSERT, ((number, TEXT) for number in range(rows)), wait=False)
        else:
            for number in range(rows):
                db.post(INSERT, (number, TEXT))
        db.flush()
    took = time.perf_counter() - start
    db.close()
    return rows / took


def measure_c(path):
    """The C library's rate, by its own benchmark: one producer that forgets, of 500000 rows."""
    out = subprocess.run(
        [path, '--benchmark_filter=^write/penstock/FULL/none/producers:1/batch:1000', '--benchmark_format=json'], capture_output=True, text=True,
        check=True,
    ).stdout
    return json.loads(out[out.index('{'):])['benchmarks'][0]['items_per_second']


# ---- processor time of one execute ----


def processor_time(path, rows):
    """Microseconds of the caller's thread for one execute, and for a wait as long: a byte to another process, which syncs, and back."""
    db = penstock.Database(path, spin_usec=0)
    db.execute(CREATE)
    for number in range(100):
        db.execute(INSERT, (number, TEXT))
    before = time.thread_time()
    for number in range(rows):
        db.execute(INSERT, (number, TEXT))
    execute = (time.thread_time() - before) / rows * 1e6
    db.close()
    there, back = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(there[1])
        file = os.open(path + '.synced', os.O_RDWR | os.O_CREAT)
        page = 0
        while os.read(there[0], 1):
            os.pwrite(file, b'x' * 4096, 4096 * page)
            page += 1
            os.fdatasync(file)
            os.write(back[1], b'x')
        os._exit(0)
    before = time.thread_time()
    for number in range(rows):
        os.write(there[1], b'x')
        os.read(back[0], 1)
    wait = (time.thread_time() - before) / rows * 1e6
    os.close(there[1])
    os.waitpid(pid, 0)
    return execute, wait


# ---- the report ----


def figure(values, form='{:,.0f}'):
    return f'{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})'


def turned(names, number):
    """Each round begins with another one."""
    names = list(names)
    return names[number % len(names):] + names[:number % len(names)]


def compare(title, rounds, reference):
    """rounds: for each round a dict of (rate, p99 or None)."""
    print(f'\n{title}\n')
    print('| writer | rows a second | p99, us | by ' + reference + ' |\n|---|---|---|---|')
    for name in sorted(rounds[0]):
        rates = [one[name][0] for one in rounds]
        late = [one[name][1] for one in rounds if one[name][1] is not None]
        ratios = [one[name][0] / one[reference][0] for one in rounds]
        print(f'| {name} | {figure(rates)} | {figure(late) if late else ""} | {figure(ratios, "{:.2f}")} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=5, help='of each comparison')
    parser.add_argument('--seconds', type=float, default=1.0, help='of each measurement')
    parser.add_argument('--rows', type=int, default=200000, help='fire and forget')
    parser.add_argument('--quick', action='store_true', help='shows that everything works, not how fast it is')
    parser.add_argument('--c', metavar='PENSTOCK-BENCH', help="the C library's benchmark, to compare with")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.rows = 1, 0.05, 2000
    folder = tempfile.mkdtemp(prefix='penstock-bench-')
    number = 0

    def path():
        nonlocal number
        number += 1
        return os.path.join(folder, f'{number}.db')

    try:
        print(f'Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Peewee {peewee.__version__}, {os.cpu_count()} processors, {folder}')
        kinds = writers()
        for count in (1, 8, 64):
            rounds = [
                {name: measure_threads(kinds[name](), path(), count, options.seconds) for name in turned(kinds, turn)}
                for turn in range(options.rounds)
            ]
            compare(f'{count} threads that wait', rounds, 'peewee/models')
        tasks = ['penstock.aio']
        try:
            import aiosqlite  # noqa: F401

            tasks.append('aiosqlite')
        except ImportError:
            print('not here: aiosqlite (python3-aiosqlite)')
        rounds = [{name: measure_tasks(name, path(), 1000, options.seconds) for name in tasks} for _ in range(options.rounds)]
        compare('1000 tasks of asyncio', rounds, tasks[-1])
        ways = ['penstock/executemany', 'penstock/post', 'peewee/execute_sql', 'sqlite3/one transaction']
        rounds = []
        for _ in range(options.rounds):
            one = {name: (measure_forget(name, path(), options.rows), None) for name in ways}
            if options.c:
                one['C'] = (measure_c(options.c), None)
            rounds.append(one)
        compare('fire and forget', rounds, 'C' if options.c else 'sqlite3/one transaction')
        pairs = [processor_time(path(), 20 if options.quick else 2000) for _ in range(options.rounds)]
        print('\nprocessor time of the caller, us: execute ' + figure([one for one, _ in pairs], '{:.1f}') + ', a wait alone ' +
              figure([wait for _, wait in pairs], '{:.1f}') + ', beyond the wait ' + figure([one - wait for one, wait in pairs], '{:.1f}'))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
