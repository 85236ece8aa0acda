#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The examples do what they show, with real clients where they serve some.
#
# EXAMPLES is the folder they were built in.
# shellcheck disable=SC2034
set -u
source=$(readlink -f "$(dirname "$0")/../..")
examples=$(readlink -f "${EXAMPLES:?must name their folder}")
. "$(dirname "$0")/tap.sh"

run() { # EXAMPLE ARGUMENT...: leaves rc, out and err
	timeout -k 5 120 "$examples/$1" "${@:2}" >out 2>err
	rc=$?
}

query() { sqlite3 -batch "$1" "$2"; } # DATABASE SQL

# ---- telemetry ----

word() { sed -nE "s/.*\\b$1 ([0-9]+).*/\\1/p" out; } # NAME: the number behind it in `out`

run telemetry telemetry.db 50000
ok "telemetry: what is not stored is counted as dropped" \
	'[ $rc = 0 ]' \
	'[ "$(word produced)" = 400000 ]' \
	'[ "$(word failed)" = 0 ]' \
	'[ $(($(word stored) + $(word dropped))) = 400000 ]' \
	'[ "$(query telemetry.db "SELECT count(*) FROM readings")" = "$(word stored)" ]'
ok "telemetry: more than the ring holds is dropped, not waited for" '[ "$(word dropped)" -gt 0 ]' '[ "$(word stored)" -ge 4096 ]'
ok "telemetry: each reading is there once, those of a thread in its order" \
	'[ "$(query telemetry.db "SELECT count(*) FROM (SELECT DISTINCT sensor, sequence FROM readings)")" = "$(word stored)" ]' \
	'[ "$(query telemetry.db "SELECT count(*) FROM (SELECT sequence - lag(sequence) OVER (PARTITION BY sensor ORDER BY rowid) AS step
		FROM readings) WHERE step <= 0")" = 0 ]'

query telemetry.db "CREATE TRIGGER refuse BEFORE INSERT ON readings WHEN new.sequence = 3 BEGIN SELECT RAISE(ABORT, 'no threes'); END"
run telemetry telemetry.db 10
ok "telemetry: a reading that the table refuses is told of, and the account is short of it" \
	'[ $rc = 1 ]' '[ "$(word failed)" = 8 ]' '[ "$(word stored)" = 72 ]' 'said "no threes"'

# ---- penstock.hpp ----

run guestbook guestbook.db
ok "penstock.hpp: outcomes, rows, errors and callbacks" \
	'[ $rc = 0 ]' \
	'printed "guest 3 was here, with a stamp of 3 bytes"' \
	'printed "(SQLITE_CONSTRAINT_PRIMARYKEY)"' \
	'printed "100 entries, 100 stamped"' \
	'[ "$(query guestbook.db "SELECT count(*) FROM entries WHERE stamp = x'"'0001ff'"'")" = 100 ]'
mkdir folder.db
run guestbook folder.db
ok "penstock.hpp: what open refuses is thrown, with its status" '[ $rc = 1 ]' 'said "guestbook: PENSTOCK_CANTOPEN: "'

compiles() { # CALLBACK: whether submit_then takes it
	printf '#include <penstock.hpp>\nvoid f(penstockpp::statement &s) { s.submit_then(%s); }\n' "$1" >callback.cc
	"${CXX:-c++}" -std=c++17 -fsyntax-only -I"$source/core" -I"$source/examples" callback.cc >out 2>err
	rc=$?
}
compiles '[](penstockpp::result) noexcept {}'
ok "penstock.hpp: a callback that is noexcept compiles" '[ $rc = 0 ]'
compiles '[](penstockpp::result) {}'
ok "penstock.hpp: one that could throw does not" '[ $rc != 0 ]' 'said "noexcept"'

finished
