#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What cannot or must not be promoted, and the other actions: each connection gets what its rule
# says, and the reason is counted by name.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
ramp_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80,7,25,9
    maxflows 20
    tcp-request inspect-delay 1s
    # the server speaks first: no payload of the client to wait for
    tcp-request connection promote fe_bytes if { dst_port 25 }
    tcp-request connection reject if { dst_port 9 }
    tcp-request content reject if { dst_port 80 } { path_beg /reject }
    tcp-request content drop if { dst_port 80 } { path_beg /drop }
    tcp-request content promote fe_inspect else reject if { dst_port 80 } { path_beg /must }
    tcp-request content promote fe_inspect if { dst_port 80 } { path_beg /inspect }
frontend fe_inspect
    mode http
    http-request set-header X-Standin inspected
    http-response demote
    default_backend origin
$(cfg_bytes)
$(cfg_origin)
EOC
failures() {
	gateway ".promote_failures[\"$1\"] // 0"
}

# two connections from before the daemon: one may go on, the other must not
talk_to $S4
talk /plain >/dev/null
(sleep 3; echo /must/x) | on client "$tools/httpka" -w 3000 $S4 80 >"$T/before" 2>&1 &
before=$!
sleep 0.2
standin_up
has "a connection from before is forwarded" "$(talk /inspect)" 'status=200'
has "without what L7 would have done" "$(nginx_log | tail -n 1)" 'x="-"'
talk_end
wait $before
has_not "one that must be promoted is not forwarded" "$(cat "$T/before")" 'status='
more "both are counted as no-syn" "$(failures no-syn)" 2

for addr in $S4 $S6; do
	said=$(on client "$tools/ramp" call -b $addr 25 1m 1m)
	is "$addr: the server speaks first, promoted at the SYN: every byte in its place" $? 0
	is "$addr: it was promoted" "$(gateway .promotions)" "$((${promoted:-0} + 1))"
	promoted=$((${promoted:-0} + 1))

	said=$(on client "$tools/httpka" $addr 80 /plain /reject 2>&1)
	has "$addr: reject by content resets the client" "$said" 'responses=1 result=reset'
	said=$(on client "$tools/httpka" -T 2 $addr 80 /plain /drop 2>&1)
	has "$addr: drop by content says nothing" "$said" 'responses=1 result=timeout'
	said=$(on client "$tools/ramp" call $addr 9 1 1 2>&1)
	has "$addr: reject at the SYN refuses the connection" "$said" 'refused|reset'
	has "$addr: others go on" "$(on client "$tools/httpka" $addr 80 /plain /inspect /must/x)" 'responses=3 result=ok'
	promoted=$(gateway .promotions)
done
is "the server saw neither request" "$(nginx_log | grep -c 'GET /\(reject\|drop\)')" 0

# addresses that change on the way, seen from either side
if on gw iptables -t nat -A PREROUTING -d 198.51.100.77 -p tcp -j DNAT --to-destination $S4 2>/dev/null &&
	on gw iptables -t nat -A POSTROUTING -o wan0 -p tcp --dport 7 -j MASQUERADE; then
	before=$(gateway .promotions)
	has "behind DNAT: requests pass" "$(on client "$tools/httpka" 198.51.100.77 80 /plain /inspect)" 'responses=2 result=ok'
	is "and are counted, a connection once" "$(gateway '.unsupported.nat // 0')" 1
	on client "$tools/ramp" call $S4 7 1m 1m >/dev/null
	is "before SNAT: every byte in its place" $? 0
	is "and counted" "$(gateway '.unsupported.nat // 0')" 2
	is "nothing of it was promoted" "$(gateway .promotions)" "$before"
	is "the kernel has them" "$(ctl show flow json | jq '[.[] | select(.refused == "nat") | .state] | unique | join(" ")' -r)" offloaded
	on gw iptables -t nat -F
fi

# Multipath TCP: a second socket could not continue it
if [ "$(on client sysctl -n net.mptcp.enabled 2>/dev/null)" = 1 ]; then
	stop "$ramp7" TERM
	MPTCP=1
	export MPTCP
	spawn ramp7 server "$tools/ramp" serve 7
	wait_for 5 on server "$tools/ramp" call 127.0.0.1 7 1 1
	spawn ramp client "$tools/ramp" call $S4 7 4m@2m 4m@2m
	call=$spawn_pid
	unset MPTCP
	wait_for 5 flow_is '.dst|endswith(":7")' watched
	has "promoting a Multipath connection is refused, with the reason" \
		"$(ctl promote flow "$(flow_by '.dst|endswith(":7")' .id)" fe_bytes)" 'mptcp|[Mm]ultipath'
	wait $call
	is "it is forwarded unharmed" $? 0
	is "and counted" "$(failures mptcp)" 1
fi

# more connections than maxflows: further ones are only forwarded
said=$(on client "$tools/load" -n 60 -t 1 $S4 80 /plain)
is "60 connections with maxflows 20: none fails" "$(word failed "$said")" 0
less "flows are limited" "$(ctl show flow json | jq length)" 20
finish
