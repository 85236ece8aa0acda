#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# test_bench.sh - every benchmark runs: penstock-bench --quick, whose figures decide nothing
#
# PENSTOCK_BENCH is the program, PENSTOCK_BENCH_FILTER says which cases (. is all of them; unless set, all but the queues and
# writers with more than 2 producers, and the turns of more than 2 processes, which are the same code once more).
# PENSTOCK_BENCH_FEWER=1 leaves the sizes in between out of the latter, too. Prints TAP, a test for each family of cases.
set -u -o pipefail

bench=${PENSTOCK_BENCH:?must name penstock-bench}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
# PostgreSQL runs as another user when this is root, and has to get into its own folder.
chmod 711 "$folder"
export TMPDIR=$folder

number=0
say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

filter=${PENSTOCK_BENCH_FILTER:--^(ring|ring_think|write)/.*producers:(4|8|16|32|64)|^turns/.*/[48]:}
if [ -n "${PENSTOCK_BENCH_FEWER-}" ] && [ -z "${PENSTOCK_BENCH_FILTER-}" ]; then
	filter+='|^write/.*batch:(10|100|1000)$|^(inflight|latency)/.*depth:(8|64|1000)$|^group/.*statements:4|^turns/.*:8$'
	number=$((number + 1))
	echo "ok $number - bench: the sizes in between # SKIP left to --ci"
fi
"$bench" --quick --benchmark_filter="$filter" >"$folder/out" 2>"$folder/err"
status=$?
for family in $("$bench" --benchmark_list_tests | cut -d / -f 1 | sort -u); do
	errors=$(grep -E "^$family/.*ERROR OCCURRED" "$folder/out" | grep -v 'left out:')
	[ -z "$errors" ] && grep -qE "^$family/[^ ]+ +[0-9]" "$folder/out"
	say $? "$family runs"
	[ -z "$errors" ] || sed 's/^/# /' <<<"$errors"
done
# What is not installed here is named.
while read -r name reason; do
	number=$((number + 1))
	echo "ok $number - $name # SKIP $reason"
done < <(sed -nE "s/^([^ ]+) +ERROR OCCURRED: '(left out:.*)'$/\1 \2/p" "$folder/out")
left=$(find "$folder" -mindepth 1 ! -name out ! -name err)
[ -z "$left" ]
say $? "nothing is left behind${left:+, but $left}"
[ "$status" = 0 ]
say $? "the suite says that all of it ran"
[ "$status" = 0 ] || tail -n 20 "$folder/err" | sed 's/^/# /'
echo "1..$number"
