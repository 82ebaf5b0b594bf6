#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 3: one keep-alive connection of which only some requests are promoted; after each of
# them the connection returns to L3 with larger deltas.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
# changes the length of answers too, so that both directions have a delta
sed 's/^ *http-response demote/    http-response set-header X-Answered-By "standin, at the gateway"\n&/' "$top/conf/demo.cfg" >"$T/demo.cfg"
standin_up
plain_sum=$(sha_of <"$T/www/plain")
inspect_sum=$(sha_of <"$T/www/inspect")

for addr in $S4 $S6; do
	capture_on client server
	: >"$T/nginx/access.log"
	talk_to $addr
	last_c2s=0 last_s2c=0
	for round in 1 2 3; do
		said=$(talk /plain)
		is "$addr /plain $round: body" "$(word sha256 "$said")" "$plain_sum"
		is "$addr /plain $round: promotions" "$(flow_by true .promotions)" $((round - 1))
		said=$(talk /inspect)
		is "$addr /inspect $round: body" "$(word sha256 "$said")" "$inspect_sum"
		runs "$addr /inspect $round: demoted" wait_for 3 flow_is true translated
		is "$addr /inspect $round: promotions" "$(flow_by true .promotions)" $round
		is "$addr /inspect $round: demotions" "$(flow_by true .demotions)" $round
		c2s=$(flow_by true .delta_c2s) s2c=$(flow_by true .delta_s2c)
		more "$addr /inspect $round: the request grew" "$c2s" $((last_c2s + 20))
		more "$addr /inspect $round: the answer grew" "$s2c" $((last_s2c + 16))
		last_c2s=$c2s last_s2c=$s2c
	done
	has "$addr: /plain after the last demotion" "$(talk /plain)" 'status=200'
	talk_end
	has "$addr: the connection ends well" "$talk_said" 'responses=7 result=ok'
	capture_off
	wire_clean client
	wire_clean server
	log=$(nginx_log)
	is "$addr: nginx saw one connection" "$(printf '%s\n' "$log" | cut -d' ' -f1 | sort -u | grep -c .)" 1
	is "$addr: inspected requests have the header" "$(printf '%s\n' "$log" | grep '/inspect' | grep -c 'x="inspected"')" 3
	is "$addr: the others do not" "$(printf '%s\n' "$log" | grep '/plain' | grep -c 'x="-"')" 4
done

# requests that come in pieces, with bodies, without pauses, and pipelined
for addr in $S4 $S6; do
	said=$(on client "$tools/httpka" -c 50 $addr 80 /plain /inspect /plain /inspect)
	has "$addr: heads in two pieces" "$said" 'responses=4 result=ok'
	said=$(on client "$tools/httpka" $addr 80 /inspect POST:/plain:100k /inspect HEAD:/plain POST:/inspect:1m /plain)
	has "$addr: bodies both promoted and not" "$said" 'responses=6 result=ok'
	said=$(on client "$tools/httpka" $addr 80 $(for i in 1 2 3 4 5 6 7 8 9 10; do echo /inspect /plain; done))
	has "$addr: twenty without a pause" "$said" 'responses=20 result=ok'
	: >"$T/nginx/access.log"
	said=$(on client "$tools/httpka" -P $addr 80 /plain /plain /inspect /plain /inspect)
	has "$addr: pipelined" "$said" 'responses=5 result=ok'
	is "$addr: pipelined inspected requests have the header" "$(nginx_log | grep '/inspect' | grep -c 'x="inspected"')" 2
done
finish
