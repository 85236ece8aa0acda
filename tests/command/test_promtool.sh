#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Prometheus's own promtool reads the text that penstock_metrics_prometheus makes of two engines, and has nothing to say.
#
# METRICS is the program that prints it (metrics.c).
set -u -o pipefail

if ! command -v promtool >/dev/null; then
	echo "1..0 # SKIP promtool (Debian: prometheus) is not installed"
	exit 0
fi
metrics=$(readlink -f "${METRICS:?must name the program that prints metrics}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0
failed=0

say() { # status, name, a file that says more
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2"
	else
		failed=$((failed + 1))
		echo "not ok $number - $2"
		head -n 20 "$3" | sed 's/^/# /'
	fi
}

text() { # the file it goes to, arguments of the program
	rm -f ./*.db*
	"$metrics" "${@:2}" >"$1" 2>notes
}

text both
say $? "the program prints a text" notes

promtool check metrics <both >notes 2>&1 && [ ! -s notes ]
say $? "promtool has nothing to say" notes

[ "$(grep -c '^penstock_accepted_total{' both)" = 2 ] && [ "$(grep -c '^# TYPE penstock_accepted_total ' both)" = 1 ]
say $? "both engines are below one TYPE" both

# So that its silence means something: it finds a HELP that is there twice, and a name without its unit.
text each each && ! promtool check metrics <each >notes 2>&1 && [ -s notes ]
say $? "promtool refuses two texts as one" notes

sed 's/penstock_parks_total/penstock_parks/' both | promtool check metrics >notes 2>&1
grep -q '_total' notes
say $? "promtool looks at names" notes

echo "1..$number"
[ "$failed" -eq 0 ]
