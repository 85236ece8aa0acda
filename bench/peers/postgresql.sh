#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A private PostgreSQL cluster in a temporary folder, for as long as standard input is open; then it is removed.
#
#   usage: postgresql.sh PARENT
#
# Prints "ready FOLDER" when it answers (FOLDER has its socket), or "left out: " and why not. PostgreSQL refuses to run as root, so
# for root it is run as the user postgres, or else nobody. Its settings are its own: fsync and synchronous_commit are on.
set -u

parent=${1:?usage: postgresql.sh PARENT}

leave() {
	echo "left out: $*"
	exit 0
}

# The newest that is installed; Debian has none of it in the PATH.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(readlink -f "$(command -v initdb)")")
[ -x "$bin/initdb" ] && [ -x "$bin/pg_isready" ] || leave "the package postgresql is not installed"

as=
if [ "$(id -u)" = 0 ]; then
	user=$(id -un postgres 2>/dev/null || echo nobody)
	as="setpriv --reuid $user --regid $(id -g "$user") --clear-groups --"
fi

folder=$(mktemp -d "$parent/penstock-postgresql-XXXXXX") || leave "no folder can be made in $parent"
trap 'rm -rf "$folder"' EXIT
# An interrupt ends the wait below, and not this script before it has put away what it made.
trap : INT TERM HUP
if [ -n "$as" ]; then
	chown "$user" "$folder"
	# shellcheck disable=SC2086 # the words of a command
	$as test -w "$folder" || leave "the user $user cannot enter $parent"
fi
# shellcheck disable=SC2086
$as "$bin/initdb" -D "$folder/data" -U bench -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 ||
	leave "initdb failed: $(tail -n 1 "$folder/log")"
cd "$folder" || exit 1
# shellcheck disable=SC2086
$as "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= >>"$folder/log" 2>&1 </dev/null &
postmaster=$!
tries=0
until "$bin/pg_isready" -q -h "$folder"; do
	tries=$((tries + 1))
	if [ $tries -gt 300 ] || ! kill -0 $postmaster 2>/dev/null; then
		kill -INT $postmaster 2>/dev/null
		leave "it does not start: $(tail -n 1 "$folder/log")"
	fi
	sleep 0.1
done
echo "ready $folder"
cat >/dev/null
kill -INT $postmaster
wait $postmaster
