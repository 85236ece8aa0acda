#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Mutates the engine and sees whether the tests notice.

Every mutant is one small change in core, queue or writer: a relation or a logical operator swapped, a condition negated, a
constant off by one, a sign turned, a statement or a fence removed, a memory order weakened, a result turned. A seeded sample is
built one by one in a scratch copy of the tree and run against a quick selection of the tests, those of the changed file first,
until one fails, crashes or hangs; what survives that is run once more under AddressSanitizer and UndefinedBehaviorSanitizer, which
notice leaks and what is read or written out of bounds. A weakened memory order is first looked at by ThreadSanitizer. Prints each
survivor and "K of N mutants killed".

    tests/quality/mutate.py --count 60 --seed 1              a run
    tests/quality/mutate.py --only writer/batch.c --count 9  some files only
    tests/quality/mutate.py --list --count 60 --seed 1       what would be tried
    tests/quality/mutate.py --show 17 --seed 1               one mutant as a diff
    tests/quality/mutate.py --results FILE --seconds 100     in pieces: run it again until it says that all are done
    tests/quality/mutate.py --jobs 2                         two at a time: one that hangs or syncs leaves the processor idle

A survivor is either equivalent (nobody could tell) or a hole in the tests. The equivalent ones are listed, judged by a person,
in tests/quality/mutants-equivalent.md, and are not counted. A mutant that does not compile is not counted either.
"""

import argparse
import collections
import concurrent.futures
import difflib
import hashlib
import json
import math
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JUDGED = os.path.join(ROOT, 'tests', 'quality', 'mutants-equivalent.md')
FOLDERS = ('core', 'queue', 'writer')

# In the order in which a mutant meets them, unless its file has others first.
TESTS = ('config', 'ring', 'handle', 'counters', 'metrics', 'syntax', 'security', 'states', 'contract', 'cancel', 'completions',
         'fused', 'group', 'call', 'equivalence', 'wal_repair', 'memory', 'disk', 'checkpoint', 'checkpointer', 'turns',
         'processes', 'schedule', 'storm', 'faults')
FIRST = {
    'core/config_file.c': ('config',),
    'core/counters.c': ('counters',),
    'core/options.c': ('config',),
    'core/outcome.c': ('handle',),
    'core/outcome.h': ('handle',),
    'core/cancel.h': ('cancel', 'schedule'),
    'core/event.h': ('completions',),
    'core/hooks.c': ('call',),
    'queue/completions.c': ('completions', 'schedule'),
    'queue/completions.h': ('completions', 'schedule'),
    'queue/group.c': ('group',),
    'queue/group.h': ('group',),
    'queue/park.c': ('ring', 'schedule', 'states'),
    'core/prometheus.c': ('metrics',),
    'queue/record.c': ('ring', 'contract'),
    'queue/ring.c': ('ring', 'schedule'),
    'queue/ring.h': ('ring', 'schedule'),
    'queue/turn.c': ('ring', 'schedule'),
    'writer/alone.c': ('equivalence', 'contract', 'call'),
    'writer/attempt.c': ('equivalence', 'contract', 'faults'),
    'writer/batch.c': ('fused', 'equivalence', 'contract'),
    'writer/checkpointer.c': ('checkpointer', 'schedule'),
    'writer/room.c': ('checkpointer', 'counters', 'faults'),
    'writer/sqlite/among.c': ('processes', 'turns'),
    'writer/sqlite/beside.c': ('checkpoint', 'security'),
    'writer/sqlite/checkpoint_lock.c': ('checkpoint',),
    'writer/sqlite/log_book.c': ('checkpointer', 'checkpoint', 'schedule'),
    'writer/sqlite/log_pass.c': ('checkpointer', 'checkpoint'),
    'writer/sqlite/peers.c': ('processes', 'turns'),
    'writer/sqlite/turns.c': ('turns', 'processes'),
    'writer/sqlite/write_lock.c': ('checkpoint',),
    'writer/sqlite/busy.c': ('contract', 'disk'),
    'writer/sqlite/changes.c': ('equivalence', 'contract'),
    'writer/sqlite/connection.c': ('states', 'contract', 'security'),
    'writer/control.c': ('states',),
    'writer/sqlite/copies.c': ('states', 'disk'),
    'writer/kind.c': ('cluster_parts', 'contract', 'states'),
    'writer/metrics.c': ('metrics',),
    'writer/patience.c': ('counters', 'disk'),
    'writer/registry.c': ('contract',),
    'writer/call.c': ('call',),
    'writer/completions.c': ('completions',),
    'writer/reaper.c': ('cancel',),
    'writer/sqlite/call.c': ('call',),
    'writer/sqlite/group.c': ('group', 'equivalence'),
    'writer/stall.c': ('contract', 'states'),
    'writer/submit.c': ('contract', 'ring'),
    'writer/sqlite/disk.c': ('wal_repair',),
    'writer/sqlite/file.c': ('faults', 'contract'),
    'writer/entries.c': ('equivalence', 'contract'),
    'writer/sqlite/path.c': ('security', 'contract'),
    'writer/sqlite/wal_repair.c': ('wal_repair',),
    'writer/sqlite/rowids.c': ('fused', 'equivalence'),
    'writer/sqlite/rows.c': ('contract', 'equivalence'),
    'writer/sqlite/behind.c': ('equivalence', 'contract'),
    'writer/sqlite/explain.c': ('equivalence', 'contract'),
    'writer/sqlite/fuse.c': ('fused', 'equivalence', 'contract'),
    'writer/sqlite/harm.c': ('faults', 'disk'),
    'writer/sqlite/open_files.c': ('disk', 'states'),
    'writer/sqlite/presence.c': ('disk',),
    'writer/sqlite/run.c': ('equivalence', 'contract', 'faults'),
    'writer/sqlite/store.c': ('equivalence', 'contract', 'faults'),
    'writer/sqlite/trust.c': ('security', 'contract'),
    'writer/sqlite/statements.c': ('equivalence', 'contract'),
    'writer/syntax.c': ('syntax',),
    'writer/sqlite/deadline.c': ('security',),
    'writer/sqlite/deadline.h': ('security',),
    'writer/writer.c': ('states', 'contract', 'faults'),
}
# The store of a cluster is not in the others' way: what changes it meets its own tests alone, which need no node.
CLUSTER = ('cluster_parts', 'cluster', 'cluster_faults')
CLUSTER_ASAN = ('cluster_parts', 'cluster')
# Quicker than in ./check.
ENVIRONMENT = {'PENSTOCK_EQUIVALENCE': '1500', 'PENSTOCK_SCHEDULES': '5000', 'PENSTOCK_STORM': '5',
               'UBSAN_OPTIONS': 'halt_on_error=1', 'TSAN_OPTIONS': 'halt_on_error=1'}
# Not the controls: one whose place a mutant has removed would be missed, which says nothing.
COMMANDS = {'schedule': ('tests/schedule/test_schedule', '--no-controls')}

BUILDS = {
    'plain': ['-Dbuildtype=plain', '-Dc_args=-O1', '-Db_ndebug=false'],
    'asan': ['-Dbuildtype=plain', '-Dc_args=-O1 -g', '-Db_ndebug=false', '-Db_sanitize=address,undefined'],
    'tsan': ['-Dbuildtype=plain', '-Dc_args=-O1 -g', '-Db_ndebug=false', '-Db_sanitize=thread'],
}
# Under the sanitizers not those that take long.
RUN_BY = {
    'plain': TESTS,
    'asan': ('config', 'syntax', 'security', 'ring', 'handle', 'counters', 'metrics', 'contract', 'cancel', 'completions',
             'group', 'call', 'equivalence'),
    'tsan': ('ring', 'handle', 'counters', 'metrics', 'completions', 'checkpointer', 'cancel', 'states'),
}


def tests_of(name, path):
    """Those of the build that a mutant of the file meets, in order."""
    if path.startswith('writer/rqlite/'):
        return CLUSTER_ASAN if name == 'asan' else CLUSTER if name == 'plain' else ()
    first = FIRST.get(path, ()) if name == 'plain' else ()
    return (*first, *(test for test in RUN_BY[name] if test not in first))


def command_of(name, test):
    # The plain runner, which ThreadSanitizer's build has, takes every argument for the name of a test.
    options = () if name == 'tsan' else ('--verbose=0', '--fail-fast')
    return COMMANDS.get(test, (f'tests/test_{test}', *options))


def weakens_an_order(mutant):
    """Most processors keep the order all the same; ThreadSanitizer misses it."""
    return mutant['new'].lower().count('relaxed') > mutant['old'].lower().count('relaxed')


def builds_of(mutant):
    return ('tsan', 'plain', 'asan') if weakens_an_order(mutant) else ('plain', 'asan')


def wanted_by(mutants):
    """What they may meet: for each build its tests."""
    wanted = {}
    for mutant in mutants:
        for name in builds_of(mutant):
            wanted.setdefault(name, {}).update(dict.fromkeys(tests_of(name, mutant['file'])))
    return wanted


def source_files():
    for folder in FOLDERS:
        for at, inner, names in os.walk(os.path.join(ROOT, folder)):
            inner.sort()
            for name in sorted(names):
                # The deliberate faults are in no build of these.
                if name.endswith(('.c', '.h')) and name not in ('penstock.h', 'fault.c', 'fault.h'):
                    yield os.path.relpath(os.path.join(at, name), ROOT)


def blank_out(text):
    """The text with comments, strings and character constants turned into blanks, line by line as before."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda match: re.sub(r'[^\n]', ' ', match.group()), text)


