#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# test_tune.sh - `penstock tune`, as a user meets it
#
# PENSTOCK_BIN is the command under test. Prints TAP. No test depends on how fast anything is: what is checked is what
# the command says of its own measurements, what it writes, and that it leaves nothing else.

# Conditions are strings that `ok` evaluates one by one, so that a failing test says which one does not hold.
# shellcheck disable=SC2016,SC2034

# shellcheck source=tests/command/tap.sh
. "$(dirname "$0")/tap.sh"

mkdir d
cat >table.sql <<'SQL'
CREATE TABLE t(a UNIQUE, b);
SQL
{ cat table.sql && seq 1 300 | sed "s/.*/INSERT INTO t VALUES(&, 'it''s &');/"; } >rows.sql
seq 1 300 | sed 's/.*/&,"row &"/' >rows.csv
insert='INSERT INTO t VALUES(?,?)'

# tune ARGUMENT...: the shortest there is, in folder d, to o.ini.
tune() {
	rm -f o.ini
	penstock tune --budget 1s "$@" --out o.ini d
}

# clean: nothing is left in d, nor of --out but what it names.
clean() { [ -z "$(ls -A d)" ] && ! ls -d o.ini.* 2>/dev/null; }
# refused TEXT: status 2, the text, and nothing written.
refused() { [ "$rc" -eq 2 ] && said "$1" && [ ! -s out ] && [ ! -e o.ini ] && clean; }
# found: a configuration that `penstock run` takes, and nothing else.
found() {
	local status
	rm -f run.db*
	"$bin" run --quiet --config o.ini run.db table.sql
	status=$?
	[ "$rc" -eq 0 ] && clean && [ "$status" -eq 0 ] && [ "$(sqlite3 run.db "SELECT name FROM sqlite_schema WHERE type = 'table'")" = t ]
}
# query SQL: on the JSON in `out`, whose candidates are the table c.
query() {
	sqlite3 -batch :memory: "CREATE TEMP VIEW c AS SELECT value ->> 'number' AS number, value ->> 'sampled' AS sampled,
		value ->> 'pareto' AS pareto, value ->> 'seconds' AS seconds, value ->> 'rate' AS rate, value ->> 'p99_usec' AS p99,
		value -> 'config' AS config FROM json_each(CAST(readfile('${2:-out}') AS TEXT), '\$.candidates'); $1"
}
# value KEY: in o.ini, in JSON's form.
value() {
	sed -n "s/^$1 = //p" o.ini | sed 's/^any$/-1/; s/^yes$/1/; s/^no$/0/' | awk '{ print $2 == "MiB" ? $1 * 1048576 : $1 }'
}
keys="ring_slots batch_max batch_bytes batch_usec linger_usec wal_bytes_max checkpoint_thread writer_cpu spin_usec fuse_rows page_size cache_size"

# ---- wrong command lines ----

penstock tune --help
ok help/lists_every_option '[ $rc -eq 0 ]' \
	'(for o in workload csv sql setup threads wait ack goal p99 budget seed config set out json quiet help; do printed "  --$o" || { echo $o; exit 1; }; done)'
penstock --help
ok help/names_the_command '[ $rc -eq 0 ]' 'printed "penstock tune [OPTION]"'

# wrong NAME MESSAGE ARGUMENT...
wrong() {
	local name=$1 message=$2
	shift 2
	rm -f o.ini
	penstock tune "$@" </dev/null
	ok "usage/$name" 'refused "$message"' 'said "penstock tune --help"'
}
wrong no_folder "no folder" --out o.ini
wrong two_folders "'e': there is one folder only" --out o.ini d e
wrong no_out "no --out" d
wrong empty_folder "'': an empty name" --out o.ini ''
wrong empty_out "--out '': an empty name" --out '' d
wrong out_on_standard_output "--out -: standard output is for the figures" --out - d
wrong unknown_option "unrecognized option '--quack'" --quack --out o.ini d
wrong unknown_goal "--goal quack: no such goal; it is throughput, latency or balanced" --goal quack --out o.ini d
wrong p99_without_unit "--p99 2: without a unit" --p99 2 --out o.ini d
wrong p99_with_an_unknown_unit "there is no unit 'kg'" --p99 2kg --out o.ini d
for time in '' ms -1ms +1ms 1e3ms 0x1ms ' 1ms' 1.2.3ms inf; do
	wrong "p99_of_'$time'" "--p99 $time: not a time" --p99 "$time" --out o.ini d
