#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# run.sh - run the tests, show what failed, end with "N passed, N failed"
#
#   sh reg-tests/run.sh                     every suite but the demo
#   sh reg-tests/run.sh vtc netns           these suites
#   sh reg-tests/run.sh reg-tests/l7/x.vtc  this test, by the file it is written in
#   sh reg-tests/run.sh -v ...              shows the log of each test as it ends
#
# Suites (`make tests` builds what they need); unit, fuzz and platform come first, then netns beside the others:
#   unit      reg-tests/unit/*.c, Criterion programs; each test in them counts
#   fuzz      reg-tests/fuzz/*.c, each over its corpus
#   platform  reg-tests/platform/*.c, one program for one kernel behaviour
#   vtc       reg-tests/*/*.vtc by varnishtest, with standin where it knows haproxy
#   conform   reg-tests/conform/NN-*.py, the proxy between raw sockets, byte by byte
#   cli       reg-tests/cli/*.sh, the command line and the files in conf/
#   app       reg-tests/app/*.sh, real instances in real cgroups
#   netns     reg-tests/netns/NN-*.sh, real packets between network namespaces
#   demo      contrib/demo.sh itself, twice, and once interrupted
#
# A program or script passes with exit status 0 and is skipped with 77. A script that prints lines
# "ok - what" and "not ok - what" counts once for each line. Every test has a time limit, a log
# under build/log/, and a TMPDIR that is removed. Afterwards one more test, "cleanup", fails if a
# namespace, process, cgroup, firewall or routing rule was left behind.
#
# From the environment: BUILD (build/gcc), STANDIN (./standin), SAN=1 with a sanitizer build, JOBS,
# STANDIN_TALLY (a file to which "passed failed skipped" is appended). Tests find STANDIN and BUILD
# as absolute paths, STANDIN_TEST_ID as the name under which everything they make is known: their own.
set -u
me=$0
cd "$(dirname "$0")/.." || exit 2
top=$PWD
me=$top/reg-tests/run.sh

# limit SUITE: seconds one test of it may take
limit() {
	case $1 in
	platform) s=40 ;;
	netns | app | conform | cli) s=240 ;;
	demo) s=500 ;;
	*) s=60 ;;
	esac
	[ -z "${SAN-}" ] || s=$((s * 3))
	echo $s
}

# tests SUITE: one file a line
tests() {
	case $1 in
	unit | platform | fuzz) ls reg-tests/"$1"/*.c ;;
	vtc) ls reg-tests/*/*.vtc ;;
	netns) ls reg-tests/netns/[0-9]*.sh ;;
	conform) ls reg-tests/conform/[0-9]*.py ;;
	demo) ls reg-tests/demo/*.sh ;;
	*) ls reg-tests/"$1"/*.sh ;;
	esac 2>/dev/null
}

# suite_of FILE
suite_of() {
	case $1 in
	*.vtc) echo vtc ;;
	*) basename "$(dirname "$1")" ;;
	esac
}

#
# One test: run.sh --one FILE. Writes "passed failed skipped" beside the log.
#

one_command() {
	case $suite in
	unit) set -- "$BUILD/unit/$name" --jobs 1 ;;
	platform) set -- "$BUILD/platform/$name" ;;
	fuzz)
		set -- "$BUILD/fuzz/$name" "reg-tests/fuzz/corpus/$name"
		[ -d "$2" ] || set -- "$1" -r 20000 1
		;;
	conform) set -- python3 -B "$file" ;;
	vtc) set -- varnishtest -l -t "$(limit vtc)" "$file" ;;
	*) set -- sh "$file" ;;
	esac
	timeout -k 10 "$(limit "$suite")" "$@" </dev/null >"$log" 2>&1 &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; wait "$pid"; exit 130' INT TERM HUP
	wait "$pid"
}

# one_count STATUS: sets p f s
one_count() {
	p=0 f=0 s=0
	case $1 in
	0) ;;
	77) s=1; return ;;
	124 | 137) echo "timed out after $(limit "$suite") s" >>"$log" ;;
	*) echo "exit status $1" >>"$log" ;;
	esac
	if [ "$suite" = unit ]; then
		counts=$(sed 's/\x1b\[[0-9;]*m//g' "$log" |
			sed -n 's/.*Synthesis: Tested: \([0-9]*\) | Passing: \([0-9]*\) .*/\1 \2/p' | tail -n 1)
		tested=${counts% *} p=${counts#* }
		tested=${tested:-0} p=${p:-0}
		f=$((tested - p))
	else
		p=$(grep -c '^ok - ' "$log")
		f=$(grep -c '^not ok - ' "$log")
	fi
	if [ "$1" -ne 0 ]; then
		[ "$f" -gt 0 ] || f=1
	elif [ $((p + f)) -eq 0 ]; then
		p=1
	fi
}

