#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The binary interface: what the public header promises to programs that are built already (docs/abi.md).

abi.py check LIBRARY SOVERSION   the header, the exported names and the record, as TAP. The library needs debug information
abi.py record                    builds the library in build/abi and records its interface anew, saying what is new

The record is what abidw (Debian: abigail-tools) makes of the library, and the constants of the header, which are compiled into
programs. abidiff tells growth and breaks alike by its status, so its words decide: growth is what is made of known words only.
"""
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.normpath(os.path.join(HERE, '../../..'))
HEADER = os.path.join(TREE, 'core/penstock.h')
ABI = os.path.join(HERE, 'penstock.abi')
CONSTANTS = os.path.join(HERE, 'constants')
CONTROL = os.path.join(HERE, 'control.c')
RECORD = 'to record it: tests/quality/abi/abi.py record'

# Each of these says its size, or is made by the library alone. Others stay as they are for ever: docs/abi.md.
MAY_GROW = ('penstock_submission', 'penstock_config', 'penstock_config_key', 'penstock_counters', 'penstock_pragma', 'penstock_result')


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# ---- the header ------------------------------------------------------------------------------------------------------

def header_macros(text):
    """Names and texts of the macros that are values: no attributes, lists or versions."""
    for name, value in re.findall(r'^#define (PENSTOCK_\w+) (.+)$', text, re.M):
        if not re.search(r'__attribute__|inline', value) and not name.startswith('PENSTOCK_VERSION') and name != 'PENSTOCK_NO_POINTER':
            yield name, value


def preprocessed(*options):
    return run(os.environ.get('CC', 'cc').split()[0], '-E', *options, '-x', 'c', HEADER).stdout


def constants():
    """Lines "NAME VALUE", sorted: enumerators, and macros that are numbers."""
    names = {name for name, value in header_macros(preprocessed('-dM')) if not value.startswith(('{', '"'))}
    names |= set(re.findall(r'\b(PENSTOCK_[A-Z0-9_]+)\s*=', preprocessed('-P')))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, 'constants')
        source = '#include "{}"\n#include <stdio.h>\nint main(void)\n{{\n{}}}\n'.format(
            HEADER, ''.join(f'\tprintf("%s %lld\\n", "{name}", (long long)({name}));\n' for name in sorted(names)))
        made = run(os.environ.get('CC', 'cc').split()[0], '-x', 'c', '-o', program, '-', input=source)
        if made.returncode != 0:
            sys.exit('the constants of the header: ' + made.stderr)
        return run(program).stdout


# Each may be warned of by somebody's compiler.
WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wcast-qual', '-Wcast-align', '-Wundef', '-Wshadow', '-Wredundant-decls', '-Werror']
PADDING = ['-Wpadded'] if sys.maxsize > 2**32 else []
IN_C = ['-Wstrict-prototypes', '-Wmissing-prototypes', '-Wc++-compat']
IN_CXX = ['-Wold-style-cast', '-Wzero-as-null-pointer-constant', '-Woverloaded-virtual', '-Wnon-virtual-dtor']
OF_GXX = ['-Wuseless-cast', '-Wextra-semi']
LANGUAGES = {
    'gcc': ('c', ['c99', 'c11', 'gnu11', 'c17'], IN_C),
    'clang': ('c', ['c99', 'c11', 'gnu11', 'c17'], IN_C),
    'g++': ('c++', ['c++11', 'c++14', 'c++17', 'c++20'], IN_CXX + OF_GXX),
    'clang++': ('c++', ['c++11', 'c++14', 'c++17', 'c++20'], IN_CXX),
}


def user_of_header(text):
    """A source that uses each struct of the header (clang looks at no other), and each macro that is a value."""
    lines = [f'\tif (sizeof({name}) == 1)\n\t\tuse(&at);' for name in re.findall(r'^} (penstock_\w+);', text, re.M)]
    for name, value in header_macros(preprocessed('-dM')):
        if value.startswith('{'):
            lines.append('\t{0} a_{0} = {1};\n\tuse(&a_{0});'.format(name.lower().removesuffix('_init'), name))
        else:
            lines.append(f'\tif ({name})\n\t\tuse(&at);')
    return 'extern void use(const void *at);\nextern int at;\nextern void all(void);\nvoid all(void)\n{\n' + '\n'.join(lines) + '\n}\n'


def compile_header(compiler, standard, header, user):
    language, _, flags = LANGUAGES[compiler]
    return run(compiler, '-x', language, '-std=' + standard, *WARNINGS, *PADDING, *flags, '-fsyntax-only', '-',
               input=f'#include "{header}"\n{user}').stderr


def inline_functions(text):
    return re.findall(r'^PENSTOCK_INLINE [^(]*?\*?(penstock_\w+)\(', text, re.M)


def declared(text):
    """All functions that the header declares or defines."""
    return set(re.findall(r'^PENSTOCK_API [^(]*?\*?(penstock_\w+)\(', text, re.M)) | set(inline_functions(text))


def exported(library):
    names = {}
    for line in run('nm', '-D', '--defined-only', '--with-symbol-versions', library).stdout.split('\n'):
        fields = line.split()
        if len(fields) == 3 and fields[1] != 'A':
            name, _, version = fields[2].partition('@')
            names[name] = version.lstrip('@')
    return names


# ---- the record ------------------------------------------------------------------------------------------------------

def interface(library):
    """What abidw tells of a library: only what the header shows."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HEADER, folder)
        return run('abidw', '--headers-dir', folder, '--drop-private-types', '--exported-interfaces-only', '--drop-undefined-syms',
                   '--no-show-locs', '--no-corpus-path', '--no-comp-dir-path', '--no-elf-needed', '--no-parameter-names',
                   '--no-write-default-sizes', '--no-architecture', '--type-id-style', 'hash', library).stdout


