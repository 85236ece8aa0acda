#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# test_report.sh - penstock-bench --report: a page that holds everything it shows
#
# PENSTOCK_BENCH is the program. Prints TAP. What the figures are decides nothing.
set -u -o pipefail

bench=$(readlink -f "${PENSTOCK_BENCH:?must name penstock-bench}")
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export TMPDIR=$folder
unset PENSTOCK_BENCH_QUICK

number=0
say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

filter='^ring/penstock/producers:[12]$'
report() { # folder, and what may stand before the command
	local to=$1
	shift
	"$@" "$bench" --quick --report "$to" "--benchmark_filter=$filter" >"$folder/out" 2>"$folder/err"
}

# The text of an element that begins and ends on lines of its own, and everything there is of a kind.
all() { grep -oE "$1" "$page" | sort; }

before=$(date -u +%F)
report "$folder/report"
say $? "the run succeeds"
page=$folder/report/index.html
[ -s "$page" ] && [ "$(tail -n 1 "$page")" = '</html>' ]
say $? "the page is whole"

# ---- what it holds ----

queues=$("$bench" --benchmark_list_tests | sed -n 's|^ring/\(.*\)/producers:1$|\1|p' | grep -vx no_queue)
missing=
for queue in $queues; do
	grep -qE "<tr><th>${queue//+/\\+}</th><td>[0-9]" "$page" || missing+=" $queue"
done
[ -n "$queues" ] && [ -z "$missing" ]
say $? "every queue has its figures in the table${missing:+, but for$missing}"

verdicts=$(grep -cE '(met|MISSED)( by .*)?$' "$folder/out")
[ "$verdicts" -gt 0 ] && [ "$(all '<tr class="(met|missed)"><th>' | wc -l)" = "$verdicts" ]
say $? "every target has its verdict ($verdicts)"

facts=
for fact in "machine</dt><dd>[^<]" "kernel</dt><dd>[^<]*$(uname -r)" "file system</dt><dd>[^<]" "sqlite</dt><dd>3\." \
	"pinning</dt><dd>[^<]" "fsync</dt><dd>[0-9]" "begun</dt><dd>($before|$(date -u +%F)) "; do
	grep -qE "<dt>$fact" "$page" || facts+=" $fact"
done
[ -z "$facts" ]
say $? "it says where and when${facts:+, but for$facts}"

grep -qF "<code>TMPDIR=$folder $bench --quick --report $folder/report '--benchmark_filter=$filter'</code>" "$page"
say $? "it has the command"

grep -q 'class="warning">Made with --quick' "$page"
say $? "it warns of figures made with --quick"

# ---- that it needs nothing else ----

! all 'https?:' | grep .
say $? "it names no address"

