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

for client in curl python3 wrk; do
	command -v "$client" >/dev/null || { echo "1..0 # SKIP $client is not installed"; exit 0; }
done

run() { # EXAMPLE ARGUMENT...: leaves rc, out and err
	timeout -k 5 120 "$examples/$1" "${@:2}" >out 2>err
	rc=$?
}

query() { sqlite3 -batch -cmd '.timeout 60000' "$@"; } # DATABASE SQL...

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

# ---- bank ----

transfers() { query bank.db "SELECT count(*) FROM transfers"; }
more_than() { [ "$(transfers)" -gt "$1" ]; } # NUMBER
wrong() { # balances that do not follow from what is written down
	query bank.db "SELECT count(*) FROM accounts WHERE balance < 0 OR balance <> 100
		+ (SELECT coalesce(sum(amount), 0) FROM transfers WHERE credit = accounts.id)
		- (SELECT coalesce(sum(amount), 0) FROM transfers WHERE debit = accounts.id)"
}
sum() { query bank.db "SELECT sum(balance) FROM accounts"; }

run bank bank.db 100
made=$(sed -nE 's/^([0-9]+) transfers by group, ([0-9]+) by call, .*/\1 + \2/p' out)
ok "bank: each transfer happens as a whole or not at all" \
	'[ $rc = 0 ]' '[ "$(transfers)" = $((made)) ]' '[ "$(sum)" = 1000 ]' '[ "$(wrong)" = 0 ]'
ok "bank: both ways make some, and refuse the overdraft and the unknown account" \
	'[ "${made%% *}" -gt 0 ]' '[ "${made##* }" -gt 0 ]' 'printed "a group is refused at its statement"' 'printed "a call is refused: "'

before=$(transfers)
"$examples/bank" bank.db 1000000 >out 2>err &
pid=$!
eventually more_than $((before + 200))
kill -s KILL $pid
finish 2>/dev/null
ok "bank: killed in the midst, no half of a transfer is there" \
	'[ $rc = 137 ]' '[ "$(sum)" = 1000 ]' '[ "$(wrong)" = 0 ]'

# ---- the HTTP services ----

serve() { # EXAMPLE ARGUMENT...: leaves pid and port; what it says goes to served and errors
	: >served
	env "${signals[@]}" "$examples/$1" "${@:2}" >served 2>errors &
	pid=$!
	eventually listening
	port=$(sed -nE 's/^listening on port ([0-9]+)$/\1/p' served)
}
listening() { grep -q '^listening on port' served || gone; }
refused() { ! curl -s -o page "http://127.0.0.1:$port/"; }

clients() { # CLIENTS REQUESTS [SERVER]: leaves answers; with & for what is done meanwhile
	timeout 300 "$source/tests/command/http_clients.py" "$port" "$@" >answers 2>err
}
answered() { grep -c "^$1 " answers; } # STATUS: how many
at_least() { [ "$(answered "$1")" -ge "$2" ]; } # STATUS NUMBER

# The answers 200 whose event is not in the table under the id that the client was told.
missing() { # DATABASE
	grep '^200 ' answers >stored
	query "$1" "CREATE TEMP TABLE stored(status, id INTEGER, retry, client INTEGER, number INTEGER)" ".separator ' '" ".import stored stored" \
		"SELECT count(*) FROM stored LEFT JOIN events USING(id)
			WHERE event IS NULL OR event ->> 'client' <> client OR event ->> 'number' <> number"
}
rows() { query "$1" "SELECT count(*) FROM events"; } # DATABASE

outcomes() { sed -nE "s/^penstock_outcomes_total\{.*status=\"$1\"\} //p" page; } # STATUS

pipelined() { # what it answers
	local header='POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n'
	exec 8<>"/dev/tcp/127.0.0.1/$port"
	printf "$header\r\n1$header\r\n2${header}Connection: close\r\n\r\n3" >&8
	timeout 120 cat <&8
	exec 8>&-
}

# Clients that send several events at once, and are gone before the first answer.
leave() {
	local header='POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n' i
	for i in {1..20}; do
		exec 8<>"/dev/tcp/127.0.0.1/$port"
		printf "${header}1${header}2${header}3${header}4" >&8
		exec 8>&-
	done 2>/dev/null
}

head_alone() { # what it answers to a HEAD
	exec 8<>"/dev/tcp/127.0.0.1/$port"
	printf 'HEAD /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&8
	timeout 120 cat <&8
	exec 8>&-
}

