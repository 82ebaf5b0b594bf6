#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Promoted and demoted with bytes going both ways at full speed, in each of eight conditions: no byte out of place, no
# handshake but the first, no reset, no segment outside its receiver's window; and how long the receivers waited,
# beside the same transfer without promotions.
#
# CYCLES=N promotions and N demotions in each condition (5); CYCLES=500 takes a quarter of an hour. WHAT="..." is an extended
# regular expression that chooses conditions by their names.
. "$(dirname "$0")/lib.sh"
: "${CYCLES:=5}" "${WHAT:=.}"
cat >"$T/gw.cfg" <<-EOC
	$(cfg_base)
	gateway g
	    match dport 7
	    timeout hold 5s
	    tcp-request connection watch
	$(cfg_bytes)
EOC

# transfer ADDR SIZE: a ramp each way, captured at both ends; its longest gaps are added to $p50, $p99 (us) and $max (ms), what is
# wrong with it to $wrong
transfer() {
	capture_on client server
	said=$(on client "$tools/ramp" call "$1" 7 "$2" "$2") || wrong="$wrong $said"
	capture_off
	for host in client server; do
		sum=$("$tools/pcapsum" "$T/$host.pcap")
		case $sum in
		*" syn=1 synack=1 rst=0 "*" outside=0 "*) ;;
		*) captured "$host" || wrong="$wrong $host: $sum" ;;
		esac
		rm -f "$T/$host.pcap"
	done
	for way in c2s s2c; do
		p50=$(larger "$p50" "$(word ${way}_p50_us "$said")")
		p99=$(larger "$p99" "$(word ${way}_p99_us "$said")")
		max=$(larger "$max" "$(word ${way}_gap_ms "$said")")
	done
}
larger() {
	[ "$1" -gt "${2:-0}" ] && echo "$1" || echo "${2:-0}"
}
# captured HOST: tcpdump missed something, and windows cannot be told
captured() {
	case $sum in *" syn=1 synack=1 rst=0 "*) ;; *) return 1 ;; esac
	! grep -q '^0 packets dropped by kernel' "$T/tcpdump-$1.log"
}

# condition WHAT SIZE ROUND_TRIP_MS [WIRE [ADDR [CLIENT_SYSCTL]]]: each ramp has SIZE MB, ten times that where there are many cycles
condition() {
	echo "$1" | grep -Eq "$WHAT" || return
	size=$2
	[ "$CYCLES" -lt 50 ] || size=$(($2 * 10))
	hosts_up "${4-}"
	ramp_up
	[ -z "${6-}" ] || on client sysctl -qw "$6"
	[ "$1" != "small MSS" ] || ip -n "$ID-client" route change default via $G4 advmss 400
	standin_up
	p50=0 p99=0 max=0 wrong=
	for ramp in $(seq $((CYCLES < 50 ? 1 : 4))); do
		transfer "${5:-$S4}" "${size}m"
	done
	plain="p50 $p50 us, p99 $p99 us, longest $max ms" plain_p99=$p99 plain_max=$max
	p50=0 p99=0 max=0 promoted=0 demoted=0 ramps=0
	# a slow machine may need more of them
	while [ "$demoted" -lt "$CYCLES" ] && [ "$ramps" -lt $((10 + CYCLES)) ] && [ -z "$wrong" ]; do
		rm -f "$T/flip.log"
		spawn flip gw python3 "$top/reg-tests/netns/flip.py" -p 100 -j 1 -w 3 -s "$ramps" "$SOCK" fe_bytes
		flip=$spawn_pid
		wait_for 10 grep -q ready "$T/flip.log"
		transfer "${5:-$S4}" "${size}m"
		stop "$flip" TERM 15
		promoted=$((promoted + $(word promoted "$(tail -n 1 "$T/flip.log")")))
		demoted=$((demoted + $(word demoted "$(tail -n 1 "$T/flip.log")")))
		ramps=$((ramps + 1))
	done
	is "$1: every byte in its place, one handshake, no reset, nothing outside a window" "$wrong" ""
	more "$1: promotions" "$promoted" "$CYCLES"
	more "$1: demotions" "$demoted" "$CYCLES"
	echo "figure: $1: plain: $plain; promoted $promoted and demoted $demoted times: p50 $p50 us, p99 $p99 us, longest $max ms"
	# two round trips and what a lost segment costs at most (RTO: 200 ms and the round trip), above the same without
	brief "$1: 99 of 100 waits, ms" $((p99 / 1000)) $((plain_p99 / 1000 + 2 * $3 + 200 + $3))
	brief "$1: longest wait, ms" "$max" $((plain_max + 2 * $3 + 600 + $3))
	standin_down
	hosts_down
}

condition "clean" 150 0
condition "1 % loss" 8 0 "-l 1"
condition "20 ms" 20 20 "-d 10"
condition "no window scale" 60 0 "" $S4 net.ipv4.tcp_window_scaling=0
condition "no SACK" 150 0 "" $S4 net.ipv4.tcp_sack=0
condition "no timestamps" 150 0 "" $S4 net.ipv4.tcp_timestamps=0
condition "IPv6" 150 0 "" $S6
condition "small MSS" 40 0
finish
