#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Translation by the kernel: a connection that was promoted, grew by a header, came back and is then only forwarded. The
# tracker adjusts its sequence numbers; what the tracker forgets is translated by the daemon, and handed over again.
. "$(dirname "$0")/lib.sh"
which conntrack >/dev/null || skip "no conntrack"
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80
    timeout close 2s
    tcp-request inspect-delay 1s
    tcp-request content promote fe_inspect if { path_beg /inspect }
    tcp-request content forward if { path_beg /download /limited }
frontend fe_inspect
    mode http
    http-request set-header X-Standin inspected
    http-response set-header X-Answer seen
    http-response demote
    default_backend origin
$(cfg_bytes)
$(cfg_origin)
EOC
hosts_up
big_file 200m
nginx_up
standin_up
[ "$(gateway .translation)" = kernel ] || skip "the kernel does not translate: $(ctl show gateway | grep translation)"
has "the self-test is told" "$(ctl show gateway)" 'translation: kernel$'

for addr in $S4 $S6; do
	talk_to $addr
	has "$addr: a request through L7" "$(talk /inspect)" 'status=200'
	wait_for 5 flow_is true translated
	before=$(flow_by true .packets)
	is "$addr: a download behind it is whole" "$(word sha256 "$(talk /download)")" "$big_sum"
	is "$addr: the kernel translates it" "$(flow_by true '"\(.state) \(.xlate) \(.seen)"')" "translated kernel none"
	less "$addr: packets that the daemon saw of it" "$(($(flow_by true .packets) - before))" 400
	has_not "$addr: there is something to translate" "$(flow_by true '"\(.delta_c2s) \(.delta_s2c)"')" '(^0| 0$)'
	is "$addr: it counts as translated" "$(gateway .flows.translated)" 1

	# forgotten while it is idle: the daemon translates, and hands it over again
	seen=$(flow_by true .packets)
	on gw conntrack -F >/dev/null 2>&1
	has "$addr: it goes on after a flush" "$(talk /plain)" 'status=200'
	is "$addr: and is whole" "$(word sha256 "$(talk /download)")" "$big_sum"
	more "$addr: the daemon saw packets again" "$(flow_by true .packets)" "$((seen + 1))"
	is "$addr: and gave it back" "$(flow_by true .xlate)" kernel

	# forgotten at full speed
	(for i in 1 2 3; do sleep 0.1; on gw conntrack -F >/dev/null 2>&1; done) &
	flush=$!
	is "$addr: flushes under way harm nothing" "$(word sha256 "$(talk /download)")" "$big_sum"
	wait $flush

	# called back in the middle, and handed over once more
	echo /limited >&9
	sleep 0.7
	id=$(flow_by true .id)
	is "$addr: promoted out of the kernel's hands" "$(ctl promote flow "$id" fe_bytes)" ""
	is "$addr: it is" "$(flow_by true .state)" promoted
	sleep 0.3
	is "$addr: demoted" "$(ctl demote flow "$id")" ""
	wait_for 5 eval '[ "$(flow_by true .xlate)" = kernel ]'
	is "$addr: the kernel has it again" "$(flow_by true .xlate)" kernel
	talk_n=$(($(grep -c . "$T/talk.out") + 1))
	wait_for 60 talk_answered
	is "$addr: all of it is whole" "$(word sha256 "$(tail -n 1 "$T/talk.out")")" "$big_sum"
	talk_end
	has "$addr: the connection ends well" "$talk_said" 'result=ok'
	on gw conntrack -D -p tcp --state TIME_WAIT >/dev/null 2>&1
	wait_for 15 no_flows
	is "$addr: its record is gone" "$(ctl show flow json | jq length)" 0
done
is "each of them was promoted twice" "$(gateway '"\(.promotions) \(.demotions)"')" "4 4"
standin_down
hosts_down

# on a wire that loses and reorders: SACK edges, and segments from before the demotion
hosts_up "-d 2 -l 0.5 -r 1 -u 0.5"
big_file 4m
nginx_up
standin_up
for addr in $S4 $S6; do
	talk_to $addr
	n=0
	while [ $n -lt 2 ]; do
		n=$((n + 1))
		has "$addr, with loss: a request through L7, $n" "$(talk /inspect)" 'status=200'
		is "$addr, with loss: the download behind it, $n" "$(word sha256 "$(talk /download)")" "$big_sum"
		is "$addr, with loss: the kernel has it, $n" "$(flow_by true .xlate)" kernel
		talk_end
		has "$addr, with loss: it ends well, $n" "$talk_said" 'result=ok'
		talk_to $addr
	done
	talk_end
done
finish
