#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Whether `penstock tune` lands twice on the same: tunes twice with the same options, then measures both configurations in
# turns, round by round, by `penstock run` on new databases, and prints the second one's rows/s by the first one's: the median
# of the rounds, the smallest and the largest. What both runs chose stands above it.
#
#   usage: bench/tune-twice.sh BUILD DIR [OPTION of tune]...      ROUNDS=9 ROWS=1000000
#
# With the same configuration twice nothing is measured, unless ROUNDS is set: then the ratio's spread is the machine's.
set -eu

build=${1:?usage: bench/tune-twice.sh BUILD DIR [OPTION of tune]...}
folder=${2:?usage: bench/tune-twice.sh BUILD DIR [OPTION of tune]...}
shift 2
penstock=$build/tool/penstock
rows=${ROWS:-1000000}

scratch=$(mktemp -d "$folder/tune-twice-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

# settings FILE: what it sets, without comments.
settings()
{
	grep -v '^#' "$1" | grep .
}

# rate CONFIG: the rows of a second, with everything from the start of the process to its end.
rate()
{
	rm -f "$scratch"/db*
	"$penstock" run --quiet --config "$1" "$scratch/db" "$scratch/schema.sql"
	began=$(date +%s%N)
	"$penstock" run --quiet --config "$1" --threads 4 --csv "$scratch/rows.csv" --sql 'INSERT INTO t VALUES(?,?)' \
		"$scratch/db"
	echo $((rows * 1000000000 / ($(date +%s%N) - began)))
}

for run in 1 2; do
	echo "tuning, run $run"
	"$penstock" tune "$@" --out "$scratch/$run.ini" "$folder" | sed -n '/^choice/,/^why/p'
	settings "$scratch/$run.ini" >"$scratch/$run"
done
if cmp -s "$scratch/1" "$scratch/2"; then
	echo "both runs chose the same"
	[ -n "${ROUNDS:-}" ] || exit 0
fi

echo 'CREATE TABLE t(number INTEGER, text TEXT);' >"$scratch/schema.sql"
seq "$rows" | sed 's/$/,0123456789abcdef01234567/' >"$scratch/rows.csv"
round=0
while [ $round -lt "${ROUNDS:-9}" ]; do
	if [ $((round % 2)) -eq 0 ]; then
		first=$(rate "$scratch/1.ini")
		second=$(rate "$scratch/2.ini")
	else
		second=$(rate "$scratch/2.ini")
		first=$(rate "$scratch/1.ini")
	fi
	echo "$first $second"
	round=$((round + 1))
done >"$scratch/rates"

# middle COLUMN FORMAT: the median of this column of first, second, ratio; the smallest and the largest besides.
middle()
{
	awk '{ print $1, $2, $2 / $1 }' "$scratch/rates" | sort -g -k "$1,$1" | awk -v column="$1" -v format="$2 ($2 to $2)" '
		{ values[NR] = $column }
		END { printf format, (values[int((NR + 1) / 2)] + values[int(NR / 2) + 1]) / 2, values[1], values[NR] }'
}
echo "first   $(middle 1 %.0f) rows/s"
echo "second  $(middle 2 %.0f) rows/s"
echo "ratio   $(middle 3 %.3f), ${ROUNDS:-9} rounds"