done
wrong p99_of_nothing "out of range; it is 1us to 1h" --p99 0ms --out o.ini d
wrong budget_without_unit "--budget 60: without a unit" --budget 60 --out o.ini d
wrong budget_too_short "out of range; it is 1s to 24h" --budget 999ms --out o.ini d
wrong budget_too_long "out of range; it is 1s to 24h" --budget 25h --out o.ini d
for seed in x -1 '' 18446744073709551616; do
	wrong "seed_of_'$seed'" "not a whole number" --seed "$seed" --out o.ini d
done
wrong csv_without_sql "without --sql" --csv rows.csv --out o.ini d
wrong sql_without_csv "without --csv" --sql "$insert" --out o.ini d
wrong csv_with_workload "either --csv or --workload" --csv rows.csv --sql "$insert" --workload rows.sql --out o.ini d
wrong csv_twice "one will do" --csv rows.csv --csv rows.csv --sql "$insert" --out o.ini d
wrong threads_with_workload "each FILE is one producer" --workload rows.sql --threads 2 --out o.ini d
wrong threads_of_0 "not a number from 1 to 1024" --threads 0 --out o.ini d
wrong unknown_ack "none, committed or durable" --ack quack --out o.ini d
wrong wait_for_nothing "no outcome to wait for" --wait --ack none --out o.ini d
wrong standard_input_twice "only one standard input" --setup - --workload - --out o.ini d
wrong set_unknown_key "unknown key 'quack'" --set quack=1 --out o.ini d
wrong set_out_of_range "1 to 1048576" --set batch_max=0 --out o.ini d

# ---- what cannot be used ----

rm -f o.ini
penstock tune --out o.ini nowhere
ok cannot/missing_folder 'refused "cannot make a scratch folder in '\''nowhere'\'': No such file"'
penstock tune --out o.ini table.sql
ok cannot/file_as_the_folder 'refused "'\''table.sql'\'': Not a directory"'
penstock tune --out nowhere/o.ini d
ok cannot/out_in_a_missing_folder 'refused "--out nowhere/o.ini: cannot be written: No such file"'
penstock tune --out d d
ok cannot/out_is_a_folder 'refused "--out d: there is something that is not a file"'
if "${as_user[@]}" "$bin" --version >/dev/null 2>&1; then
	mkdir locked open
	chmod 555 locked
	chmod 777 open
	rc=0
	"${as_user[@]}" "$bin" tune --out open/o.ini locked >out 2>err || rc=$?
	ok cannot/read_only_folder 'refused "cannot make a scratch folder in '\''locked'\'': Permission denied"' \
		'[ -z "$(find locked open -mindepth 1)" ]'
	rc=0
	"${as_user[@]}" "$bin" tune --out locked/o.ini open >out 2>err || rc=$?
	ok cannot/out_in_a_read_only_folder 'refused "--out locked/o.ini: cannot be written: Permission denied"' \
		'[ -z "$(find locked open -mindepth 1)" ]'
	echo mine >open/o.ini
	chmod 444 open/o.ini
	rc=0
	"${as_user[@]}" "$bin" tune --out open/o.ini open >out 2>err || rc=$?
	ok cannot/out_is_a_read_only_file 'refused "--out open/o.ini: cannot be written: Permission denied"' \
		'[ "$(cat open/o.ini)" = mine ]'
	chmod 755 locked
else
	skip cannot/read_only_folder "no other user can run $bin"
fi

