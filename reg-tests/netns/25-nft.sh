#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `--print-steering=nft`. Kernels may lack nft's own `queue`, so it is tested in two ways that need none:
#   1. `accept` in place of it: the kernel takes all else, and counters tell what would be queued
#   2. `goto` in place of it, to chains that iptables has made in the same table, with its NFQUEUE: packets are queued
#      from the same hooks and chains, so a daemon can be run, and connections promoted
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "no nft (Debian package nftables)"
hosts_up
nginx_up
ramp_up

# steering: what is printed for $T/gw.cfg, to $T/nft.sh; its first part, for the shell; its second, for nft
steering() {
	"$STANDIN" -f "$T/gw.cfg" --print-steering=nft >"$T/nft.sh" && sh -n "$T/nft.sh"
}
shell_part() {
	sed '/^nft -f/,$d' "$T/nft.sh"
}
nft_part() {
	sed -n '/^nft -f/,/^EOF$/p' "$T/nft.sh" | sed '1d; $d'
}

#
# 1. Where packets go
#

cat >"$T/gw.cfg" <<-EOC
	$(cfg_base)
	gateway web
	    steer manual
	    queue 4-7
	    match in lan+ out wan0 dport 80,8000-8100
	    tcp-request content set-mark 0x40/0x41
	gateway rest
	    steer manual
	    on-failure block
	    queue 9
	    match src 192.0.2.0/24 dst 198.51.100.77/24 dport 7,20-30
EOC
load() {
	sed 's/\bqueue .*to [0-9-]*$/accept/' "$T/nft.sh" | on gw sh -eu
}
# count CHAIN: the packets of each of its counters
count() {
	on gw nft list chain inet standin "$1" | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p' | tr '\n' ' '
}
# nth N COUNTERS
nth() {
	printf '%s\n' "$2" | cut -d' ' -f"$1"
}
# tracked WHAT... : conntrack on the connections to port 80 of $addr
tracked() {
	on gw conntrack "$@" -f "$family" -p tcp --dport 80 2>/dev/null
}
connmark() {
	printf '0x%x\n' "$(tracked -L | sed -n 's/.*\bmark=\([0-9]*\).*/\1/p' | head -n 1)"
}
# mark_packets HOOK MATCH MARK: others' rules, before ours
mark_packets() {
	on gw nft -f - <<-EOC
		table inet others {
			chain $1 {
				type filter hook $1 priority -160;
				$2 meta mark set $3
			}
		}
	EOC
}
mark_no_more() {
	on gw nft delete table inet others
}

steering
is "what is printed is a script" $? 0
is "all of it but the queue statement is understood" "$(on gw sh -eu "$T/nft.sh" 2>&1 | grep Error | grep -v '[0-9]: Error: Could not process rule: No such file')" ""
runs "the kernel takes it, but for queue" load
rules=$(on gw nft list ruleset; on gw ip rule; on gw ip -6 rule)
runs "and once more" load
is "which changes nothing" "$(on gw nft list ruleset; on gw ip rule; on gw ip -6 rule)" "$rules"
more "the rule for delivery to this host is there, of both families" "$(printf '%s\n' "$rules" | grep -c 'fwmark 0xe000000/0xf000000 lookup 1000')" 2

on gw nft -f - <<-EOC
	table inet watch {
		chain forward {
			type filter hook forward priority 0;
			tcp dport 80 meta mark & 0x41 == 0x40 counter
			meta mark & 0x0f000000 != 0 counter
		}
	}
EOC
watched() {
	on gw nft list chain inet watch forward | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p' | tr '\n' ' '
}

for addr in $S4 $S6; do
	family=ipv4 client=$C4
	[ $addr = $S4 ] || family=ipv6 client=$C6

	on gw conntrack -F 2>/dev/null
	load
	talk_to $addr
	talk /plain >/dev/null
	is "$addr: the SYN goes to its gateway's queue" "$(count NEW0)$(count NEW1)$(count STRAY0)$(count STRAY1)" "1 0 0 0 "
	is "its connection is ours" "$(connmark)" 0x1000000
	said=$(count SOFTQ)
	more "the rest of it by the class, to the queue of its gateway" "$(nth 1 "$said")" 3
	is "and to no other" "$(printf '%s' "$said" | cut -d' ' -f2-)$(count HARDQ)" "0 0 0 0 0 0 0 0 0 "

	tracked -U --mark 0x02000000/0x0f000000 >/dev/null
	load
	talk /plain >/dev/null
	more "hard: without bypass" "$(nth 1 "$(count HARDQ)")" 2
	is "and only so" "$(count SOFTQ)" "0 0 0 0 0 "

	tracked -U --mark 0x03000040/0x0f000041 >/dev/null
	load
	watched_before=$(nth 1 "$(watched)")
	talk /plain >/dev/null
	is "offloaded: the kernel's" "$(count SOFTQ)$(count HARDQ)$(count NEW0)$(count STRAY0)" "0 0 0 0 0 0 0 0 0 0 0 0 "
	more "its packets have set-mark's bits" $(($(nth 1 "$(watched)") - watched_before)) 1

	mark_packets prerouting 'tcp dport 80 tcp flags & psh == psh' 0x09000001
	load
	talk /plain >/dev/null
	mark_no_more
	is "a request is saved in the connection, with set-mark's bits" "$(connmark)" 0x1000001
	is "no packet goes on with our bits" "$(nth 2 "$(watched)")" 0

	tracked -U --mark 0/0x0f000000 >/dev/null
	load
	talk /plain >/dev/null
	is "of no class: nobody's" "$(count SOFTQ)$(count HARDQ)$(count NEW0)$(count STRAY0)" "0 0 0 0 0 0 0 0 0 0 0 0 "
	on client "$tools/forge" -n 1 "$client" "$(tracked -L | sed -n 's/.*\bsport=\([0-9]*\) dport=80 .*/\1/p')" $addr 80 syn
	is "but for a SYN, which the tracker takes for a part of it" "$(count NEW0)$(count STRAY0)" "1 0 "

	tracked -D >/dev/null
	load
	talk /plain >/dev/null
	more "forgotten by the tracker: to the queue as a stray" "$(nth 1 "$(count STRAY0)")" 1
	is "not as a new connection" "$(count NEW0)" "0 "
	talk_end
