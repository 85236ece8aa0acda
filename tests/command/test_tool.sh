#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# test_tool.sh - the penstock command, as a user meets it
#
# PENSTOCK_BIN is the command under test. Prints TAP. What a database should hold is asked of the sqlite3 shell, and where
# it can be, the expected content is what the shell itself makes of the same file.

# Conditions are strings that `all` evaluates one by one, so that a failing test says which one does not hold.
# shellcheck disable=SC2016,SC2034

data=$(readlink -f "$(dirname "$0")/../data")
# shellcheck source=tests/command/tap.sh
. "$(dirname "$0")/tap.sh"

# fresh [SQL]: no database, or a new one.
fresh() {
	rm -f t.db t.db-wal t.db-shm t.db-penstock
	[ $# -eq 0 ] || sqlite3 -batch t.db "PRAGMA journal_mode=WAL; $1" >/dev/null
}

ask() { sqlite3 -batch t.db "$1"; }
holds() { [ "$(ask "$1")" = "$2" ]; }
# reports N: so many failures were reported.
reports() { [ "$(grep -c '^[^ ]*:[0-9]*: ' err)" -eq "$1" ]; }

# same_as_shell FILE: penstock and the sqlite3 shell make databases with the same dump of it (the shell reads CRLF as LF).
same_as_shell() {
	fresh
	rm -f shell.db
	penstock run --quiet t.db "$1"
	sqlite3 -batch -cmd 'PRAGMA synchronous = off' shell.db <"$1" >/dev/null 2>&1
	sqlite3 -batch t.db .dump | tr -d '\r' >ours
	sqlite3 -batch shell.db .dump >theirs
	cmp ours theirs
}

# ---- without a database ----

penstock --version
ok version/names_both_versions '[ $rc -eq 0 ]' 'grep -qE "^penstock [0-9.]+, SQLite [0-9.]+$" out'
case $(sed 's/.*SQLite //' out) in
3.7.* | 3.[1-3]?.* | 3.4[0-3].*) ok version/warns_of_the_wal_reset_bug 'said "WAL-reset bug"' ;;
*) skip version/warns_of_the_wal_reset_bug "this test does not know whether this SQLite has it" ;;
esac
penstock --help
ok help/names_the_commands '[ $rc -eq 0 ]' 'printed "penstock run"' 'printed "penstock config"'
penstock run --help
ok help/lists_every_option_of_run '[ $rc -eq 0 ]' \
	'(for o in parallel csv sql table create header skip delimiter tsv null lax setup max-errors bail output rejects threads ack config set json quiet help; do printed "  --$o" || { echo $o; exit 1; }; done)'
penstock config
cp out keys.conf
ok config/prints_every_key '[ $rc -eq 0 ]' '[ "$(grep -c "^[a-z_]* = " out)" -ge 20 ]' \
	'grep -q "^batch_max = 1000$" out' 'grep -q "^# 1 to 1048576" out'
fresh
echo 'CREATE TABLE t(a UNIQUE, b);' >table.sql
penstock run --config keys.conf t.db table.sql
ok config/prints_what_run_reads '[ $rc -eq 0 ]' 'holds "SELECT name FROM sqlite_schema WHERE type = '\''table'\''" t'

# ---- wrong command lines ----

echo '1,2' >t.csv
# wrong NAME MESSAGE ARGUMENT...: status 2, the message, where to find help, and nothing made.
wrong() {
	local name=$1 message=$2
	shift 2
	fresh
	penstock "$@" </dev/null
	ok "usage/$name" '[ $rc -eq 2 ]' "said \"$message\"" 'said help' '[ ! -s out ]' '[ ! -e t.db ]'
}
wrong no_command "no command"
wrong unknown_command "no command 'quack'" quack
wrong unknown_option_before_the_command "unrecognized option '--quack'" --quack
wrong unknown_option_of_run "unrecognized option '--quack'" run --quack t.db table.sql
wrong unknown_option_of_config "unrecognized option '--quack'" config --quack
wrong operand_of_config "'quack'" config quack
wrong no_database "no database" run
wrong database_on_standard_input "cannot be standard input" run - table.sql
wrong nothing_to_run "nothing to do for 't.db'" run t.db
wrong standard_input_twice "only one standard input" run t.db - -
wrong option_without_its_argument "requires an argument" run t.db table.sql --csv
wrong csv_without_sql "without --sql" run --csv t.csv t.db
wrong sql_without_csv "without --csv" run --sql 'SELECT 1' t.db
wrong sql_with_files "without --csv" run --sql 'SELECT 1' t.db table.sql
wrong csv_with_files "'table.sql': either --csv or SQL files" run --csv t.csv --sql 'SELECT 1' t.db table.sql
wrong threads_without_csv "only for --csv" run --threads 2 t.db table.sql
for threads in 0 1025 x -1 ''; do
	wrong "threads_of_'$threads'" "not a number from 1 to 1024" run --csv t.csv --sql 'SELECT 1' --threads "$threads" t.db
done
wrong unknown_ack "none, committed or durable" run --ack quack t.db table.sql
wrong set_without_a_value "key=value" run --set quack t.db table.sql
wrong set_unknown_key "unknown key 'quack'" run --set quack=1 t.db table.sql
wrong set_out_of_range "1 to 1048576" run --set batch_max=0 t.db table.sql

# ---- what cannot be opened ----

fresh
penstock run t.db table.sql missing.sql gone.sql
ok open/one_missing_file_and_nothing_is_run '[ $rc -eq 2 ]' "said \"'missing.sql': No such file\"" \
	"said \"'gone.sql': No such file\"" '[ ! -e t.db ]'
penstock run t.db .
ok open/folder_as_a_file '[ $rc -eq 2 ]' "said \"'.': Is a directory\"" '[ ! -e t.db ]'
penstock run --csv missing.csv --sql 'SELECT ?' t.db
ok open/missing_csv '[ $rc -eq 2 ]' "said \"'missing.csv': No such file\"" '[ ! -e t.db ]'
penstock run nowhere/t.db table.sql
ok open/missing_folder '[ $rc -eq 2 ]' 'said nowhere' '[ ! -s out ]'
penstock run . table.sql
ok open/folder_as_the_database '[ $rc -eq 2 ]' '[ -s err ]'
yes 'this is no database' | head -n 500 >text.db
cp text.db text.copy
penstock run text.db table.sql
ok open/not_a_database '[ $rc -eq 2 ]' 'said text.db' 'said "not an SQLite database"' 'cmp text.db text.copy'
penstock run --config missing.conf t.db table.sql
ok open/missing_config '[ $rc -eq 2 ]' 'said missing.conf' '[ ! -e t.db ]'
printf 'batch_max = 10\n\nquack = 1\n' >bad.conf
penstock run --config bad.conf t.db table.sql
ok open/bad_config_is_named_with_its_line '[ $rc -eq 2 ]' 'said bad.conf:3' 'said quack' '[ ! -e t.db ]'
fresh 'CREATE TABLE t(a)'
penstock run t.db - <&-
ok open/closed_standard_input '[ $rc -eq 2 ]' 'said "Bad file descriptor"'

if grep -qE '__(asan|tsan)_' "$bin"; then
	skip open/too_many_threads_and_nothing_is_run "a sanitizer needs more address space than this test leaves"
else
	(ulimit -v 1000000 && penstock run --csv t.csv --threads 1024 --sql 'INSERT INTO t VALUES(?)' t.db; exit "$rc")
	rc=$?
	ok open/too_many_threads_and_nothing_is_run '[ $rc -eq 2 ]' 'said "cannot start thread"' \
		'holds "SELECT count(*) FROM t" 0'
