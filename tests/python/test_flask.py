# SPDX-License-Identifier: BSD-2-Clause
"""examples/flask_ingest.py under gunicorn: every 200 is in the table, through restarts of the workers and the end."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import unittest

from kit import Case

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'examples')


def runs(module: str) -> bool:
    return subprocess.run([sys.executable, '-c', f'import {module}'], capture_output=True).returncode == 0


@unittest.skipUnless(runs('flask') and runs('gunicorn'), 'Flask and gunicorn are not installed')
class Flask(Case):
    def setUp(self):
        super().setUp()
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen(512)
        self.port = self.socket.getsockname()[1]
        self.log = open(os.path.join(self.folder, 'log'), 'w+')
        self.addCleanup(self.log.close)
        self.server = subprocess.Popen(
            [sys.executable, '-m', 'gunicorn', '--workers', '4', '--threads', '4', '--worker-class', 'gthread', '--bind',
             f'fd://{self.socket.fileno()}', '--graceful-timeout', '120', '--timeout', '120', 'flask_ingest:app'],
            pass_fds=[self.socket.fileno()], cwd=EXAMPLES, stderr=self.log, env={**os.environ, 'EVENTS': self.path},
        )
        self.addCleanup(self.end)

    def end(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
        self.server.wait()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def post(self, body: str) -> int | None:
        """The number of the event that a 200 says; None: there was no answer, as at a restart."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port)
        try:
            connection.request('POST', '/events', body)
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200, self.said())
            return int(answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def test_every_200(self):
        good: dict[int, str] = {}
        stop = threading.Event()

        def client(who: int) -> None:
            number = 0
            while not stop.is_set():
                body = f'{who}-{number}'
                event = self.post(body)
                if event is not None:
                    good[event] = body
                number += 1

        clients = [threading.Thread(target=client, args=(who,)) for who in range(6)]
        for one in clients:
            one.start()
        for most in (100, 200, 300):
            while len(good) < most and self.server.poll() is None:
                stop.wait(0.01)
            if most < 300:
                self.server.send_signal(signal.SIGHUP)
        stop.set()
        for one in clients:
            one.join()
        if shutil.which('wrk'):
            script = os.path.join(self.folder, 'post.lua')
            with open(script, 'w') as file:
                file.write('wrk.method = "POST"; wrk.body = "wrk"\n'
                           'function done(summary, latency, requests)\n'
                           '  print("good " .. summary.requests - summary.errors.status, "bad " .. summary.errors.status)\nend\n')
            out = subprocess.run(
                ['wrk', '-t1', '-c8', '-d2s', '-s', script, f'http://127.0.0.1:{self.port}/events'], capture_output=True, text=True, check=True,
            ).stdout
        self.end()
        self.assertEqual(self.server.returncode, 0, self.said())
        self.assertNotIn('Traceback', self.said())
        rows = dict(self.rows('SELECT id, body FROM event'))
        self.assertEqual({event: rows.get(event) for event in good}, good)
        if shutil.which('wrk'):
            words = dict(word.split() for line in out.split('\n') if line.startswith('good') for word in line.split('\t'))
            self.assertEqual(words['bad'], '0')
            self.assertGreaterEqual(list(rows.values()).count('wrk'), int(words['good']))
