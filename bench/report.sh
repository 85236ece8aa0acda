#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Everything that has a target, measured now: where and how, each target, each line of them; then what callgrind counts. About ten
# minutes.
#
#   usage: bench/report.sh BUILD [--against OTHER] [--quick] [--report DIR]
#
# OTHER is the build folder of another version (0.1 or later), to be measured beside this one in turns; or a driver made before.
set -eu

build=${1:?usage: bench/report.sh BUILD [--against OTHER] [--quick] [--report DIR]}
here=$(dirname "$0")
shift

folder=
trap '[ -z "$folder" ] || rm -rf "$folder"' EXIT
if [ "${1:-}" = --against ]; then
	other=${2:?--against needs the build folder of another version}
	shift 2
	if [ -d "$other" ]; then
		other=$(cd "$other" && pwd)
		source=$(sed -nE 's/.*"source": "([^"]*)".*/\1/p' "$other/meson-info/meson-info.json")
		folder=$(mktemp -d)
		# The driver uses the public header alone: with the other's header and library it is the other's driver.
		"${CC:-cc}" -O2 -std=gnu11 -I "$source/core" "$here/drive.c" -o "$folder/penstock-drive" "$other/libpenstock.so" \
			-Wl,-rpath,"$other" -lpthread
		other=$folder/penstock-drive
	fi
	set -- --against "$other" "$@"
fi

"$build/bench/penstock-bench" --targets "$@"
echo
"$here/callgrind.sh" "$build"
