# SPDX-License-Identifier: BSD-2-Clause
"""The Python of the README and of docs/python.md runs as it stands."""

from __future__ import annotations

import importlib.util
import os
import re
import unittest

from kit import Case

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def programs(page):
    with open(os.path.join(ROOT, page), encoding='utf-8') as file:
        return re.findall(r'^```python\n(.*?)^```$', file.read(), re.M | re.S)


class Pages(Case):
    def test_readme(self):
        program, = programs('README.md')
        self.assertEqual(self.good(program), '1\n')

    def test_python(self):
        program, _ = programs('docs/python.md')
        self.assertEqual(self.good(program), '1\n')

    @unittest.skipUnless(importlib.util.find_spec('peewee'), 'Peewee is not installed')
    def test_peewee(self):
        _, program = programs('docs/python.md')
        self.assertEqual(self.good(program + 'print(SqliteQueueDatabase.__module__)\n'), 'penstock.peewee\n')
