#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What happens to the path under connections that are watched, promoted, demoted, translated here and in the kernel: segments
# in fragments, a VLAN, another route, an interface that goes down and comes back.
. "$(dirname "$0")/lib.sh"

# gateway_cfg MATCH: port 80 gets a header that makes deltas; port 7 is for commands; port 9 is forwarded by the kernel
gateway_cfg() {
	cat >"$T/gw.cfg" <<-EOC
		$(cfg_base)
		gateway g
		    match $1 dport 80,7,9
		    timeout hold 5s
		    timeout close 1s
		    tcp-request inspect-delay 2s
		    tcp-request connection forward if { dst_port 9 }
		    tcp-request content forward if { dst_port 80 } { path_beg /plain } { flow_promotions gt 0 }
		    tcp-request content promote fe_inspect if { dst_port 80 } { path_beg /inspect }
		frontend fe_inspect
		    mode http
		    http-request set-header X-Standin inspected
		    http-response set-header X-Answered-By standin
		    http-response demote
		    default_backend origin
		$(cfg_origin)
		$(cfg_bytes)
	EOC
}

#
# Fragments
#

hosts_up "-d 1 -f 700"
ramp_up
nginx_up
gateway_cfg ""
standin_up
for addr in $S4 $S6; do
	cycle_ramp 2 0.05 $addr 3m@3m 3m@3m
	is "$addr: segments in fragments: every byte in its place" $ramped 0
	cycled "$addr: segments in fragments" 2
	said=$(on client "$tools/httpka" $addr 80 /plain /inspect POST:/inspect:300k /plain POST:/plain:300k | tail -n 1)
	has "$addr: requests in fragments" "$said" 'responses=5 result=ok'
done
# (what the tracker puts together at the gateway for IPv6 nobody counts)
more "packets were reassembled" "$(on client cat /proc/net/snmp | awk '/^Ip:/ { n++; if (n == 2) print $16 }')" 1000
more "IPv6 packets, too" "$(on client cat /proc/net/snmp6 | awk '$1 == "Ip6ReasmOKs" { print $2 }')" 1000
is "requests in fragments have the header" "$(nginx_log | grep ' /inspect' | grep -vc 'x="inspected"')" 0
standin_down
hosts_down

#
# Another route, an interface that goes away for a while
#

hosts_up
ramp_up
nginx_up
# a second cable between gateway and server
pair gw wan1 203.0.113.1 2001:db8:9::1 server eth1 203.0.113.2 2001:db8:9::2
for host in gw server; do
	on $host sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1 net.ipv4.conf.all.rp_filter=0
	for dev in $(ip -n "$ID-$host" -o link | sed -n 's/^[0-9]*: \([a-z]*[0-9]\)@.*/\1/p'); do
		on $host sysctl -qw net.ipv6.conf.$dev.keep_addr_on_down=1 net.ipv4.conf.$dev.rp_filter=0
	done
done
gateway_cfg ""
standin_up

# way N: packets to the server take cable N
way() {
	case $1 in
	1)
		ip -n "$ID-gw" route replace $S4/32 via 203.0.113.2
		ip -n "$ID-gw" -6 route replace $S6/128 via 2001:db8:9::2
		ip -n "$ID-server" route replace $C4/32 via 203.0.113.1
		ip -n "$ID-server" -6 route replace $C6/128 via 2001:db8:9::1
		;;
	0)
		ip -n "$ID-gw" route del $S4/32
		ip -n "$ID-gw" -6 route del $S6/128
		ip -n "$ID-server" route del $C4/32
		ip -n "$ID-server" -6 route del $C6/128
		;;
	esac
}
# the cable to the client is out for a moment
unplugged() {
	ip -n "$ID-gw" link set lan0 down
	sleep 0.2
	ip -n "$ID-gw" link set lan0 up
}