# one_run: sets p f s took
one_run() {
	TMPDIR=$(mktemp -d "$RUN_TMP/XXXXXX")
	chmod 755 "$TMPDIR" # instances of other users look into it
	export TMPDIR
	begun=$(date +%s)
	one_command
	one_count $?
	for san in "$log".san.*; do
		[ -s "$san" ] || continue
		f=$((f + 1))
		cat "$san" >>"$log"
	done
	took=$(($(date +%s) - begun))
	rm -rf "$TMPDIR"
}

one() {
	file=$1
	suite=$(suite_of "$file")
	name=$(basename "${file%.*}")
	id=$suite-$name
	[ "$suite" != vtc ] || id=$(basename "$(dirname "$file")")-$name.vtc
	log=$LOG/$id.log
	STANDIN_TEST_ID=$STANDIN_TEST_ID-$name # two tests may run beside each other
	if [ -n "${SAN-}" ]; then
		leaks=1
		[ "$suite" != platform ] || leaks=0 # they end where they stand, as programs of one purpose may
		export ASAN_OPTIONS="log_path=$log.san:detect_leaks=$leaks:abort_on_error=0:exitcode=99:disable_coredump=0"
		export UBSAN_OPTIONS="log_path=$log.san:print_stacktrace=1"
		export LSAN_OPTIONS="suppressions=$top/reg-tests/lsan.supp:print_suppressions=0"
	fi
	one_run
	case $suite in
	vtc | conform | cli | app | netns | demo)
		# These look at the clock, on a machine that may be busy: a failure has to happen twice. What a
		# sanitizer says counts at once, and what failed the first time is told.
		if [ "$f" -gt 0 ] && ! ls "$log".san.* >/dev/null 2>&1; then
			echo "AGAIN $file failed once ($took s), $log.first:"
			grep '^not ok - ' "$log" | sed 's/^/    /'
			mv "$log" "$log.first"
			one_run
		fi
		;;
	esac
	echo "$p $f $s" >"$log.count"
	if [ "$f" -gt 0 ]; then
		echo "FAIL $file ($took s), $log:"
		grep '^not ok - ' "$log" | sed 's/^/    /'
		tail -n "${TAIL:-30}" "$log" | sed 's/^/    | /'
	elif [ -n "$VERBOSE" ]; then
		echo "$([ "$s" -gt 0 ] && echo SKIP || echo PASS) $file ($took s)"
		sed 's/^/    | /' "$log"
	elif [ "$s" -gt 0 ]; then
		echo "SKIP $file: $(tail -n 1 "$log")"
	fi
}

#
# All of them
#

# What must be the same before and after, on a machine that others use too.
host_state() {
	for save in iptables-save ip6tables-save; do
		$save -t mangle 2>/dev/null | sed '/^#/d; s/\[[0-9:]*\]//'
	done
	ip rule 2>/dev/null
	ip -6 rule 2>/dev/null
	cat /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal /proc/sys/net/ipv4/ip_forward 2>/dev/null
}

