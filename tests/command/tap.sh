# SPDX-License-Identifier: BSD-2-Clause
# tap.sh - what the tests of the command are made of; sourced by them
#
# PENSTOCK_BIN is the command under test. They run in a new folder, which is removed, and print TAP.

# Conditions are strings that `ok` evaluates one by one, so that a failing test says which one does not hold.
# shellcheck shell=bash disable=SC2034

set -u -o pipefail

bin=$(readlink -f "${PENSTOCK_BIN:?must name the penstock command}")

if ! command -v sqlite3 >/dev/null; then
	echo "1..0 # SKIP the sqlite3 shell is not installed"
	exit 0
fi

work=$(mktemp -d) || exit 1
# A child that is killed before it has shed its parent's trap would run this as well.
trap '[ "$BASHPID" -ne $$ ] || rm -rf "$work"' EXIT
cd "$work" || exit 1

number=0
failed=0
rc=0

# ok NAME CONDITION...: the test passes when all conditions hold.
ok() {
	local name=$1 condition
	shift
	number=$((number + 1))
	for condition in "$@"; do
		eval "$condition" >notes 2>&1 && continue
		failed=$((failed + 1))
		echo "not ok $number - $name"
		{
			echo "does not hold: $condition"
			cat notes
			echo "exit status: $rc; standard output and error:"
			head -n 20 out err
		} 2>&1 | sed 's/^/# /'
		return
	done
	echo "ok $number - $name"
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# penstock ARGUMENT...: leaves rc, out and err. Nothing here takes more than a few seconds on a quiet machine.
penstock() {
	timeout -k 5 120 "$bin" "$@" >out 2>err
	rc=$?
}

# start ARGUMENT...: penstock in the background, with signals as in a terminal; leaves pid.
signals=(--default-signal=INT --default-signal=TERM --default-signal=HUP --default-signal=QUIT)
start() {
	env "${signals[@]}" "$bin" "$@" >out 2>err &
	pid=$!
}

# finish: waits for it, until that is a hang; leaves rc.
gone() { ! kill -0 "$pid"; }
finish() {
	eventually gone || kill -s KILL "$pid"
	wait "$pid" 2>/dev/null
	rc=$?
}

# eventually COMMAND...: within two minutes, or it hangs.
eventually() {
	local i
	for ((i = 0; i < 2400; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.05
	done
	return 1
}

said() { grep -qF -e "$1" err; }
printed() { grep -qF -e "$1" out; }
# figure NAME: of the JSON in `out`.
figure() { sqlite3 -batch :memory: "SELECT json_extract(CAST(readfile('out') AS TEXT), '\$.$1')"; }

# Root may write what is read-only, so another user has to try.
if [ "$(id -u)" -ne 0 ]; then
	as_user=()
else
	as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 "$work"
fi

# The plan, last, and the status.
finished() {
	echo "1..$number"
	[ "$failed" -eq 0 ]
}