# under WHAT ADDR STATE COMMAND...: a ramp in STATE, while that happens
under() {
	under_what=$1 under_addr=$2 under_state=$3
	shift 3
	port=7
	[ "$under_state" != offloaded ] || port=9
	rm -f "$T/ramp.log"
	spawn ramp client "$tools/ramp" call $under_addr $port 4m@4m 4m@4m
	call=$spawn_pid
	wait_for 5 flow_by_port $port
	id=$(flow_by ".dst|endswith(\":$port\")" .id)
	case $under_state in
	promoted) is "$under_addr: promoted" "$(ctl promote flow "$id" fe_bytes)" "" ;;
	demoted)
		is "$under_addr: promoted and" "$(ctl promote flow "$id" fe_bytes)" ""
		is "$under_addr: demoted" "$("$tools/stctl" -t 20000 "$SOCK" demote flow "$id")" ""
		;;
	esac
	sleep 0.2
	"$@"
	wait $call
	is "$under_addr, $under_state: $under_what: every byte in its place" $? 0
	has_not "$under_addr, $under_state: $under_what: no reset" "$(cat "$T/ramp.log")" 'reset'
	wait_for 5 ramp_over
}
flow_by_port() {
	[ "$(flow_by ".dst|endswith(\":$1\")" .state)" != opening ] && [ "$(flow_by ".dst|endswith(\":$1\")" .id)" != null ]
}
ramp_over() {
	! flow_is 'true' watched && ! flow_is true promoted && ! flow_is true translated
}
spawn ramp9 server "$tools/ramp" serve 9
round() {
	way 1
	sleep 0.3
	way 0
}
for addr in $S4 $S6; do
	for state in watched promoted demoted offloaded; do
		under "another route and back" $addr $state round
		under "the cable out" $addr $state unplugged
	done
	# deltas: by requests, one before and one after
	talk_to $addr
	for step in /plain /inspect /plain; do
		has "$addr: $step" "$(talk $step)" 'status=200'
	done
	is "$addr: translated" "$(flow_by '.dst|endswith(":80")' .state)" translated
	way 1
	has "$addr: translated, by another route" "$(talk /plain)" 'status=200'
	has "$addr: promoted again there" "$(talk /inspect)" 'status=200'
	unplugged
	has "$addr: after the cable was out" "$(talk /plain)" 'status=200'
	way 0
	has "$addr: and back" "$(talk /inspect)" 'status=200'
	talk_end
	has "$addr: as if nothing had been" "$talk_said" 'responses=7 result=ok'
done
standin_down
hosts_down

#
# A VLAN
#

hosts_up
if ip -n "$ID-gw" link add link lan0 name lan0.5 type vlan id 5 2>/dev/null; then
	ip -n "$ID-client" link add link eth0 name eth0.5 type vlan id 5
else # a kernel without VLANs: a cable with such a name
	ip link add lan0.5 netns "$ID-gw" type veth peer name eth0.5 netns "$ID-client"
fi
pair_end gw lan0.5 192.0.3.1 2001:db8:5::1
pair_end client eth0.5 192.0.3.2 2001:db8:5::2
ip -n "$ID-client" route replace default via 192.0.3.1
ip -n "$ID-client" route replace default via 2001:db8:5::1
on gw sysctl -qw net.ipv4.conf.all.rp_filter=0
ramp_up
nginx_up
gateway_cfg "in lan0.5"
standin_up
for addr in $S4 $S6; do
	cycle_ramp 2 0.05 $addr 10m@10m 10m@10m
	is "$addr: in a VLAN: every byte in its place" $ramped 0
	cycled "$addr: in a VLAN" 2
	said=$(on client "$tools/httpka" $addr 80 /plain /inspect POST:/inspect:300k /plain | tail -n 1)
	has "$addr: requests in a VLAN" "$said" 'responses=4 result=ok'
done
is "requests in a VLAN have the header" "$(nginx_log | grep ' /inspect' | grep -c 'x="inspected"')" 4
wait_for 5 no_flows
before=$(gateway .packets)
ip -n "$ID-client" route replace default via $G4
has "what comes by the cable itself is none of ours" "$(on client "$tools/httpka" $S4 80 /inspect)" 'result=ok'
is "and not queued" "$(gateway .packets)" "$before"
finish