tune --workload missing.sql
ok cannot/missing_workload 'refused "cannot read '\''missing.sql'\'': No such file"'
tune --workload d
ok cannot/folder_as_the_workload 'refused "cannot read '\''d'\'': Is a directory"'
echo '-- nothing' >nothing.sql
tune --workload nothing.sql
ok cannot/workload_without_a_statement 'refused "no statement in '\''nothing.sql'\''"'
: >nothing.csv
tune --csv nothing.csv --sql "$insert" --setup table.sql
ok cannot/csv_without_a_record 'refused "no record in '\''nothing.csv'\''"'
tune --setup missing.sql
ok cannot/missing_setup 'refused "cannot read '\''missing.sql'\''"'
{ cat rows.sql && echo 'INSERT INTO t VALUES(1, 2);'; } >twice.sql
tune --workload twice.sql
ok cannot/workload_that_fails 'refused "twice.sql:302: SQLITE_CONSTRAINT_UNIQUE: UNIQUE constraint failed: t.a"' \
	'said "statements must succeed"'
tune --workload twice.sql --wait
ok cannot/workload_that_fails_while_waiting 'refused "twice.sql:302: SQLITE_CONSTRAINT_UNIQUE"' 'said "statements must succeed"'
tune --workload twice.sql --ack none
ok cannot/workload_that_fails_unheard 'refused "twice.sql:302: SQLITE_CONSTRAINT_UNIQUE"' 'said "statements must succeed"'
printf 'CREATE TABLE t(a);\nBEGIN;\n' >begin.sql
tune --workload begin.sql
ok cannot/workload_with_a_transaction 'refused begin.sql:2:' 'said "statements must succeed"'
printf 'CREATE TABLE t(a);\nSELECT \0;\n' >nul.sql
tune --workload nul.sql
ok cannot/workload_with_a_nul_byte 'refused "nul.sql:2: a NUL byte"' 'said "mend it first"'
tune --csv rows.csv --sql "$insert"
ok cannot/csv_without_a_schema 'refused ": SQLITE_ERROR: no such table: t"' 'said rows.csv:' 'said "--setup"'
printf '1,2\n3,"4"5\n' >faulty.csv
tune --csv faulty.csv --sql "$insert" --setup table.sql
ok cannot/csv_with_a_fault 'refused faulty.csv:2:' 'said "mend it first"'
tune --setup twice.sql
ok cannot/setup_that_fails 'refused "twice.sql:302: SQLITE_CONSTRAINT_UNIQUE"'
tune --set synchronous=off --ack durable
ok cannot/durable_needs_synchronous 'refused PENSTOCK_MISUSE'
tune --config missing.conf
ok cannot/missing_config 'refused missing.conf'
printf 'batch_max = 10\n\nquack = 1\n' >bad.conf
tune --config bad.conf
ok cannot/bad_config_is_named_with_its_line 'refused bad.conf:3' 'said quack'
tune --config <(echo 'batch_max = 10')
ok cannot/config_through_a_pipe 'refused "a pipe will not do"'
tune --set pragmas.quack=1
ok cannot/unknown_pragma 'refused "no pragma '\''quack'\''"'
tune --set 'pragmas.user_version="1 ;2"'
ok cannot/value_that_no_file_can_hold 'refused "--set user_version: this value cannot stand"'
rm -f o.ini
rc=0
(ulimit -f 1 && exec env --default-signal=XFSZ "$bin" tune --budget 1s --out o.ini d >/dev/null 2>&1) || rc=$?
ok cannot/files_that_may_not_grow '[ $rc -eq 2 ]' '[ ! -e o.ini ]' clean
echo mine >o.ini
cp o.ini kept.ini
penstock tune --workload twice.sql --out o.ini d
ok cannot/an_existing_out_is_left_alone '[ $rc -eq 2 ]' 'cmp o.ini kept.ini' clean