# Processes that one of our tests started and that still live; those about to end get half a minute.
left_processes() {
	for try in $(seq 60); do
		pids=
		for env in $(grep -lz "^STANDIN_TEST_ID=$STANDIN_TEST_ID\(-\|\$\)" /proc/[0-9]*/environ 2>/dev/null); do
			pid=${env#/proc/} pid=${pid%/environ}
			[ ! -d "/proc/$pid" ] || pids="$pids $pid" # grep itself is gone by now
		done
		[ -n "$pids" ] || return 0
		sleep 0.5
	done
	echo "$pids"
}

# A daemon names its cgroup after its pid: those of daemons that are no more
dead_cgroups() {
	find /sys/fs/cgroup -type d -name 'standin-[0-9]*' 2>/dev/null | while read -r dir; do
		[ -d "/proc/${dir##*standin-}" ] || echo "$dir"
	done
}

cleanup_check() {
	log=$LOG/cleanup.log
	{
		ip netns list 2>/dev/null | awk -v id="$STANDIN_TEST_ID" 'index($1, id) == 1 { print "namespace " $1 }'
		dead_cgroups | grep -vxFf "$RUN_TMP/cgroups" | sed 's/^/cgroup /'
		host_state | diff "$RUN_TMP/host" - | sed -n 's/^[<>]/host &/p'
		for pid in $(left_processes); do
			echo "process $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
			kill -9 "$pid" 2>/dev/null
		done
		ls -A "$RUN_TMP" | sed '/^host$/d; /^cgroups$/d; s/^/file /'
	} >"$log"
	echo "1 0 0" >"$log.count"
	[ -s "$log" ] || return 0
	echo "0 1 0" >"$log.count"
	echo "FAIL cleanup: left behind:"
	sed 's/^/    | /' "$log"
}

summary() {
	cat "$LOG"/*.count 2>/dev/null | awk -v tally="${STANDIN_TALLY:-/dev/null}" '
		{ p += $1; f += $2; s += $3 }
		END {
			print p + 0, f + 0, s + 0 >>tally
			printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""
			exit f > 0 || p + s == 0
		}'
}

# lane JOBS SUITE...: one suite after the other
lane() {
	jobs=$1
	shift
	for suite in "$@"; do
		begun=$(date +%s)
		tests "$suite" | xargs -r -P "$jobs" -n 1 sh "$me" --one
		echo "$suite: $(tests "$suite" | wc -l) files, $(($(date +%s) - begun)) s"
	done
}

# lane_up JOBS SUITE...: a lane beside others, in a process group of its own that timeout passes signals to
lanes=
lane_up() {
	timeout 0 sh "$me" --lane "$@" &
	lanes="$lanes $!"
}
lanes_end() {
	for pid in $lanes; do wait "$pid"; done
	lanes=
}
interrupted() {
	trap '' INT TERM HUP
	[ -z "$lanes" ] || kill $lanes
	lanes_end
	exit "$1"
}

VERBOSE=${VERBOSE-}
case ${1-} in
--one)
	one "$2"
	exit 0
	;;
--lane)
	shift
	lane "$@"
	exit 0
	;;
esac
if [ "${1-}" = -v ]; then
	VERBOSE=1
	shift
fi

if [ -n "${SAN-}" ]; then
	BUILD=${BUILD:-build/asan} STANDIN=${STANDIN:-./standin-asan}
else
	BUILD=${BUILD:-build/gcc} STANDIN=${STANDIN:-./standin}
fi
BUILD=$(realpath -m "$BUILD")
STANDIN=$(realpath -m "$STANDIN")
HAPROXY_PROGRAM=$STANDIN
STANDIN_TEST_ID=standin-$$
LOG=$top/build/log/$(basename "$BUILD")$(printf -- '-%s' "$@" | tr / _ | cut -c1-200) # a run's logs last until its like
[ $# -gt 0 ] || LOG=$top/build/log/$(basename "$BUILD")
RUN_TMP=$(mktemp -d "/tmp/$STANDIN_TEST_ID.XXXX")
export BUILD STANDIN HAPROXY_PROGRAM STANDIN_TEST_ID LOG RUN_TMP VERBOSE
chmod 755 "$RUN_TMP"
rm -rf "$LOG"
mkdir -p "$LOG"
trap 'rm -rf "$RUN_TMP"' EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP
host_state >"$RUN_TMP/host"
{ echo; dead_cgroups; } >"$RUN_TMP/cgroups"

suites="unit fuzz platform vtc conform cli app netns"
files=
if [ $# -gt 0 ]; then
	suites=
	for a in "$@"; do
		case $a in
		*/*) files="$files $a" ;;
		unit | fuzz | platform | vtc | conform | cli | app | netns | demo) suites="$suites $a" ;;
		*) sed -n 's/^# \{0,1\}//; 5,21p' "$me" >&2; exit 2 ;;
		esac
	done
fi

# chosen SUITE...: those of them that are to run
chosen() {
	for suite in "$@"; do
		case " $suites " in *" $suite "*) printf '%s ' "$suite" ;; esac
	done
}

for f in $files; do
	sh "$me" --one "$f"
done
# What computes takes the whole machine. What mostly waits does so beside others: two with hosts in namespaces, and
# one of the rest.
lane_up "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" $(chosen unit fuzz platform)
lanes_end
lane_up 1 $(chosen vtc conform cli app)
lane_up 2 $(chosen netns)
lane_up 1 $(chosen demo)
lanes_end
cleanup_check
summary