fi

# Commands of the shell are said by line, and what stands around them is run. GO ends a statement that is whole.
printf '%s\n' '.echo on' 'CREATE TABLE t(a UNIQUE, b)' ' go ' '.print ; INSERT' "INSERT INTO t VALUES(1, '" GO "');" GO GO \
	'INSERT INTO t VALUES(2,' '.5)' 'Go' 'INSERT INTO t SELECT 3, 4; .tables' '.quit' >dots.sql
printf 'go' >>dots.sql
fresh
penstock run t.db dots.sql
ok sql/commands_of_the_shell_are_said '[ $rc -eq 1 ]' 'reports 4' 'said "dots.sql:1: a command of the sqlite3 shell"' \
	'said dots.sql:4:' 'said dots.sql:13:' 'said dots.sql:14:' \
	'holds "SELECT group_concat(a) FROM t" 1,2,3' 'holds "SELECT hex(b) FROM t WHERE a = 1" 0A474F0A'

# What is no text is named, a file before anything is run, a pipe where it is read.
echo 'CREATE TABLE t(a);' >text.sql
iconv -f UTF-8 -t UTF-16 text.sql >utf16.sql
iconv -f UTF-8 -t UTF-16LE text.sql >utf16le.sql
gzip -c text.sql >text.sql.gz
fresh 'CREATE TABLE z(a)'
cp t.db whole.db
for foreign in "utf16.sql UTF-16" "utf16le.sql UTF-16" "text.sql.gz gzip" "whole.db sqlite3"; do
	fresh
	penstock run t.db "${foreign% *}"
	ok "open/what_is_no_text_is_named: ${foreign}" '[ $rc -eq 2 ]' "said \"'${foreign% *}': this is\"" "said ${foreign#* }" '[ ! -e t.db ]'
	penstock run t.db - < <(cat "${foreign% *}")
	ok "open/in_a_pipe_too: ${foreign}" '[ $rc -eq 1 ]' 'said "<stdin>:1: this is"' "said ${foreign#* }" 'reports 1'
	fresh
	penstock run --csv "${foreign% *}" --sql 'SELECT ?' t.db
	ok "open/as_records_too: ${foreign}" '[ $rc -eq 2 ]' "said ${foreign#* }" '[ ! -e t.db ]'
done
fresh 'CREATE TABLE t(a)'

mkdir -m 777 shared
ln -s t.db link.db
penstock run shared/t.db table.sql
ok open/folder_that_others_can_write_to '[ $rc -eq 2 ]' 'said shared/t.db' 'said shared_folder=yes' '[ ! -e shared/t.db ]'
penstock run link.db table.sql
ok open/symbolic_link '[ $rc -eq 2 ]' 'said link.db' 'said follow_symlinks=yes'
(umask 0 && penstock run --set shared_folder=yes shared/t.db table.sql; exit "$rc")
rc=$?
ok open/what_is_created_is_its_users_alone '[ $rc -eq 0 ]' '[ "$(stat -c %a shared/t.db)" = 600 ]'

if "${as_user[@]}" "$bin" --version >/dev/null 2>&1; then
	mkdir locked
	cp t.db locked/t.db
	chmod 444 locked/t.db
	chmod 555 locked
	rc=0
	"${as_user[@]}" "$bin" run locked/t.db table.sql >out 2>err || rc=$?
	ok open/read_only_database '[ $rc -eq 2 ]' 'said locked/t.db' '[ ! -s out ]'
	rc=0
	"${as_user[@]}" "$bin" run locked/new.db table.sql >out 2>err || rc=$?
	ok open/read_only_folder '[ $rc -eq 2 ]' 'said locked/new.db'
	chmod 755 locked
else
	skip open/read_only_database "no other user can run $bin"
fi

# ---- SQL files ----

fresh
# The shell gives up the rest of a line behind a failing statement, so those stand last on theirs.
cat >mixed.sql <<'SQL'
-- a comment; with a semicolon
CREATE TABLE t(a UNIQUE, b);;

/* another ; */ INSERT INTO t VALUES(1, 'one;') -- behind
;
INSERT INTO t
VALUES(1, 'again');
CREATE TRIGGER r AFTER INSERT ON t WHEN new.b = 'trigger' BEGIN
	INSERT INTO t VALUES(new.a + 1, "x;""y"); -- END;
	DELETE FROM t WHERE a = 'END;';
END; INSERT INTO t VALUES(3, 'trigger'); INSERT
INTO missing VALUES(1);
   SELEC 1;
INSERT INTO [t] VALUES(6, `six;`);
/* ; -- */ INSERT INTO t VALUES(7, 8); INSERT INTO t VALUES(9, 'no semicolon')
SQL
penstock run t.db mixed.sql
ok sql/failures_have_file_line_and_name '[ $rc -eq 1 ]' 'reports 4' \
	'said "mixed.sql:6: SQLITE_CONSTRAINT_UNIQUE: UNIQUE constraint failed: t.a"' \
	'said "mixed.sql:11: SQLITE_ERROR: no such table: missing"' 'said "mixed.sql:13: SQLITE_ERROR: near"' \
	'said "mixed.sql:14: SQLITE_ERROR: no such column: six;"'
ok sql/the_others_go_on 'holds "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY a)" 1,3,4,7,9' \
	'holds "SELECT b FROM t WHERE a = 4" "x;\"y"' 'holds "SELECT b FROM t WHERE a = 1" "one;"'
ok sql/table_of_figures 'grep -qE "^statements +10$" out' 'grep -qE "^failures +4$" out' \
	'(for f in time rate batches "mean batch" "outcome p50" "outcome p99" "outcome max"; do printed "$f" || { echo $f; exit 1; }; done)'
ok sql/same_as_the_shell 'same_as_shell mixed.sql'
sed 's/$/\r/' mixed.sql >crlf.sql
ok sql/crlf_is_the_same_as_the_shell 'same_as_shell crlf.sql' 'said "crlf.sql:6: SQLITE_CONSTRAINT_UNIQUE"'

for text in '' ' ' ';;;' '-- only a comment' '/* ; */ -- ;' '/* open' $'\xef\xbb\xbf' $'\xef\xbb\xbf;\n'; do
	fresh
	printf '%s' "$text" >nothing.sql
	penstock run t.db nothing.sql
	ok "sql/nothing_in_$(printf '%q' "$text" | tr ' #' '__')" '[ $rc -eq 0 ]' 'grep -qE "^statements +0$" out'
done
printf '\xef\xbb\xbfCREATE TABLE t(a)' >mark.sql
fresh
penstock run t.db mark.sql
ok sql/byte_order_mark_and_no_last_semicolon '[ $rc -eq 0 ]' 'holds "SELECT sql FROM sqlite_schema" "CREATE TABLE t(a)"'
# Two files, each with one, put together.
printf '\xef\xbb\xbfCREATE TABLE t(a);\n\xef\xbb\xbfCREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE a=1; DELETE FROM t WHERE a=2; END;INSERT INTO t VALUES(1)' >marks.sql
fresh
penstock run t.db marks.sql
ok sql/byte_order_mark_before_a_trigger '[ $rc -eq 0 ]' 'holds "SELECT count(*) FROM sqlite_schema" 2' 'holds "SELECT count(*) FROM t" 0'
printf "CREATE TABLE t(a);\n\nINSERT INTO t VALUES('never closed;\n" >open.sql
fresh
penstock run t.db open.sql
ok sql/quote_that_is_never_closed '[ $rc -eq 1 ]' 'said open.sql:3: ' 'reports 1'
printf "CREATE TABLE t(a);\nINSERT INTO t VALUES('x\0;y');\n\nINSERT INTO t VALUES(1);\n\0\0;\nINSERT INTO t VALUES(2);" >nul.sql
fresh
penstock run t.db nul.sql
ok sql/nul_byte '[ $rc -eq 1 ]' 'reports 2' 'said "nul.sql:2: a NUL byte"' 'said "nul.sql:5: a NUL byte"' \
	'holds "SELECT group_concat(a) FROM t" 1,2'
