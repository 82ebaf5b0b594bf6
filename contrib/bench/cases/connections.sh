# SPDX-License-Identifier: GPL-3.0-or-later
#
# New connections per second: connect, 64 bytes there, 64 back, the server closes; 64 at a time

connections_begin() {
	t=connections
	row $t plain bare cps conn/s - "plain with connection tracking / without"
	row $t offloaded plain cps conn/s '>=0.95' "forward at the SYN / plain with connection tracking"
	row $t offloaded plain cpu_10k s/10k - "  all CPU per 10k"
	row $t offloaded haproxy gw_10k s/10k '<=0.15' "  the daemon's CPU per 10k / HAProxy TPROXY's"
	row $t watched queue cps conn/s - "watched / a queue that accepts everything"
	row $t watched queue cpu_10k s/10k '<=1.10' "  all CPU per 10k"
	row $t watched queue gw_10k s/10k - "  the daemon's CPU per 10k"
	row $t promoted haproxy cps conn/s - "promoted, mode tcp / HAProxy TPROXY"
	row $t promoted haproxy cpu_10k s/10k - "  all CPU per 10k"
	row $t demoted haproxy cps conn/s - "promoted and demoted / HAProxy TPROXY"
}

# What the daemon does for connections after their end counts as theirs, and must not fall on whose turn is next: the
# records of offloaded ones are looked up in the tracker some seconds later. In $tail_us.
connections_tail() {
	tail_us=0
	[ "$way" = offloaded ] || return 0
	wait_for 8 connections_over || note "connections: records of offloaded ones stay"
	tail_us=$(($(word gw_end_us "$("$bench/meter" -g $way_pid true)") - $(word gw_end_us "$said")))
}
connections_over() {
	[ "$(gateway .flows.offloaded)" = 0 ] || { sleep 0.3; return 1; }
}

connections_round() {
	for way in $(ways bare plain queue haproxy offloaded watched promoted demoted); do
		way_of $way
		measure connections rate -n 64 "$seconds"
		conns=$(word conns "$said") all_us=$(word cpu_us "$said") gw_us=$(word gw_us "$said")
		connections_tail
		sample connections $way cps "$(word cps "$said")"
		sample connections $way p50_us "$(word p50_us "$said")"
		sample connections $way p99_us "$(word p99_us "$said")"
		sample connections $way cpu_10k "$(ratio $((all_us + tail_us)) "$conns" 0.01)"
		sample connections $way gw_10k "$(ratio $((gw_us + tail_us)) "$conns" 0.01)"
	done
}
