#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Watched connections of which only what policy needs is queued: without pure ACKs, and in the middle of a
# large response nothing but what the client says. What policy says of the next request is as if all had been seen.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 40m
nginx_up
ramp_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80,7,99
    timeout idle 4s
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
standin_up
seen_before=0
# queued: packets since the last call
queued() {
	queued_now=$(gateway .packets)
	echo $((queued_now - seen_before))
}
count() {
	seen_before=$(gateway .packets)
}
inspected() {
	nginx_log | grep '/inspect' | grep -c 'x="inspected"'
}
seen_is() {
	[ "$(flow_by true .seen)" = "$1" ]
}
over() {
	[ "$(flow_by true .state)" != watched ]
}
bulk() {
	rm -f "$T/ramp.log"
	spawn ramp client "$tools/ramp" call "$1" 7 "${3-0}" "$2"
	call=$spawn_pid
	runs "$1: the server sends, and nobody needs to see it" wait_for 5 seen_is client-data
}
bulk_ends() {
	wait "$call"
	is "$1: what arrives is what was sent" "$? $(word s2c_result "$(cat "$T/ramp.log")")" "0 ok"
}

for addr in $S4 $S6; do
	count
	said=$(on client "$tools/httpka" $addr 80 $(yes /plain | head -n 50))
	has "$addr: 50 requests" "$said" 'responses=50 result=ok'
	# one with the request, two with the answer: nginx sends the head by itself
	less "$addr: packets of them that were queued" "$(queued)" 160

	count
	capture_on client server
	said=$(on client "$tools/httpka" $addr 80 /big /big /plain)
	capture_off
	wire_clean client
	wire_clean server
	has "$addr: large responses" "$said" 'responses=3 result=ok'
	is "$addr: whole" "$(printf '%s\n' "$said" | grep -c "sha256=$big_sum")" 2
	# of 1300 or more. It begins when the queue is empty, which a slow daemon has to reach first
	less "$addr: packets of them that were queued" "$(queued)" $([ -n "${SAN-}" ] && echo 1000 || echo 400)

	: >"$T/nginx/access.log"
	said=$(on client "$tools/httpka" $addr 80 /big /inspect /big /inspect /big /plain)
	has "$addr: a request after a large response" "$said" 'responses=6 result=ok'
	is "$addr: whole" "$(printf '%s\n' "$said" | grep -c "sha256=$big_sum")" 3
	is "$addr: is inspected" "$(inspected)" 2

	: >"$T/nginx/access.log"
	said=$(on client "$tools/httpka" -P $addr 80 /big /inspect /plain /inspect)
	has "$addr: requests that did not wait for its end" "$said" 'responses=4 result=ok'
	is "$addr: are inspected" "$(inspected)" 2

	capture_on client server
	cycle_ramp 5 0.05 $addr 0 200m@80m
	capture_off
	wire_clean client
	wire_clean server
	is "$addr: promoted and demoted in the middle of it" "$ramped $(word s2c_result "$said")" "0 ok"
	more "$addr: so often" "$cycles" 5
	less "$addr: longest gap, ms" "$(word s2c_gap_ms "$said")" 2000
done

# -- the ends of it
runs "all are gone" wait_for 20 no_flows
which conntrack >/dev/null && for addr in $S4 $S6; do
	bulk $addr 100m@50m
	on gw conntrack -F >/dev/null 2>&1
	sleep 0.2
	is "$addr: the tracker forgot it: all is seen again" "$(flow_by true '"\(.state) \(.seen)"')" "watched all"
	bulk_ends $addr
	runs "$addr: its end was seen" wait_for 15 no_flows
done
for addr in $S4 $S6; do
	bulk $addr 1g@50m
	ctl kill flow "$(flow_by true .id)"
	wait_for 5 ended $call
	runs "$addr: killed, its client hears of it" ended $call
	stop $call KILL
	runs "$addr: and the record goes" wait_for 15 no_flows
done
bulk $S6 1g@50m
stop $call KILL
runs "$S6: a client that dies" wait_for 15 no_flows
bulk $S4 1g@50m
sleep 6
is "$S4: longer than the idle timeout, and nothing was queued" "$(flow_by true '"\(.state) \(.seen)"')" "watched client-data"
stop $ramp7 KILL
runs "$S4: a server that dies" wait_for 2 over
runs "$S4: and the record goes" wait_for 15 no_flows
stop $call KILL
spawn ramp7 server "$tools/ramp" serve 7
ramp7=$spawn_pid
wait_for 5 on server "$tools/ramp" call 127.0.0.1 7 1 1

# -- idle: keep-alives are pure ACKs, and count
cat >"$T/idle.py" <<'EOC'
import socket, sys, time
def call(addr, keep):
    s = socket.create_connection((addr, 80), 5)
    if keep:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for opt, val in (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 5):
            s.setsockopt(socket.IPPROTO_TCP, opt, val)
    s.sendall(b"GET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
    s.recv(65536)
    return s
both = [call(sys.argv[1], keep) for keep in (False, True)]
print("ready", flush=True)
time.sleep(60)
EOC
spawn idle client python3 "$T/idle.py" $S4
idle=$spawn_pid
wait_for 5 grep -q ready "$T/idle.log"
is "two idle connections" "$(ctl show flow json | jq length)" 2
count
sleep 10
is "one sends keep-alives, and stays" "$(ctl show flow json | jq -c 'map(.state)')" '["watched"]'
less "which nobody sees" "$(queued)" 0
stop $idle KILL
wait_for 10 no_flows

# -- the daemon dies in the middle
for addr in $S4 $S6; do
	bulk $addr 100m@50m
	stop "$standin_pid" KILL
	bulk_ends $addr
	standin_up
done
finish
