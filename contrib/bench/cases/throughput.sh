# SPDX-License-Identifier: GPL-3.0-or-later
#
# One long download over one connection (BENCH_UP=1: upload), each way in turn

throughput_begin() {
	t=throughput
	row $t offloaded plain gbps Gbit/s '>=0.97' "offloaded / plain with connection tracking"
	row $t offloaded plain cpu_gb s/GB '<=1.05' "  all CPU per GB"
	row $t watched queue gbps Gbit/s '>=0.95' "watched / a queue that accepts everything"
	row $t watched queue cpu_gb s/GB - "  all CPU per GB"
	row $t watched queue gw_gb s/GB - "  the daemon's CPU per GB"
	row $t watched - gw_gb s/GB '<=0.35' "  the same, by itself"
	row $t promoted haproxy gbps Gbit/s '>=1.05' "promoted, mode tcp / HAProxy TPROXY"
	row $t promoted haproxy cpu_gb s/GB '<=0.95' "  all CPU per GB"
	row $t promoted haproxy gw_gb s/GB - "  the daemon's CPU per GB"
	row $t translated plain gbps Gbit/s '>=0.95' "promoted and demoted, translated by the kernel / plain"
	row $t translated plain cpu_gb s/GB - "  all CPU per GB"
	row $t translated plain gw_gb s/GB - "  the daemon's CPU per GB"
}

throughput_round() {
	for way in $(ways plain queue haproxy offloaded watched promoted translated); do
		way_of $way
		measure throughput bulk ${BENCH_UP:+-u} $way_bulk "$seconds"
		bytes=$(word bytes "$said")
		sample throughput $way gbps "$(word gbps "$said")"
		sample throughput $way cpu_gb "$(ratio "$(word cpu_us "$said")" "$bytes" 1000)"
		sample throughput $way gw_gb "$(ratio "$(word gw_us "$said")" "$bytes" 1000)"
	done
}
