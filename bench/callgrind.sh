#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Instructions per submission and per executed statement, counted by callgrind: they repeat, whatever the machine is
# doing, so a change in them is a change in the code (or in SQLite, or the compiler).
#
#   usage: bench/callgrind.sh BUILD
#
# Each figure is the difference of two runs, N = 1000 and N = 11000, divided by 10000.
set -eu

build=${1:?usage: bench/callgrind.sh BUILD}
program=$build/bench/penstock-count
few=1000
many=11000

if ! command -v valgrind >/dev/null; then
	echo "callgrind.sh: valgrind is not installed" >&2
	exit 1
fi

# The instructions of a whole run, all threads.
count()
{
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
		awk '/Collected/ { print $4 } /penstock-count:/ { print > "/dev/stderr" }'
}

each()
{
	a=$(count "$1" $few)
	b=$(count "$1" $many)
	awk "BEGIN { printf \"%.1f\", ($b - $a) / ($many - $few) }"
}

fill=$(each fill)
submit=$(each submit)
both=$(each run)
raw=$(each raw)
awk -v fill="$fill" -v submit="$submit" -v both="$both" -v raw="$raw" 'BEGIN {
	printf "instructions per submit (32-byte row, inline)            %8.1f\n", submit - fill
	printf "instructions per executed statement, writer side         %8.1f\n", both - submit
	printf "instructions per row of the raw loop, batch 1000         %8.1f\n", raw
	printf "the writer over the raw loop                             %8.1f\n", both - submit - raw
}'
"$program" calls $((many - few))
