#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The probes of the built library: those of core/probe.h are all there, docs/probes.md tells of each, and a debugger sees at them
# what probes.c does. Built without them, none is there.
#
# PROBES says "yes", or why the build has none; LIBRARIES are the files, PROBED is probes.c, built, and TREE the sources.
# Not pipefail: grep -q leaves before readelf is done.
set -u

if ! command -v readelf >/dev/null; then
	echo "1..0 # SKIP readelf (binutils) is not installed"
	exit 0
fi
probed=$(readlink -f "${PROBED:?must name the program that meets all probes}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0
failed=0

# ok NAME FILE CONDITION: FILE says more when it does not hold.
ok() {
	number=$((number + 1))
	if eval "$3"; then
		echo "ok $number - $1"
	else
		failed=$((failed + 1))
		echo "not ok $number - $1"
		head -n 60 "$2" | sed 's/^/# /'
	fi
}

skip() { # name, why
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

finished() {
	echo "1..$number"
	exit $((failed != 0))
}

# Lines "NAME ARGUMENTS", sorted, each once: of a file, of the header, of the page.
built() { # file
	readelf -nW "$1" 2>/dev/null | awk '
		/Provider:/ { ours = $NF == "penstock" }
		/Name:/ { name = $2 }
		/Arguments:/ && ours { print name, NF - 1 }' | sort -u
}
listed() { sed -nE 's/^\tX\(([a-z_]+), ([0-9])\).*/\1 \2/p' "$TREE/core/probe.h" | sort -u; }
# With what their arguments are called.
called_in_header() { sed -nE 's/^\tX\(([a-z_]+), [0-9]\) *\/\* ([a-z_, ]+):.*/\1: \2/p' "$TREE/core/probe.h" | sort; }
called_on_page() { sed -nE 's/^\| `([a-z_]+)` \| `([a-z_, ]+)` \|.*/\1: \2/p' "$TREE/docs/probes.md" | sort; }

listed >list
called_in_header >names
ok "header: each probe of the list names its arguments" names \
	'[ -s list ] && diff <(awk -F "[:,]" "{ print \$1, NF - 1 }" names | sort) list >/dev/null'
called_on_page >page
ok "page: it has each probe with the same arguments" page 'diff names page >/dev/null'

# "NAME ARGUMENTS" for each probe that a line of bpftrace names: as many as it uses up to its last. Up to the next probe all is of this one.
used() { # file
	grep -oE '^    bpftrace .*' "$1" | sed 's/usdt:/\n&/g' | awk '
		/^usdt:/ {
			name = $1
			sub(/.*:penstock:/, "", name)
			last = 0
			for (rest = $0; match(rest, /arg[0-9]+/); rest = substr(rest, RSTART + RLENGTH))
				if (substr(rest, RSTART + 3, RLENGTH - 3) + 1 > last)
					last = substr(rest, RSTART + 3, RLENGTH - 3) + 1
			print name, last
		}' | sort -u
}
# Those that no probe of the list has.
beyond() { awk 'NR == FNR { has[$1] = $2; next } !($1 in has) || $2 > has[$1]' list -; }
used "$TREE/docs/probes.md" >lines
ok "page: the lines of bpftrace use what the probes have, and each probe" lines \
	'! beyond <lines | grep -q . && diff <(cut -d " " -f 1 list) <(cut -d " " -f 1 lines | sort -u) >/dev/null'
printf '%s\n' '    bpftrace -e "usdt:$LIB:penstock:wake { @[arg1] = count(); } usdt:$LIB:penstock:commit { @[arg2] = count(); }"' \
	'    bpftrace -e "usdt:$LIB:penstock:snooze { @ = count(); }"' >wrong
ok "page: an argument or a probe too many would be found" wrong '[ "$(used wrong | beyond | tr "\n" " ")" = "snooze 0 wake 2 " ]'

for library in $LIBRARIES; do
	built "$library" >found
	if [ "$PROBES" = yes ]; then
		ok "${library##*/}: all probes of the list, with as many arguments" found 'diff list found >/dev/null'
	else
		ok "${library##*/}: no probe, and no note of any" found '[ ! -s found ] && ! readelf -SW "$library" 2>/dev/null | grep -q stapsdt'
	fi
done

# ---- what a debugger sees ----

seen="a debugger sees what the program does"
if [ "$PROBES" != yes ]; then
	skip "$seen" "no probes: $PROBES"
	finished
fi
if ! command -v gdb >/dev/null; then
	skip "$seen" "gdb is not installed"
	finished
fi

{
	printf '%s\n' 'set pagination off' 'set breakpoint pending on' 'set confirm off'
	while read -r name count; do
		format=$name arguments=
		for ((i = 0; i < count; i++)); do
			case $name-$i in
			verb-1 | verb-3) format+=' %s' arguments+=", \$_probe_arg$i" ;;
			*) format+=' %lu' arguments+=", (unsigned long)\$_probe_arg$i" ;;
			esac
		done
		printf 'break -probe-stap penstock:%s\ncommands\nsilent\nprintf "seen %s\\n"%s\ncontinue\nend\n' "$name" "$format" "$arguments"
	done <list
	echo 'run >printed 2>&1'
} >script
DEBUGINFOD_URLS= gdb -q -batch -nx -x script "$probed" </dev/null >log 2>&1
if grep -qE 'ptrace: Operation not permitted|Could not trace the inferior' log; then
	skip "$seen" "gdb may not trace here"
	finished
