#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The built library and command are hardened: readelf looks at the files themselves, so that a lost flag is noticed.
#
# PENSTOCK_LIBRARY and PENSTOCK_BIN are the files; FORTIFY says "yes", or why the build has no _FORTIFY_SOURCE.
# Not pipefail: grep -q leaves before readelf is done.
set -u

if ! command -v readelf >/dev/null; then
	echo "1..0 # SKIP readelf (binutils) is not installed"
	exit 0
fi
number=0
failed=0

say() { # status, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2"
	else
		failed=$((failed + 1))
		echo "not ok $number - $2"
	fi
}

skip() { # name, why
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

segments() { readelf -lW "$1"; }
dynamic() { readelf -dW "$1"; }
calls() { readelf -sW --dyn-syms "$1" | awk '$7 == "UND" { print $8 }'; }

hardened() { # name, file
	local name=$1 file=$2
	segments "$file" | grep -q GNU_RELRO && dynamic "$file" | grep -qE 'FLAGS.*BIND_NOW|FLAGS_1.* NOW'
	say $? "$name: full RELRO"
	segments "$file" | grep GNU_STACK | grep -q 'RW ' && ! segments "$file" | grep -qE '(LOAD|GNU_STACK).* RWE '
	say $? "$name: neither the stack nor anything else is both writable and executable"
	! dynamic "$file" | grep -q TEXTREL
	say $? "$name: no code is relocated"
	readelf -hW "$file" | grep -qE 'Type: +DYN'
	say $? "$name: position-independent"
	calls "$file" | grep -q '^__stack_chk_fail'
	say $? "$name: stack protector"
	if [ "$FORTIFY" = yes ]; then
		calls "$file" | grep -qE '^__[a-z]+_chk(@|$)'
		say $? "$name: _FORTIFY_SOURCE"
	else
		skip "$name: _FORTIFY_SOURCE" "$FORTIFY"
	fi
}

case $PENSTOCK_LIBRARY in
*.a) skip "library" "a static library is linked by others; they choose" ;;
*) hardened library "$PENSTOCK_LIBRARY" ;;
esac
hardened command "$PENSTOCK_BIN"
dynamic "$PENSTOCK_BIN" | grep -qE 'FLAGS_1.* PIE'
say $? "command: a position-independent executable"
echo "1..$number"
[ "$failed" -eq 0 ]