def is_blind(text):
    """Without debug information abidw sees names and no types, and abidiff finds no change whatever has changed."""
    return '<function-decl' not in text


SAYS_NOTHING = re.compile(r'|'.join((
    r'Leaf changes summary: .*', r'Changed leaf types summary: .*',
    r'Removed/Changed/Added (functions|variables) summary: 0 Removed, 0 Changed, \d+ Added (function|variable)s?.*',
    r"type size hasn't changed", r'')))
GROWS = re.compile(r'|'.join((
    r'\d+ Added functions?:', r"\[A\] 'function .*", r'\d+ enumerator insertions?:', r"'\w+::\w+' value '-?\d+'.*",
    r'\d+ data member insertions?:')))
STRUCT = re.compile(r"'struct (\w+)( at .*)?' changed:")
ENUM = re.compile(r"'enum (\w+)( at .*)?' changed:")
SIZE = re.compile(r'type size changed from (\d+) to (\d+) \(in bits\)')
MEMBER = re.compile(r"'.*', at offset (\d+) \(in bits\).*")


def judge(report):
    """'same', 'grown' or 'broken', by the words of abidiff's report."""
    verdict, struct, size = 'same', None, None
    for line in map(str.strip, report.split('\n')):
        begins, sizes, member = STRUCT.fullmatch(line), SIZE.fullmatch(line), MEMBER.fullmatch(line)
        if begins or ENUM.fullmatch(line):
            struct, size, verdict = begins and begins[1], None, 'grown'
        elif sizes and struct in MAY_GROW and int(sizes[2]) > int(sizes[1]):
            size = int(sizes[1])
        elif member and size is not None and int(member[1]) >= size:
            verdict = 'grown'
        elif GROWS.fullmatch(line):
            verdict = 'grown'
        elif not SAYS_NOTHING.fullmatch(line):
            return 'broken'
    return verdict


def compare(old, new):
    """The verdict on two interfaces, as files, and the report."""
    told = run('abidiff', '--harmless', '--leaf-changes-only', old, new)
    # 1: an error; 2: a wrong call. 4 and 8 are what is to be judged.
    if told.returncode & 3 or told.stderr:
        return 'broken', told.stdout + told.stderr
    verdict = judge(told.stdout)
    if verdict == 'same' and told.returncode != 0:
        return 'broken', told.stdout + f'abidiff: status {told.returncode}, without a word'
    return verdict, told.stdout


def compare_constants(old, new):
    old_lines, new_lines = old.split('\n'), new.split('\n')
    gone, added = [line for line in old_lines if line not in new_lines], [line for line in new_lines if line not in old_lines]
    report = ''.join(f'gone: {line}\n' for line in gone) + ''.join(f'new: {line}\n' for line in added)
    return ('broken' if gone else 'grown' if added else 'same'), report


# ---- TAP -------------------------------------------------------------------------------------------------------------

