# SPDX-License-Identifier: GPL-3.0-or-later
#
# What a promotion and a demotion take inside the daemon: from the packet that the decision fell on to its
# release, and from the decision to leave to the connection at L3 (show gateway: insert_us, remove_us)

latency_begin() {
	latency_rounds=$([ -n "$quick" ] && echo 1 || echo 3)
	t=latency
	row $t idle - insert_p50 us '<=40' "promotion on first payload, one at a time: p50"
	row $t idle - insert_p99 us - "  p99"
	row $t busy - insert_p50 us - "  the same at 5000 promotions a second: p50"
	row $t busy - insert_p99 us '<=300' "  p99"
	row $t busy - rate conn/s - "  promotions a second that were reached"
	row $t idle - remove_p50 us - "demotion at a boundary, one at a time: p50"
	row $t busy - remove_p50 us - "  the same at 2000 demotions a second: p50"
	row $t busy - remove_p99 us - "  p99"
}

# latency_of WAY LOAD FIELD RATE: on a fresh daemon, whose histograms are empty
latency_of() {
	[ -n "$(ways $1)" ] || return 0
	again standin
	before=$(gateway ".$5")
	way=$1
	way_of $way
	measure latency rate -n "$4" -r "$3" "$(awk "BEGIN { print $seconds * 1.5 }")"
	done=$(($(gateway ".$5") - before))
	[ "$done" -gt 0 ] || { note "latency, $2: no ${5}"; return; }
	[ "$5" != promotions ] || sample latency $2 rate "$(ratio $done "$(word wall_us "$said")" 1e6)"
	case $5 in promotions) f=insert ;; *) f=remove ;; esac
	for q in p50 p99 max; do
		sample latency $2 ${f}_$q "$(gateway ".${f}_us.$q")"
	done
}

latency_round() {
	latency_of promoted idle 300 1 promotions
	latency_of promoted busy 5000 64 promotions
	latency_of translated idle 300 1 demotions
	latency_of translated busy 2000 64 demotions
}
