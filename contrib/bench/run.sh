#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# run.sh - what standin costs, next to what else could do it (root; see doc/bench.md)
#
#   sh contrib/bench/run.sh [--quick] [-n ROUNDS] [-t SECONDS] [what...]
#
# What: throughput connections http latency memory app (all of them, in this order). In a round each way that is
# compared has its turn of SECONDS; ratios are taken within a round, so that a machine that
# changes its mind between rounds does not show as a difference. --quick is two
# short rounds, to see that everything works.
#
# The findings are printed as a table and left in build/bench: results.json has the same with
# the kernel and the versions, samples.tsv every single value.
set -u
here=$(cd "$(dirname "$0")" && pwd)
rounds=5 seconds=1.2 quick= whats=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=1 rounds=2 seconds=0.5 ;;
	-n) rounds=$2; shift ;;
	-t) seconds=$2; shift ;;
	-*) sed -n 's/^# \{0,1\}//; 6,14p' "$0" >&2; exit 2 ;;
	*)
		[ -e "$here/cases/$1.sh" ] || { echo "$1: not one of $(cd "$here/cases" && echo *.sh | sed 's/\.sh//g')" >&2; exit 2; }
		whats="$whats $1"
		;;
	esac
	shift
done
: "${whats:=throughput connections http latency memory app}"
[ "$(id -u)" -eq 0 ] || { echo "The benchmark makes network namespaces: run it as root." >&2; exit 2; }

# two processors, whatever the machine has
cpus=${BENCH_CPUS:-0,1}
if [ -z "${BENCH_PINNED-}" ] && [ "$(getconf _NPROCESSORS_ONLN)" -gt 2 ]; then
	BENCH_PINNED=1 exec taskset -c "$cpus" sh "$0" ${quick:+--quick} -n "$rounds" -t "$seconds" $whats
fi

. "$here/../../reg-tests/netns/lib.sh"
. "$here/gateways.sh"
cd "$top" || exit 2
bench=$BUILD/bench
for program in "$STANDIN" "$bench/ends" "$bench/accept" "$bench/meter" "$tools/stctl"; do
	[ -x "$program" ] || { echo "Build it first, or run it by: make bench" >&2; exit 2; }
done
out=build/bench
mkdir -p $out
samples=$out/samples.tsv rows=$T/rows.tsv notes=$T/notes
: >$samples >"$rows"
: >"$notes"
tab=$(printf '\t')

bench_down() {
	trap '' INT TERM HUP
	trap - EXIT
	hosts_down
	group_down
	rm -rf "$T"
}
trap bench_down EXIT

#
# For the cases
#

# row CASE OURS PEER METRIC UNIT GOAL TEXT: a line of the table. OURS and PEER are ways, METRIC is ours or OURS:PEER'S,
# PEER - when there is none. GOAL is "<=N" or ">=N", of the ratio (or of the value when there is no peer), or -.
row() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$rows"
}
# sample CASE WAY METRIC VALUE
sample() {
	[ -z "$4" ] || printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$round" "$4" >>$samples
}
# note TEXT...: printed below the table, once
note() {
	grep -qxF "$*" "$notes" || echo "$*" >>"$notes"
}
# measure CASE COMMAND ARGUMENT...: one run of `ends COMMAND` on the way that way_of() has set, in $said
measure() {
	measure_case=$1
	shift
	charged=
	[ "$way_pid" = 0 ] || charged="-g $way_pid"
	said=$(in_group nsenter --net="/run/netns/$ID-client" "$bench/meter" ${group:+-j "$group"} $charged \
		"$bench/ends" "$@" $way_addr $way_port 2>&1)
	lost=$(word failed "$said")
	[ "$lost" = 0 ] || note "$measure_case, $way: ${lost:-all} connections failed: ${said%%"
"*}"
	sample "$measure_case" $way other_share "$(ratio "$(word other_us "$said")" "$(word wall_us "$said")")"
}
# ratio A B [FACTOR]: A / B * FACTOR, empty when it cannot be told
ratio() {
	awk -v a="$1" -v b="$2" -v f="${3:-1}" 'BEGIN { if (a != "" && b > 0) printf "%.6g", a / b * f }'
}
say() {
	printf '%s\n' "$*" >&2
}

#
# The run
#

began=$(date +%s)
say "standin $(cat VERSION), $rounds rounds of $seconds s: $whats"
group_up
round=0
gateways_up
for what in $whats; do
	. "$here/cases/$what.sh"
	"${what}_begin"
	round=1
	while [ $round -le "$(eval echo "\${${what}_rounds:-$rounds}")" ]; do
		say "$what, round $round"
		"${what}_round"
		round=$((round + 1))
	done
done
standin_pid=
sh "$here/report.sh" "$rows" $samples "$notes" $out/results.json
say "$(($(date +%s) - began)) s; more in $out/"
