#!/bin/sh
# Everything that has a target, measured now, in one table; then what callgrind counts. About five minutes.
#
#   usage: bench/report.sh BUILD [--quick]
set -eu

build=${1:?usage: bench/report.sh BUILD [--quick]}
here=$(dirname "$0")
shift

echo "machine   $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"
echo "load      $(cut -d ' ' -f 1-3 /proc/loadavg) before the run; anything else that runs shows in the spreads"
echo "databases ${TMPDIR:-/tmp} ($(stat -f -c %T "${TMPDIR:-/tmp}"))"
echo "build     $(meson introspect "$build" --buildoptions 2>/dev/null | python3 -c '
import json, sys
for option in json.load(sys.stdin):
    if option["name"] in ("buildtype", "rcu_flavour", "b_lto"):
        print(option["name"] + "=" + str(option["value"]), end=" ")' 2>/dev/null || echo unknown)"
"$build/bench/penstock-bench" --report "$@"
echo
"$here/callgrind.sh" "$build"
