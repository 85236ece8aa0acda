#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages have each call of the header, with its arguments, and nothing else; what Doxygen makes of the header has them too.

test_manual.py TREE [HTML]. HTML is the folder of Doxygen's pages, where there is a Doxygen. Prints TAP.
"""
import os
import re
import shutil
import subprocess
import sys

# PENSTOCK_API int penstock_open(const char *path, ...); or an inline function with its body.
DECLARATION = re.compile(r'^(?:PENSTOCK_API|PENSTOCK_INLINE)\s+([^;{()]*?)\b(penstock_\w+)\(([^)]*)\)', re.M)


def words(text):
    return ' '.join(text.split())


def declared(header):
    """The lines of the synopsis that stand for each function."""
    code = re.sub(r'/\*.*?\*/', '', header, flags=re.S)
    functions = {}
    for returned, name, arguments in DECLARATION.findall(code):
        quoted = ' '.join(f'"{words(argument)}"' for argument in arguments.split(','))
        functions[name] = f'.Ft {words(returned)}\n.Fn {name} {quoted}\n'
    return functions


def read(name):
    with open(name, encoding='utf-8') as file:
        return file.read()


def complaints(page):
    if not shutil.which('groff'):
        return []
    made = subprocess.run(['groff', '-mandoc', '-ww', '-z', '-Tutf8', page], capture_output=True, text=True, check=False)
    return made.stderr.splitlines() + ([f'{page}: {made.returncode}'] if made.returncode else [])


def main():
    os.chdir(sys.argv[1])
    functions = declared(read('core/penstock.h'))
    page = read('docs/man/libpenstock.3')
    synopsis, description = page.split('.Sh DESCRIPTION\n')
    entries = dict(re.findall(r'^\.It Fn (\w+)\n(.*?)(?=^\.(?:It|El))', description, re.M | re.S))
    shown = re.findall(r'^\.Fn (\w+)', synopsis, re.M)
    tests = {
        'the header has functions': [] if len(functions) > 50 else [str(len(functions))],
        'the synopsis has each with its arguments': [name for name, lines in functions.items() if lines not in synopsis],
        'it has nothing else': [name for name in shown if name not in functions or shown.count(name) > 1],
        'the description has a word on each': [name for name in functions if not entries.get(name, '').strip()],
        'and on nothing else': [name for name in entries if name not in functions],
        'groff has nothing against the pages': complaints('docs/man/libpenstock.3') + complaints('tool/penstock.1'),
    }
    browsed = 'the pages to browse have each function'
    if len(sys.argv) > 2:
        html = read(os.path.join(sys.argv[2], 'penstock_8h.html'))
        tests[browsed] = [name for name in functions if f'{name}()</h2>' not in html]
    else:
        tests[browsed + ' # SKIP there is no doxygen'] = []
    for number, (name, wrong) in enumerate(tests.items(), 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {name}')
        for line in wrong:
            print(f'# {line}')
    print(f'1..{len(tests)}')
    return 1 if any(tests.values()) else 0


sys.exit(main())
