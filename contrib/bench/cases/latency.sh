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
	row $t idle - remove_p50 us - "demotion after a response, one at a time: p50"
	row $t idle - remove_p99 us - "  p99"
	row $t busy - remove_p50 us - "  the same on 32 connections at once: p50"
	row $t busy - remove_p99 us - "  p99"
	row $t busy - each_rate req/s - "  requests a second, each promoted and demoted"
}

# latency_of WAY LOAD FIELD COMMAND...: on a fresh daemon, whose histograms are empty
latency_of() {
	latency_load=$2 field=$3
	[ -n "$(ways $1)" ] || return 0
	again standin
	way=$1
	way_of $way
	before=$(gateway ".${field%%_*}")
	shift 3
	measure latency "$@" "$(awk "BEGIN { print $seconds * 1.5 }")"
	turns=$(($(gateway ".${field%%_*}") - before))
	[ "$turns" -gt 0 ] || { note "latency, $way: no ${field%%_*}"; return; }
	sample latency $latency_load "${field#*_}" "$(ratio $turns "$(word wall_us "$said")" 1e6)"
	for q in p50 p99 max; do
		case $field in
		promotions*) sample latency $latency_load insert_$q "$(gateway ".insert_us.$q")" ;;
		demotions*) sample latency $latency_load remove_$q "$(gateway ".remove_us.$q")" ;;
		esac
	done
}

latency_round() {
	latency_of promoted idle promotions_idle rate -n 1 -r 300
	latency_of promoted busy promotions_rate rate -n 64 -r 5000
	latency_of each idle demotions_idle http -n 1
	latency_of each busy demotions_each_rate http -n 32
}