printf "CREATE TABLE t(a);CREATE TRIGGER r DELETE ON t BEGIN SELECT 1; END\0;INSERT INTO t VALUES(1);" >nul_end.sql
fresh
penstock run t.db nul_end.sql
ok sql/nul_byte_behind_the_end_of_a_trigger '[ $rc -eq 1 ]' 'reports 1' 'holds "SELECT count(*) FROM t" 1'
fresh 'CREATE TABLE t(a)'
printf 'BEGIN TRANSACTION;\nINSERT INTO t VALUES(1);\nCOMMIT;\nbegin immediate; end;\nSAVEPOINT x;\nROLLBACK;\nBEGIN SOON;' >begin.sql
penstock run t.db begin.sql
ok sql/begin_and_commit_are_passed_over '[ $rc -eq 1 ]' 'reports 3' 'said "begin.sql:5: SQLITE_AUTH: SAVEPOINT"' 'said begin.sql:6: ' \
	'said begin.sql:7: ' 'grep -qE "^passed over +4 BEGIN and COMMIT" out' 'holds "SELECT count(*) FROM t" 1' '! said "submit them"'
fresh 'CREATE TABLE t(a)'
printf 'SELECT * FROM sqlite_schema; INSERT INTO t VALUES(1) RETURNING a; VACUUM; PRAGMA user_version = 7;' >rows.sql
penstock run t.db rows.sql
ok sql/statements_with_rows_and_alone '[ $rc -eq 0 ]' 'holds "PRAGMA user_version" 7'
fresh 'CREATE TABLE t(a UNIQUE, b); CREATE TRIGGER r BEFORE INSERT ON t WHEN new.a < 0 BEGIN SELECT RAISE(ABORT, "line 1
'$'\e''[31mline 2"); END'
echo 'INSERT INTO t VALUES(-1, 0);' >raise.sql
penstock run t.db raise.sql
ok sql/message_stays_one_plain_line '[ $rc -eq 1 ]' '[ "$(wc -l <err)" -eq 1 ]' 'said "SQLITE_CONSTRAINT_TRIGGER: line 1"' \
	'! grep -q $'"'\\e'"' err'

# Every kind of text across the borders of what is read at once, whole and byte by byte.
awk 'BEGIN {
	print "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c);"
	for (i = 0; i < 2500; i++) {
		text = substr("--;/*;*/[;]`;`", 1 + i % 11)
		pad = sprintf("%*s", i % 97, "")
		printf "/* %d; */INSERT INTO t -- ;\n VALUES(%d,'\''%s;'\'''\''%s'\'',\"%s;\"\"\")%s;%s\n", i, i, text, pad, text, pad, i % 3 ? "" : ";/"  "* ; **/"
	}
}' >borders.sql
sed -i 's/,"\([^"]*\);""")/,'"'"'\1;""'"'"')/' borders.sql
ok sql/borders_of_what_is_read_at_once 'same_as_shell borders.sql' 'holds "SELECT count(*) FROM t" 2500'
cat mixed.sql nothing.sql >bytes.sql
fresh
dd if=bytes.sql bs=1 status=none | timeout 120 "$bin" run --quiet t.db - 2>err
rc=$?
ok sql/byte_by_byte '[ $rc -eq 1 ]' 'reports 4' 'said "<stdin>:14: "' \
	'holds "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY a)" 1,3,4,7,9'

{
	printf "CREATE TABLE t(a);INSERT INTO t VALUES('"
	yes "it''s; -- [" | head -c 10000000
	printf ";');\nINSERT INTO t VALUES(2);\nINSERT INTO t VALUES(2,3);\n"
} >long.sql
fresh
penstock run --json t.db long.sql
ok sql/ten_megabytes_in_one_statement '[ $rc -eq 1 ]' 'said "long.sql:833336: SQLITE_ERROR"' \
	'holds "SELECT count(*), max(length(a)) > 9000000 FROM t" "2|1"' '[ "$(figure statements)" -eq 4 ]'
# SQLite lengthens a list by a few entries at a time; a sanitizer copies it all each time.
selects=200000
grep -qE '__(asan|tsan)_' "$bin" && selects=20000
{
	echo 'CREATE TABLE t(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN'
	yes 'SELECT 1;' | head -n "$selects"
	echo 'END; INSERT INTO t VALUES(1);'
} >trigger.sql
fresh
penstock run --json t.db trigger.sql
ok sql/a_trigger_of_many_statements '[ $rc -eq 0 ]' '[ "$(figure statements)" -eq 3 ]'

# ---- several inputs, options ----

fresh 'CREATE TABLE t(a UNIQUE, b)'
for i in 1 2 3 4; do
	seq 1 500 | sed "s/.*/INSERT INTO t VALUES($i * 1000 + &, $i);/" >"part$i.sql"
done
mkfifo f1 f2
# The first input begins when all others have been run.
(exec 9>f1 && eventually holds 'SELECT count(*) FROM t' 1500 && : >others_first; cat part1.sql >&9) &
(sleep 0.1 && cat part2.sql >f2) &
timeout 120 "$bin" run --parallel --json t.db f1 part3.sql - f2 <part4.sql >out 2>err
rc=$?
ok inputs/files_fifos_and_standard_input_in_parallel '[ $rc -eq 0 ]' '[ ! -s err ]' '[ -e others_first ]' \
	'holds "SELECT count(*) FROM t" 2000' \
	'[ "$(figure statements)" -eq 2000 ]' '[ "$(figure failures)" -eq 0 ]' '[ "$(figure committed)" -eq 2000 ]'
ok json/is_an_object 'sqlite3 :memory: "SELECT json_valid(CAST(readfile('\''out'\'') AS TEXT))" | grep -qx 1' \
	'[ "$(figure interrupted)" -eq 0 ]' '[ -z "$(figure failure)" ]' '[ -n "$(figure sqlite)" ]' \
	'(for f in seconds rate batches mean_batch p50_usec p99_usec max_usec accepted failed unknown replayed_batches busy_retries wal_bytes_peak checkpoints penstock; do [ -n "$(figure $f)" ] || { echo $f; exit 1; }; done)'
if command -v python3 >/dev/null; then
	ok json/python_reads_it 'python3 -m json.tool out'
else
	skip json/python_reads_it "no python3"
fi
ok inputs/order_of_each_file_is_kept \
	'holds "SELECT count(*) FROM t x JOIN t y ON y.b = x.b AND y.a = x.a + 1 WHERE y.rowid < x.rowid" 0'


# Inputs are run in the order of the command line, however late the first ones come.
for first in fifo stdin; do
	for second in file fifo; do
		fresh
		rows=part1.sql
		if [ "$second" = fifo ]; then
			rows=f2
			cat part1.sql >f2 &
		fi
		if [ "$first" = fifo ]; then
			(exec 9>f1 && sleep 0.3 && cat table.sql >&9) &
			timeout 60 "$bin" run --json t.db f1 "$rows" part2.sql >out 2>err
		else
			(sleep 0.3 && cat table.sql) | timeout 60 "$bin" run --json t.db - "$rows" part2.sql >out 2>err
		fi
		rc=$?
		ok "inputs/in_order_schema_from_${first}_data_from_$second" '[ $rc -eq 0 ]' '[ ! -s err ]' \
			'[ "$(figure statements)" -eq 1001 ]' 'holds "SELECT count(*) FROM t WHERE b = 1 + (rowid > 500)" 1000'
	done
