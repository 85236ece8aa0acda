#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `penstock tune` on a cluster: it measures rows in a table of its own, which is gone at the end, and leaves everybody else's alone.
# PENSTOCK_RQLITED names the program of a node, if it is not in PATH. Prints TAP.
# shellcheck disable=SC2016,SC2034
tests=$(readlink -f "$(dirname "$0")/..")
# shellcheck source=tests/command/tap.sh
. "$tests/command/tap.sh"

rqlited=${PENSTOCK_RQLITED:-$(command -v rqlited)}
if [ ! -x "$rqlited" ] || ! command -v curl >/dev/null; then
	echo "1..0 # SKIP there is no rqlited in PATH and PENSTOCK_RQLITED names none, or no curl: no cluster was tuned"
	exit 0
fi
port=$((30000 + $$ % 1000 * 2))
node=http://127.0.0.1:$port
path=rqlite://127.0.0.1:$port/
"$rqlited" -fk -http-addr "127.0.0.1:$port" -raft-addr "127.0.0.1:$((port + 1))" node >log 2>&1 &
trap 'kill -9 %1; wait; rm -rf "$work"' EXIT
curl -sf --retry 60 --retry-all-errors --retry-delay 1 "$node/readyz" >/dev/null

# execute STATEMENT: at the node itself. schema: the names of what is there.
execute() { curl -sf -H 'Content-Type: application/json' -d "[\"$1\"]" "$node/db/execute" >/dev/null; }
schema() { curl -sf -G "$node/db/query" -d level=linearizable --data-urlencode "q=SELECT group_concat(name) FROM sqlite_schema" | grep -o '"values":.*' | tr -d '[]{}"'; }
# none: no configuration came of it, nor a file beside.
none() { [ "$rc" -eq 2 ] && ! ls -d o.ini* 2>/dev/null; }

execute 'CREATE TABLE mine(a)'
printf '[penstock]\nbatch_max = 77\n[cluster]\npassword = secret\n' >given.ini
penstock tune --budget 1s --json --config given.ini --set wal_bytes_max=8MiB --out o.ini "$path"
ok "rows are measured" '[ $rc = 0 ]' '[ "$(figure base.rate)" != "" ]' 'printed batch_max'
ok "what means nothing in a cluster is left out" '! grep -E "wal_bytes_max|checkpoint_thread|fuse_rows|page_size|cache_size|pragmas" out o.ini'
ok "the password is not copied" '! grep -r secret out err o.ini'
ok "its table is gone" '[ "$(schema)" = values:mine ]'
"$bin" run --quiet --config o.ini "$path" /dev/null
rc=$?
ok "the configuration is one for a cluster" '[ $rc = 0 ]'
rm -f o.ini

execute 'CREATE TABLE penstock_tune(a)'
penstock tune --budget 1s --out o.ini "$path"
ok "a table by that name is left alone" none 'said "table penstock_tune already exists"' '[ "$(schema)" = values:mine,penstock_tune ]'
execute 'DROP TABLE penstock_tune'
echo 'DELETE FROM mine;' >mine.sql
for workload in '--workload mine.sql' '--csv mine.sql --sql x' '--setup mine.sql'; do
	# shellcheck disable=SC2086
	penstock tune --budget 1s $workload --out o.ini "$path"
	ok "refused: $workload" none 'said "there is no --workload, --csv or --setup"'
done
penstock tune --budget 1s --set pragmas.cache_size=3 --out o.ini "$path"
ok "refused: a pragma" none 'said "PRAGMA cache_size is refused"'

start tune --quiet --budget 10m --out o.ini "$path"
eventually eval '[ "$(schema)" = values:mine,penstock_tune ]'
kill -s INT "$pid"
finish
ok "after a signal the table is gone too" '[ $rc = 0 ]' '[ "$(schema)" = values:mine ]' '[ -s o.ini ]'
finished
