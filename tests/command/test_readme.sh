#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The pages tell the truth. README.md and docs/tuning.md: their commands run, one after the other, and the table of keys is that of the
# command. The examples of tool/penstock.1 run as well. README.md and docs/guide.md: their programs (compiled by the build) run.
# docs/embedding.md: its statuses are the header's. Every other command on these pages is known to be run by another test. What is Python is run by tests/python/test_pages.py, and
# docs/cluster.md by tests/cluster/test_page.sh.
set -u
number=0
say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
docs=$TREE/docs

# blocks LANGUAGE PAGE: what stands in its fences of that language.
blocks() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } /^```$/ { on = 0 } on' "$2"; }

"$PENSTOCK_BIN" config >"$folder/config"
missing=$(grep -v '^#' "$folder/config" | grep . | while IFS='=' read -r key value; do
	key=${key% } value=${value# }
	grep -qF "| \`$key\` | $value |" "$docs/tuning.md" || echo "$key = $value"
done)
[ -z "$missing" ]
say $? "the table has every key and default${missing:+, but for: $missing}"

keys=$(grep -vc '^#' <(grep . "$folder/config"))
rows=$(sed -n '/^| key | default/,/^$/p' "$docs/tuning.md" | grep -c '^| `')
[ "$keys" = "$rows" ]
say $? "the table has no key that does not exist ($keys keys, $rows rows)"

lines=$(wc -l <"$TREE/README.md")
[ "$lines" -le 150 ]
say $? "README.md has at most 150 lines ($lines)"

