#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The examples do what they show, with real clients where they serve some.
#
# EXAMPLES is the folder they were built in.
# shellcheck disable=SC2034
set -u
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

finished