upgrade() ( # what it answers to one that offers another protocol, and then to the next; it may close behind the first
	trap '' PIPE
	exec 8<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n' >&8
	while IFS= read -r -t 120 line <&8; do
		printf '%s\n' "$line"
		[ "${line#POST}" = "$line" ] || break
	done
	printf 'GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&8
	timeout 120 cat <&8
) 2>/dev/null

# A shell holds the database's write lock: whatever is queued stays so.
lock() { # DATABASE
	rm -f pipe locked
	mkfifo pipe
	sqlite3 -batch "$1" <pipe >/dev/null 2>&1 &
	holder=$!
	exec 9>pipe
	echo 'BEGIN IMMEDIATE;' >&9
	echo '.shell touch locked' >&9
	eventually [ -e locked ]
}
unlock() {
	printf 'ROLLBACK;\n.quit\n' >&9
	exec 9>&-
	wait $holder
}

# As wrk sees it: each id that was answered goes to a file of the thread.
cat >wrk.lua <<'END'
local threads = 0
function setup(thread)
	threads = threads + 1
	thread:set("number", threads)
end
function init()
	ids = io.open("ids-" .. number, "w")
	ids:setvbuf("line")
end
function request()
	return wrk.format("POST", "/events", nil, '{"temperature": 21}')
end
function response(status, headers, body)
	if status == 200 then
		ids:write(body:match("%d+"), "\n")
	end
end
END

test_service() { # EXAMPLE
	local db=$1.db client

	serve "$1" "$db"
	clients 8 25
	ok "$1: every event is answered 200, and is there under its id" \
		'[ "$(answered 200)" = 200 ]' '[ "$(missing '"$db"')" = 0 ]' '[ "$(rows '"$db"')" = 200 ]'

	curl -s -o page -w '%{http_code}' -d 'no JSON' "http://127.0.0.1:$port/events" >out
	ok "$1: what the table refuses is 400, with the reason" '[ "$(cat out)" = 400 ]' 'grep -q "CHECK constraint failed" page'
	head -c 65537 /dev/zero | tr '\0' 1 | curl -s -o page -w '%{http_code}' --data-binary @- "http://127.0.0.1:$port/events" >out
	ok "$1: what is too long is 413" '[ "$(cat out)" = 413 ]'
	head -c 65536 /dev/zero | tr '\0' 1 | curl -s -o page -w '%{http_code}' --data-binary @- "http://127.0.0.1:$port/events" >out
	ok "$1: what is just not too long is stored" '[ "$(cat out)" = 200 ]'
	ok "$1: another page is 404, another method 405" \
		'[ "$(curl -s -o page -w "%{http_code}" -d 1 "http://127.0.0.1:$port/")" = 404 ]' \
		'[ "$(curl -s -o page -w "%{http_code}" "http://127.0.0.1:$port/events")" = 405 ]'
	head_alone >page
	ok "$1: the answer to a HEAD has no body" 'grep -q "^HTTP/1.1 405" page' '[ -z "$(sed "1,/^\r$/d" page)" ]'
	upgrade >page
	ok "$1: an offer of another protocol is passed over" 'grep -q "^HTTP/1.1 405" page' '! grep -q "^HTTP/1.1 400" page'
	ok "$1: a query is not of the path" \
		'[ "$(curl -s -o page -w "%{http_code}" "http://127.0.0.1:$port/metrics?name=a")" = 200 ]'
	ok "$1: nothing else was stored" '[ "$(rows '"$db"')" = 201 ]'

	pipelined >page
	ok "$1: requests sent at once are answered one after the other" \
		'[ "$(grep -c "^HTTP/1.1 200" page)" = 3 ]' '[ "$(grep -o "{.*}" page)" = "$(printf "{\"id\": %d}\n" 202 203 204)" ]'

	curl -s -o page -w '%{http_code} %{content_type}' "http://127.0.0.1:$port/metrics" >out
	ok "$1: the metrics count what was stored and refused" \
		'[ "$(cat out)" = "200 text/plain; version=0.0.4; charset=utf-8" ]' \
		'[ "$(outcomes OK)" = 205 ]' '[ "$(outcomes ERROR)" = 1 ]'
	if command -v promtool >/dev/null; then
		promtool check metrics <page >out 2>&1
		rc=$?
		ok "$1: promtool has nothing to say about them" '[ $rc = 0 ]' '[ ! -s out ]'
	else
		skip "$1: promtool has nothing to say about them" "promtool (Debian: prometheus) is not installed"
	fi

	leave
	# The second answer comes behind those to their second events.
	curl -s -o page -w '%{http_code}' -d 1 "http://127.0.0.1:$port/events" -o page "http://127.0.0.1:$port/events" >out
	ok "$1: clients that are gone before their answers do not end it" '[ "$(cat out)" = 200200 ]'

	# With epoll libmicrohttpd 0.9.75 sleeps over the 128 events that it takes at once.
	for client in 128 200; do
		clients $client 20 "$pid"
		ok "$1: $client events that come at once are answered" \
			'[ "$(answered 200)" = $((20 * client)) ]' '[ "$(missing '"$db"')" = 0 ]'
	done
	# wrk ends with an event on the way on each connection. A second may be over before a busy machine has answered one.
	runs=0
	for seconds in 1 10 100; do
		runs=$((runs + 1))
		query "$db" "DELETE FROM events WHERE id > 204"
		rm -f ids-*
		wrk --threads 2 --connections 32 --duration ${seconds}s --timeout 200s --script wrk.lua "http://127.0.0.1:$port/events" >out 2>err
		rc=$?
		[ ! -s ids-1 ] && [ ! -s ids-2 ] || break
	done
	sort ids-1 ids-2 >ids
	ok "$1: wrk sees nothing but 200, each id once and in the table" \
		'[ $rc = 0 ]' '[ -s ids ]' '! grep -qE "Non-2xx|Socket errors" out' '[ -z "$(uniq -d ids)" ]' \
		'[ "$(query '"$db"' "CREATE TEMP TABLE ids(id INTEGER)" ".import ids ids" \
			"SELECT count(*) FROM ids WHERE id NOT IN (SELECT id FROM events)")" = 0 ]'
	kill "$pid"
	finish
	ok "$1: ends with status 0; at most what was on the way is there besides" \
		'[ $rc = 0 ]' '[ $(($(rows '"$db"') - 204 - $(wc -l <ids))) -ge 0 ]' '[ $(($(rows '"$db"') - 204 - $(wc -l <ids))) -le $((32 * runs)) ]'

	query "$db" "DELETE FROM events"
	serve "$1" -d 120 "$db"
	: >answers
	clients 16 0 &
	client=$!
	eventually at_least 200 100
	kill "$pid"
	finish
	wait $client
	ok "$1: SIGTERM in the midst: every 200 is in the table" \
		'[ $rc = 0 ]' '[ "$(answered 200)" -ge 100 ]' '[ "$(missing '"$db"')" = 0 ]'
	ok "$1: and what is in the table beyond them got no other answer" \
		'[ $(($(rows '"$db"') - $(answered 200))) -ge 0 ]' '[ $(($(rows '"$db"') - $(answered 200))) -le "$(answered gone)" ]'

	test_full "$1"
}

