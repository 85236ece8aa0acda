# SPDX-License-Identifier: BSD-2-Clause
"""What would lose data or hang, each with its guard, and without it: then the loss is there, so the test can fail."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import _sqlite3

from kit import Case


class TwoSqlites(Case):
    """A second copy of SQLite, made of the first one: under another name, which a copy of Python's module names too."""

    def setUp(self):
        super().setUp()
        lines = subprocess.run(['ldd', _sqlite3.__file__], capture_output=True, text=True, check=True).stdout.split('\n')
        library = next(line.split()[2] for line in lines if 'libsqlite3.so.0' in line)
        self.copies = os.path.join(self.folder, 'copies')
        os.mkdir(self.copies)
        for source, name in ((library, 'libsqlite3.so.1'), (_sqlite3.__file__, os.path.basename(_sqlite3.__file__))):
            with open(source, 'rb') as file:
                content = file.read()
            self.assertIn(b'libsqlite3.so.0\0', content)
            with open(os.path.join(self.copies, name), 'wb') as file:
                file.write(content.replace(b'libsqlite3.so.0\0', b'libsqlite3.so.1\0'))

    def with_copies(self, text: str) -> str:
        path = os.pathsep.join([self.copies, *os.environ.get('PYTHONPATH', '').split(os.pathsep)])
        return self.good(text, env={**os.environ, 'PYTHONPATH': path, 'LD_LIBRARY_PATH': self.copies})

    WRITE = '''
        import sys, sqlite3
        import penstock
        {before}
        db = penstock.Database(sys.argv[1])
        try:
            db.execute('CREATE TABLE t(a)')
            good = 0
            for number in range(500):
                db.execute('INSERT INTO t VALUES(?)', (number,))
                good += 1
                if number == 100:
                    reader = sqlite3.connect(sys.argv[1])
                    reader.execute('SELECT count(*) FROM t').fetchall()
                    reader.close()
        except penstock.Error as error:
            print(type(error).__name__)
        else:
            print('none')
    '''

    def test_refused_at_open(self):
        self.assertEqual(self.with_copies(self.WRITE.format(before='')).split(), ['TwoSqlites'])
        self.assertFalse(os.path.exists(self.path))
        # Without the guard the copy closes the file and takes the -wal with it.
        unguarded = self.with_copies(self.WRITE.format(before='penstock.guard.one_sqlite = lambda: None')).split()
        self.assertIn(unguarded, (['Unknown'], ['Failed']))

    def test_refused_at_import_of_the_drop_in(self):
        out = self.with_copies('''
            import penstock
            try:
                import penstock.peewee
            except penstock.TwoSqlites as error:
                print('refused' if 'python3' in str(error) else error)
        ''')
        self.assertEqual(out.split(), ['refused'])

    def test_one_copy(self):
        self.assertEqual(self.good(self.WRITE.format(before='import penstock.peewee')).split(), ['none'])