done
fresh
echo 'nonsense;' >fault.sql
penstock run t.db table.sql fault.sql part1.sql fault.sql nothing.sql part2.sql
ok inputs/in_order_past_a_failure '[ $rc -eq 1 ]' 'reports 2' '[ "$(grep -c "^fault.sql:1: " err)" -eq 2 ]' \
	'holds "SELECT count(*) FROM t" 1000'

fresh 'CREATE TABLE t(a UNIQUE, b)'
for i in 1 2 3 4; do "$bin" run --quiet t.db "part$i.sql"; done
penstock run --json t.db part2.sql part3.sql
ok sql/each_failure_of_many_is_reported_once '[ $rc -eq 1 ]' 'reports 1000' '[ "$(sort -u err | wc -l)" -eq 1000 ]' \
	'[ "$(figure failures)" -eq 1000 ]' 'holds "SELECT count(*) FROM t" 2000'

for ack in none committed durable; do
	fresh 'CREATE TABLE t(a UNIQUE, b)'
	penstock run --ack "$ack" --json t.db part1.sql mixed.sql
	ok "ack/$ack" '[ $rc -eq 1 ]' 'reports 5' 'said "mixed.sql:2: SQLITE_ERROR: table t already exists"' \
		'[ "$(figure failures)" -eq 5 ]' 'holds "SELECT count(*) FROM t" 505'
done
fresh 'CREATE TABLE t(a UNIQUE, b)'
penstock run --ack durable --set synchronous=off --json t.db part1.sql
ok ack/durable_needs_synchronous '[ $rc -eq 1 ]' 'said "part1.sql:1: PENSTOCK_MISUSE: "' 'holds "SELECT count(*) FROM t" 0'

fresh 'CREATE TABLE t(a UNIQUE, b)'
penstock run --quiet t.db part1.sql mixed.sql
ok quiet/failures_only '[ $rc -eq 1 ]' '[ ! -s out ]' 'reports 5' '[ "$(wc -l <err)" -eq 5 ]'
penstock run --quiet --json t.db table.sql
ok quiet/json_is_printed_all_the_same '[ "$(figure failures)" -eq 1 ]'
if script -V >/dev/null 2>&1; then
	mkfifo slow
	: >err
	drawn() { [ "$(tr "\r" "\n" <err | grep -c statements)" -ge "$1" ]; }
	(sed 's/1000/9000/' part1.sql && eventually said '500 statements, ' && eventually drawn 3) >slow &
	timeout 120 script -qec "'$bin' run --json t.db slow >out" /dev/null >err </dev/null
	rc=$?
	ok progress/is_drawn_on_a_terminal '[ $rc -eq 0 ]' 'said "500 statements, "' 'said "queue 0"' 'said "batch "' \
		'drawn 3' '[ "$(figure failures)" -eq 0 ]'
	timeout 120 script -qec "'$bin' run --quiet t.db nothing.sql" /dev/null >err </dev/null
	ok progress/is_not_drawn_when_quiet '[ ! -s err ]'
else
	skip progress/is_drawn_on_a_terminal "no script(1) to make a terminal"
fi

fresh
printf '%s\n' 'CREATE TABLE t(a);' 'CREATE TABLE u(t REFERENCES t(a));' 'INSERT INTO u VALUES(1);' >keys.sql
penstock run --set pragmas.foreign_keys=on t.db keys.sql
ok set/pragma '[ $rc -eq 1 ]' 'said keys.sql:3: '
printf '[pragmas]\nforeign_keys = on\n' >pragma.conf
penstock run --config pragma.conf --set pragmas.foreign_keys=off t.db keys.sql
ok set/wins_over_the_file '[ $rc -eq 1 ]' 'reports 2' 'holds "SELECT count(*) FROM u" 1'
penstock run --set pragmas.quack t.db keys.sql
ok set/pragma_without_a_value '[ $rc -eq 2 ]' 'said key=value'
fresh 'CREATE TABLE t(a UNIQUE, b)'
penstock run --set autostart=no t.db part1.sql
ok set/runs_even_without_autostart '[ $rc -eq 0 ]' 'holds "SELECT count(*) FROM t" 500'
fresh 'CREATE TABLE t(a UNIQUE, b)'
penstock run --set ring_slots=2 --set when_full=fail --json t.db part1.sql part2.sql
ok set/refusals_are_reported '[ $rc -eq 1 ]' 'said "part1.sql:"' 'said ": PENSTOCK_FULL: the ring is full"' \
	'reports "$(figure failures)"' '[ $(($(figure committed) + $(figure failures))) -eq 1000 ]' \
	'holds "SELECT count(*) FROM t" "$(figure committed)"'

# ---- CSV ----

insert='INSERT INTO t VALUES(?,?)'
printf '\xef\xbb\xbf1,one\r\n2," a ""quoted"" one, with\nnewline "\n\n\r\n3\n4,four,5\n5, five \n"6",\n7,sev"en\n"8"x,8\n,nine\n10,ten' >rows.csv
fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
penstock run --csv rows.csv --sql "$insert" --json t.db
ok csv/fields_are_bound_as_text '[ "$(ask "SELECT group_concat(typeof(a) || typeof(b)) FROM t WHERE a = 1")" = texttext ]' \
	'holds "SELECT b FROM t WHERE a = 1" one' 'holds "SELECT b FROM t WHERE a = 5" " five "' \
	'holds "SELECT quote(b) FROM t WHERE a = 6" "'\'\''"' 'holds "SELECT b FROM t WHERE a = '\'\''" nine' \
	'holds "SELECT b FROM t WHERE a = 10" ten' 'holds "SELECT b FROM t WHERE a = 2" " a \"quoted\" one, with
newline "'
ok csv/faulty_records_are_reported_with_their_line '[ $rc -eq 1 ]' 'reports 4' 'said "rows.csv:6: fewer fields than"' \
	'said "rows.csv:7: more fields than"' 'said "rows.csv:10: a quote inside"' 'said "rows.csv:11: text behind"' \
	'[ "$(figure statements)" -eq 10 ]' '[ "$(figure failures)" -eq 4 ]' 'holds "SELECT count(*) FROM t" 6'
printf '1,2\n3,"never closed\n4,5\n' >open.csv
fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
penstock run --csv open.csv --sql "$insert" t.db
ok csv/quote_that_is_never_closed '[ $rc -eq 1 ]' 'reports 1' 'said "open.csv:2: the quote"' 'holds "SELECT count(*) FROM t" 1'
printf '1,x\0y\n' >nul.csv
fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
penstock run --csv nul.csv --sql "$insert" t.db
ok csv/nul_byte_is_kept '[ $rc -eq 0 ]' 'holds "SELECT hex(b) FROM t" 780079'
printf '1,x\r2,"y\n\nz"\r3,a"b\r\r4,w' >cr.csv
fresh 'CREATE TABLE t(a, b)'
penstock run --csv cr.csv --sql "$insert" t.db
ok csv/carriage_return_ends_a_line_too '[ $rc -eq 1 ]' 'reports 1' 'said "cr.csv:3: a quote inside"' \
	'holds "SELECT group_concat(a || hex(b)) FROM (SELECT * FROM t ORDER BY a)" 178,2790A0A7A,477'