fi
sed -n 's/^seen //p' log >seen
printed() { awk -v name="$1" '$1 == name { print $2 }' printed; }
engine=$(printed engine)
ok "debugger: the program comes to its end, and each probe is seen" log \
	'grep -q "exited normally" log && diff <(cut -d " " -f 1 seen | sort -u) <(cut -d " " -f 1 list) >/dev/null'
ok "debugger: the engine of each is the engine" seen '[ -n "$engine" ] && ! awk -v engine=$((engine)) "\$2 != engine" seen | grep -q .'

# The lines of a probe, without the name and the engine.
of() { sed -n "s/^$1 [0-9]* *//p" seen; }
sum() { awk -v field="$1" '{ n += $field } END { printf "%.0f\n", n }'; }
# The tickets there were.
tickets=$(of outcome | wc -l)
every() { seq 0 $((tickets - 1)); }

ok "submit: each ticket once, with the bytes of its payload" seen \
	'diff <(of submit | cut -d " " -f 1 | sort -n) <(every) >/dev/null && [ "$(of submit | awk "\$2 > 100000 && \$2 < 100100" | wc -l)" = 1 ]'
ok "full: once, of one that does not wait" seen '[ "$(of full | cut -d " " -f 2)" = 0 ]'
ok "outcome: each ticket once and in order, and one is an ERROR" seen \
	'diff <(of outcome | cut -d " " -f 1) <(every) >/dev/null &&
	[ "$(of outcome | awk "\$2 != 0 { print \$1, \$2 }")" = "2 $(printed error)" ]'
# One in 64 of the others is timed too.
ok "outcome: those that are listened to are timed" seen \
	'[ "$(of outcome | awk -v last=$((tickets - 1)) "\$3 != 0 && (\$1 % 64 != 0 || \$1 == last) { printf \"%s \", \$1 }")" = "2 $((tickets - 1)) " ] &&
	! of outcome | awk "\$3 == 0 && \$1 % 64 == 0" | grep -q .'
ok "replay: the two before the one that failed" seen '[ "$(of replay)" = "0 2" ]'
ok "batch_begin and batch_end: in pairs, of all statements" seen \
	'diff <(of batch_begin | cut -d " " -f 1) <(of batch_end | cut -d " " -f 1) >/dev/null && [ "$(of batch_begin | head -n 1)" = "0 4" ] &&
	[ "$(of batch_end | sum 2)" = "$tickets" ]'
ok "commit: all statements but the one that failed" seen '[ "$(of commit | sum 1)" = $((tickets - 1)) ]'
# One beside the writer leaves the log as long as it was.
ok "checkpoint: unblocked, and behind the last one the log is empty" seen \
	'[ "$(of checkpoint | tail -n 1 | cut -d " " -f 2)" = 0 ] && ! of checkpoint | awk "\$3 != 0" | grep -q .'
ok "park: the writer sleeps until a ticket that there was, or was to come" seen \
	'of park | grep -q . && ! of park | awk -v most="$tickets" "\$1 > most" | grep -q .'
ok "park and wake: as often as is counted" seen '[ "$(of park | wc -l) $(of wake | wc -l)" = "$(printed parks) $(printed wakes)" ]'
ok "outcome, commit, checkpoint: their times are those that are counted" seen \
	'[ "$(of outcome | sum 3) $(of commit | sum 2) $(of checkpoint | sum 1)" = \
	"$(printed outcome_nsec) $(printed commit_nsec) $(printed checkpoint_nsec)" ]'
of verb | sed "s| $PWD/| |" >verbs
ok "verb: each with what it came to, and the database" verbs 'diff verbs - >/dev/null <<-END
	open 0 probed.db
	start 0 probed.db
	pause 0 probed.db
	pause $(printed misuse) probed.db
	unpause 0 probed.db
	reconfigure 0 probed.db
	stop 0 probed.db
	close 0 probed.db
END
'
finished
