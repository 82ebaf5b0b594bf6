#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Reloads add, rename, change and remove gateways while connections of theirs run: a kept one with sequence
# deltas, and streams that are watched, promoted and translated. Each goes on, byte by byte; it meets the rules of the
# gateway that describes it now, and none when there is no such gateway.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
ramp_up
sites b.example

# config NAME QUEUE PORTS HEADER...: a file with these gateways; /inspect is promoted, its X-Standin says HEADER
config() {
	{
		sed '/^gateway/,/default-action/d; /^frontend fe_inspect/,/default_backend/d' "$top/conf/demo.cfg"
		while [ $# -gt 0 ]; do
			cat <<-EOC
				gateway $1
				    queue $2
				    match dport $3
				    tcp-request content promote fe_$4 if { dst_port 80 } { path_beg /inspect }
				frontend fe_$4
				    mode http
				    http-request set-header X-Standin $4
				    http-response demote
				    default_backend be_origin
			EOC
			shift 4
		done
	} >"$T/gw.cfg"
}
# reloaded WHAT [HEADERS]: then the kept connection; the X-Standin headers that /inspect and /plain had
reloaded() {
	has "$1: the reload is good" "$(ctl reload)" 'Success=1'
	wait_for 10 rules_are "$(grep -c '^gateway' "$T/gw.cfg")"
	: >"$T/nginx/access.log"
	has "$1: /inspect on the kept connection" "$(talk /inspect)" 'status=200'
	has "$1: /plain on it" "$(talk /plain)" 'status=200'
	[ -z "${2-}" ] || is "$1: it met" "$(nginx_log | sed 's/.* x="\([^"]*\)".*/\1/' | tr '\n' ' ')" "$2 "
}
# the rules of so many gateways are in; those of leftover ones have no match
rules_are() {
	[ "$(gw_rules | grep -c '^-A STANDIN_FWD .* -g STANDIN_NEW')" = $((2 * $1)) ]
}
# passes ADDR: a new connection
passes() {
	on client "$tools/ramp" call "$1" 7 20k 20k
}

config one 0 80,7 a
standin_up
talk_to $S4
talk /plain >/dev/null
talk /inspect >/dev/null
wait_for 5 flow_is true translated
calls=
for addr in $S4 $S6; do
	for kind in watched promoted translated; do
		rm -f "$T/ramp-$kind-$addr.log"
		spawn "ramp-$kind-$addr" client "$tools/ramp" call $addr 7 14m@1m 14m@1m
		calls="$calls $kind-$addr:$spawn_pid"
		wait_for 5 flow_is '.dst|endswith(":7")' watched
		[ $kind = watched ] || ctl promote flow "$(flow_by true .id)" fe_bytes
		[ $kind != translated ] || ctl demote flow "$(flow_by true .id)"
	done
done

reloaded "nothing changed" "a -"
config one 0 80,7 a two 1 25 b
reloaded "one more" "a -"
for addr in $S4 $S6; do
	runs "its connections pass, $addr" on client "$tools/ramp" call -b $addr 25 10k 10k
done
is "through it" "$(ctl show gateway two json | jq '.[0].packets > 8')" true
config uno 0 80,7 c two 1 25 b
reloaded "renamed" "c -"
is "the kept connection went over to the new name" "$(flow_by '.dst|endswith(":80")' .gateway)" uno
config uno 0 8080 d two 1 25 b
reloaded "described no more, but configured" "d -"
config uno 4-5 80,7 e two 1 25 b
reloaded "other queues" "e -"
runs "new connections take them" passes $S4
config uno 1 80,7 f two 4-5 25 b
reloaded "queues changed places" "f -"
runs "and new connections pass" passes $S6
config two 4-5 25 b
reloaded "one removed" "- -"
config
reloaded "all removed" "- -"
newest=$(flow_by true .id)
runs "new connections pass" passes $S4
is "unseen" "$(flow_by true .id)" "$newest"
has "the streams are still in the kernel's and our hands" "$(gw_rules)" 'STANDIN_HARDQ .*NFQUEUE'
config one 0 80,7 g
reloaded "one again, with its first name"
is "new connections meet it" "$(on client "$tools/httpka" $S4 80 /inspect | tail -n 1) $(nginx_log | tail -n 1 | sed 's/.* x="\([^"]*\)".*/\1/')" \
	"responses=1 result=ok g"
config one 0 80,7 a
sed -i 's/queue 0/queue 0-1/' "$T/gw.cfg"
has "queues that overlap with an open one are refused" "$(ctl reload)" "queue 0-1 is in use as 0-0.*"
config one 0 80,7 a two 7 26 b three 0-1 27 c
has "one bad gateway: the reload is refused" "$(ctl reload)" 'Success=0'
has_not "and the queue that another one was given is closed again" "$(on gw cat /proc/net/netfilter/nfnetlink_queue)" '^ *7 '
talk_end
has "the kept connection ends well" "$talk_said" 'result=ok'
for call in $calls; do
	wait "${call##*:}"
	is "the stream that was ${call%:*}" "$(grep -o '._result=[a-z]*\|.*failed.*' "$T/ramp-${call%:*}.log" | tr '\n' ' ')" \
		"c_result=ok s_result=ok "
done
config
ctl reload >/dev/null
gone() { [ -z "$(gw_rules)" ] && [ "$(ctl show gateway json)" = "[]" ]; }
runs "the last gateway goes with its last connection, and takes the rules" wait_for 60 gone
is "and the routing rule" "$(on gw ip rule; on gw ip -6 rule)" "$(on server ip rule; on server ip -6 rule)"
config one 0 80,7 a
has "and can come again" "$(ctl reload)" 'Success=1'
wait_for 10 rules_are 1
sed -i 's/^global/&\n    mark-mask 0x00f00000/' "$T/gw.cfg"
has "another mark-mask: the reload is good" "$(ctl reload)" 'Success=1'
config one 0 80,7,81 a
sed -i 's/^global/&\n    mark-mask 0x00f00000/' "$T/gw.cfg"
has "and another match: told that the mask stays" "$(ctl reload)" '0x0f000000 stays in use'
has_not "in the rules, too" "$(gw_rules)" '/0xf00000( |$)'
sed -i 's/^gateway one/&\n    steer manual/' "$T/gw.cfg"
has "steer cannot change while running" "$(ctl reload)" "'steer' cannot change"
is "as good as new" "$(on client "$tools/httpka" $S4 80 /inspect | tail -n 1) $(gateway .promotions)" "responses=1 result=ok 1"
finish
