# SPDX-License-Identifier: GPL-3.0-or-later
#
# gateways.sh - one client, one server, and a gateway between them for each way to pass
#
#	           198.18.I.2 --- 198.18.I.1  gateway I  198.19.I.1 --- 198.19.I.2
#
#	1 bare      the kernel forwards, nothing else is loaded
#	2 plain     with connection tracking
#	3 queue     with connection tracking and a packet queue that accepts everything
#	4 haproxy   HAProxy, TPROXY; its HTTP listener and standin's are there, too
#	5 standin   standin, steer auto; what it does is chosen by the port (conf/standin.cfg)
#
# All stand all the time, so that runs can be interleaved without starting anything. The addresses are those
# that RFC 2544 and RFC 5180 set aside for benchmarks.
#
# A way is a name by which samples are filed; way_of() sets
#	way_gw  the gateway     way_addr, way_port  where the client connects to
#	way_pid the daemon that is charged (0: none)
#	way_bulk an option for a download on it
#	way_is  the state that show flow has for such a connection while it runs (empty: not standin's)

ports=7000-7010

gateway_no() {
	case $1 in bare) echo 1 ;; plain) echo 2 ;; queue) echo 3 ;; haproxy) echo 4 ;; standin) echo 5 ;; esac
}

way_of() {
	way_gw=$1 way_port=7000 way_pid=0 way_is= way_bulk=
	case $1 in
	queue) way_pid=$queue_pid ;;
	haproxy) way_pid=$haproxy_pid ;;
	offloaded) way_gw=standin way_port=7001 way_is=offloaded ;;
	watched) way_gw=standin way_port=7002 way_is=watched ;;
	promoted) way_gw=standin way_port=7003 way_is=promoted ;;
	demoted) way_gw=standin way_port=7004 way_is=watched ;;
	translated) way_gw=standin way_port=7006 way_is=translated way_bulk=-W ;;
	each) way_gw=standin way_port=7005 ;;
	haproxy-each) way_gw=haproxy way_port=7005 way_pid=$haproxy_pid ;;
	esac
	[ $way_gw != standin ] || way_pid=$gateway_pid
	way_addr=198.19.$(gateway_no $way_gw).2
	case $1 in
	direct-http) way_addr=198.19.1.2 way_port=7010 ;;
	haproxy-http) way_addr=198.18.4.1 way_port=7010 way_pid=$haproxy_pid ;;
	standin-http) way_addr=198.18.4.1 way_port=7011 way_pid=$http_pid ;;
	esac
}

# in_group COMMAND...: its CPU time is ours (meter.c)
in_group() {
	if [ -n "$group" ]; then sh -c 'echo $$ >"$0" && exec "$@"' "$group/cgroup.procs" "$@"; else "$@"; fi
}
# daemon NAME HOST COMMAND...: in the background, in our group
daemon() {
	daemon_name=$1 daemon_host=$2
	shift 2
	if [ -n "$group" ]; then
		spawn "$daemon_name" "$daemon_host" sh -c 'echo $$ >"$0" && exec "$@"' "$group/cgroup.procs" "$@"
	else
		spawn "$daemon_name" "$daemon_host" "$@"
	fi
}
# broken WHAT [LOG]: nothing can be measured
broken() {
	echo "$1" >&2
	[ -z "${2-}" ] || tail -n 20 "$T/$2.log" >&2
	exit 2
}

# The control group by which this machine's other work is told from ours; none is needed
group_up() {
	group=
	for root in /sys/fs/cgroup/cpuacct /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup; do
		[ -e $root/cpuacct.usage ] || [ -e $root/cpu.stat ] || continue
		mkdir "$root/$ID" 2>/dev/null && group=$root/$ID && return
	done
}
group_down() {
	[ -z "$group" ] || rmdir "$group" 2>/dev/null || { sleep 0.2; rmdir "$group"; }
}

gateway_up() {
	i=$(gateway_no $1)
	ip netns add "$ID-$1" || broken "no network namespaces"
	ip -n "$ID-$1" link set lo up
	pair client c$i 198.18.$i.2 2001:2:0:$i::2 $1 lan0 198.18.$i.1 2001:2:0:$i::1
	pair server s$i 198.19.$i.2 2001:2:0:1$i::2 $1 wan0 198.19.$i.1 2001:2:0:1$i::1
	ip -n "$ID-client" route add 198.19.$i.0/24 via 198.18.$i.1
	ip -n "$ID-server" route add 198.18.$i.0/24 via 198.19.$i.1
	on $1 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	on $1 sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_max_tw_buckets=0 net.core.somaxconn=16384
}