class Fork(Case):
    def test_opened_before(self):
        """The child is told; and the parent's goes on, whatever the child does at its end."""
        out = self.good('''
            import os, sys
            import penstock
            db = penstock.Database(sys.argv[1])
            db.execute('CREATE TABLE t(a)')
            reader = db.reader()
            pending = db.submit('SELECT 1')
            pid = os.fork()
            if pid == 0:
                for again in (db, penstock.Database(sys.argv[1])):
                    try:
                        again.execute('INSERT INTO t VALUES(1)')
                    except penstock.Forked as error:
                        print('spawn' in str(error), flush=True)
                db.close()
                other = penstock.Database(sys.argv[1] + '.other')
                print(other.execute('SELECT 7').rows, flush=True)
                sys.exit()
            assert os.waitpid(pid, 0)[1] == 0
            pending.result()
            db.execute('INSERT INTO t VALUES(2)')
            print(reader.execute('SELECT a FROM t').fetchall())
        ''')
        self.assertEqual(out.split('\n')[:-1], ['True', 'True', '[(7,)]', '[(2,)]'])

    READER_ACROSS = '''
        import os, sys, sqlite3
        import penstock, penstock.peewee
        setup = sqlite3.connect(sys.argv[1])
        setup.execute('PRAGMA journal_mode=WAL')
        setup.execute('CREATE TABLE t(a)')
        setup.commit()
        setup.close()
        db = penstock.peewee.SqliteQueueDatabase(sys.argv[1])
        db.execute_sql('SELECT a FROM t').fetchall()
        there, back = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            {in_child}
            try:
                cursor = db.execute_sql('INSERT INTO t VALUES(1)')
                cursor.fetchall()
                os.write(there[1], b'x')
                os.read(back[0], 1)
                for number in range(100):
                    db.execute_sql('INSERT INTO t VALUES(?)', (number,)).fetchall()
                print('good', flush=True)
            except Exception as error:
                print('refused' if 'spawn' in str(error) else 'lost', flush=True)
                os.write(there[1], b'x')
            os._exit(0)
        os.read(there[0], 1)
        db.close() # the last one with a lock: it takes the -wal with it
        os.write(back[1], b'x')
        os.waitpid(pid, 0)
    '''

    def test_reader_across(self):
        """Python's own connection, open at the fork; the engine is begun in the child."""
        self.assertEqual(self.good(self.READER_ACROSS.format(in_child='')).split(), ['refused'])
        os.unlink(self.path)
        # Without the guard the child takes the parent's lock for its own.
        unguarded = self.good(self.READER_ACROSS.format(in_child='penstock.guard._inherited.clear()')).split()
        self.assertEqual(unguarded, ['lost'])

    def test_opened_after(self):
        """As a server's workers do: a database of the module, opened by each at first use; they end without a close."""
        out = self.good('''
            import multiprocessing, os, sys
            import penstock, penstock.peewee
            db = penstock.Database(sys.argv[1], exit_timeout=600, busy_limit_ms=0)
            db.create_function('f', 1, lambda value: value)
            queue = penstock.peewee.SqliteQueueDatabase(sys.argv[1], penstock={'exit_timeout': 600, 'busy_limit_ms': 0})

            def work(worker):
                db.execute('CREATE TABLE IF NOT EXISTS t(worker, number)')
                for number in range(300):
                    db.post('INSERT INTO t VALUES(?, f(?))', (worker, number))
                queue.execute_sql('INSERT INTO t VALUES(?, -1)', (worker,))

            if __name__ == '__main__':
                context = multiprocessing.get_context('fork')
                processes = [context.Process(target=work, args=(worker,)) for worker in range(4)]
                [process.start() for process in processes]
                [process.join() for process in processes]
                print([process.exitcode for process in processes])
        ''')
        self.assertEqual(out.strip(), '[0, 0, 0, 0]')
        self.assertEqual(self.rows('SELECT worker, count(*) FROM t GROUP BY 1'), [(worker, 301) for worker in range(4)])

    def test_closed_before(self):
        """What was closed in the parent may be opened in the child."""
        out = self.good('''
            import os, sys
            import penstock
            db = penstock.Database(sys.argv[1])
            db.execute('CREATE TABLE t(a)')
            db.close()
            pid = os.fork()
            if pid == 0:
                db.open().execute('INSERT INTO t VALUES(1)')
                sys.exit()
            os.waitpid(pid, 0)
            print(db.open().execute('SELECT a FROM t').rows)
        ''')
        self.assertEqual(out.strip(), '[(1,)]')


class Gil(Case):
    HELD = '''
        import ctypes, os, sys, threading
        import penstock
        db = penstock.Database(sys.argv[1], synchronous='off')
        db.execute('CREATE TABLE t(a)')
        gate = threading.Event()
        db.create_function('f', 1, lambda value: gate.wait() and value, deterministic=True)
        db.submit('SELECT 1').result()
        there = ctypes.create_string_buffer(1)
        read = ctypes.PyDLL(None).read
        # Before the writer may want the GIL: one that has waited for as long as the interval was then is still to be given way to.
        sys.setswitchinterval(1e6)
        futures = [db.submit('INSERT INTO t VALUES({value})', (number,)) for number in range(100)]
        os.write(1, b'x')
        # From here on this thread has the GIL, until somebody else has seen the rows.
        gate.set()
        read(0, there, 1)
        print(there.value.decode())
        for future in futures:
            future.result()
    '''

    def rows_while_held(self, value: str, patience: int) -> int:
        """The rows of a database whose process does not let go of the GIL, once they are all there or patience is over."""
        process = self.begin(self.HELD.format(value=value))
        self.assertEqual(process.stdout.read(1), 'x', process.stderr.read() if process.poll() else '')
        count = 0
        while count < 100 and patience > 0:
            with sqlite3.connect(self.path) as connection:
                (count,), = connection.execute('SELECT count(*) FROM t')
            connection.close()
            patience -= 1
        out, error = process.communicate('g')
        self.assertEqual(process.returncode, 0, error)
        return count

    def test_not_to_deliver(self):
        self.assertEqual(self.rows_while_held('?', sys.maxsize), 100)
        os.unlink(self.path)
        # A function of Python's needs it, so the rows do not come.
        self.assertLess(self.rows_while_held('f(?)', 200), 100)


