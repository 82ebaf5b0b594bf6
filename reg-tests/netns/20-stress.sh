#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Many connections and long ones, promoted and demoted at random moments while they begin, run and end in
# every way there is; the tracker's table flushed, the daemon ended and killed meanwhile.
# STRESS=N does N times as much (1).
. "$(dirname "$0")/lib.sh"
: "${STRESS:=1}"
hosts_up
big_file 3m
nginx_up
ramp_up
spawn storm server "$tools/storm" serve 9
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80,7,25,9
    timeout hold 5s
    timeout close 2s
    tcp-request inspect-delay 2s
    tcp-request connection promote fe_bytes if { dst_port 25 }
    tcp-request content promote fe_inspect if { dst_port 80 } { path_beg /inspect }
frontend fe_inspect
    mode http
    http-request set-header X-Standin inspected
    http-response set-header X-Answered-By standin
    http-response demote
    default_backend origin
frontend fe_bytes
    mode tcp
    default_backend bytes
$(cfg_origin)
backend bytes
    mode tcp
    option splice-auto
    option transparent
EOC
standin_up

# addresses used again as soon as that is allowed, and few of them
on client sysctl -qw net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="40000 40127"
on client sysctl -qw net.ipv4.tcp_tw_reuse_delay=1 2>/dev/null

# flip [OPTIONS]: promote and demote whatever there is; flip_off: what came of it
flip() {
	rm -f "$T/flip.log"
	spawn flip gw python3 "$top/reg-tests/netns/flip.py" "$@" "$SOCK" fe_bytes
	flip=$spawn_pid
	wait_for 10 grep -q ready "$T/flip.log"
}
flip_off() {
	stop "$flip" TERM 15
	flip_said=$(tail -n 1 "$T/flip.log")
}
flushes() {
	while :; do
		on gw conntrack -F >/dev/null 2>&1
		sleep 0.05
	done
}

#
# Short connections
#

# flipped WORD PAUSE OPTION...: storms, each with longer lives than the one before, until WORD of what flip.py counts comes
# to 20. Sums in $promoted, $demoted, $killed; the storms' in $bad and $why; their worst in $connect_ms, $gap_ms
flipped() {
	promoted=0 demoted=0 killed=0 bad=0 why= connect_ms=0 gap_ms=0
	word=$1 least=$2
	shift 2
	for pause in 0 10 30 100 300; do
		flip -s "$round" "$@"
		said=$(on client "$tools/storm" call -n 400 -w $((pause + least)) -s "$round" $addr 9)
		flip_off
		for n in promoted demoted killed; do
			eval "$n=\$(($n + $(word $n "$flip_said")))"
		done
		bad=$((bad + $(word bad "$said"))) why="$why$(word why "$said")"
		connect_ms=$(larger "$connect_ms" "$(word connect_ms "$said")")
		gap_ms=$(larger "$gap_ms" "$(word gap_ms "$said")")
		hung="$hung$(printf '%s' "$flip_said" | grep -E 'timed|Timeout')"
		[ "$(eval echo "\$$word")" -lt 20 ] || break
	done
}
larger() {
	[ "$1" -gt "$2" ] && echo "$1" || echo "$2"
}

for round in $(seq "$STRESS"); do
	for addr in $S4 $S6; do
		hung=
		flipped demoted 0 -j 3
		is "$addr: short connections, ended in six ways" "$bad $why" "0 "
		# less than it takes to repeat a SYN
		brief "$addr: longest wait for a connection, ms" "$connect_ms" 900
		brief "$addr: longest stall, ms" "$gap_ms" 700
		more "$addr: promotions" "$promoted" 20
		more "$addr: demotions" "$demoted" 20
		flipped killed 30 -j 2 -k 50
		more "$addr: killed" "$killed" 20
		is "$addr: no command hangs" "$hung" ""
	done
done
is "the server saw the same ends, but for what was killed" "$(grep -v 'Connection reset\|end:\|early-end\|:end\|Broken\|why=send$' "$T/storm.log")" ""
: >"$T/storm.log"

#
# HTTP
#

round=$((100 * STRESS))
which conntrack >/dev/null && { flushes & flushes=$!; }
for addr in $S4 $S6; do
	: >"$T/nginx/access.log"
	said=$(on client "$tools/httpka" $addr 80 $(yes /plain /inspect | head -n $round | tr '\n' ' ') | tail -n 1)
	has "$addr: alternating requests, the tracker forgetting everything" "$said" "responses=$((round * 2)) result=ok"
	is "$addr: inspected requests have the header" "$(nginx_log | grep /inspect | grep -c 'x="inspected"')" $round
	is "$addr: the others do not" "$(nginx_log | grep /plain | grep -c 'x="-"')" $round
