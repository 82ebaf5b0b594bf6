# SPDX-License-Identifier: GPL-3.0-or-later
#
# Keep-alive requests per second on 32 connections, answers with 128 bytes of body: through a listener, and through a
# transparent gateway that promotes each request and demotes the connection after its response. One long download

http_begin() {
	t=http
	row $t standin-http haproxy-http rps req/s - "HTTP requests by a listener / HAProxy, 1 thread"
	row $t standin-http haproxy-http cpu_10k s/10k - "  all CPU per 10k"
	row $t standin-http haproxy-http gw_10k s/10k - "  the daemon's CPU per 10k"
	row $t standin-http haproxy-http p99_us us - "  99 % are answered within"
	row $t standin-http direct-http rps req/s - "  / without a proxy"
	row $t each haproxy-each rps req/s - "each request promoted, then demoted / HAProxy TPROXY http"
	row $t each haproxy-each cpu_10k s/10k - "  all CPU per 10k"
	row $t each haproxy-each p99_us us - "  99 % are answered within"
	row $t standin-http haproxy-http gbps Gbit/s - "HTTP download by a listener / HAProxy, 1 thread"
	row $t standin-http haproxy-http cpu_gb s/GB - "  all CPU per GB"
	row $t standin-http haproxy-http gw_gb s/GB - "  the daemon's CPU per GB"
}

http_round() {
	for way in direct-http haproxy-http standin-http haproxy-each each; do
		way_of $way
		measure http http -n 32 "$seconds"
		requests=$(word requests "$said")
		sample http $way rps "$(word rps "$said")"
		sample http $way p50_us "$(word p50_us "$said")"
		sample http $way p99_us "$(word p99_us "$said")"
		sample http $way cpu_10k "$(ratio "$(word cpu_us "$said")" "$requests" 0.01)"
		sample http $way gw_10k "$(ratio "$(word gw_us "$said")" "$requests" 0.01)"
	done
	for way in haproxy-http standin-http; do
		way_of $way
		measure http bulk -w "$seconds"
		bytes=$(word bytes "$said")
		sample http $way gbps "$(word gbps "$said")"
		sample http $way cpu_gb "$(ratio "$(word cpu_us "$said")" "$bytes" 1000)"
		sample http $way gw_gb "$(ratio "$(word gw_us "$said")" "$bytes" 1000)"
	done
}
