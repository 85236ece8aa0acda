#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the tests of the package penstock and says what came of each, as TAP: tests/python/run.py [NAME...]

NAME: a module such as test_database, or module.Class.test. The package has to be installed, or on PYTHONPATH.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import unittest

# A test that hangs says where.
LIMIT = 900


class Result(unittest.TestResult):
    number = 0

    def say(self, word: str, test: unittest.TestCase, more: str = '') -> None:
        self.number += 1
        print(f'{word} {self.number} - {test.id()}{more}', flush=True)

    def addSuccess(self, test):
        self.say('ok', test)

    def addSkip(self, test, reason):
        self.say('ok', test, f' # SKIP {reason}')

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.say('not ok', test)
        print(self.failures[-1][1], flush=True)

    def addSubTest(self, test, part, error):
        if error is not None:
            super().addSubTest(test, part, error)
            self.say('not ok', part)
            print((self.failures + self.errors)[-1][1], flush=True)

    def addError(self, test, error):
        super().addError(test, error)
        self.say('not ok', test)
        print(self.errors[-1][1], flush=True)


def main() -> int:
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, folder)
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(sys.argv[1:]) if sys.argv[1:] else loader.discover(folder)
    result = Result()
    suite.run(result)
    print(f'1..{result.number}')
    return 0 if result.wasSuccessful() else 1


sys.exit(main())
