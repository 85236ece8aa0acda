#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Penstock among others in a process: what it takes of the static TLS block, and which names its static library brings.
#
# LIBRARY and ARCHIVE are the files, HOST and HOGS plugin_host and its hogs, largest first, OWN_NAMES static_host.
# Not pipefail: grep -q leaves before readelf is done.
set -u

for command in readelf nm; do
	if ! command -v "$command" >/dev/null; then
		echo "1..0 # SKIP $command (binutils) is not installed"
		exit 0
	fi
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0
failed=0

say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2"
	else
		failed=$((failed + 1))
		echo "not ok $number - $2"
		sed 's/^/# /' notes
	fi
}

# Of the library's TLS segment: its size in memory.
readelf -lW "$LIBRARY" | awk '$1 == "TLS" { print $6 }' >notes
size=$(($(cat notes)))
[ "$size" -gt 0 ] && [ "$size" -lt 64 ]
say $? "tls: under 64 bytes a thread"

readelf -dW "$LIBRARY" >notes
! grep -q STATIC_TLS notes
say $? "tls: none of it has to be static"

# shellcheck disable=SC2086
"$HOST" "$LIBRARY" $HOGS >notes 2>&1 && grep -qE '^[1-9][0-9]* hogs' notes
say $? "tls: a plugin where the static TLS block is used up"

nm -g --defined-only "$ARCHIVE" | awk 'NF == 3 && $3 !~ /^penstock_/' >notes
[ ! -s notes ] && [ "$(nm -g --defined-only "$ARCHIVE" | grep -c ' T penstock_')" -gt 30 ]
say $? "static: no name but penstock_*"

nm -s "$ARCHIVE" | awk '/ in / && $1 !~ /^penstock_/' >notes
[ ! -s notes ]
say $? "static: nor in the index"

"$OWN_NAMES" >notes 2>&1
say $? "static: a program may have each of the internal names itself"

echo "1..$number"
[ "$failed" -eq 0 ]
