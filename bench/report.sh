#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Everything that has a target, measured now: where and how, one table; then what callgrind counts. About five minutes.
#
#   usage: bench/report.sh BUILD [--quick] [--report DIR]
set -eu

build=${1:?usage: bench/report.sh BUILD [--quick] [--report DIR]}
here=$(dirname "$0")
shift

"$build/bench/penstock-bench" --targets "$@"
echo
"$here/callgrind.sh" "$build"