! all '(src|href|srcset|action|poster|data)=["'\''][^"'\'']*|url\([^)]*|@import.*' | grep -vE "^href=[\"']#"
say $? "it refers to nothing outside itself"

targets=$(all "href=[\"']#[^\"']*" | sed "s/.*#//" | sort -u)
dangling=$(comm -23 <(echo "$targets") <(all " id=[\"'][^\"']*" | sed "s/.*[\"']//" | sort -u))
[ -n "$targets" ] && [ -z "$dangling" ]
say $? "everything it refers to is there${dangling:+, but for $dangling}"

[ -z "$(all " id=[\"'][^\"']*" | uniq -d)" ]
say $? "no two things have one name"

# ---- what adds up ----

# Each verdict follows from its median and its limit, as printed; a line is met when all of its parts are.
"$bench" --targets --quick "--benchmark_filter=$filter" >"$folder/out" 2>"$folder/err"
say $? "what has a target runs alone"
wrong=$(awk '
	/^target  / { in_targets = 1; next }
	/^$/ { in_targets = 0 }
	in_targets {
		what = substr($0, 1, 66)
		limit = substr($0, 67, 14)
		at_most = index(limit, "<=") > 0
		sub(/^ *[<>]= */, "", limit)
		limit += 0
		median = substr($0, 81, 14) + 0
		met = at_most ? median <= limit : median >= limit
		said = substr($0, 97) !~ /MISSED/
		# What is printed is rounded: on the limit it may be either.
		if (median != limit && met != said)
			print what
		rows++
	}
	END { if (rows == 0) print "nothing" }' "$folder/out")
[ -z "$wrong" ]
say $? "each verdict follows from what stands beside it${wrong:+, but for $wrong}"

sed '/^line /,$d' "$folder/out" >"$folder/targets"
parts=$(grep -c 'by the best bounded peer (' "$folder/targets")
met=$(grep 'by the best bounded peer (' "$folder/targets" | grep -c 'met by')
line=$(grep '^ring, every number of producers' "$folder/out")
[ "$parts" = 2 ] && [[ $line = *" $met of $parts "* ]] &&
	if [ "$met" = "$parts" ]; then [[ $line = *" met "* ]]; else [[ $line = *" MISSED "* ]]; fi
say $? "a line is met when all of its parts are ($met of $parts)"

sed -n '/^line /,/^$/p' "$folder/out" | sed '1d; /^$/d; /^ring, every/d' >"$folder/lines"
[ -s "$folder/lines" ] && ! grep -v 'not measured' "$folder/lines"
say $? "what was not run is neither met nor missed"

# ---- another build beside ----

! "$bench" --quick --against 2>"$folder/err" && grep -q 'needs a program' "$folder/err"
say $? "--against without a program is refused"
! "$bench" --benchmark_list_tests | grep against
say $? "without another build there are no cases of it"
"$bench" --quick "--against=${bench%/*}/penstock-drive" --benchmark_filter='^latency/against/FULL/depth:64$' >"$folder/out" 2>&1 &&
	grep -qE '^latency/against/.*longest_fsync_us=.*p99.9_us=.*worst_us=' "$folder/out"
say $? "the driver of another build is measured"
! "$bench" --quick --against=/bin/false --benchmark_filter='^latency/against/FULL/depth:64$' >"$folder/out" 2>&1 &&
	grep -q 'does not begin' "$folder/out"
say $? "one that does not begin fails its case"

cat >"$folder/driver" <<'END'
#!/bin/sh
echo ready
read -r go
echo 1000 0.5 1000 2000 3000 4000 98765000000 7 0
END
chmod +x "$folder/driver"
"$bench" --quick "--against=$folder/driver" --benchmark_filter='^latency/against/FULL/depth:64$' >"$folder/out" 2>&1
for figure in items_per_second=2k p50_us=1 p99_us=2 p99.9_us=3 worst_us=4 longest_fsync_us=98.765M; do
	grep -qE "^latency/against/.* $figure( |$)" "$folder/out" || figures+=" $figure"
done
[ -z "${figures:-}" ]
say $? "what a driver says is what is shown${figures:+, but for$figures}"
[ "$(tail -n 1 "$folder/out")" = 'the longest fsync seen in this run: 98765.0 ms' ]
say $? "the longest fsync is told, also one of a driver"

# ---- without gnuplot, and with one that fails ----

mkdir "$folder/no" "$folder/failing"
report "$folder/without" env PATH="$folder/no" && grep -q 'gnuplot is not installed' "$folder/err" &&
	grep -q 'gnuplot was not installed' "$folder/without/index.html" &&
	! grep -q '<svg' "$folder/without/index.html" &&
	grep -qE '<tr><th>penstock</th><td>[0-9]' "$folder/without/index.html" &&
	grep -q '<tr class="m[a-z]*"><th>' "$folder/without/index.html"
say $? "without gnuplot it says so, and has its tables"

printf '#!/bin/sh\nexit 1\n' >"$folder/failing/gnuplot"
chmod +x "$folder/failing/gnuplot"
! report "$folder/fails" env PATH="$folder/failing:$PATH" && grep -q 'could not draw' "$folder/err"
say $? "a gnuplot that fails fails the run"

! report /dev/null/report && ! grep -q '^ring/' "$folder/out" &&
	grep -q '^penstock-bench: --report /dev/null/report: ' "$folder/err"
say $? "a folder that cannot be is refused before anything is measured"

! "$bench" --quick --report --benchmark_filter=none >"$folder/out" 2>"$folder/err" &&
	grep -q 'needs a folder' "$folder/err"
say $? "--report without a folder is refused"

# ---- the pictures ----

if ! command -v gnuplot >/dev/null; then
	number=$((number + 1))
	echo "ok $number - the pictures # SKIP gnuplot is not installed"
	echo "1..$number"
	exit 0
fi

[ "$(all '<svg class="[a-z]*"' | xargs)" = '<svg class=narrow <svg class=wide' ]
say $? "the plot is there, for wide screens and for narrow ones"

missing=
for queue in $queues; do
	[ "$(all ">${queue//+/\\+}</text>" | wc -l)" = 2 ] || missing+=" $queue"
done
[ -z "$missing" ]
say $? "every queue is named in both${missing:+, but for$missing}"

undefined=
for colour in $(all 'var\(--c[0-9]+\)' | sort -u | grep -oE '[a-z]*c[0-9]+'); do
	# Once for light, once for dark.
	[ "$(all " --$colour: #[0-9a-f]{6};" | wc -l)" = 2 ] || undefined+=" $colour"
done
[ -z "$undefined" ] && ! all 'rgb\([^)]*\)' | grep .
say $? "every colour is one for light and one for dark${undefined:+, but for$undefined}"

whole=0
for picture in ring ring-narrow; do
	picture=$folder/report/$picture.svg
	head -n 1 "$picture" | grep -q '^<svg xmlns=' && grep -q 'prefers-color-scheme: dark' "$picture" &&
		grep -q '>penstock</text>' "$picture" && [ "$(tail -n 1 "$picture" | tail -c 7)" = '</svg>' ] || whole=1
done
say $whole "the pictures are files of their own too"
echo "1..$number"