# With four slots, and a lock that keeps them full.
test_full() { # EXAMPLE
	local db=$1.full.db client

	printf 'ring_slots = 4\nbusy_limit_ms = 0\n' >four.ini
	serve "$1" -d 120 -c four.ini "$db"
	lock "$db"
	: >answers
	clients 9 1 &
	client=$!
	eventually at_least 503 5
	ok "$1: without room it answers 503 at once, with Retry-After" \
		'[ "$(answered 503)" = 5 ]' '[ "$(grep -c "^503 - [1-9]" answers)" = 5 ]' '[ "$(answered 200)" = 0 ]'
	kill "$pid"
	eventually refused
	unlock
	finish
	wait $client
	ok "$1: SIGTERM: what was accepted is stored and answered first" \
		'[ $rc = 0 ]' '[ "$(answered 200)" = 4 ]' '[ "$(missing '"$db"')" = 0 ]' '[ "$(rows '"$db"')" = 4 ]'

	serve "$1" -d 120 -c four.ini "$1.lost.db"
	lock "$1.lost.db"
	: >answers
	clients 5 1 &
	client=$!
	eventually at_least 503 1
	kill "$pid"
	eventually refused
	mv "$1.lost.db" "$1.moved.db"
	unlock
	finish
	wait $client
	ok "$1: SIGTERM: when the engine fails while it stores the rest, nothing is answered 200, and the status tells" \
		'[ $rc = 1 ]' '[ "$(answered 200)" = 0 ]' '[ "$(answered 500)" -ge 1 ]'

	serve "$1" -d 0 -c four.ini "$db"
	lock "$db"
	: >answers
	clients 5 1 &
	client=$!
	eventually at_least 503 1
	kill "$pid"
	finish
	wait $client
	unlock
	ok "$1: SIGTERM: what is not stored when the deadline is over is not answered 200, and the status tells" \
		'[ $rc = 1 ]' '[ "$(answered 200)" = 0 ]' '[ "$(rows '"$db"')" = 4 ]'
}

test_service http_ingest
test_service http_ingest_uv

finished