SWAPS = [
    (r' < ', ' <= '), (r' <= ', ' < '), (r' > ', ' >= '), (r' >= ', ' > '), (r' == ', ' != '), (r' != ', ' == '),
    (r' && ', ' || '), (r' \|\| ', ' && '), (r' \+ ', ' - '), (r' - ', ' + '), (r' \+= ', ' -= '), (r' -= ', ' += '),
    (r' & ', ' | '), (r' \| ', ' & '), (r'\+\+', '--'), (r' << ', ' >> '),
    (r'\btrue\b', 'false'), (r'\bfalse\b', 'true'),
    (r'\breturn PENSTOCK_OK;', 'return PENSTOCK_ERROR;'),
    (r'\b__ATOMIC_(?:RELEASE|ACQUIRE|ACQ_REL|SEQ_CST)\b', '__ATOMIC_RELAXED'),
    (r'\b(ps_load)_acquire_', r'\1_relaxed_'), (r'\b(ps_store)_release_', r'\1_relaxed_'),
]
CONDITION = re.compile(r'^\s*(?:\} else )?(?:if|while) \((?=.*\)(?: \{)?$)')
NUMBER = re.compile(r'(?<![\w.])(\d+)(?=[uUlL]*\b)(?![\w.]*x)')
STATEMENT = re.compile(r'^\s+(?!return\b|break\b|continue\b|goto\b|case\b|default\b|struct\b|const\b|static\b|else\b)'
                       r'(?:\w[\w>.\[\]\-+()&* ]*\([^;{}]*\)|[\w*(&][\w>.\[\]\-+()* ]* (?:[+\-|&]?=) [^;{}]*|[\w>.\[\]\-]+(?:\+\+|--));$')
