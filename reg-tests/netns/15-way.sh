#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# On the way through the gateway: several queues in one loop, match lines with interfaces, and marks and TOS that rules set -
# on packets of every kind: forwarded by the kernel alone, watched, and sent by pseudo sockets.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
ramp_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    queue 4-7
    match in lan0 dport 80
    match in lan+ out wan0 dport 7,9
    match in wan0 out wan0 dport 25
    tcp-request connection set-mark 0x5/0xf
    tcp-request connection set-mark 0x30/0x70 if { dst_port 7 }
    tcp-request connection set-tos 0x28 if { dst_port 9 }
    tcp-request content promote fe_bytes if { dst_port 7 }
    tcp-request content promote fe_http if { dst_port 80 } { path_beg /inspect }
    tcp-request content forward if { dst_port 80 } { path_beg /download }
$(cfg_bytes)
frontend fe_http
    mode http
    http-response set-header X-Seen yes
    http-response demote
    default_backend web
backend web
    mode http
    option transparent
EOC
spawn ramp9 server "$tools/ramp" serve 9
big_file 2m
standin_up

# what leaves the gateway: all of it, and what is marked
out_rules() {
	for save in iptables ip6tables; do
		for p in 80 7 9 25; do
			for way in sport dport; do
				on gw $save -t mangle $1 POSTROUTING -p tcp --$way $p
				on gw $save -t mangle $1 POSTROUTING -p tcp --$way $p -m mark --mark "$([ $p = 7 ] && echo 0x35/0x7f || echo 0x05/0x0f)"
				[ $p != 9 ] || on gw $save -t mangle $1 POSTROUTING -p tcp --$way $p -m dscp --dscp 0x0a
			done
		done
	done
}
# packets PORT WAY WHAT: counted by both families' rules of a port and way that contain WHAT ("" : the plain one)
packets() {
	for save in iptables-save ip6tables-save; do
		on gw $save -t mangle -c
	done | grep -- "-A POSTROUTING -p tcp -m tcp --$2 $1" | {
		if [ -n "$3" ]; then grep -- "$3"; else grep -v -- '-m mark\|-m dscp'; fi
	} | sed 's/^\[\([0-9]*\):.*/\1/' | awk '{ n += $1 } END { print n + 0 }'
}
out_rules -A || skip "no marks or DSCP to look at"

# -- many clients, four queues
n=10
while [ $n -lt 34 ]; do
	ip -n "$ID-client" addr add 192.0.2.$n/24 dev eth0
	on client curl -s -m 20 -D "$T/head.$n" --interface 192.0.2.$n "http://$S4/inspect" "http://$S4/plain" >"$T/got.$n" ||
		not_ok "192.0.2.$n: two requests"
	cat "$T/head.$n" >>"$T/heads"
	n=$((n + 1))
done
is "24 clients: each first answer went through L7" "$(grep -ci '^x-seen' "$T/heads")" 24
is "each was promoted and gave the connection back" "$(gateway '"\(.promotions) \(.demotions)"')" "24 24"
more "queues that packets came by" "$(on gw cat /proc/net/netfilter/nfnetlink_queue | awk '$8 > 0' | wc -l)" 2
is "none waits there, none was lost" "$(gateway '"\(.queue.waiting) \(.queue.overrun)"')" "0 0"

# -- the kernel alone
for addr in $S4 "[$S6]"; do
	is "$addr: a download is whole" "$(on client curl -s -m 30 "http://$addr/download" | sha_of)" "$big_sum"
done
is "all of port 80 is marked on its way there" "$(packets 80 dport 0x5/0xf)" "$(packets 80 dport "")"
is "and back" "$(packets 80 sport 0x5/0xf)" "$(packets 80 sport "")"

# -- pseudo sockets
for addr in $S4 $S6; do
	on client "$tools/ramp" call $addr 7 1m 1m >/dev/null
	is "$addr: promoted: every byte in its place" $? 0
done
is "two rules have marked port 7 there" "$(packets 7 dport 0x35/0x7f)" "$(packets 7 dport "")"
is "and back" "$(packets 7 sport 0x35/0x7f)" "$(packets 7 sport "")"
is "they were promoted" "$(gateway .promotions)" 26

# -- TOS
for addr in $S4 $S6; do
	on client "$tools/ramp" call $addr 9 1m 1m >/dev/null
	is "$addr: with another TOS: every byte in its place" $? 0
done
is "all of port 9 has it there" "$(packets 9 dport 0x0a)" "$(packets 9 dport "")"
is "and back" "$(packets 9 sport 0x0a)" "$(packets 9 sport "")"

# -- interfaces
before=$(gateway .packets)
on client "$tools/ramp" call -b $S4 25 1k 1k >/dev/null
is "what comes in elsewhere is none of this gateway's" "$(gateway .packets)" "$before"
out_rules -D
finish
