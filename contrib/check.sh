#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# check.sh - packages, build, every test; ends with "N passed, N failed"
#
#   sh contrib/check.sh                 install packages, build, run every test
#   sh contrib/check.sh --full          as CI does (also with CI=true in the environment): warnings
#                                       are errors, with gcc and clang; every test with the plain
#                                       build, then again with AddressSanitizer and UBSan; the demo
#   sh contrib/check.sh --no-install    without looking for packages; goes with --full
#
# The exit status is 0 when nothing failed. Logs are under build/log/.
set -u
cd "$(dirname "$0")/.." || exit 2

full=
install=1
[ "${CI:-false}" = false ] || full=1
for a in "$@"; do
	case $a in
	--full) full=1 ;;
	--no-install) install= ;;
	*) sed -n 's/^# \{0,1\}//; 5,10p' "$0" >&2; exit 2 ;;
	esac
done

jobs=$(getconf _NPROCESSORS_ONLN)
tally=$(mktemp)
trap 'rm -f "$tally"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '== %s\n' "$*"; }

# A build that breaks ends the run: a count of 0 passed, 1 failed, as any other failure.
build() {
	say "build: $*"
	"$@" || {
		echo "0 1 0" >>"$tally"
		summary
	}
}

# run.sh adds its counts, "passed failed skipped", to the file it is given
suite() {
	say "tests: $1"
	shift
	lines=$(wc -l <"$tally")
	env STANDIN_TALLY="$tally" "$@" | sed '/^[0-9]* passed, [0-9]* failed/s/^/   /'
	[ "$(wc -l <"$tally")" -gt "$lines" ] || echo "0 1 0" >>"$tally" # it broke before it could count
}

summary() {
	awk '{ p += $1; f += $2; s += $3 }
		END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 || p == 0 }' \
		"$tally"
	exit
}

if [ -n "$install" ]; then
	say "packages"
	sh contrib/deps.sh || exit 1
fi

if [ -n "$full" ]; then
	make -s clean # or warnings of objects that are already there would stay unseen
	build make -s -j"$jobs" CC=clang BUILD=build/clang-strict BIN=build/standin-clang EXTRA_CFLAGS=-Werror all
	build make -s -j"$jobs" CC=gcc EXTRA_CFLAGS=-Werror tests
else
	build make -s -j"$jobs" tests
fi
suite "plain build" make -s check
if [ -n "$full" ]; then
	suite "the demo" make -s check SUITES=demo
	build make -s -j"$jobs" SAN=1 EXTRA_CFLAGS=-Werror tests
	suite "AddressSanitizer and UBSan" make -s check SAN=1
fi
summary