# The chunk's end is between the two bytes.
awk 'BEGIN { printf "%065532d,x\ry\n,z\n", 1 }' >cut.csv
fresh 'CREATE TABLE t(a, b)'
penstock run --csv cut.csv --sql "$insert" t.db
ok csv/carriage_return_before_the_end_of_a_chunk 'reports 1' 'said "cut.csv:1: fewer fields"' 'holds "SELECT count(*), max(length(a)) FROM t" "2|65532"'
: >empty.csv
penstock run --csv empty.csv --csv nul.csv --sql "INSERT INTO t VALUES(? || 'x', ?)" --json t.db
ok csv/empty_file_and_another '[ $rc -eq 0 ]' '[ "$(figure statements)" -eq 1 ]'
# refused_sql NAME MESSAGE STATEMENT: said once, before any record.
refused_sql() {
	fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
	seq 1 1000 | sed 's/$/,x/' >thousand.csv
	penstock run --csv thousand.csv --sql "$3" t.db
	ok "csv/$1" '[ $rc -eq 2 ]' '[ "$(wc -l <err)" -eq 1 ]' "said \"$2\"" 'holds "SELECT count(*) FROM t" 0'
}
refused_sql statement_that_cannot_be_prepared 'no such table: missing; nothing was run' 'INSERT INTO missing VALUES(?,?)'
refused_sql two_statements 'more than one statement' 'INSERT INTO t VALUES(?,?); SELECT ?'
refused_sql statement_without_parameters 'has no parameters' "INSERT INTO t VALUES(1,2)"
refused_sql no_statement 'this is no statement' '-- nothing'

# ---- CSV: headers, tables, delimiters ----

printf 'Name,id\r\none,1\r\ntwo,2\r\n' >head1.csv
printf 'ID,extra,name\n3,x,three\n' >head2.csv
fresh 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)'
penstock run --csv head1.csv --csv head2.csv --header --sql 'INSERT INTO t VALUES(:id, @name)' t.db
ok header/binds_by_name '[ $rc -eq 0 ]' 'holds "SELECT group_concat(id || name) FROM t" 1one,2two,3three' \
	'grep -qE "^statements +3$" out' 'grep -qE "^ +2 +2 +0  head1.csv$" out' 'grep -qE "^ +1 +1 +0  head2.csv$" out'
fresh 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)'
penstock run --csv head1.csv --csv head2.csv --header --table t t.db
ok header/table_takes_its_columns '[ $rc -eq 0 ]' 'holds "SELECT group_concat(id || name) FROM t" 1one,2two,3three'
penstock run --csv head1.csv --header --sql 'INSERT INTO t VALUES(:id, :nome)' t.db
ok header/a_column_that_is_not_there '[ $rc -eq 2 ]' "said \"'head1.csv': its header has no column 'nome'\""
fresh 'CREATE TABLE t(a, b)'
penstock run --csv head1.csv --header --sql 'INSERT INTO t VALUES(?, ?)' t.db
ok header/is_no_record '[ $rc -eq 0 ]' 'holds "SELECT group_concat(a || b) FROM t" one1,two2'
fresh 'CREATE TABLE t(a, b)'
penstock run --csv head1.csv --sql 'INSERT INTO t VALUES(?, ?)' t.db
ok header/that_nobody_named_is_said '[ $rc -eq 0 ]' "said \"'head1.csv': its first line looks like a header\"" 'holds "SELECT count(*) FROM t" 3'
fresh 'CREATE TABLE t(a, b)'
printf 'red,green\nblue,white\n' >colours.csv
penstock run --csv colours.csv --sql 'INSERT INTO t VALUES(?, ?)' t.db
ok header/nothing_is_said_of_words '[ $rc -eq 0 ]' '[ ! -s err ]'
printf 'id,name\n1,one\n2\n3,three,more\n4,four,more\n' >ragged.csv
fresh 'CREATE TABLE t(id, name)'
penstock run --csv ragged.csv --header --table t t.db
ok header/records_of_another_length_fail '[ $rc -eq 1 ]' 'reports 3' 'said "ragged.csv:3: fewer fields than the header has"' \
	'said "ragged.csv:4: more fields than the header has"' 'holds "SELECT count(*) FROM t" 1'
fresh 'CREATE TABLE t(id, name)'
penstock run --csv ragged.csv --header --table t --lax t.db
ok lax/pads_and_leaves_out '[ $rc -eq 0 ]' '[ "$(wc -l <err)" -eq 1 ]' 'said "ragged.csv:4: more fields"' \
	'holds "SELECT group_concat(id || ifnull(name, '\'-\'')) FROM t" 1one,2-,3three,4four'
(printf 'title\nby somebody\n'; cat head1.csv) >titled.csv
fresh
penstock run --csv titled.csv --skip 2 --header --table 'my "t"' --create t.db
ok create/table_of_text '[ $rc -eq 0 ]' 'holds "SELECT group_concat(Name || typeof(id)) FROM \"my \"\"t\"\"\"" onetext,twotext'
printf 'a,b,c,d,e\n1,1.5,x,007,\n-2,2,3,1,\n' >types.csv
fresh
penstock run --csv types.csv --header --table t --create=guess t.db
ok create/guesses '[ $rc -eq 0 ]' 'holds "SELECT group_concat(type) FROM pragma_table_info('\''t'\'')" INTEGER,REAL,TEXT,TEXT,TEXT' \
	'holds "SELECT typeof(a) || typeof(b) || d FROM t WHERE a = 1" integerreal007'
fresh
penstock run --csv t.csv --table t --create t.db
ok create/without_a_header '[ $rc -eq 0 ]' 'holds "SELECT c1 || c2 FROM t" 12'
fresh
penstock run --csv t.csv --table t t.db
ok table/that_is_missing '[ $rc -eq 2 ]' "said \"there is no table 't'\""
printf '1\t"two"\n2\ta"b\n' >tabs.tsv
fresh 'CREATE TABLE t(a, b)'
penstock run --csv tabs.tsv --tsv --table t t.db
ok tsv/quotes_are_bytes_like_others '[ $rc -eq 0 ]' 'holds "SELECT group_concat(b) FROM t" "\"two\",a\"b"'
printf '1;"x;y"\n2;NA\n' >semi.csv
fresh 'CREATE TABLE t(a, b)'
penstock run --csv semi.csv --delimiter ';' --null NA --table t t.db
ok delimiter/and_null '[ $rc -eq 0 ]' 'holds "SELECT group_concat(ifnull(b, '\'nothing\'')) FROM t" "x;y,nothing"'
for threads in 1 4; do
	fresh 'CREATE TABLE t(b, a)'
	(echo a,b; cat many.csv 2>/dev/null || seq 1 30000 | sed 's/$/,x/') >named.csv
	penstock run --csv named.csv --header --threads "$threads" --table t --json t.db
	ok "header/of_a_long_file_by_$threads" '[ $rc -eq 0 ]' 'holds "SELECT count(*) FROM t" 30000' 'holds "SELECT sum(a) FROM t" 450015000'
done
wrong header_without_csv "only for --csv" run --header t.db table.sql
wrong table_and_sql "--sql and --table" run --csv t.csv --table t --sql 'SELECT ?' t.db
wrong create_without_table "--create: makes the table of --table" run --csv t.csv --sql 'SELECT ?' --create t.db
wrong delimiter_of_two "not one byte" run --csv t.csv --sql 'SELECT ?' --delimiter ';;' t.db
wrong unknown_output "--output quack" run --output quack t.db table.sql
wrong no_errors "not a number above 0" run --max-errors 0 t.db table.sql
wrong output_without_outcomes "need outcomes" run --output csv --ack none t.db table.sql

