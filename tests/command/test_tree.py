#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tree is whole: each source names its licence, and what pages and comments name is there.

test_tree.py TREE. A file is looked for by the end of its path: state.h and core/state.h will both do. Prints TAP.
"""
import os
import re
import subprocess
import sys

LICENCE = 'SPDX-License-Identifier: BSD-2-Clause'
# Nobody's sources.
DATA = ('tests/fuzz/corpus/', 'tests/data/')
# Other people's headers, sources of SQLite, and what is made when it is built or shown.
FOREIGN = {'ck_md.h', 'ck_pr.h', 'csv.h', 'sqlite3.h', 'pragma.c', 'tokenize.c', 'revision.h', 'example.c', 'pan.c', 'readme.c'}

COMMENT = re.compile(r'^\s*(?:/?\*|#(?!include)|""")|/\*')
# A name with a path or without, but no member of a struct or row, call, glob or part of another word.
NAME = re.compile(r'(?<![\w.>$}%/*<-])(?:\.\.?/)*((?:[\w.-]+/)*[\w-]+\.(?:md|c|h|hpp|cc|sh|py|pml))\b(?!\()')
TEST = re.compile(r'^Test\((\w+), (\w+)', re.M)
LINK = re.compile(r'\]\(([^)#\s]+)')
ANCHOR = re.compile(r'\]\(([^)#\s]*)#([^)\s]+)\)')
HEADING = re.compile(r'^#+ (.*)', re.M)


def tree_files():
    """What git knows or would add; without git, as in an archive, everything but what is built."""
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True, check=False).stdout.split('\n')
    files = [name for name in listed if os.path.isfile(name)]
    if not files:
        for folder, folders, names in os.walk('.'):
            folders[:] = [name for name in folders if name != 'build' and not name.startswith('.git')]
            files += [os.path.normpath(os.path.join(folder, name)) for name in names]
    return files


def is_source(name, text):
    return text.startswith('#!') or name.endswith(('.c', '.h', '.h.in', '.hpp', '.cc', '.pml', '.sh', '.py', '.map', '.1', '.3', '.awk', 'meson.build'))


def without_licence(texts):
    for name, text in texts.items():
        if is_source(name, text) and LICENCE not in '\n'.join(text.split('\n')[:2]):
            yield name


def dead_links(pages):
    for name, text in pages.items():
        for link in LINK.findall(text):
            if '://' not in link and not os.path.exists(os.path.join(os.path.dirname(name), link)):
                yield f'{name}: {link}'


def anchors(text):
    """What a heading is called in a link, as the sites that show such pages make it."""
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in HEADING.findall(re.sub(r'^```.*?^```', '', text, flags=re.M | re.S))}


def dead_anchors(pages):
    for name, text in pages.items():
        for link, anchor in ANCHOR.findall(text):
            page = os.path.normpath(os.path.join(os.path.dirname(name), link)) if link else name
            if '://' not in link and anchor not in anchors(pages.get(page, '')):
                yield f'{name}: {link}#{anchor}'


def unknown_names(texts, ends):
    for name, text in texts.items():
        for number, line in enumerate(text.split('\n'), 1):
            if name.endswith('.md') or COMMENT.search(line):
                for found in NAME.findall(line):
                    if found not in ends and found not in FOREIGN:
                        yield f'{name}:{number}: {found}'


def missing_tests(texts):
    """What tests/CONTRACT.md names as the test of a promise, and is none; a promise without one."""
    known = {f'{suite}/{name}' for path, text in texts.items() if path.startswith('tests/') for suite, name in TEST.findall(text)}
    for line in texts.get('tests/CONTRACT.md', '').split('\n'):
        named = re.findall(r'`([\w./]+/\w[\w.]*|header\.cc)`', line.split(' | ')[-1]) if line.startswith('| ') else []
        if line.startswith('| ') and not line.startswith('| promise') and not named:
            yield f'no test: {line}'
        for name in named:
            if name not in known and not os.path.exists(f'tests/{name}'):
                yield name


def main():
    os.chdir(sys.argv[1])
    files = tree_files()
    texts = {}
    for name in files:
        if not name.startswith(DATA) and not name.endswith('.svg'):
            with open(name, encoding='utf-8') as file:
                texts[name] = file.read()
    pages = {name: text for name, text in texts.items() if name.endswith('.md')}
    # core/state.h is there as itself and as state.h.
    ends = {'/'.join(name.split('/')[i:]) for name in files for i in range(name.count('/') + 1)}
    tests = {
        'there are sources and pages': [] if len(texts) > 200 and len(pages) > 3 else [f'{len(texts)} and {len(pages)}'],
        'each source names its licence': list(without_licence(texts)),
        'the links of the pages lead somewhere': list(dead_links(pages)),
        'and so do those to headings': list(dead_anchors(pages)),
        'the files that comments and pages name are there': list(unknown_names(texts, ends)),
        'there is each test that tests/CONTRACT.md names': list(missing_tests(texts)) if 'tests/CONTRACT.md' in texts else ['it is not there'],
    }
    for number, (name, wrong) in enumerate(tests.items(), 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {name}')
        for line in wrong:
            print(f'# {line}')
    print(f'1..{len(tests)}')
    return 1 if any(tests.values()) else 0


sys.exit(main())
