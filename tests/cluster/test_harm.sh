#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Why writer/rqlite/statement.h refuses what it refuses: each text is sent straight to a node of its own, which has a limit of memory, and does
# the harm that is told of it. A test that fails here means that this rqlite is better than the one the rules were found with.
# PENSTOCK_RQLITED names the program of a node, if it is not in PATH. Prints TAP.
# shellcheck disable=SC2016,SC2034,SC2154
tests=$(readlink -f "$(dirname "$0")/..")
# shellcheck source=tests/command/tap.sh
. "$tests/command/tap.sh"

rqlited=${PENSTOCK_RQLITED:-$(command -v rqlited)}
if [ ! -x "$rqlited" ] || ! command -v curl >/dev/null; then
	echo "1..0 # SKIP there is no rqlited in PATH and PENSTOCK_RQLITED names none, or no curl: no node was harmed"
	exit 0
fi
port=$((32000 + $$ % 1000 * 2))
node=http://127.0.0.1:$port
pid=
trap '[ -z "$pid" ] || kill -9 "$pid"; rm -rf "$work"' EXIT

# again: the node starts on what it has; leaves pid. anew: on nothing, and is there.
again() {
	(ulimit -v 2000000 && exec "$rqlited" -http-addr "127.0.0.1:$port" -raft-addr "127.0.0.1:$((port + 1))" node >>log 2>&1) &
	pid=$!
}
anew() {
	[ -z "$pid" ] || kill -9 "$pid"
	wait
	rm -rf node log
	again
	curl -sf --retry 120 --retry-connrefused --retry-all-errors --retry-delay 1 "$node/readyz" >/dev/null
} 2>/dev/null
# ask WHERE TEXT...: leaves the answer in out.
ask() {
	local where=$1 texts
	shift
	texts=$(printf ',"%s"' "$@")
	curl -s -H 'Content-Type: application/json' -d "[${texts#,}]" "$node/db/$where" >out 2>err
	rc=$?
}
# dead: of its limit; what it ran into, in the end, is all the memory that there is.
dead() { eventually gone && grep -q 'out of memory' log; }

anew
ok "a node has enough for what is no harm" 'ask request "CREATE TABLE t(a)" "INSERT INTO t VALUES(1)" "SELECT a FROM t"; printed "[[1]]"'
ask request "CREATE TABLE u(a)" "-- c" "INSERT INTO u VALUES(1)"
ok "a comment for a statement takes all memory" dead
rm -f log
again
ok "and again after each start, for the log holds it" dead
for text in 'SELECT 1; -- x' 'SELECT 1;;'; do
	anew
	ask request "$text"
	ok "two texts in one take all memory: $text" dead
done

anew
ask execute 'CREATE TABLE t(a)' '' 'INSERT INTO t VALUES(1)'
ok "an empty text has no result" '[ "$(grep -o "{[^{}]*}" out | wc -l)" -lt 3 ]'
anew
ask execute 'CREATE TABLE t(a)' 'BEGIN'
ask execute 'INSERT INTO t VALUES(1)'
cp out inserted
ask execute 'ROLLBACK'
ask request?level=linearizable 'SELECT count(*) FROM t'
ok "a ROLLBACK takes back what was acknowledged" 'grep -qF "\"rows_affected\":1" inserted' 'printed "[[0]]"'
anew
ask execute 'CREATE TABLE t(a)'
ask 'request?transaction' 'INSERT INTO t VALUES(1)' 'INSERT INTO nowhere VALUES(1)'
ask request?level=linearizable 'SELECT count(*) FROM t'
ok "a transaction on /db/request does not roll back for every failure" 'printed "[[1]]"'
finished