# On a tmpfs of 2 MiB, statements of which one is too large for it, and of which all together are.
mkdir small
echo 'CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(4000000));' >large.sql
{ echo 'CREATE TABLE t(a);' && yes 'INSERT INTO t VALUES(zeroblob(100000));' | head -n 40; } >many.sql
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=2m penstock-test small 2>mount.err; then
	trap '[ "$BASHPID" -ne $$ ] || { umount small 2>/dev/null; rm -rf "$work"; }' EXIT
	for workload in large.sql many.sql; do
		rm -f o.ini
		penstock tune --workload $workload --out o.ini small
		left=$(ls -A small)
		ok "cannot/full_disk_by_$workload" 'refused "is full"' 'said "name a folder on another disk"' '[ -z "$left" ]'
	done
	dd if=/dev/zero of=small/filler bs=4096 2>/dev/null
	penstock tune --budget 1s --out o.ini small
	left=$(ls -A small)
	ok cannot/disk_that_was_full_before 'refused "is full"' '[ "$left" = filler ]'
	penstock tune --budget 1s --out small/o.ini d
	left=$(ls -A small)
	ok cannot/out_on_a_full_disk 'refused "--out small/o.ini: cannot be written: No space left"' 'said "name a file on a disk with room"' \
		'[ "$left" = filler ]'
	umount small
else
	skip cannot/full_disk "no tmpfs can be mounted here: $(head -c 200 mount.err 2>/dev/null || echo not root)"
fi

# ---- what is found ----

tune --json --budget 3s
ok found/a_configuration_that_run_reads found '[ ! -s err ]'
ok found/a_figure_of_everything '[ "$(figure goal)" = throughput ]' '[ "$(figure seed)" -eq 1 ]' '[ "$(figure interrupted)" -eq 0 ]' \
	'(for f in noise budget seconds workload chosen.rate chosen.p99_usec base.rate ratio.rate ratio.p99 ratio.rounds why out; do [ -n "$(figure $f)" ] || { echo $f; exit 1; }; done)'
ok found/file_has_each_key_with_its_default \
	'(for k in $keys; do grep -B1 "^$k = " o.ini | grep -q "^# default " || { echo $k; exit 1; }; done)' \
	'[ "$(grep -c "^[a-z_]* = " o.ini)" -eq 12 ]' '! grep -q "^synchronous" o.ini'
ok found/file_is_the_choice \
	'(for k in $keys; do [ -n "$(value $k)" ] && [ "$(value $k)" = "$(query "SELECT config ->> '\''$k'\'' FROM c WHERE number = $(figure chosen.number)")" ] || { echo $k; exit 1; }; done)'
"$bin" config | sed -n 's/^\([a-z_]*\) = /\1 /p' | sed 's/ any$/ -1/; s/ yes$/ 1/; s/ no$/ 0/' | awk '{ print $1, $3 == "MiB" ? $2 * 1048576 : $2 }' >defaults
ok found/the_defaults_are_a_candidate \
	'(for k in ${keys% page_size*}; do [ "$(sed -n "s/^$k //p" defaults)" = "$(query "SELECT config ->> '\''$k'\'' FROM c WHERE number = 0")" ] || { echo $k; exit 1; }; done)' \
	'[ "$(query "SELECT seconds > 0 FROM c WHERE number = 0")" -eq 1 ]'
ok found/never_worse_than_the_defaults '[ "$(query "SELECT $(figure ratio.rate) >= 1.0")" -eq 1 ]'
ok found/no_candidate_twice '[ "$(query "SELECT count(*) = count(DISTINCT config) AND count(*) >= 6 FROM c")" -eq 1 ]'
dominated='EXISTS (SELECT 1 FROM c AS d WHERE d.seconds > 0 AND d.rate >= c.rate AND d.p99 <= c.p99 AND (d.rate > c.rate OR d.p99 < c.p99))'
ok pareto/no_point_is_dominated '[ "$(query "SELECT count(*) FROM c WHERE pareto")" -gt 0 ]' \
	'[ "$(query "SELECT count(*) FROM c WHERE pareto AND (seconds = 0 OR $dominated)")" -eq 0 ]'
ok pareto/every_other_point_is '[ "$(query "SELECT count(*) FROM c WHERE NOT pareto AND seconds > 0 AND NOT $dominated")" -eq 0 ]'