# Which of two columns of one name is meant, nobody knows; where none of them is asked for, it does not matter.
printf 'a,b,A\n1,2,3\n' >twice.csv
for what in "--table t" "--sql INSERT/**/INTO/**/t/**/VALUES(:b,:a)" "--sql INSERT/**/INTO/**/t(b)VALUES(:b)"; do
	fresh 'CREATE TABLE t(a, b)'
	# shellcheck disable=SC2086
	penstock run --csv twice.csv --header $what t.db
	case $what in
	*:a*|*table*) ok "header/twice_${what// /_}" '[ $rc -eq 2 ]' 'said "the column '\''a'\'' twice; nothing was run"' 'holds "SELECT count(*) FROM t" 0' ;;
	*) ok "header/twice_${what// /_}" '[ $rc -eq 0 ]' 'holds "SELECT b FROM t" 2' ;;
	esac
done
# Lines end as elsewhere: in a line feed, a carriage return or both.
for end in '\n' '\r' '\r\n'; do
	fresh
	printf "a title, \"of sorts$end${end}a,b${end}1,2${end}3$end" >skipped.csv
	penstock run --skip 2 --csv skipped.csv --header --table t --create t.db
	ok "skip/of_lines_that_end_in_$end" 'reports 1' '[ $rc -eq 1 ]' 'holds "SELECT a, b FROM t" "1|2"'
done

# A file without even a header says nothing of the columns.
printf 'b,a\n2,1\n' >ba.csv
: >nothing.csv
for create in "" --create; do
	fresh
	[ -n "$create" ] || fresh 'CREATE TABLE t(a, b)'
	# shellcheck disable=SC2086
	penstock run --csv nothing.csv --csv ba.csv --header --table t $create t.db
	ok "header/of_the_first_file_that_has_one_$create" '[ $rc -eq 0 ]' 'holds "SELECT a, b FROM t" "1|2"'
done

# Where the header cannot be read, nobody knows which field is which.
printf 'b"x,a\n1,2\n' >quote.csv
for order in "--csv quote.csv" "--csv nothing.csv --csv quote.csv" "--csv quote.csv --lax"; do
	fresh 'CREATE TABLE t(a, b)'
	# shellcheck disable=SC2086
	penstock run $order --header --table t t.db
	ok "header/with_a_fault_$order" '[ $rc -eq 2 ]' 'said "'\''quote.csv'\'': its header cannot be read: a quote inside"' 'holds "SELECT count(*) FROM t" 0'
done
for header in "" --header; do
	fresh
	# shellcheck disable=SC2086
	penstock run --csv quote.csv $header --table t --create t.db
	ok "create/of_a_record_with_a_fault_$header" '[ $rc -eq 2 ]' '! said "CREATE TABLE"' 'said "; nothing was run"'
done

# ---- failures: setup, bail, rejects ----