DECLARATION = re.compile(r'^\s+(?:unsigned |signed )?(?:\w+ )+\*{0,2}\w+(?:\[[^\]]*\])?(?: = [^;]*)?;$')


def mutants_of(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        text = file.read()
    lines = text.split('\n')
    blanked = blank_out(text).split('\n')
    macro = False
    for number, (line, code) in enumerate(zip(lines, blanked)):
        in_macro, macro = macro or code.lstrip().startswith('#'), code.rstrip().endswith('\\')
        if in_macro or not code.strip() or re.search(r'\b(_Static_assert|assert|__attribute__|X)\(', code):
            continue
        found = set()
        for pattern, replacement in SWAPS:
            for match in re.finditer(pattern, code):
                found.add(line[:match.start()] + match.expand(replacement) + line[match.end():])
        for match in NUMBER.finditer(code):
            if re.search(r'sizeof [\w>.-]+\[$', code[:match.start()]):
                continue  # nothing is read
            if '[' + match.group() + ']' in code and re.match(r'^\s+\w+ ', code) and code.rstrip().endswith('];'):
                continue  # the size of an array that is declared: one more changes nothing
            found.add(line[:match.start()] + str(int(match.group()) + 1) + line[match.end():])
        match = CONDITION.match(code)
        if match:
            end = code.rstrip().rindex(')')
            # Of a single == or != the other one is the same mutant.
            if not re.fullmatch(r'[^&|?]* [!=]= [^&|?]*', code[match.end():end]):
                found.add(line[:match.end()] + '!(' + line[match.end():end] + ')' + line[end:])
        if STATEMENT.match(code) and not DECLARATION.match(code):
            found.add(re.match(r'\s*', line).group() + ';')
        for changed in sorted(found):
            if changed != line:
                yield {'file': path, 'line': number + 1, 'old': line, 'new': changed}


def sample(count, seed, only):
    everything = [mutant for path in source_files() if not only or path in only for mutant in mutants_of(path)]
    seen = collections.Counter()
    for mutant in everything:
        seen[text_of(mutant)] += 1
        mutant['nth'] = seen[text_of(mutant)]
    # By what each is and not by where it stands: a change of the sources leaves the rest of the sample as it was.
    everything.sort(key=lambda mutant: hashlib.sha256(repr((seed, text_of(mutant), mutant['nth'])).encode()).digest())
    chosen = everything[:count]
    for number, mutant in enumerate(chosen):
        mutant['number'] = number
    return chosen, len(everything)


def judged():
    """What tests/quality/mutants-equivalent.md lists: lines "- `file`: `old` -> `new`: reason", "- `file` #2: ..." for one of several."""
    found = set()
    if os.path.exists(JUDGED):
        with open(JUDGED, encoding='utf-8') as file:
            for line in file:
                match = re.match(r'- `([^`]+)`(?: #(\d+))?: `([^`]*)` -> `([^`]*)`: \S', line)
                if match:
                    file_name, nth, old, new = match.groups()
                    found.add((file_name, old, new, int(nth) if nth else None))
    return found


def text_of(mutant):
    return mutant['file'], mutant['old'].strip(), mutant['new'].strip()


def key(mutant):
    return *text_of(mutant), mutant['nth']


def is_judged(mutant, equivalent):
    return (*text_of(mutant), None) in equivalent or key(mutant) in equivalent


def run(command, limit, folder, log):
    """The exit status, or None when it took too long: then the whole group is killed. No test takes itself for hung before that."""
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True,
                               env={**os.environ, **ENVIRONMENT, 'PENSTOCK_HANG': str(math.ceil(limit)),
                                    'TMPDIR': os.path.join(folder, 'tmp')})
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