class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def say(self, good, name, more=''):
        self.number += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.number} - {name}')
        if not good:
            print(''.join(f'# {line}\n' for line in more.rstrip().split('\n')[:60]), end='')

    def skip(self, name, why):
        self.number += 1
        print(f'ok {self.number} - {name} # SKIP {why}')


def check_header(tap):
    with open(HEADER, encoding='utf-8') as file:
        text = file.read()
    user = user_of_header(text)
    with tempfile.TemporaryDirectory() as folder:
        wrong = os.path.join(folder, 'wrong.h')
        for compiler, (language, standards, _) in LANGUAGES.items():
            if shutil.which(compiler) is None:
                tap.skip(f'header: {compiler}', 'not installed')
                continue
            said = ''.join(compile_header(compiler, standard, HEADER, user) for standard in standards)
            tap.say(not said, f'header: {compiler} has nothing to warn of, {standards[0]} to {standards[-1]}', said)
            # So that the silence means something. (g++ warns of no cast within extern "C".)
            slips = ['} penstock_config_key;', '	char hole;\n} penstock_config_key;'] if PADDING else ['return value;', 'int unused;\nreturn value;']
            with open(wrong, 'w', encoding='utf-8') as file:
                file.write(text.replace(*slips, 1))
            tap.say('error' in compile_header(compiler, standards[-1], wrong, user), f'header: {compiler} would tell of a hole')
            if language == 'c++':
                with open(wrong, 'w', encoding='utf-8') as file:
                    file.write(text.replace('INT64_C(-1)', '((int64_t)-1)', 1))
                tap.say('old-style' in compile_header(compiler, standards[-1], wrong, user), f'header: {compiler} would tell of a cast')
    return text


def check_names(tap, text, library, soversion):
    names, wanted = exported(library), declared(text)
    wrong = [f'declared, but not exported: {name}' for name in sorted(wanted - names.keys())]
    wrong += [f'exported, but not declared: {name}' for name in sorted(names.keys() - wanted)]
    wrong += [f'{name} has version {version}' for name, version in names.items() if version != 'PENSTOCK_' + soversion]
    tap.say(len(wanted) > 40 and not wrong, 'names: what the header declares is exported, and nothing else', '\n'.join(wrong))
    soname = re.search(r'SONAME.*\[(.*)\]', run('readelf', '-dW', library).stdout)
    tap.say(soname is not None and soname[1] == 'libpenstock.so.' + soversion, 'names: the SONAME is that of meson.build')
    inlines = inline_functions(text)
    if len(inlines) != len(re.findall(r'^PENSTOCK_INLINE ', text, re.M)):
        tap.say(False, 'names: each inline function is understood')
    try:
        loaded = ctypes.CDLL(library)
    except OSError as error:
        tap.say(False, 'names: the library can be loaded', str(error))
        return
    missing = [name for name in inlines if not hasattr(loaded, name)]
    tap.say(len(inlines) >= 6 and not missing, 'names: dlsym finds each inline function of the header', ' '.join(missing))
    if not missing:
        check_calls(tap, loaded)


class Value(ctypes.Structure):
    _fields_ = [('type', ctypes.c_int), ('reserved', ctypes.c_int), ('integer', ctypes.c_int64), ('bytes', ctypes.c_size_t)]


def check_calls(tap, loaded):
    """As a language that cannot read C headers calls what is inline in C."""
    room = (ctypes.c_ubyte * 4096)(*[0xee] * 4096)
    loaded.penstock_int64.restype = loaded.penstock_text_bytes.restype = Value
    loaded.penstock_int64.argtypes = [ctypes.c_int64]
    loaded.penstock_text_bytes.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    number, text = loaded.penstock_int64(-7), loaded.penstock_text_bytes(b'four', 4)
    tap.say((number.type, number.reserved, number.integer, text.type, text.reserved, text.bytes) == (1, 0, -7, 3, 0, 4),
            'calls: values are made by functions')
    loaded.penstock_submission_init(ctypes.byref(room))
    size, sql, length = (int.from_bytes(room[at:at + 8], sys.byteorder, signed=True) for at in (0, 8, 16))
    tap.say(ctypes.sizeof(ctypes.c_void_p) != 8 or (32 < size < 4096 and sql == 0 and length == -1 and room[size] == 0xee and room[size - 1] == 0),
            'calls: a submission is begun by a function')