done
[ -z "${flushes-}" ] || { kill "$flushes"; wait "$flushes"; } 2>/dev/null
for addr in $S4 $S6; do
	said=$(on client "$tools/httpka" $addr 80 POST:/inspect:4m POST:/plain:4m PUT:/put/a:200k POST:/inspect:1 /plain)
	has "$addr: bodies" "$said" 'responses=5 result=ok'
	rm -f "$T/put.log"
	spawn put client "$tools/httpka" $addr 80 POST:/plain:100m POST:/plain:100m
	put=$spawn_pid
	flip -j 1 -w 20
	wait $put
	flip_off
	has "$addr: uploads flipped in the middle" "$(cat "$T/put.log")" 'responses=2 result=ok'
	said=$(on client "$tools/httpka" -P $addr 80 /plain /inspect /inspect /plain POST:/inspect:100k /plain /inspect | tail -n 1)
	has "$addr: pipelined" "$said" 'responses=7 result=ok'
done

#
# Long ones
#

# past 2 GiB sequence numbers look as if they were behind
spawn ramp client "$tools/ramp" call $S4 7 0 4g
call=$spawn_pid
wait_for 5 flow_settled
id=$(flow_by '.dst|endswith(":7")' .id)
is "a long transfer is promoted" "$(ctl promote flow "$id" fe_bytes)" ""
before=$(on gw cat /proc/net/dev | sed -n 's/^ *wan0: *\([0-9]*\).*/\1/p')
far() {
	[ $(($(on gw cat /proc/net/dev | sed -n 's/^ *wan0: *\([0-9]*\).*/\1/p') - before)) -gt 2300000000 ]
}
wait_for 30 far
is "and demoted 2 GiB later" "$(ctl demote flow "$id")" ""
wait $call
is "every byte in its place" $? 0

# small segments
ip -n "$ID-client" route change default via $G4 advmss 400
ip -n "$ID-client" -6 route change default via $G6 advmss 400
for addr in $S4 $S6; do
	capture_on client server
	cycle_ramp 3 0.05 $addr 3m@3m 30m
	is "$addr: segments of 400 bytes: every byte in its place" $ramped 0
	capture_off
	cycled "$addr" 3
	wire_clean client $try
	wire_clean server $try
done
ip -n "$ID-client" route change default via $G4
ip -n "$ID-client" -6 route change default via $G6

# the gateway has everything, but the client takes its time: longer than `timeout close`
for addr in $S4 $S6; do
	said=$(on client python3 - $addr <<-'EOP'
		import socket, sys, time
		s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
		s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)
		s.connect((sys.argv[1], 25))
		got = s.recv(100)
		s.sendall(b"RAMP 0 1500000 0\n")
		n = 0
		while True:
		    try:
		        piece = s.recv(8000)
		    except OSError as e:
		        print(n, e)
		        break
		    if not piece:
		        print(n, "end")
		        break
		    n += len(piece)
		    if n > 1500000 and piece.endswith(b"\n"): # the server's report; it waits for us
		        s.shutdown(socket.SHUT_WR)
		    time.sleep(0.02 if n < 1500000 else 0)
	EOP
	)
	has "$addr: a slow reader gets everything" "$said" '^15000[0-9][0-9] end'
done

#
# The daemon ends
#

# while both ends are asked for their last ACKs: nobody has noticed anything yet
rm -f "$T/ramp.log"
spawn ramp client "$tools/ramp" call $S4 7 8m@2m 8m@2m
call=$spawn_pid
wait_for 5 flow_settled
on server iptables -A OUTPUT -p tcp --sport 7 -j DROP
"$tools/stctl" -t 300 "$SOCK" promote flow "$(flow_by '.dst|endswith(":7")' .id)" fe_bytes >/dev/null 2>&1
is "the drain waits for an ACK" "$(flow_by '.dst|endswith(":7")' .state)" held
standin_down
on server iptables -D OUTPUT -p tcp --sport 7 -j DROP
wait $call
is "ended during a drain: the connection goes on, every byte in its place" $? 0
standin_up

# killed: what it only forwarded goes on; its successor serves new connections
talk_to $S4
talk /plain >/dev/null
rm -f "$T/ramp.log"
spawn ramp client "$tools/ramp" call $S6 7 8m@2m 8m@2m
call=$spawn_pid
wait_for 5 flow_is '.dst|endswith(":7")' watched
kill -KILL "$standin_pid"
wait_for 5 ended "$standin_pid"
wait "$standin_pid" 2>/dev/null
has "killed: a kept connection goes on" "$(talk /plain)" 'status=200'
standin_up
has "with the successor too" "$(talk /plain)" 'status=200'
talk_end
has "new connections are promoted" "$(on client "$tools/httpka" $S4 80 /plain /inspect)" 'responses=2 result=ok'
is "by the successor" "$(gateway .promotions)" 1
wait $call
is "the stream never noticed: every byte in its place" $? 0

# told to end in the middle of everything
flip -j 2
rm -f "$T/storm-call.log"
spawn storm-call client "$tools/storm" call -n 400 -w 20 $S4 9
sleep 0.5
kill -USR1 "$standin_pid"
sleep 0.3
standin_down
flip_off
is "nothing is left of sysctls" "$(on gw sysctl -n net.ipv4.tcp_early_demux)" 1
finish
