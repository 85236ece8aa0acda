#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Takes the two pictures that README.md and docs/tuning.md show, and where and how they were made, out of a report into
# bench/pictures:
#
#   build/bench/penstock-bench --report DIR && bench/pictures.sh DIR
set -eu

report=${1:?usage: bench/pictures.sh DIR}
pictures=$(dirname "$0")/pictures
write=write-FULL-none-producers-8

if grep -q QUICK "$report/context.txt"; then
	echo "pictures.sh: $report was made with --quick, which shows nothing but that everything works" >&2
	exit 1
fi
mkdir -p "$pictures"
for size in '' -narrow; do
	cp "$report/ring$size.svg" "$pictures/ring$size.svg"
	cp "$report/$write$size.svg" "$pictures/write$size.svg"
done
cp "$report/context.txt" "$pictures/context.txt"