# Ends of connections leave nothing behind, or thousands of short ones would be measured with those before them
ends_up() {
	for host in client server; do
		ip netns add "$ID-$host" || broken "no network namespaces"
		ip -n "$ID-$host" link set lo up
		on $host sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_max_tw_buckets=0 \
			net.core.somaxconn=16384 net.ipv4.tcp_max_syn_backlog=16384
	done
	daemon ends server "$bench/ends" serve $ports
}

tracking_short() {
	on $1 sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1 net.netfilter.nf_conntrack_tcp_timeout_close=1
}

plain_up() {
	gateway_up plain
	on plain iptables -t mangle -A FORWARD -m conntrack --ctstate INVALID -j DROP || broken "no connection tracking"
	tracking_short plain
}

queue_up() {
	gateway_up queue
	on queue iptables -t mangle -A FORWARD -m conntrack --ctstate INVALID -j DROP
	on queue iptables -t mangle -A PREROUTING -p tcp -j NFQUEUE --queue-num 0 --queue-bypass || broken "no packet queue"
	tracking_short queue
	daemon accept queue "$bench/accept" ${BENCH_ACCEPT-} 0
	queue_pid=$spawn_pid
}

haproxy_up() {
	gateway_up haproxy
	on haproxy ip rule add fwmark 1 lookup 100
	on haproxy ip route add local default dev lo table 100
	on haproxy iptables-restore <<-EOF || broken "no TPROXY"
		*mangle
		:DIVERT - [0:0]
		-A DIVERT -j MARK --set-mark 1
		-A DIVERT -j ACCEPT
		-A PREROUTING -p tcp -m socket --transparent -j DIVERT
		-A PREROUTING -i lan0 -p tcp --dport 7000 -j TPROXY --on-port 7000 --tproxy-mark 1
		-A PREROUTING -i lan0 -p tcp --dport 7005 -j TPROXY --on-port 7005 --tproxy-mark 1
		COMMIT
	EOF
	haproxy_start
}
haproxy_start() {
	daemon haproxy haproxy haproxy -db -f "$here/conf/haproxy.cfg"
	haproxy_pid=$spawn_pid
}

gateway_start() {
	SOCK=$T/standin.sock
	daemon standin standin "$STANDIN" -f "$here/conf/standin.cfg"
	gateway_pid=$spawn_pid
	standin_pid=$gateway_pid
	wait_for 10 ctl show info || broken "standin does not start:" standin
	tracking_short standin
}
http_start() {
	daemon standin-http haproxy "$STANDIN" -f "$here/conf/standin-http.cfg"
	http_pid=$spawn_pid
}
# again NAME: a fresh daemon, with nothing learnt or pooled yet
again() {
	case $1 in
	standin) stop $gateway_pid; gateway_start ;;
	haproxy) stop $haproxy_pid; haproxy_start ;;
	esac
	way_answers $1
}

way_answers() {
	way_of $1
	wait_for 10 on client "$bench/ends" rate 0.05 $way_addr $way_port || broken "no way through $1" "${way_gw}"
}

gateways_up() {
	BENCH_DIR=$T BENCH_SERVER=198.19.4.2
	export BENCH_DIR BENCH_SERVER
	ends_up
	gateway_up bare
	plain_up
	queue_up
	haproxy_up
	gateway_up standin
	http_start
	gateway_start
	for gw in bare plain queue haproxy; do way_answers $gw; done
	ways_check
}

# ways_check: a flow of standin's must be in the state that its way is named after, or it is not measured as such
ways_check() {
	ways_bad=
	for way in offloaded watched promoted demoted translated; do
		way_of $way
		in_group nsenter --net="/run/netns/$ID-client" "$bench/ends" bulk $way_bulk 0.6 $way_addr $way_port >/dev/null 2>&1 &
		sleep 0.4
		found=$(flow_by ".dst | endswith(\":$way_port\")" .state)
		wait $!
		[ "$found" = "$way_is" ] || {
			note "a connection that should be $way_is is ${found:-unknown}: not measured"
			ways_bad="$ways_bad $way"
		}
	done
}
# ways NAME...: without those that are not what they should be
ways() {
	for way in "$@"; do
		case " $ways_bad " in *" $way "*) ;; *) echo "$way" ;; esac
	done
}