sampled='SELECT config FROM c WHERE sampled ORDER BY number'
query "$sampled" >sample1
tune --json --goal latency --budget 3s
query "$sampled" >again
ok seed/the_same_samples_the_same 'found' 'cmp sample1 again'
tune --json --seed 2 --budget 3s
query "$sampled" >sample2
ok seed/another_one_samples_others 'found' '! cmp sample1 sample2'

# The rounds' medians decide, and of those within noise the one with the fewest changes.
final="SELECT value ->> 'number' AS number, value ->> 'rate' AS ratio, value -> 'trials' AS trials
	FROM json_each(CAST(readfile('out') AS TEXT), '\$.final')"
apart="SELECT number, (SELECT count(*) FROM json_each(config) AS k JOIN json_each((SELECT config FROM c WHERE number = 0)) AS b
	USING (key) WHERE k.value <> b.value) AS changes FROM c"
ratios="SELECT f.number, k.key AS round, (k.value ->> 'rate') / (b.value ->> 'rate') AS ratio FROM f, json_each(f.trials) AS k,
	json_each((SELECT trials FROM f WHERE number = 0)) AS b WHERE k.key = b.key"
middle="SELECT number, avg(ratio) AS ratio FROM (SELECT number, ratio, row_number() OVER w AS place, count(*) OVER (PARTITION BY number)
	AS places FROM r WINDOW w AS (PARTITION BY number ORDER BY ratio)) WHERE place IN ((places + 1) / 2, places / 2 + 1) GROUP BY number"
judge() { query "WITH f AS ($final), r AS ($ratios), m AS ($middle), a AS ($apart), n(noise, chosen) AS (SELECT $(figure noise), $(figure chosen.number)) $1"; }
for base in batch_max=1 batch_max=3000; do
	tune --json --budget 4s --set "$base" --set synchronous=off
	if [ "$(query "SELECT count(*) FROM ($final)")" -eq 0 ]; then
		skip "final/$base" "no time for one"
	else
		ok "final/$base/base_and_others_have_the_same_rounds" '[ "$(judge "SELECT count(*) BETWEEN 2 AND 4 AND min(number) = 0 AND min(json_array_length(trials)) >= 1 AND
			min(json_array_length(trials)) = max(json_array_length(trials)) FROM f")" -eq 1 ]'
		ok "final/$base/ratios_are_medians_of_rounds" '[ "$(judge "SELECT max(abs(m.ratio - f.ratio)) < 1e-4 FROM f JOIN m USING (number)")" -eq 1 ]'
		ok "final/$base/the_choice_is_within_noise_of_the_best" \
			'[ "$(judge "SELECT ratio >= (SELECT max(ratio) FROM m) * (1 - noise) - 1e-6 AND noise BETWEEN 0.03 AND 0.1 FROM m, n WHERE number = chosen")" -eq 1 ]'
		ok "final/$base/the_choice_is_better_than_the_base_by_more_than_noise" \
			'[ "$(judge "SELECT chosen = 0 OR ratio * (1 - noise) > 1 - 1e-6 FROM m, n WHERE number = chosen")" -eq 1 ]'
		ok "final/$base/nothing_plainer_is" '[ "$(judge "SELECT count(*) FROM m JOIN a USING (number), n WHERE changes < (SELECT changes FROM a WHERE number = chosen) AND
			(number = 0 OR ratio * (1 - noise) > 1 + 1e-6) AND ratio > (SELECT max(ratio) FROM m) * (1 - noise) + 1e-6")" -eq 0 ]'
	fi
done

tune --goal balanced
points() { sed -n '/^Pareto/,/^choice/p' out | grep -cE '^[* ] +[0-9]+ +[0-9.]+ (us|ms|s) +[0-9.]+ s  '; }
ok table/says_what_and_why found '[ "$(points)" -ge 1 ]' '[ "$(grep -c "^\* " out)" -eq 1 ]' 'grep -q "^ratio  " out' 'grep -q "^why  *goal balanced: " out' \
	'grep -q "^p99 bound  none" out' 'printed "written to o.ini"'
