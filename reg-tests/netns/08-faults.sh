#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Promoted and demoted while the client's wire delays, loses, doubles and reorders frames, and with
# clients that lack TCP options. No byte is out of place, nobody sees a reset.
. "$(dirname "$0")/lib.sh"

# on_wire WHAT WIRE CLIENT_SYSCTLS LOAD STALL [CYCLES [ADDR]]: one gateway, streams over IPv4 and IPv6, or to ADDR
on_wire() {
	hosts_up "$2"
	ramp_up
	[ -z "$3" ] || on client sysctl -qw $3
	standin_up -f "$top/conf/demo.cfg"
	for addr in ${7:-$S4 $S6}; do
		capture_on client
		cycle_ramp "${6:-2}" 0.1 $addr $4
		is "$1, $addr: every byte in its place" $ramped 0
		capture_off
		cycled "$1, $addr" "${6:-2}"
		brief "$1, $addr: longest stall there, ms" "$(word c2s_gap_ms "$said")" "$5"
		brief "$1, $addr: longest stall back, ms" "$(word s2c_gap_ms "$said")" "$5"
		has_not "$1, $addr: no reset" "$("$tools/pcapsum" "$T/client.pcap")" 'rst=[1-9]'
	done
	standin_down
	hosts_down
}

on_wire "a clean wire of 10 ms" "-d 10" "" "5m@2m 5m@2m" 500
on_wire "loss" "-d 2 -l 0.5" "" "5m@2m 5m@2m" 1500
on_wire "disorder" "-d 2 -r 2 -u 1" "" "5m@2m 5m@2m" 700
on_wire "all of it, fast" "-d 3 -l 0.5 -r 1 -u 0.5" "" "60m 60m" 2000 1
on_wire "no timestamps" "-d 1" "net.ipv4.tcp_timestamps=0" "4m@2m 4m@2m" 500 2 $S4
on_wire "no SACK" "-d 1" "net.ipv4.tcp_sack=0" "4m@2m 4m@2m" 500 2 $S6
on_wire "no window scale" "-d 1" "net.ipv4.tcp_window_scaling=0" "4m@2m 4m@2m" 500 2 $S4
on_wire "no options, with loss" "-d 2 -l 0.3" \
	"net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0 net.ipv4.tcp_window_scaling=0" "4m@2m 4m@2m" 2500
finish