# What the commands of a page are about.
mkdir -p "$folder/bin"
ln -s "$(readlink -f "$PENSTOCK_BIN")" "$folder/bin/penstock"
# follow NAME COUNT: runs the commands of its input in a new folder, each as it stands, but that the tuner has a second.
follow() {
	local place=$folder/$1 command count=0 wrong=
	mkdir -p "$place/data"
	echo 'CREATE TABLE t(a, b, c); CREATE INDEX u ON t(a);' >"$place/schema.sql"
	echo "INSERT INTO t VALUES(1, 'data', 0); INSERT INTO t VALUES(2, 'data', 0);" >"$place/data.sql"
	seq -f "INSERT INTO t VALUES(%g, 'day', 0);" 1 200 >"$place/day.sql"
	seq -f '%g,csv,0' 1 300 >"$place/rows.csv"
	# Those of the manual page.
	echo "INSERT INTO t VALUES(3, 'customers', 0);" >"$place/customers.sql"
	echo "INSERT INTO t VALUES(4, 'orders', 0);" >"$place/orders.sql"
	echo "BEGIN; CREATE TABLE dumped(a); INSERT INTO dumped VALUES(1); COMMIT;" >"$place/dump.sql"
	seq -f '%g,big' 1 100 | gzip >"$place/big.csv.gz"
	seq -f '%g,more' 1 100 >"$place/more.csv"
	printf 'name,people\nParis,2100000\nOslo,700000\n' >"$place/cities.csv"
	while read -r command; do
		count=$((count + 1))
		command=${command//--budget 10s/}
		command=${command/#penstock tune/penstock tune --budget 1s}
		(cd "$place" && PATH=$folder/bin:$PATH && set -o pipefail && eval "${command//\/srv\/data/data}") >"$place/out" 2>"$place/err" </dev/null || {
			wrong+=" $command"
			sed 's/^/# /' "$place/out" "$place/err"
		}
	done
	[ "$count" = "$2" ] && [ -z "$wrong" ]
	say $? "each of the $count commands of $1 does what it is for${wrong:+, but for:$wrong}"
}
# rows DATABASE: how many of each kind.
rows() { sqlite3 -batch "$1" 'SELECT b, count(*) FROM t GROUP BY b ORDER BY b' | tr '\n' ' '; }

follow README.md 3 < <(blocks sh "$TREE/README.md")
rows=$(rows "$folder/README.md/app.db")
[ "$rows" = 'csv|300 data|2 ' ] && grep -q '^batch_max' "$folder/README.md/penstock.ini"
say $? "its rows are there, and the configuration ($rows)"

follow tuning.md 4 < <(blocks sh "$docs/tuning.md")
rows=$(rows "$folder/tuning.md/data/app.db")
[ "$rows" = 'day|200 ' ] && grep -q '^batch_max' "$folder/tuning.md/rows.ini" && cmp -s "$folder/config" "$folder/tuning.md/penstock.conf"
say $? "its rows are there, and the configurations ($rows)"

# `.Dl $ COMMAND`, and lines that begin with `$ ` and go on behind `\e`. The table that the last run fills is the reader's own.
sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$TREE/tool/penstock.1" |
	awk '/^\.Dl \$ / { print substr($0, 7); next }
	     /^\$ / { $0 = substr($0, 3); on = 1 }
	     on { more = sub(/\\e$/, ""); printf "%s", $0; if (!more) { print ""; on = 0 } }' >"$folder/examples"
follow penstock.1 10 < <(sed 's|^penstock run --config .*|echo "CREATE TABLE t(a, b, c)" \| penstock run --quiet /srv/data/my.db - \&\& &|' "$folder/examples")
rows="$(rows "$folder/penstock.1/shop.db")$(rows "$folder/penstock.1/my.db")$(rows "$folder/penstock.1/data/my.db")"
[ "$rows" = 'customers|2 orders|2 big|100 more|100 day|200 ' ]
say $? "their rows are there ($rows)"

blocks ini "$docs/tuning.md" >"$folder/page.ini"
grep -q '^batch_max = ' "$folder/page.ini" &&
	(echo 'CREATE TABLE size(pages); INSERT INTO size SELECT cache_size FROM pragma_cache_size;' >"$folder/size.sql" &&
		"$PENSTOCK_BIN" run --quiet --config "$folder/page.ini" "$folder/size.db" "$folder/size.sql") &&
	grep -qx "cache_size = $(sqlite3 -batch "$folder/size.db" 'SELECT pages FROM size')" "$folder/page.ini"
say $? "the configuration file that docs/tuning.md shows is taken, its pragma too"

(cd "$folder" && "$README_PROGRAM" >out) && [ "$(cat "$folder/out")" = "row 1" ]
say $? "the program runs and prints its row"

(cd "$folder" && "$GUIDE_PROGRAM" >out 2>&1) && [ ! -s "$folder/out" ]
say $? "the guide's program runs, and every outcome is OK"
wrong=
for file in guide statement reader; do
	rows=$(sqlite3 -batch "$folder/$file.db" 'SELECT count(*), count(DISTINCT number), min(number), max(number) FROM events')
	[ "$rows" = '10000|10000|0|9999' ] || wrong+=" $file.db $rows"
done
[ -z "$wrong" ]
say $? "its database and both backups have every event once${wrong:+, but for:$wrong}"
[ "$(stat -c %a "$folder/statement.db")" = 600 ]
say $? "nobody else can read the backup by a statement"

"$WORKERS_PROGRAM" "$folder/workers.db" && [ "$(sqlite3 -batch "$folder/workers.db" 'SELECT count(*) FROM t')" = 4 ]
say $? "workers that begin as docs/processes.md says have their rows in"

sed -nE 's/^ \*     ([A-Z]+) +(yes|no) .*/\1 \2/p' "$TREE/core/penstock.h" >"$folder/header"
sed -nE 's/^\| ([A-Z]+) \| (yes|no) \| .*/\1 \2/p' "$docs/embedding.md" >"$folder/page"
[ "$(wc -l <"$folder/header")" -ge 15 ] && diff "$folder/header" "$folder/page" >"$folder/out"
say $? "docs/embedding.md tells the header's statuses, and which are accepted: $(tr '\n' ' ' <"$folder/out")"

# Where the archive can be linked by a plain compiler; CLUSTER_LIBRARIES is what docs/licences.md says to add.
if [ -n "$ARCHIVE_FOLDER" ]; then
	mkdir "$folder/static"
	blocks c "$TREE/README.md" >"$folder/static/example.c"
	command=$(sed -n 's/^    \(cc example.c .*\)/\1/p' "$docs/licences.md")
	grep -qF -- "\`-lcurl -lyajl\`" "$docs/licences.md" &&
		(cd "$folder/static" && CPATH=$TREE/core LIBRARY_PATH=$ARCHIVE_FOLDER && export CPATH LIBRARY_PATH &&
			eval "$command $CLUSTER_LIBRARIES" >out 2>&1 && [ "$(env -u LD_LIBRARY_PATH ./a.out)" = "row 1" ])
	say $? "the program links with the archive as docs/licences.md says, and runs"
else
	number=$((number + 1))
	echo "ok $number - the program links with the archive # SKIP the archive of this build wants its sanitizer"
fi

# Commands that cannot be run here, and who runs them: as they stand, up to a remark, and the file that has a part of it.
# shellcheck disable=SC2016
elsewhere='./demo|tests/systems/try|./demo
./check|tests/systems/try|./check
./setup build|tests/systems/install|./setup build
meson setup build --libdir=lib && meson install -C build && ldconfig|tests/systems/install|meson setup build
cc example.c $(pkg-config --cflags --libs penstock sqlite3)|tests/systems/install|cc example.c
meson setup build/b -Dbench=true && ninja -C build/b && build/b/bench/penstock-bench --report DIR|tests/command/test_report.sh|--report
cc example.c -Wl,-Bstatic -lpenstock -Wl,-Bdynamic -lsqlite3 -lck -linih -lurcu-bp -lm -pthread|tests/command/test_readme.sh|licences.md'
wrong=
pages=("$TREE/README.md")
for name in comparison embedding guarantees guide internals licences processes security trust tuning; do pages+=("$docs/$name.md"); done
while read -r command; do
	IFS='|' read -r _ file part < <(grep -F "$command|" <<<"$elsewhere")
	{ [ -n "$file" ] && grep -qF -e "$part" "$TREE/$file"; } || wrong+=" ($command)"
done < <(awk '/^```/ { on = !on } !on && /^    [^ ]/ && code { sub(/^ +/, ""); sub(/  +#.*/, ""); print; next } { code = /^$/ }' "${pages[@]}")
grep -hE '^```.' "${pages[@]}" | sort -u | grep -vxE '```(c|ini|python|sh)' >"$folder/languages" && wrong+=" $(tr '\n' ' ' <"$folder/languages")"
[ -z "$wrong" ]
say $? "every other command is run by another test${wrong:+, but for:$wrong}"
echo "1..$number"
