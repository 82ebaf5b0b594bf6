# SPDX-License-Identifier: GPL-3.0-or-later
#
# Memory that an idle connection costs the gateway: what grows in the kernel's caches for sockets, connection
# tracking and descriptors and in the daemon, less what the same connections cost both ends
# on the way that does nothing

memory_begin() {
	memory_rounds=$([ -n "$quick" ] && echo 1 || echo 3)
	idle_few=$([ -n "$quick" ] && echo 2000 || echo 8000)
	idle_many=$([ -n "$quick" ] && echo 2000 || echo 16000)
	t=memory
	row $t plain haproxy bytes byte - "per idle connection: plain, tracked / HAProxy TPROXY"
	row $t offloaded haproxy bytes byte - "  offloaded / HAProxy TPROXY"
	row $t watched haproxy bytes byte '<=0.0625' "  watched / HAProxy TPROXY"
	row $t promoted haproxy bytes byte - "  promoted / HAProxy TPROXY"
	row $t demoted haproxy bytes byte '<=0.0625' "  promoted and demoted / HAProxy TPROXY"
	row $t watched haproxy own byte - "  of it, the daemon's own memory: watched / HAProxy TPROXY"
	row $t demoted haproxy own byte - "  the same, promoted and demoted / HAProxy TPROXY"
}

# Bytes in the caches that connections live in. A socket has a dentry; the others of those come and go with whatever
# else the machine does
memory_kernel() {
	awk '$1 == "dentry" { dentry = $4 }
		$1 == "sock_inode_cache" { sockets = $2 }
		$1 ~ /^(TCP|TCPv6|sock_inode_cache|request_sock_.*|tw_sock_.*|tcp_bind.*|nf_conntrack.*|eventpoll_.*|filp|skbuff_.*|kmalloc-.*)$/ \
			{ sum += $2 * $4 }
		END { printf "%.0f\n", sum + sockets * dentry }' /proc/slabinfo
}
# Bytes of anonymous memory of process $1
memory_own() {
	[ "$1" = 0 ] && echo 0 || awk '/^RssAnon/ { printf "%.0f\n", $2 * 1024 }' /proc/$1/status
}

# idle_up N: that many connections on the way that way_of() has set, each used once; $held of them were answered
idle_up() {
	rm -f "$T/idle.in" "$T/idle.log"
	mkfifo "$T/idle.in"
	(exec nsenter --net="/run/netns/$ID-client" "$bench/ends" idle -n "$1" -r 4000 $way_addr $way_port \
		<"$T/idle.in" >"$T/idle.log" 2>&1) &
	holder=$!
	spawned="$spawned $holder"
	exec 8>"$T/idle.in"
	wait_for 20 grep -q held "$T/idle.log"
	sleep 0.5
	held=$(word held "$(cat "$T/idle.log")")
}
idle_down() {
	exec 8>&-
	stop $holder
	sleep 0.5
}

# memory_conns WAY: how many; each is two descriptors of a daemon that carries it, which may have 20000
memory_conns() {
	case $1 in haproxy | promoted) echo $idle_few ;; *) echo $idle_many ;; esac
}

# memory_of WAY: bytes per connection, both ends included, in $per; empty when they could not be made. What a daemon
# needs for the first of them it does not need for each: a few come and go before
memory_of() {
	way=$1
	way_of $way
	case $way_gw in standin | haproxy) again $way_gw ;; esac
	way_of $way
	idle_conns=$(memory_conns $way)
	idle_up 20
	idle_down
	kernel=$(memory_kernel) own=$(memory_own $way_pid)
	idle_up $idle_conns
	kernel=$(($(memory_kernel) - kernel)) own=$(($(memory_own $way_pid) - own))
	idle_down
	per=
	if [ "${held:-0}" = "$idle_conns" ]; then
		per=$(ratio $((kernel + own)) "$held")
		[ $way_pid = 0 ] || sample memory $way own "$(ratio $own "$held")"
	else
		note "memory, $way: only ${held:-none} of $idle_conns connections were answered: not measured"
	fi
}

memory_round() {
	memory_of bare
	ends=$per
	for way in $(ways plain haproxy offloaded watched promoted demoted); do
		memory_of $way
		[ -z "$per" ] || sample memory $way bytes "$(awk "BEGIN { print $per - $ends }")"
	done
}