tune --p99 1us
ok bound/not_met 'found' 'grep -q "^p99 bound  1 us: NOT met" out' 'grep -q "^# p99 bound: 1 us: NOT met" o.ini'
echo mine >o.ini
chmod 640 o.ini
penstock tune --budget 1s --quiet --out o.ini d
ok quiet/only_the_file found '[ ! -s out ]' '[ ! -s err ]'
ok found/an_existing_out_is_replaced 'grep -q "^ring_slots" o.ini'
ok found/by_a_file_for_the_same_users '[ "$(stat -c %a o.ini)" = 640 ]'
mkdir 'file:f?vfs=none%41 #'
penstock tune --budget 1s --quiet --out 'file:f?vfs=none%41 #/o.ini' 'file:f?vfs=none%41 #'
mv 'file:f?vfs=none%41 #/o.ini' o.ini
ok found/out_in_the_same_folder found
ok found/folder_with_the_name_of_a_uri '[ -z "$(ls -A file:*)" ]' '[ ! -e f ]'

# ---- workloads ----

tune --json --workload rows.sql --p99 1h
ok workload/sql_file found 'figure workload | grep -q "rows.sql; 1 producer$"'
ok bound/met '[ "$(figure bound_met)" -eq 1 ]' 'grep -q "^# p99 bound: 3600.00 s: met" o.ini'
tune --json --workload - <rows.sql
ok workload/standard_input found 'figure workload | grep -q "<stdin>\|-; 1 producer"'
seq 1001 1300 | sed "s/.*/INSERT INTO t VALUES(&, 'more');/" >more.sql
tail -n +2 rows.sql >only.sql
tune --json --setup table.sql --workload only.sql --workload more.sql --wait
ok workload/two_files_with_a_setup found 'figure workload | grep -q "2 producers, each waiting"'
tune --json --setup table.sql --csv rows.csv --sql "$insert" --threads 3
ok workload/csv found 'figure workload | grep -q "rows.csv; 3 producers"'
tune --json --setup table.sql
ok workload/rows_with_a_setup found
echo 'CREATE TABLE penstock_tune(number CHECK (number < 1), text);' >check.sql
tune --setup check.sql
ok workload/rows_that_the_setup_refuses 'refused ": SQLITE_CONSTRAINT_CHECK"' 'said "rows of 32 bytes (built in):"'
tune --json --wait --threads 2
ok workload/rows_with_waiting_producers found 'figure workload | grep -q "2 producers, each waiting"'

widths='SELECT count(DISTINCT config ->> "fuse_rows") FROM c'
ok workload/rows_whose_outcomes_are_heard_fuse '[ "$(query "$widths")" -gt 1 ]'
tune --json --ack none
ok workload/rows_that_nobody_waits_for_fuse found '[ "$(query "$widths")" -gt 1 ]'
tune --json --ack none --setup table.sql --csv rows.csv --sql "$insert"
ok workload/csv_that_nobody_waits_for_fuses found '[ "$(query "$widths")" -gt 1 ]'
tune --json --ack none --workload rows.sql
ok workload/sql_text_does_not_fuse found '[ "$(query "$widths")" -eq 1 ]' \
	'grep -B1 "^fuse_rows = 32" o.ini | grep -q "there is no other to try"'

# ---- the base ----

printf '  results_timeout_ms = 7\nbatch_max = 77\nsynchronous = extra\n  [pragmas]\nforeign_keys = on\npage_size = 1024\n' >base.conf
tune --json --config base.conf --set synchronous=normal --set when_full=fail --set autostart=no --set pragmas.temp_store=2
ok base/what_is_not_tuned_is_taken_over found 'grep -qx "results_timeout_ms = 7" o.ini' 'grep -qx "when_full = fail" o.ini' \
	'grep -qx "autostart = no" o.ini' 'sed -n "/^.pragmas/,\$p" o.ini | grep -qx "foreign_keys = on"' 'grep -qx "temp_store = 2" o.ini'
