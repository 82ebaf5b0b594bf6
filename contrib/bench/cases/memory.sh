# SPDX-License-Identifier: GPL-3.0-or-later
#
# Memory that an idle connection costs the gateway: what grows in the kernel's caches for sockets, connection
# tracking and descriptors and in the daemon, less what the same connections cost both ends
# on the way that does nothing

memory_begin() {
	memory_rounds=$([ -n "$quick" ] && echo 1 || echo 3)
	idle_conns=$([ -n "$quick" ] && echo 2000 || echo 8000)
	t=memory
	row $t plain haproxy bytes byte - "per idle connection: plain, tracked / HAProxy TPROXY"
	row $t offloaded haproxy bytes byte - "  offloaded / HAProxy TPROXY"
	row $t watched haproxy bytes byte '<=0.0625' "  watched / HAProxy TPROXY"
	row $t promoted haproxy bytes byte - "  promoted / HAProxy TPROXY"
	row $t demoted haproxy bytes byte - "  promoted and demoted / HAProxy TPROXY"
}

# Bytes in the caches that connections live in, and in the anonymous memory of process $1 and its children
memory_now() {
	awk '$1 ~ /^(TCP|TCPv6|sock_inode_cache|request_sock_.*|tw_sock_.*|tcp_bind.*|nf_conntrack.*|eventpoll_.*|filp|dentry|skbuff_.*|kmalloc-.*)$/ \
		{ sum += $2 * $4 } END { printf "%.0f\n", sum }' /proc/slabinfo
	[ "$1" = 0 ] || awk '/^RssAnon/ { printf "%.0f\n", $2 * 1024 }' /proc/$1/status
}
memory_sum() {
	memory_now $1 | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

# memory_of WAY: bytes per connection, both ends included, in $per; empty when they could not be made
memory_of() {
	way=$1
	way_of $way
	case $way_gw in standin | haproxy) again $way_gw ;; esac
	way_of $way
	before=$(memory_sum $way_pid)
	rm -f "$T/idle.in" "$T/idle.log"
	mkfifo "$T/idle.in"
	(exec nsenter --net="/run/netns/$ID-client" "$bench/ends" idle -n "$idle_conns" -r 10000 $way_addr $way_port \
		<"$T/idle.in" >"$T/idle.log" 2>&1) &
	holder=$!
	spawned="$spawned $holder"
	exec 8>"$T/idle.in"
	wait_for 20 grep -q held "$T/idle.log"
	sleep 0.5
	after=$(memory_sum $way_pid)
	held=$(word held "$(cat "$T/idle.log")")
	exec 8>&-
	stop $holder
	per=
	if [ "${held:-0}" = "$idle_conns" ]; then
		per=$(ratio $((after - before)) "$held")
	else
		note "memory, $way: only ${held:-none} of $idle_conns connections were answered: not measured"
	fi
	sleep 0.5
}

memory_round() {
	memory_of bare
	ends=$per
	for way in $(ways plain haproxy offloaded watched promoted demoted); do
		memory_of $way
		[ -z "$per" ] || sample memory $way bytes "$(awk "BEGIN { print $per - $ends }")"
	done
}
