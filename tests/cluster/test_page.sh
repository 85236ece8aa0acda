#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# docs/cluster.md tells the truth: its ten commands lead from a file to three nodes, one of which is killed, and its program puts an order in
# once, however often it is told to. PENSTOCK_RQLITED names the program of a node, if it is not in PATH. Prints TAP.
tests=$(readlink -f "$(dirname "$0")/..")
# shellcheck source=tests/command/tap.sh
. "$tests/command/tap.sh"

rqlited=${PENSTOCK_RQLITED:-$(command -v rqlited)}
if [ ! -x "$rqlited" ] || ! command -v curl >/dev/null; then
	echo "1..0 # SKIP there is no rqlited in PATH and PENSTOCK_RQLITED names none, or no curl: the page was not tried"
	exit 0
fi
mkdir bin
ln -s "$bin" bin/penstock
ln -s "$rqlited" bin/rqlited
export PATH=$PWD/bin:$PATH

base=$((200 + $$ % 100))
sed -n '/^```sh$/,/^```$/p' "$tests/../docs/cluster.md" | grep -v '^```' | sed -E "s/127\.0\.0\.1:40/127.0.0.1:$base/g" >commands
path=$(grep -o 'rqlite://[^ ]*' commands | head -n 1)

sqlite3 app.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES(1, "file")' >/dev/null
for i in $(seq 2 100); do echo "INSERT INTO t VALUES($i, 'day');"; done >day.sql
for i in $(seq 101 200); do echo "INSERT INTO t VALUES($i, 'night');"; done >night.sql

rc=0
count=$(grep -c . commands)
ok "there are ten commands" '[ "$count" = 10 ]'
while read -r command; do
	eval "$command" >out 2>err || { rc=$? && cat out err >>wrong && echo "$command" >>wrong; }
done <commands
touch wrong
cp wrong out
ok "each of them does what it is for" '[ $rc = 0 ]' '[ ! -s wrong ]'

echo 'SELECT count(*), sum(a) FROM t' >select
port=$(sed -E 's/.*:([0-9]+)\/$/\1/' <<<"$path")
curl -sf --retry 30 --retry-all-errors --retry-delay 1 -G "http://127.0.0.1:$port/db/query" --data-urlencode "q=$(cat select)" -d level=linearizable >out
ok "what was in the file and what was run is there" 'grep -qF "[[200,20100]]" out'

for i in 1 2 3; do "$CLUSTER_PROGRAM" "$path" key-1 >out 2>err || rc=$?; done
curl -sf -G "http://127.0.0.1:$port/db/query" --data-urlencode 'q=SELECT count(*), sum(amount) FROM orders' -d level=linearizable >out
ok "an order that is placed three times is there once" '[ $rc = 0 ]' 'grep -qF "[[1,7]]" out'

PENSTOCK_CLUSTER_PASSWORD=secret penstock run --quiet "rqlite://nobody@127.0.0.1:$port/" night.sql
ok "the rows of the night cannot come twice, and the command says which" '[ $rc = 1 ]' 'grep -q "UNIQUE constraint failed" err' '! grep -q secret err out'
penstock run "rqlite://me:secret@127.0.0.1:$port/" night.sql
ok "a path with a password is refused, and not shown" '[ $rc = 2 ]' 'grep -q PENSTOCK_CLUSTER_PASSWORD err' '! grep -q secret err'

# shellcheck disable=SC2046
kill -9 $(jobs -p)
wait 2>/dev/null
echo "1..$number"