ok base/durability_stays_as_given '[ "$(value synchronous)" = normal ]' '[ "$(query "SELECT count(*) FROM c WHERE config ->> '\''synchronous'\'' IS NOT NULL")" -eq 0 ]'
ok base/is_the_candidate_compared_with '[ "$(query "SELECT config ->> '\''batch_max'\'' || '\'' '\'' || (config ->> '\''page_size'\'') FROM c WHERE number = 0")" = "77 1024" ]' \
	'grep -q "^# default 1000, given 77[;,] " o.ini'
echo 'CREATE TABLE t(a);' >page.sql
sed -i 's/^page_size = .*/page_size = 2048/' o.ini
rm -f run.db*
"$bin" run --quiet --config o.ini run.db page.sql
ok base/page_size_of_the_file_counts_for_a_new_database '[ "$(sqlite3 run.db "PRAGMA page_size")" -eq 2048 ]'

# ---- signals ----

scratch() { ls d/penstock-tune-*/scratch.db; }
for signal in INT TERM HUP; do
	rm -f o.ini
	start tune --json --out o.ini d
	eventually scratch
	kill -s "$signal" "$pid"
	finish
	ok "signal/$signal"_gives_the_best_so_far found '[ "$(figure interrupted)" -eq 1 ]' "said SIG$signal" 'grep -q "(interrupted)" o.ini'
done
# Far enough for a choice: while the third trial is drawn, two have been. How far does not matter.
if script -V >/dev/null 2>&1; then
	rm -f o.ini pid
	: >err
	script -qec "echo \$\$ >pid; exec env ${signals[*]} '$bin' tune --json --budget 600s --out o.ini d >out" /dev/null >err </dev/null &
	shell=$!
	eventually grep -qE 'halving, trial ([3-9]|[0-9]{2,}) of|putting back|final' err
	pid=$(cat pid)
	kill -s INT "$pid"
	eventually gone || kill -s KILL "$pid"
	wait "$shell"
	rc=$?
	ok signal/later_too found '[ "$(figure interrupted)" -eq 1 ]' '[ "$(query "SELECT count(*) FROM c WHERE seconds > 0")" -gt 1 ]'
else
	skip signal/later_too "no script(1) to make a terminal"
fi
# A statement without an end keeps the first signal from being heeded.
echo 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c;' >endless.sql
rm -f o.ini
start tune --workload endless.sql --out o.ini d
# Nothing before it takes half a second of a processor.
runs() { [ "$(awk '{ print $14 + $15 }' "/proc/$pid/stat")" -ge $(($(getconf CLK_TCK) / 2)) ]; }
eventually runs
kill -s INT "$pid"
eventually said 'once more ends at once'
kill -s TERM "$pid"
finish
ok signal/the_second_ends_at_once '[ $rc -eq 143 ]' '[ ! -e o.ini ]' clean

rm -f o.ini
ulimit -S -c 0
start tune --out o.ini d
eventually scratch
kill -s QUIT "$pid"
finish
ok signal/quit_ends_at_once '[ $rc -eq 131 ]' '[ ! -e o.ini ]' clean

# ---- output ----

rm -f o.ini
timeout 120 "$bin" tune --budget 1s --out o.ini d 2>err | true
rc=${PIPESTATUS[0]}
ok output/a_closed_pipe '[ $rc -eq 2 ]' 'said "the figures cannot be"' clean '[ -s o.ini ]'
if script -V >/dev/null 2>&1; then
	rm -f o.ini
	timeout 120 script -qec "'$bin' tune --budget 1s --json --out o.ini d >out" /dev/null >err </dev/null
	rc=$?
	ok progress/is_drawn_on_a_terminal found 'said "halving, trial "' 'said " rows/s, p99 "'
	timeout 120 script -qec "'$bin' tune --budget 1s --quiet --out o.ini d" /dev/null >err </dev/null
	ok progress/is_not_drawn_when_quiet '[ ! -s err ]'
else
	skip progress/is_drawn_on_a_terminal "no script(1) to make a terminal"
fi

finished