class Scratch:
    """A copy of the tree with a build of it."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.log = open(os.path.join(folder, 'log'), 'ab')
        self.baseline = os.path.join(folder, 'baseline.json')

    def prepare(self, wanted):
        for name in (*FOLDERS, 'bench', 'docs', 'tests', 'meson.build', 'meson_options.txt', 'LICENSE', 'README.md'):
            target = os.path.join(self.folder, name)
            source = os.path.join(ROOT, name)
            if os.path.isdir(source):
                for path, _, files in os.walk(source):
                    inside = os.path.join(target, os.path.relpath(path, source))
                    os.makedirs(inside, exist_ok=True)
                    for file in files:
                        self.copy(os.path.join(path, file), os.path.join(inside, file))
            else:
                self.copy(source, target)
        os.makedirs(os.path.join(self.folder, 'tmp'), exist_ok=True)
        for name in wanted:
            if not os.path.exists(os.path.join(self.folder, name, 'build.ninja')):
                command = ['meson', 'setup', name, '-Dtests=true', '-Dtool=false', *BUILDS[name]]
                if run(command, 600, self.folder, self.log) != 0:
                    sys.exit(f'mutate: meson failed; see {self.log.name}')

    @staticmethod
    def copy(source, target):
        """Only what differs, so that nothing is compiled for its new time."""
        if os.path.exists(target):
            with open(source, 'rb') as one, open(target, 'rb') as other:
                if one.read() == other.read():
                    return
        shutil.copyfile(source, target)
        shutil.copymode(source, target)

    def build(self, name, tests):
        return run(['ninja', '-C', name, *(command_of(name, test)[0] for test in tests)], 900, self.folder, self.log) == 0

    def test(self, name, test, limit):
        program, *arguments = command_of(name, test)
        return run([f'{name}/{program}', *arguments], limit, self.folder, self.log)

    def build_all(self, wanted):
        for name, tests in wanted.items():
            if not self.build(name, tests):
                sys.exit(f'mutate: the unchanged tree does not build; see {self.log.name}')

    def measure(self, wanted):
        """How long each test takes unchanged; it must pass."""
        taken = {}
        if os.path.exists(self.baseline):
            with open(self.baseline, encoding='utf-8') as file:
                taken = json.load(file)
        for name, tests in wanted.items():
            for test in tests:
                if f'{name} {test}' not in taken:
                    begun = time.monotonic()
                    if self.test(name, test, 900) != 0:
                        sys.exit(f'mutate: {test} ({name}) fails on the unchanged tree; see {self.log.name}')
                    taken[f'{name} {test}'] = time.monotonic() - begun
                    with open(self.baseline, 'w', encoding='utf-8') as file:
                        json.dump(taken, file)
        return taken

    def write(self, mutant, which):
        path = os.path.join(self.folder, mutant['file'])
        with open(path, encoding='utf-8') as file:
            lines = file.read().split('\n')
        lines[mutant['line'] - 1] = mutant[which]
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines))

    def clear(self):
        shutil.rmtree(os.path.join(self.folder, 'tmp'), ignore_errors=True)
        os.makedirs(os.path.join(self.folder, 'tmp'), exist_ok=True)

    def try_out(self, mutant, taken):
        """'stillborn', 'survived', or the test that noticed."""
        order = [(name, test) for name in builds_of(mutant) for test in tests_of(name, mutant['file'])]
        self.write(mutant, 'new')
        try:
            for name, test in order:
                if not self.build(name, (test,)):
                    return 'stillborn'
                status = self.test(name, test, max(60, 8 * taken[f'{name} {test}']))
                if status is None:
                    return f'{test} (hangs)'
                if status != 0:
                    return test if name == 'plain' else f'{test} ({name})'
            return 'survived'
        finally:
            self.write(mutant, 'old')
            self.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=60)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', action='append', help='a file, as core/options.c; may be given several times')
    parser.add_argument('--scratch', default=os.path.join(ROOT, 'build', 'mutate'))
    parser.add_argument('--results', help='a file to keep results in, and to go on from')
    parser.add_argument('--seconds', type=float, help='begin no mutant after so many')
    parser.add_argument('--jobs', type=int, default=1, help='how many at a time, each in a scratch copy of its own')
    parser.add_argument('--least', type=float, default=95, help='per cent to be killed, else the exit status is 1')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--show', type=int, metavar='NUMBER')
    options = parser.parse_args()

    mutants, possible = sample(options.count if options.show is None else options.show + 1, options.seed, options.only)
    if options.list:
        for mutant in mutants:
            print(f"{mutant['number']:4} {mutant['file']}:{mutant['line']}: {mutant['old'].strip()}  ->  {mutant['new'].strip()}")
        return 0
    if options.show is not None:
        mutant = mutants[options.show]
        with open(os.path.join(ROOT, mutant['file']), encoding='utf-8') as file:
            old = file.read().split('\n')
        new = list(old)
        new[mutant['line'] - 1] = mutant['new']
        print('\n'.join(difflib.unified_diff(old, new, 'a/' + mutant['file'], 'b/' + mutant['file'], lineterm='')))
        return 0

    results = {}
    if options.results and os.path.exists(options.results):
        with open(options.results, encoding='utf-8') as file:
            for line in file:
                entry = json.loads(line)
                results[key(entry)] = entry['verdict']
    equivalent = judged()
    untried = [mutant for mutant in mutants if not is_judged(mutant, equivalent) and key(mutant) not in results]
    wanted = wanted_by(untried)
    begun = time.monotonic()
    scratches = queue.SimpleQueue()
    for job in range(options.jobs):
        scratch = Scratch(options.scratch + (f'-{job}' if job > 0 else ''))
        scratch.prepare(wanted)
        scratch.build_all(wanted)
        if job == 0:
            taken = scratch.measure(wanted)
        scratches.put(scratch)

    def verdict_of(mutant):
        """None: there is no time left for it."""
        if options.seconds is not None and time.monotonic() - begun > options.seconds:
            return None
        scratch = scratches.get()
        try:
            return scratch.try_out(mutant, taken)
        finally:
            scratches.put(scratch)

    left = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        tried = {pool.submit(verdict_of, mutant): mutant for mutant in untried}
        for future in concurrent.futures.as_completed(tried):
            mutant, verdict = tried[future], future.result()
            if verdict is None:
                left += 1
                continue
            results[key(mutant)] = verdict
            print(f"{mutant['number']:4} {mutant['file']}:{mutant['line']}: {verdict}", flush=True)
            if options.results:
                with open(options.results, 'a', encoding='utf-8') as file:
                    file.write(json.dumps({**mutant, 'verdict': verdict}) + '\n')

    judged_count = sum(is_judged(mutant, equivalent) for mutant in mutants)
    counted = [mutant for mutant in mutants if not is_judged(mutant, equivalent) and key(mutant) in results]
    verdicts = [results[key(mutant)] for mutant in counted]
    survivors = [mutant for mutant in counted if results[key(mutant)] == 'survived']
    stillborn = verdicts.count('stillborn')
    total = len(verdicts) - stillborn
    for mutant in survivors:
        print(f"SURVIVED {mutant['file']}:{mutant['line']}: {mutant['old'].strip()}  ->  {mutant['new'].strip()}")
    print(f'{total - len(survivors)} of {total} mutants killed (seed {options.seed}, {possible} possible; '
          f'{judged_count} judged equivalent and {stillborn} that do not compile are not counted)')
    if left:
        print(f'{left} are still to be tried: run it again')
        return 0
    return 0 if total == 0 or 100 * (total - len(survivors)) >= options.least * total else 1


if __name__ == '__main__':
    sys.exit(main())
