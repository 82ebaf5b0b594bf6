#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The path to a client gets narrower in the middle of a connection, behind another router or at the gateway itself: the
# error that says so finds the server, whatever state the connection is in. (A server that does not hear of it sends
# too large segments for ever.)
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 10m
nginx_up

# another host behind the client, which is a router to it
ip netns add "$ID-inner"
ip -n "$ID-inner" link set lo up
pair inner eth0 203.0.113.2 2001:db8:3::2 client in0 203.0.113.1 2001:db8:3::1
ip -n "$ID-inner" route add default via 203.0.113.1
ip -n "$ID-inner" route add default via 2001:db8:3::1
on client sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n "$ID-gw" route add 203.0.113.0/24 via $C4
ip -n "$ID-gw" route add 2001:db8:3::/64 via $C6
talk_host=inner

cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80
    timeout hold 5s
    tcp-request inspect-delay 2s
    tcp-request content forward if { path_beg /plain } { flow_promotions gt 0 }
    tcp-request content promote fe_inspect if { path_beg /inspect }
    tcp-request content promote fe_stay if { path_beg /put }
frontend fe_inspect
    mode http
    http-request set-header X-Standin inspected
    http-response set-header X-Answered-By "standin, at the gateway"
    http-response demote
    default_backend origin
frontend fe_stay
    mode http
    default_backend origin
$(cfg_origin)
EOC
standin_up

# narrow HOST DEV MTU; wide: all of them, and what was learnt is forgotten (an IPv6 route forgets when it is made anew)
narrow() {
	ip -n "$ID-$1" link set "$2" mtu "$3"
}
wide() {
	ip -n "$ID-client" link set in0 mtu 1500
	ip -n "$ID-gw" link set lan0 mtu 1500
	for learnt in server gw; do
		ip -n "$ID-$learnt" route flush cache
	done
	ip -n "$ID-server" -6 route replace default via 2001:db8:2::1
	ip -n "$ID-gw" -6 route replace 2001:db8:3::/64 via $C6
}
xlate_is() {
	[ "$(flow_by true '.state + " " + .xlate')" = "$1" ]
}

# through WHERE HOST DEV MTU KIND STATE REQUEST...: these bring the connection into STATE; then the path gets narrow there
through() {
	host=$2 dev=$3 mtu=$4 kind="$5, $1" state=$6
	shift 6
	for addr in $S4 $S6; do
		talk_to $addr
		for request in "$@"; do talk "$request" >/dev/null; done
		runs "$addr: $kind" wait_for 5 xlate_is "$state"
		narrow "$host" "$dev" "$mtu"
		said=$(talk /download)
		is "$addr, $kind: the server hears that the path got narrower" "$(word sha256 "$said")" "$big_sum"
		after=$(flow_by true '.state + " " + .xlate')
		talk_end
		wide
	done
}
# every WHERE HOST DEV MTU
every() {
	through "$@" "watched" "watched none" /plain
	through "$@" "promoted" "promoted none" PUT:/put/x:1k
	through "$@" "translated by the daemon" "translated daemon" /inspect
	through "$@" "translated by the kernel" "translated kernel" /inspect /plain /plain
	is "the kernel has it again afterwards" "$after" "translated kernel"
}
every "behind a router" client in0 1300
every "at the gateway" gw lan0 1400
finish
