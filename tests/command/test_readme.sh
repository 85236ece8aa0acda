#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The pages tell the truth: the table in docs/tuning.md has every key with its default, and the programs of the README and of
# docs/guide.md (compiled by the build) run.
set -u
number=0
say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$PENSTOCK_BIN" config >"$folder/config"
missing=$(grep -v '^#' "$folder/config" | grep . | while IFS='=' read -r key value; do
	key=${key% } value=${value# }
	grep -qF "| \`$key\` | $value |" "$PAGES/tuning.md" || echo "$key = $value"
done)
[ -z "$missing" ]
say $? "the table has every key and default${missing:+, but for: $missing}"

keys=$(grep -vc '^#' <(grep . "$folder/config"))
rows=$(sed -n '/^| key | default/,/^$/p' "$PAGES/tuning.md" | grep -c '^| `')
[ "$keys" = "$rows" ]
say $? "the table has no key that does not exist ($keys keys, $rows rows)"

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
echo "1..$number"