def sleeps(pid: int) -> bool:
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rsplit(')', 1)[1].split()[0] == 'S'


class Interrupt(Case):
    WAYS = {
        'execute': "db.execute('SELECT 1')",
        'call': 'db.call(lambda connection: None)',
        'group': "db.group(['SELECT 1'])",
        'flush': "db.post('SELECT 1'); db.flush()",
        'pause': 'db.pause()',
        'room': "[db.post('SELECT 1') for _ in range(100)]",
        'room of many': "db.executemany('SELECT ?', [(1,)] * 100, wait=False)",
        'many': "db.executemany('SELECT ?', [(1,)] * 10)",
        'result': "db.submit('SELECT 1').result()",
        'peewee': "queue.execute_sql('PRAGMA user_version').fetchall()",
    }

    def test_ctrl_c(self):
        """Each wait ends by it, and what was accepted still runs."""
        for name, way in self.WAYS.items():
            with self.subTest(name):
                process = self.begin(f'''
                    import signal, sys, threading
                    import penstock, penstock.peewee
                    # What a shell begins in the background ignores it.
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    db = penstock.Database(sys.argv[1], synchronous='off', when_paused='hold', ring_slots=16)
                    db.execute('CREATE TABLE IF NOT EXISTS t(a)')
                    queue = penstock.peewee.SqliteQueueDatabase(sys.argv[1] + '.peewee', penstock=dict(when_paused='hold'))
                    queue.queue().open()
                    for one in db, queue:
                        pauser = threading.Thread(target=one.pause)
                        pauser.start()
                        pauser.join()
                    print('paused', flush=True)
                    try:
                        {way}
                    except KeyboardInterrupt:
                        signal.signal(signal.SIGINT, signal.SIG_IGN)
                        print('interrupted', flush=True)
                    db.unpause()
                    queue.unpause()
                    db.flush()
                    print(db.counters()['queue_depth'])
                ''')
                self.assertEqual(process.stdout.readline(), 'paused\n')
                # Until the process sleeps in its wait, a signal could come too early for what is tested.
                while process.poll() is None and not sleeps(process.pid):
                    time.sleep(0.001)
                process.send_signal(signal.SIGINT)
                # Python drops an exception that comes within a finalizer; whoever sits at the keys presses them again.
                over = threading.Event()
                again = threading.Thread(target=press_again, args=(process, over))
                again.start()
                out, error = process.communicate()
                over.set()
                again.join()
                self.assertEqual((out, process.returncode), ('interrupted\n0\n', 0), error)


def press_again(process, over):
    while not over.wait(5):
        # One that is on its way to the end of its wait would be interrupted there.
        if sleeps(process.pid):
            process.send_signal(signal.SIGINT)