printf 'CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b CHECK(b <> 5));\n' >setup.sql
seq 1 9 | sed 's/.*/INSERT INTO t VALUES(&, &);/' >nine.sql
fresh
penstock run --setup setup.sql --json t.db nine.sql
ok setup/runs_first '[ $rc -eq 1 ]' 'reports 1' 'holds "SELECT count(*) FROM t" 8' '[ "$(figure statements)" -eq 9 ]'
fresh
penstock run --setup fault.sql t.db table.sql
ok setup/that_fails_ends_the_run '[ $rc -eq 2 ]' 'said "fault.sql:1: SQLITE_ERROR"' 'said "nothing else was run"' 'holds "SELECT count(*) FROM sqlite_schema" 0'
fresh
printf 'CREATE TABLE t(a);\n.mode csv\nCREATE TABLE u(a);\n' >dot_setup.sql
penstock run --setup dot_setup.sql t.db table.sql
ok setup/ends_at_what_is_no_statement '[ $rc -eq 2 ]' 'said dot_setup.sql:2:' 'reports 1' 'holds "SELECT group_concat(name) FROM sqlite_schema" t'
fresh
printf 'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a, b);\nCOMMIT;\n' >dump.sql
printf 'a,b\n1,2\n' >ab.csv
penstock run --setup dump.sql --csv ab.csv --header --table t t.db
ok setup/may_be_a_dump '[ $rc -eq 0 ]' 'holds "SELECT a, b FROM t" "1|2"'
fresh
printf 'a,c\n1,2\n' >ac.csv
penstock run --csv ab.csv --csv ac.csv --header --table t --create t.db
ok setup/is_not_nothing_create '[ $rc -eq 2 ]' 'said "no column '\''b'\''; nothing else was run"' 'holds "SELECT count(*) FROM t" 0'
fresh
penstock run --setup setup.sql --csv ab.csv --header --table missing t.db
ok setup/is_not_nothing '[ $rc -eq 2 ]' 'said "nothing else was run"' 'holds "SELECT count(*) FROM t" 0'
penstock run --csv ab.csv --header --table missing t.db
ok setup/nothing_is_nothing '[ $rc -eq 2 ]' 'said "; nothing was run"'
fresh
penstock run --setup setup.sql --bail t.db nine.sql
ok bail/nothing_runs_behind_a_failure '[ $rc -eq 1 ]' 'reports 1' 'said nine.sql:5:' 'said "1 failures: the rest was not read"' 'holds "SELECT max(a) FROM t" 4'
fresh
yes 'nonsense;' | head -n 20000 >faults.sql
penstock run --max-errors 10 --set ring_slots=4 --json t.db faults.sql
ok max_errors/ends_the_reading '[ $rc -eq 1 ]' 'said "the rest was not read"' '[ "$(figure failures)" -ge 10 ]' '[ "$(figure failures)" -lt 20000 ]'
fresh
penstock run --setup setup.sql --rejects again.sql t.db nine.sql
ok rejects/statements '[ $rc -eq 1 ]' '[ "$(cat again.sql)" = "INSERT INTO t VALUES(5, 5);" ]'
# Each ends where it ended, a comment at the end of a file included. What has no end would take the next one into it.
printf 'INSERT INTO t VALUES(5, 5) -- the last' >comment.sql
printf "INSERT INTO t VALUES(5, 'x" >quote.sql
printf 'CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1;' >trigger.sql
printf 'INSERT INTO t VALUES(6, 5) /* no end' >open.sql
printf '\nINSERT INTO t VALUES(7, 5)\nGO\n' >go.sql
fresh
penstock run --quiet --setup setup.sql --rejects again.sql t.db comment.sql quote.sql trigger.sql open.sql go.sql
ok rejects/statements_end '[ $rc -eq 1 ]' 'reports 5' 'said quote.sql:1:' 'said trigger.sql:1:'
fresh
penstock run --quiet --setup setup.sql --rejects again2.sql t.db again.sql
ok rejects/statements_can_be_read_again 'cmp again.sql again2.sql' 'reports 3' 'reports "$(grep -c CONSTRAINT err)"'
printf 'a,b\n1,x\n1,"y ""z"", w"\n2\n1,v\n' >rejected.csv
fresh
penstock run --setup setup.sql --csv rejected.csv --header --table t --rejects again.csv t.db
ok rejects/records '[ $rc -eq 1 ]' 'reports 3' 'holds "SELECT count(*) FROM t" 1'
printf '"a","b"\n"1","y ""z"", w"\n"2"\n"1","v"\n' >wanted.csv
ok rejects/can_be_read_again 'cmp again.csv wanted.csv'
penstock run --quiet --csv again.csv --header --table t --rejects again2.csv t.db
ok rejects/are_the_same_again '[ $rc -eq 1 ]' 'reports 3' 'cmp again.csv again2.csv'
penstock run --csv ab.csv --header --table t --rejects again2.csv t.db
ok rejects/have_no_header_alone '[ $rc -eq 1 ]' '[ "$(wc -l <again2.csv)" -eq 2 ]'
ask 'DELETE FROM t'
penstock run --csv ab.csv --header --table t --rejects again2.csv t.db
ok rejects/none_are_nothing '[ $rc -eq 0 ]' '[ ! -s again2.csv ]'
penstock run --csv nothing.csv --csv ab.csv --csv ba.csv --header --table t --rejects again.csv t.db
ok rejects/have_one_header '[ $rc -eq 2 ]' "said \"'ba.csv' has another header\"" 'cmp again.csv wanted.csv'
# Neither what a run reads nor the database is emptied, by whatever name; nor the rejects of the last run, when nothing is run.
clashes() {
	rm -rf clash && mkdir clash && cp setup.sql nine.sql rejected.csv clash
	echo '# a configuration' >clash/conf
	ln -s nine.sql clash/soft
	ln clash/nine.sql clash/hard
	sqlite3 -batch clash/t.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(7)' >notes
	cp -r clash clash.kept
	for name in nine.sql soft hard setup.sql conf t.db ./t.db clash/t.db-wal rejected.csv; do
		name=clash/${name#clash/}
		from=(clash/nine.sql)
		[ "$name" != clash/rejected.csv ] || from=(--csv clash/rejected.csv --header --table t)
		penstock run --setup clash/setup.sql --config clash/conf --rejects "$name" clash/t.db "${from[@]}"
		[ $rc -eq 2 ] && said "--rejects $name: this is" || { echo "$name"; return 1; }
	done
	diff -r clash.kept clash
}
ok rejects/are_no_file_of_the_run clashes '[ "$(sqlite3 -batch clash/t.db "SELECT * FROM t")" = 7 ]'
fresh
penstock run --rejects t.db t.db nine.sql
ok rejects/are_not_the_database_to_be '[ $rc -eq 2 ]' 'said "this is the database"' '[ ! -e t.db ]'
cp wanted.csv again.csv
penstock run --csv rejected.csv --header --table missing --rejects again.csv t.db
ok rejects/stay_where_nothing_is_run '[ $rc -eq 2 ]' 'cmp again.csv wanted.csv'
# Faults are found long before the outcomes of what stands before them.
awk 'BEGIN { for (i = 1; i <= 2000; i++) print (i % 3 == 0 ? "nonsense;" : i % 3 == 1 ? ".dot" : "SELECT 1;") }' >order.sql
fresh
penstock run t.db order.sql
ok report/in_the_order_of_the_file '[ $rc -eq 1 ]' 'reports 1333' \
	'[ "$(sed -n "s/^order.sql:\([0-9]*\):.*/\1/p" err | sort -n -c 2>&1)" = "" ]' 'sed -n "s/^order.sql:\([0-9]*\):.*/\1/p" err | sort -n -c'

# ---- rows ----

printf "CREATE TABLE t(a, b);INSERT INTO t VALUES(1, 'x,\"y') RETURNING a, b;INSERT INTO t VALUES(2.5, NULL);INSERT INTO t VALUES(3, x'0aff');SELECT a, b AS \"the b\" FROM t WHERE a > 1;" >rows.sql
fresh
penstock run --output csv t.db rows.sql
printf 'a,b\r\n1,"x,""y"\r\na,the b\r\n2.5,\r\n3,0aff\r\n' >wanted
ok output/csv '[ $rc -eq 0 ]' 'cmp out wanted' 'said "rows changed"'
fresh
penstock run --output json --quiet t.db rows.sql
printf '{"a":1,"b":"x,\\"y"}\n{"a":2.5,"the b":null}\n{"a":3,"the b":"0aff"}\n' >wanted
ok output/json '[ $rc -eq 0 ]' 'cmp out wanted' '[ ! -s err ]'
echo "SELECT 'a' || char(0) || 'b' AS nul, 'é' || CAST(x'ff' AS TEXT) || 'é' || CAST(x'c3' AS TEXT) AS bytes;" >odd.sql
penstock run --output json --quiet t.db odd.sql
printf '{"nul":"a\\u0000b","bytes":"é\\ufffdé\\ufffd"}\n' >wanted
ok output/json_of_texts_that_are_none '[ $rc -eq 0 ]' 'cmp out wanted'
fresh
penstock run --output table --quiet t.db rows.sql
printf 'a  b\n1  x,"y\na    the b\n2.5  \n3    0aff\n' >wanted
ok output/table '[ $rc -eq 0 ]' 'cmp out wanted'
fresh 'CREATE TABLE t(a, b)'
sqlite3 -batch t.db 'CREATE VIRTUAL TABLE f USING fts5(x)' .dump >virtual.sql 2>/dev/null || :
if grep -q writable_schema virtual.sql; then
	fresh
	penstock run t.db virtual.sql
	ok sql/virtual_tables_of_a_dump_name_the_key '[ $rc -eq 1 ]' 'said defensive=no'
	fresh
	penstock run --set defensive=no t.db virtual.sql
	ok sql/virtual_tables_of_a_dump_with_the_key 'said "" || [ $rc -le 1 ]' 'holds "SELECT count(*) FROM sqlite_schema WHERE name = '\''f'\''" 1'
else
	skip sql/virtual_tables_of_a_dump "this shell has no FTS5"
fi

# Records of many lengths, with a newline in each, over many chunks and shared by threads.
awk 'BEGIN { for (i = 1; i <= 30000; i++) printf "%d,\"%s\"\"%*s\n%d\"\n", i, i % 2 ? "," : ";", i % 113, "", i }' >many.csv
for threads in 1 4; do
	fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
	penstock run --csv many.csv --threads "$threads" --sql "$insert" --json --ack none t.db
	ok "csv/thirty_thousand_records_by_$threads" '[ $rc -eq 0 ]' \
		'holds "SELECT count(*), sum(a), sum(length(b)) FROM t" "30000|450015000|$(awk "BEGIN { for (i = 1; i <= 30000; i++) n += 3 + (i % 113 > 0 ? i % 113 : 0) + length(i); print n }")"'
done
# Nobody begins the second file while another thread still has records of the first. The small ring keeps it busy with them.
seq 40001 45000 | sed 's/$/,x/' >more.csv
for threads in 1 4; do
	fresh 'CREATE TABLE t(a TEXT, b)'
	penstock run --csv many.csv --csv more.csv --csv t.csv --threads "$threads" --sql "$insert" --set ring_slots=2 --json --ack none t.db
	ok "csv/files_in_order_by_$threads" '[ $rc -eq 0 ]' 'holds "SELECT count(*) FROM t" 35001' \
		'holds "SELECT count(*) FROM t WHERE (CAST(a AS INTEGER) < 40000) <> (rowid <= 30000)" 1' 'holds "SELECT max(rowid) FROM t WHERE a = 1" 35001'
done
mkfifo c1 c2
fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
(exec 9>c1 && eventually holds 'SELECT count(*) FROM t' 5001 && : >others_too; cat many.csv >&9 && echo '30001,x' >&9 && echo '5,twice' >&9) &
{ sleep 0.2 && cat more.csv; } >c2 &
echo '50001,50002' | timeout 120 "$bin" run --parallel --json --csv c1 --csv c2 --csv - --threads 3 --sql "$insert" t.db >out 2>err
rc=$?
ok csv/fifos_and_standard_input_in_parallel '[ $rc -eq 1 ]' '[ -e others_too ]' 'reports 1' '[ "$(figure statements)" -eq 35003 ]' \
	'holds "SELECT count(*) FROM t" 35002'
{
	printf '1,"'
	yes 'a,""b' | head -c 20000000
	printf '"\n2,x\n'
} >long.csv
fresh 'CREATE TABLE t(a TEXT UNIQUE, b)'
penstock run --csv long.csv --sql "$insert" --json t.db
ok csv/field_of_twenty_megabytes '[ $rc -eq 0 ]' 'holds "SELECT count(*), max(length(b)) FROM t" "2|16666667"'

# ---- signals ----

# Leaves penstock waiting in a FIFO for the rest of a statement, with one row there.
wait_in_fifo() {
	fresh 'CREATE TABLE t(a UNIQUE, b)'
	rm -f f9
	mkfifo f9
	exec 9<>f9
	start run --json "$@" t.db f9
	echo 'INSERT INTO t VALUES(1, 1); INSERT INTO t VALUES(2' >&9
	eventually holds 'SELECT count(*) FROM t' 1
}
for signal in INT TERM HUP; do
	wait_in_fifo
	kill -s "$signal" "$pid"
	finish
	exec 9>&-
	ok "signal/$signal"_ends_the_reading '[ $rc -eq 0 ]' '[ "$(figure interrupted)" -eq 1 ]' "said SIG$signal" \
		'[ "$(figure statements)" -eq 1 ]' 'holds "SELECT count(*) FROM t" 1'
done
wait_in_fifo --quiet
echo ',2); nonsense;' >&9
eventually said f9:2:
kill -s INT "$pid"
finish
exec 9>&-
ok signal/failures_decide_the_status '[ $rc -eq 1 ]' '[ "$(figure statements)" -eq 3 ]' '! said SIGINT'

fresh 'CREATE TABLE t(a, b)'
yes '1,2' >c1 &
start run --quiet --json --csv c1 --threads 4 --ack none --sql "$insert" t.db
eventually holds 'SELECT count(*) > 0 FROM t' 1
kill -s INT "$pid"
finish
ok signal/INT_in_the_midst_of_plenty '[ $rc -eq 0 ]' '[ "$(figure interrupted)" -eq 1 ]' \
	'holds "SELECT count(*) FROM t" "$(figure committed)"'

# One thread submits the rest of the first file into a small ring that nobody empties; the others have found its end.
for threads in 1 4; do
	fresh 'CREATE TABLE t(a, b)'
	rm -f f9
	mkfifo f9
	exec 9<>f9
	start run --json --csv f9 --csv t.csv --threads "$threads" --set ring_slots=2 --sql "$insert" t.db 9>&-
	echo '0,x' >&9
	eventually holds 'SELECT count(*) FROM t' 1
	exec 8> >(exec sqlite3 -batch t.db >held 2>&1 9>&-)
	echo "BEGIN IMMEDIATE; SELECT 'locked';" >&8
	eventually grep -q locked held
	head -n 100 more.csv >&9
	exec 9>&-
	sleep 0.3
	kill -s INT "$pid"
	eventually said SIGINT
	exec 8>&-
	finish
	ok "signal/INT_between_files_of_${threads}_threads" '[ $rc -eq 0 ]' '[ "$(figure interrupted)" -eq 1 ]' \
		'[ "$(figure statements)" -lt 101 ]' 'holds "SELECT count(*) FROM t" "$(figure statements)"' \
		'holds "SELECT count(*) FROM t WHERE a = 1" 0'
done

# A drain that cannot end, since somebody else holds the lock, ends by the second signal. The first one must not come before the
# statement has been read, which nobody sees: then the drain does end, and one more attempt gives it longer.
for seconds in 0.3 1 5 30; do
	wait_in_fifo
	exec 8> >(exec sqlite3 -batch t.db >held 2>&1)
	echo "BEGIN IMMEDIATE; SELECT 'locked';" >&8
	eventually grep -q locked held
	echo ',2);' >&9
	sleep "$seconds"
	kill -s INT "$pid"
	eventually said 'once more ends at once'
	sleep 0.5
	printed '}' && drained=yes || drained=no
	kill -s INT "$pid"
	finish
	exec 8>&- 9>&-
	[ "$rc" != 130 ] || break
done
ok signal/the_second_ends_at_once '[ "$drained" = no ]' '[ $rc -eq 130 ]'

signals=(--ignore-signal=INT)
wait_in_fifo
kill -s INT "$pid"
sleep 0.3
echo ',2);' >&9
eventually holds 'SELECT count(*) FROM t' 2
kill -s TERM "$pid"
finish
exec 9>&-
ok signal/ignored_ones_stay_ignored '[ $rc -eq 0 ]' 'holds "SELECT count(*) FROM t" 2' 'said SIGTERM'

# ---- what cannot be written ----

statements() { seq "$1" "$2" | sed "s/.*/INSERT INTO t VALUES(&, 'a text of some length');/"; }

fresh 'CREATE TABLE t(a, b)'
rm -f away.db feed idle
mkfifo feed idle
exec 9<>idle
start run --parallel --json t.db feed idle
exec 8>feed
statements 1 100 >&8
eventually holds 'SELECT count(*) FROM t' 100
mv t.db away.db
# Until nobody reads any more.
statements 101 20000 >&8 2>/dev/null
exec 8>&-
finish
exec 9>&-
ok disk/the_engine_fails_and_says_so_once '[ $rc -eq 1 ]' '[ "$(grep -c "^penstock: the engine failed" err)" -eq 1 ]' \
	'said "feed:" && said ": PENSTOCK_UNKNOWN: "' '[ -n "$(figure failure)" ]' '[ "$(figure unknown)" -gt 0 ]'
ok disk/each_statement_has_its_report 'reports "$(figure failures)"' '[ "$(figure interrupted)" -eq 0 ]' \
	'[ "$(sqlite3 -batch away.db "SELECT count(*) FROM t")" -ge "$(figure committed)" ]'

# A write beyond the limit fails, and the next one as well. What penstock prints goes through pipes, which have none.
fresh 'CREATE TABLE t(a, b)'
statements 1 10000 >disk.sql
limited() {
	(
		trap '' XFSZ
		ulimit -f 200
		exec timeout 120 "$bin" "$@"
	)
}
{ limited run --json t.db disk.sql 2>&1 >&3 | cat >err; } 3>&1 | cat >out
ok disk/what_has_no_room_fails_and_the_engine_does_not 'said ": SQLITE_IOERR_WRITE: "' '[ -z "$(figure failure)" ]' \
	'[ "$(figure unknown)" -eq 0 ]' 'reports "$(figure failures)"' '[ "$(figure failures)" -gt 0 ]' \
	'[ "$(ask "SELECT count(*) FROM t")" -eq "$(figure committed)" ]'

fresh 'CREATE TABLE t(a UNIQUE, b)'
timeout 120 "$bin" run t.db part1.sql 2>err | true
rc=${PIPESTATUS[0]}
ok output/a_closed_pipe_loses_no_write '[ $rc -eq 2 ]' 'said "cannot write the summary"' 'holds "SELECT count(*) FROM t" 500'
if [ -w /dev/full ]; then
	timeout 120 "$bin" run --json t.db part2.sql 2>err >/dev/full
	rc=$?
	ok output/a_full_disk_is_reported '[ $rc -eq 2 ]' 'said "No space left"' 'holds "SELECT count(*) FROM t" 1000'
else
	skip output/a_full_disk_is_reported "no /dev/full"
fi

# ---- real input ----

ok rows/chinook_is_the_same_as_the_shell 'same_as_shell "$data/chinook-rows.sql"' '[ $rc -eq 0 ]' '[ ! -s err ]' '[ "$(wc -l <theirs)" -gt 15000 ]'

finished