done

load
on client "$tools/ramp" call $S4 7 1k 1k >/dev/null
on client "$tools/ramp" call -b $S4 25 1k 1k >/dev/null
on client "$tools/ramp" call $S6 7 1k 1k >/dev/null
is "the other gateway's, by networks: IPv4 only, and hard at once" "$(count NEW0)$(count NEW1)" "0 2 "
said=$(count HARDQ)
more "by a port of the tracker's tuple" "$(nth 3 "$said")" 3
more "by a range of them" "$(nth 4 "$said")" 3
is "by nothing else" "$(nth 1,2,5 "$said") $(count SOFTQ)" "0 0 0 0 0 0 0 0 "

# refused or not: what curl says of a connection, 28 for one that gets no answer
curl_says() {
	on client curl -s -o "$T/curl.out" --connect-timeout 1 "http://$S4:$1/" >/dev/null
	echo $?
}
mark_packets forward 'tcp dport 81' 0x0e000000
is "to a pseudo socket, but without our route: not forwarded" "$(curl_says 81)" 28
more "and counted" "$(nth 1 "$(count forward)")" 1
mark_no_more
mark_packets prerouting 'tcp dport 82' 0x0e000000
is "to a pseudo socket that is not there: no reset" "$(curl_says 82)" 28
more "and counted, too" "$(nth 2 "$(count IN)")" 1
mark_no_more
runs "it is taken out by one command" on gw nft delete table inet standin
on gw nft delete table inet watch
on gw conntrack -F 2>/dev/null

#
# 2. Queued for real, and promoted
#

case $(on gw iptables -V) in
*nf_tables*) ;;
*)
	echo "iptables is not that of nf_tables: no connection is promoted"
	finish
	;;
esac
cat >"$T/gw.cfg" <<-EOC
	$(cfg_base)
	gateway g
	    steer manual
	    match dport 80,7
	    timeout close 1s
	    tcp-request inspect-delay 2s
	    tcp-request content promote fe_inspect if { dst_port 80 } { path_beg /inspect }
	frontend fe_inspect
	    mode http
	    http-request set-header X-Standin inspected
	    http-response demote
	    default_backend origin
	$(cfg_origin)
	$(cfg_bytes)
EOC
steering
shell_part | on gw sh -eu
for ip in ip ip6; do
	on gw ${ip}tables -t mangle -N SOFT_NFQUEUE
	on gw ${ip}tables -t mangle -A SOFT_NFQUEUE -j NFQUEUE --queue-num 0 --queue-bypass
	on gw ${ip}tables -t mangle -N HARD_NFQUEUE
	on gw ${ip}tables -t mangle -A HARD_NFQUEUE -j NFQUEUE --queue-num 0
	nft_part | sed "/^table inet standin {}/d; /^delete/d; s/^table inet standin/table $ip mangle/
		s/queue flags bypass to 0\$/goto SOFT_NFQUEUE/; s/queue to 0\$/goto HARD_NFQUEUE/" >"$T/$ip.nft"
	is "each queue has its place" "$(grep -c '\bqueue .*to' "$T/$ip.nft") $(grep -c '_NFQUEUE' "$T/$ip.nft")" "0 4"
	runs "the rules for $ip go in" on gw nft -f "$T/$ip.nft"
done
has "while no daemon listens, traffic passes" "$(on client "$tools/httpka" $S4 80 /plain)" 'result=ok'
standin_up
for addr in $S4 $S6; do
	: >"$T/nginx/access.log"
	talk_to $addr
	for path in /plain /inspect/a /plain /inspect/b /plain; do
		talk $path >/dev/null
	done
	wait_for 5 flow_settled
	has "$addr: taken in and out twice" "$(flow_by true '"\(.promotions) \(.demotions) \(.state)"')" '^2 2 translated$'
	talk_end
	has "$addr: the connection ends well" "$talk_said" 'responses=5 result=ok'
	is "$addr: the server saw the header" "$(nginx_log | sed 's/.* x="\([^"]*\)".*/\1/' | tr '\n' ' ')" \
		"- inspected - inspected - "
	wait_for 10 no_flows
	cycle_ramp 3 0.1 $addr 8m 8m@4m
	is "$addr: bytes arrive" "$ramped $(word c2s_result "$said") $(word s2c_result "$said")" "0 ok ok"
	cycled "$addr" 3
	wait_for 10 no_flows
done

talk_to $S4
talk /plain >/dev/null
kill -KILL "$standin_pid"
wait_for 5 ended "$standin_pid"
standin_pid=
has "a watched connection outlives the daemon" "$(talk /plain)" 'status=200'
talk_end
finish
