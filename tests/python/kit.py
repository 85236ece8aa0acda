# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the package share: a folder of their own, and programs in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import unittest

import penstock


class Case(unittest.TestCase):
    """A test with a folder, and databases in it that are closed behind it."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix='penstock-python-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = os.path.join(self.folder, 'test.db')

    def open(self, **arguments):
        database = penstock.Database(self.path, **{'synchronous': 'off', **arguments})
        self.addCleanup(database.close, 5, give_up=True)
        return database

    def rows(self, sql: str, path: str | None = None) -> list:
        connection = sqlite3.connect(path or self.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def program(self, text: str, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Runs a program in a process of its own, with the path of the database in sys.argv[1]."""
        return subprocess.run(
            [sys.executable, '-X', 'faulthandler', '-c', textwrap.dedent(text), self.path, *arguments], capture_output=True, text=True,
            timeout=120, cwd=self.folder, **options,
        )

    def good(self, text: str, *arguments: str, **options) -> str:
        """The same, which has to end well: its output."""
        done = self.program(text, *arguments, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def begin(self, text: str, *arguments: str) -> subprocess.Popen:
        """A program that runs beside the test, which talks to it; it is killed behind it."""
        process = subprocess.Popen(
            [sys.executable, '-X', 'faulthandler', '-c', textwrap.dedent(text), self.path, *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
        )

        def end() -> None:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

        self.addCleanup(end)
        return process
