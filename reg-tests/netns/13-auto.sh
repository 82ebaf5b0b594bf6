#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `option auto-demote`: promoted connections that leave by themselves when nothing is left to do, and are
# promoted again for what follows.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 120m
nginx_up
ramp_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
    option auto-demote
gateway g
    match dport 80,7,25
    timeout hold 5s
    tcp-request inspect-delay 2s
    tcp-request connection promote fe_bytes if { dst_port 25 }
    tcp-request content promote fe_bytes if { dst_port 7 }
    tcp-request content promote fe_inspect if { path_beg /inspect /download /limited }
frontend fe_inspect
    mode http
    http-request set-header X-Standin inspected
    http-response set-header X-Answered-By standin
    default_backend origin
$(cfg_bytes)
$(cfg_origin)
EOC
standin_up

for addr in $S4 $S6; do
	: >"$T/nginx/access.log"
	capture_on client
	talk_to $addr
	for round in 1 2 3; do
		has "$addr: request $round" "$(talk /inspect)" 'status=200'
		runs "$addr: parked after it" wait_for 5 flow_is true translated
		is "$addr: demotions" "$(flow_by true .demotions)" $round
	done
	said=$(talk /download)
	is "$addr: a long answer" "$(word sha256 "$said")" "$big_sum"
	runs "$addr: left" wait_for 5 flow_is true translated
	talk_end
	has "$addr: the connection ends well" "$talk_said" 'responses=4 result=ok'
	is "$addr: every request had the header" "$(nginx_log | grep -c 'x="inspected"')" 4
	capture_off
	wire_clean client
done

# while the answer runs, not after it
rm -f "$T/slow.log"
spawn slow client "$tools/httpka" $S4 80 /limited
slow=$spawn_pid
left_before_the_end() {
	flow_is '.promotions > 0' translated && ! ended "$slow"
}
runs "a long answer is left before its end" wait_for 20 left_before_the_end
wait $slow
has "and is whole" "$(cat "$T/slow.log")" 'responses=1 result=ok'

demoted() {
	[ "$(flow_by ".dst|endswith(\":$1\")" .demotions)" -ge 1 ]
}
for addr in $S4 $S6; do
	for port in 7 25; do
		banner=
		[ $port = 7 ] || banner=-b
		rm -f "$T/ramp.log"
		spawn ramp client "$tools/ramp" call $banner $addr $port 4m@2m 4m@2m
		call=$spawn_pid
		runs "$addr port $port: mode tcp leaves at once" wait_for 8 demoted $port
		wait $call
		is "$addr port $port: every byte in its place" $? 0
	done
done
finish
