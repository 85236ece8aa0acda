#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Says what of core, queue and writer the tests reach: coverage.py COV.JSON, as gcovr --json writes it.

Prints one line with the lines and branches reached, and then function by function what is not, except for the functions in
tests/quality/coverage-exceptions.md, which have their reason there. Fails when a function is never reached that is not listed, and when
one is listed that there is not.
"""

import bisect
import json
import os
import re
import sys

LISTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'coverage-exceptions.md')


def exceptions():
    """The (file, function) pairs of the lines "- `file`: `function`, `function`: reason"."""
    found = set()
    with open(LISTED, encoding='utf-8') as file:
        for line in file:
            match = re.match(r'- `([^`]+)`: ((?:`\w+`(?:, )?)+): \S', line)
            if match:
                found.update((match.group(1), name) for name in re.findall(r'\w+', match.group(2)))
            elif line.startswith('- '):
                sys.exit(f'coverage: not understood: {line.strip()}')
    return found


def spans(numbers):
    """3, 4, 5, 9 as "3-5, 9"."""
    parts = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ', '.join(str(first) if first == last else f'{first}-{last}' for first, last in parts)


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        files = json.load(file)['files']
    listed = exceptions()
    known, never, partly = set(), [], []
    lines_reached = lines = branches_reached = branches = 0
    for entry in sorted(files, key=lambda entry: entry['file']):
        path = entry['file']
        functions = sorted((function['lineno'], function['name'], function['execution_count']) for function in entry['functions'])
        begins = [function[0] for function in functions]
        missed = {}
        for line in entry['lines']:
            # gcovr 5 says it of every line, 7 only of those that it is true of.
            if line.get('gcovr/noncode') or line.get('gcovr/excluded'):
                continue
            lines += 1
            lines_reached += line['count'] > 0
            branches += len(line['branches'])
            branches_reached += sum(branch['count'] > 0 for branch in line['branches'])
            place = bisect.bisect_right(begins, line['line_number']) - 1
            name = functions[place][1] if place >= 0 else '?'
            if line['count'] == 0:
                missed.setdefault(name, ([], []))[0].append(line['line_number'])
            elif any(branch['count'] == 0 for branch in line['branches']):
                missed.setdefault(name, ([], []))[1].append(line['line_number'])
        for _, name, count in functions:
            known.add((path, name))
            if (path, name) in listed:
                continue
            if count == 0:
                never.append(f'{path}: {name}')
            elif name in missed:
                whole, one_way = missed[name]
                partly.append(f'{path}: {name}:' + (f' lines {spans(whole)}' if whole else '') +
                              (f' one way only on {spans(one_way)}' if one_way else ''))
    print(f'coverage: {100 * lines_reached / lines:.1f} % of {lines} lines, {100 * branches_reached / branches:.1f} % of '
          f'{branches} branches')
    print(f'not reached, beside {len(listed)} functions with a reason in tests/quality/coverage-exceptions.md:')
    for text in partly:
        print('    ' + text)
    for text in never:
        print('NEVER REACHED: ' + text)
    gone = sorted(listed - known)
    for path, name in gone:
        print(f'LISTED, BUT NOT THERE: {path}: {name}')
    return 1 if never or gone else 0


if __name__ == '__main__':
    sys.exit(main())