def check_record(tap, library):
    for tool in ('abidw', 'abidiff'):
        if shutil.which(tool) is None:
            tap.skip('record: the interface', f'{tool} (Debian: abigail-tools) is not installed')
            return
    with open(CONSTANTS, encoding='utf-8') as file:
        verdict, report = compare_constants(file.read(), constants())
    tap.say(verdict != 'broken', 'record: no constant is gone or has another value', report)
    tap.say(verdict != 'grown', 'record: it has each constant', report + RECORD)
    if sys.maxsize <= 2**32 or os.uname().machine != 'x86_64':
        tap.skip('record: the interface', 'it is that of x86-64')
        return
    text = interface(library)
    tap.say(not is_blind(text), 'record: the library has debug information', 'build it with -Ddebug=true')
    with tempfile.TemporaryDirectory() as folder:
        new = os.path.join(folder, 'new.abi')
        with open(new, 'w', encoding='utf-8') as file:
            file.write(text)
        verdict, report = compare(ABI, new)
    tap.say(verdict != 'broken', 'record: what is recorded is there, as it was', report + 'docs/abi.md says what may change')
    tap.say(verdict != 'grown', 'record: it has all that is there', report + RECORD)


def check_controls(tap):
    """The comparison tells each way of changing control.c for what it is."""
    if shutil.which('abidiff') is None:
        return
    with open(CONTROL, encoding='utf-8') as file:
        ways = sorted(set(re.findall(r'\b(?:GROWN|BROKEN)_[A-Z]+(?:_[A-Z]+)*\b', file.read())))
    with tempfile.TemporaryDirectory() as folder:
        def library(way, *flags):
            path = os.path.join(folder, way + '.so')
            run('gcc', *flags, '-shared', '-fPIC', '-fvisibility=hidden', '-D' + way, '-o', path, CONTROL)
            return path
        old = library('AS_IT_WAS', '-g')
        tap.say(compare(old, library('AS_IT_IS', '-g'))[0] == 'same', 'control: nothing changed')
        wrong = []
        for way in ways:
            verdict, report = compare(old, library(way, '-g'))
            if verdict != way.split('_')[0].lower():
                wrong.append(f'{way}: {verdict}\n{report}')
        tap.say(len(ways) > 12 and not wrong, f'control: {len(ways)} changes are told for what they are', '\n'.join(wrong))
        blind = library('BROKEN_MEMBER_GONE')
        tap.say(is_blind(run('abidw', blind).stdout) and not is_blind(run('abidw', old).stdout), 'control: a build without -g would be found')
    tap.say(compare_constants('A 1\nB 2\n', 'A 1\nB 2\nC 3\n')[0] == 'grown' and compare_constants('A 1\nB 2\n', 'A 1\nB 3\n')[0] == 'broken',
            'control: a constant that is changed, and one that is new')


def check(library, soversion):
    tap = Tap()
    text = check_header(tap)
    check_names(tap, text, library, soversion)
    check_record(tap, library)
    check_controls(tap)
    print(f'1..{tap.number}')
    return tap.failed != 0


def record():
    build = os.path.join(TREE, 'build/abi')
    options = ['-Dbuildtype=debugoptimized', '-Dtool=false', '-Dprobes=auto']
    for command in (['meson', 'setup', *(['--reconfigure'] if os.path.isdir(build) else []), *options, build, TREE],
                    ['ninja', '-C', build]):
        made = run(*command)
        if made.returncode != 0:
            sys.exit(made.stdout + made.stderr)
    text = interface(os.path.join(build, 'libpenstock.so'))
    if is_blind(text):
        sys.exit('abidw finds no types: is there debug information?')
    new = ABI + '.new'
    with open(new, 'w', encoding='utf-8') as file:
        file.write(text)
    if os.path.exists(ABI):
        verdict, report = compare(ABI, new)
        print(f'the interface is {verdict}\n{report}')
    os.replace(new, ABI)
    numbers = constants()
    if os.path.exists(CONSTANTS):
        with open(CONSTANTS, encoding='utf-8') as file:
            verdict, report = compare_constants(file.read(), numbers)
        print(f'the constants are {verdict}\n{report}')
    with open(CONSTANTS, 'w', encoding='utf-8') as file:
        file.write(numbers)


if __name__ == '__main__':
    if len(sys.argv) == 4 and sys.argv[1] == 'check':
        sys.exit(check(sys.argv[2], sys.argv[3]))
    if len(sys.argv) == 2 and sys.argv[1] == 'record':
        sys.exit(record())
    sys.exit(__doc__)
