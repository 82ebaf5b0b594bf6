#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stick tables of a gateway: connections are refused at L3, and promoted, by what their source did before.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80
    log global
    log-format "%ci ended %ts with %[sc0_http_req_cnt] requests"
    stick-table type ipv6 size 100 expire 1m store conn_cnt,conn_cur,sess_cnt,conn_rate(1m),http_req_cnt,http_req_rate(1m),bytes_in_cnt,bytes_out_cnt
    tcp-request inspect-delay 2s
    tcp-request connection reject if { src_conn_rate gt 10 }
    tcp-request connection track-sc0 src
    tcp-request content track-sc1 path table paths
    tcp-request content forward if { path_beg /download }
    tcp-request content promote fe_slow if { sc0_http_req_rate gt 5 }
frontend fe_slow
    mode http
    http-request set-header X-Standin rate-%[sc0_http_req_cnt]-%[sc0_conn_cur]
    http-response demote
    default_backend origin
backend paths
    stick-table type string len 16 size 10 expire 10m store http_req_cnt,conn_cur
$(cfg_origin)
EOC
standin_up

# of KEY DATA [TABLE]: what the table has for it
of() {
	ctl show table "${3-g}" json | jq -r ".[] | select(.key == \"$1\") | .$2"
}
of_is() {
	[ "$(of "$1" "$2")" = "$3" ]
}

for client in ::ffff:$C4 $C6; do
	server=$S4
	[ "$client" != $C6 ] || server=$S6
	talk_to $server
	talk /plain >/dev/null
	is "$client: a connection and its request are counted" \
		"$(of $client conn_cnt) $(of $client conn_cur) $(of $client sess_cnt) $(of $client http_req_cnt)" "1 1 1 1"
	for i in 2 3 4 5; do talk /plain >/dev/null; done
	is "$client: five requests are forwarded" "$(flow_by true .promotions)" 0
	has "$client: the sixth is promoted, and counted once" "$(talk /plain; nginx_log | tail -n 1)" 'x="rate-6-1"'
	has "$client: and the seventh" "$(talk /plain; nginx_log | tail -n 1)" 'x="rate-7-1"'
	is "$client: it is still one connection" "$(of $client conn_cnt) $(of $client conn_cur)" "1 1"
	is "$client: promoted twice" "$(flow_by true .promotions)" 2
	talk_end
	has "$client: the connection ends well" "$talk_said" 'result=ok'
	wait_for 5 of_is $client conn_cur 0
	is "$client: it is counted no longer when it ended" "$(of $client conn_cur)" 0
	more "$client: bytes of the client" "$(of $client bytes_in_cnt)" 200
	more "$client: bytes of the server" "$(of $client bytes_out_cnt)" 1000

	for i in 2 3 4 5 6 7 8 9 10 11; do
		said=$(on client "$tools/httpka" $server 80 /plain 2>&1)
		has "$client: connection $i" "$said" 'responses=1'
	done
	said=$(on client "$tools/httpka" $server 80 /plain 2>&1)
	has "$client: the twelfth in a minute is refused" "$said" 'refused|reset'
	is "$client: and not counted, for it was not tracked" "$(of $client conn_cnt)" 11
	ctl clear table g key ${client#::ffff:} >/dev/null
done
is "a key of IPv4 is none of an IPv6 table on the stats socket" "$(ctl clear table g key $C4)" "Invalid key"
ctl clear table g >/dev/null
is "a table is cleared when nobody tracks its entries" "$(ctl show table g json | jq length)" 0
more "requests were counted by their path" "$(of /plain http_req_cnt paths)" 20
is "and none is counted any longer" "$(of /plain conn_cur paths)" 0

# a flow that the kernel has: its end comes from the tracker
on gw sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1
talk_to $S4
talk /download >/dev/null
is "an offloaded connection is counted" "$(flow_by true .state) $(of ::ffff:$C4 conn_cur)" "offloaded 1"
talk_end
wait_for 10 of_is ::ffff:$C4 conn_cur 0
is "until the tracker says that it ended" "$(of ::ffff:$C4 conn_cur)" 0
has "the entry is shown as HAProxy shows it" "$(ctl show table g)" \
	'^0x[0-9a-f]+: key=::ffff:192.0.2.2 use=0 exp=[0-9]+ conn_cnt=1 conn_rate\(60000\)=1 conn_cur=0 sess_cnt=1 http_req_cnt=1 '
has "a log line tells what was tracked" "$(cat "$T/standin.log")" "^$C6 ended fin with 7 requests"
is "and kept by a reload" "$(reload; of ::ffff:$C4 conn_cnt)" 1

# connections that are promoted and demoted at random moments while they live and end in every way: each is one
# connection to the gateway's table, and at most one to the frontend's
spawn storm server "$tools/storm" serve 9
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 9
    timeout close 1s
    stick-table type ipv6 size 100 expire 10m store conn_cnt,conn_cur,sess_cnt,bytes_in_cnt,bytes_out_cnt
    tcp-request connection track-sc0 src
    tcp-request content track-sc2 dst_port table ports
frontend fe_bytes
    mode tcp
    tcp-request session track-sc1 src table fe
    default_backend bytes
backend fe
    stick-table type ip size 100 expire 10m store conn_cnt,conn_cur,sess_cnt
backend ports
    stick-table type integer size 10 expire 10m store conn_cnt,conn_cur
backend bytes
    mode tcp
    option transparent
EOC
reload
is "another store, another table" "$(ctl show table g json | jq length)" 0
spawn flip gw python3 "$top/reg-tests/netns/flip.py" -s 1 -j 3 "$SOCK" fe_bytes
flip=$spawn_pid
wait_for 10 grep -q ready "$T/flip.log"
said=$(on client "$tools/storm" call -n 400 -w 30 -s 1 $S4 9)
stop "$flip" TERM 15
is "short connections, ended in six ways" "$(word bad "$said") $(word why "$said")" "0 "
more "promotions of them" "$(word promoted "$(tail -n 1 "$T/flip.log")")" 20
wait_for 20 no_flows
is "no flow is left" "$(ctl show flow json)" "[]"
is "each was one connection, and none is now" "$(ctl show table g json | jq -c '.[] | [.conn_cnt, .sess_cnt, .conn_cur, .use]')" '[400,400,0,0]'
less "at most one to the frontend" "$(of $C4 conn_cnt fe)" 400
more "some were" "$(of $C4 conn_cnt fe)" 10
is "and none is now" "$(of $C4 conn_cur fe) $(of $C4 use fe) $(of 9 conn_cur ports) $(of 9 use ports)" "0 0 0 0"
less "content rules saw each at most once" "$(of 9 conn_cnt ports)" 400

finish