class End(Case):
    # The whole of it takes as long as 500 of `each`: what must not be whole has to be far from it wherever the first thread is held up.
    SLOW = '''
        import atexit, sys, time
        import penstock
        {before}
        db = penstock.Database(sys.argv[1], synchronous='off'{arguments})
        db.execute('CREATE TABLE t(a)')
        db.create_function('slow', 1, lambda value: time.sleep({each}) or value, deterministic=True)
        for number in range(500):
            db.post('INSERT INTO t VALUES(slow(?))', (number,))
    '''

    def test_what_is_queued(self):
        self.good(self.SLOW.format(before='', arguments=', exit_timeout=600', each=0.001))
        self.assertEqual(self.rows('SELECT count(*) FROM t'), [(500,)])
        os.unlink(self.path)
        # Without the guard Python ends, and the writer with it. It is in the way of a clean end, too.
        self.program(self.SLOW.format(before='atexit.unregister(penstock.database._end)', arguments='', each=0.1))
        self.assertLess(self.rows('SELECT count(*) FROM t')[0][0], 500)

    def test_deadline(self):
        self.good(self.SLOW.format(before='', arguments=', exit_timeout=0', each=0.1))
        self.assertLess(self.rows('SELECT count(*) FROM t')[0][0], 500)

    def test_threads_that_go_on(self):
        """Threads that Python does not wait for, at whatever they are when it ends."""
        for _ in range(5):
            self.good('''
                import sys, threading, time
                import penstock
                db = penstock.Database(sys.argv[1], synchronous='off')
                db.execute('CREATE TABLE IF NOT EXISTS t(a)')
                db.create_function('f', 1, lambda value: value, deterministic=True)
                ways = (
                    lambda: db.execute('INSERT INTO t VALUES(f(1))'), lambda: db.submit('SELECT f(1)').result(), lambda: db.flush(),
                    lambda: db.call(lambda connection: 1), lambda: db.executemany('INSERT INTO t VALUES(f(?))', [(1,)] * 100),
                )

                def forever(way):
                    while True:
                        try:
                            way()
                        except penstock.Error:
                            pass

                for way in ways:
                    threading.Thread(target=forever, args=(way,), daemon=True).start()
                db.execute('SELECT 1')
            ''')


class Interpreters(Case):
    def test_subinterpreter(self):
        out = self.good('''
            import sys
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                import _interpreters as interpreters
            code = """if True:
                try:
                    import penstock
                except ImportError as error:
                    print('refused' if 'subinterpreter' in str(error) or 'interpreters' in str(error) else error)
            """
            interpreters.run_string(interpreters.create(), code)
            import penstock
            interpreters.run_string(interpreters.create(), code)
            print(penstock.Database(sys.argv[1]).execute('SELECT 1').rows)
        ''')
        self.assertEqual(out.split(), ['refused', 'refused', '[(1,)]'])


class Killed(Case):
    def test_nothing_acknowledged_is_lost(self):
        """A process that is killed while tasks, threads and groups write: what it said was there is there; groups are whole."""
        for round_ in range(5):
            process = self.begin('''
                import asyncio, os, sys, threading
                import penstock, penstock.aio, penstock.peewee
                db = penstock.Database(sys.argv[1])
                db.execute('CREATE TABLE IF NOT EXISTS t(name PRIMARY KEY)')
                queue = penstock.peewee.SqliteQueueDatabase(sys.argv[1] + '.peewee')
                queue.execute_sql('CREATE TABLE IF NOT EXISTS t(name PRIMARY KEY)').fetchall()
                start = sys.argv[2]

                def say(name):
                    os.write(1, (name + '\\n').encode())

                def threads(who):
                    for number in range(100000):
                        name = f'{start}-thread{who}-{number}'
                        if number % 5:
                            db.execute('INSERT INTO t VALUES(?)', (name,))
                        else:
                            db.group([('INSERT INTO t VALUES(?)', (name,)), ('INSERT INTO t VALUES(?)', (name + '+',))])
                        say(name)

                def peewee(who):
                    for number in range(100000):
                        name = f'{start}-peewee{who}-{number}'
                        queue.execute_sql('INSERT INTO t VALUES(?)', (name,)).rowcount
                        say(name)

                for who in range(4):
                    threading.Thread(target=threads, args=(who,)).start()
                    threading.Thread(target=peewee, args=(who,)).start()

                async def tasks():
                    shared = penstock.aio.Database(db)

                    async def task(who):
                        for number in range(100000):
                            name = f'{start}-task{who}-{number}'
                            await shared.execute('INSERT INTO t VALUES(?)', (name,))
                            say(name)

                    await asyncio.gather(*(task(who) for who in range(8)))

                asyncio.run(tasks())
            ''', str(round_))
            said = [process.stdout.readline().strip() for _ in range(300 * (round_ + 1))]
            process.kill()
            said += [line.strip() for line in process.stdout if line.endswith('\n')]
            there = {name for name, in self.rows('SELECT name FROM t')} | {name for name, in self.rows('SELECT name FROM t', self.path + '.peewee')}
            self.assertEqual(set(said) - there, set())
            partial = {name for name in there if '-thread' in name and not name.endswith('+') and int(name.rsplit('-', 1)[1]) % 5 == 0}
            self.assertEqual({name + '+' for name in partial} - there, set())
