#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Forged and malformed segments, from either side, into connections in every state: nothing that a
# receiver would not accept moves a state or hurts a stream, and the daemon lives.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 20m
nginx_up
ramp_up
standin_up -f "$top/conf/demo.cfg"

# forged: at the newest flow, from both ends
forged() {
	src=$(flow_by true .src) dst=$(flow_by true .dst)
	on client "$tools/forge" "$(addr_of "$src")" "${src##*:}" "$(addr_of "$dst")" "${dst##*:}" all &&
		on server "$tools/forge" "$(addr_of "$dst")" "${dst##*:}" "$(addr_of "$src")" "${src##*:}" all
}
addr_of() {
	printf '%s\n' "${1%:*}" | tr -d '[]'
}

for addr in $S4 $S6; do
	talk_to $addr
	talk /plain >/dev/null
	is "$addr: the flow is watched" "$(flow_by true .state)" watched
	runs "$addr: forged segments leave" forged
	is "$addr: it is watched still" "$(flow_by true .state)" watched
	has "$addr: and works" "$(talk /plain)" 'status=200'
	has "$addr: and can be promoted" "$(talk /inspect)" 'status=200'
	is "$addr: as it was" "$(flow_by true "\"\(.promotions) \(.refused)\"")" "1 "
	wait_for 3 flow_is true translated
	forged
	is "$addr: it is translated still" "$(flow_by true .state)" translated
	has "$addr: and works" "$(talk /plain)" 'status=200'
	has "$addr: promoted again" "$(talk /inspect)" 'status=200'
	talk_end
	has "$addr: the connection ends well" "$talk_said" 'responses=5 result=ok'
	is "$addr: nginx saw both headers" "$(nginx_log | grep -c '/inspect.*x="inspected"')" 2
	: >"$T/nginx/access.log"

	rm -f "$T/ramp.log"
	spawn ramp client "$tools/ramp" call $addr 7 8m@2m 8m@2m
	call=$spawn_pid
	wait_for 5 flow_is true watched
	is "$addr: a stream is promoted" "$(ctl promote flow "$(flow_by true .id)" fe_bytes)" ""
	wait_for 5 flow_is true promoted
	for i in 1 2 3 4 5; do
		forged
		sleep 0.1
	done
	is "$addr: it is promoted still" "$(flow_by true .state)" promoted
	ctl demote flow "$(flow_by true .id)" >/dev/null
	for i in 1 2 3 4 5; do
		forged
		sleep 0.1
	done
	wait $call
	is "$addr: every byte in its place" $? 0
	brief "$addr: longest stall, ms" "$(word s2c_gap_ms "$(cat "$T/ramp.log")")" 1000
done

# the kernel's alone: nothing of it is ours to hurt
for addr in $S4 $S6; do
	rm -f "$T/get.log"
	spawn get client "$tools/httpka" $addr 80 /download
	get=$spawn_pid
	wait_for 5 flow_is true offloaded
	forged
	wait $get
	is "$addr: an offloaded download is whole" "$(word sha256 "$(cat "$T/get.log")")" "$big_sum"
done
more "what no receiver would accept is counted" "$(ctl show info | sed -n 's/^ForgedSegments: //p')" 1000
more "what is broken in form, too" "$(ctl show info | sed -n 's/^UnknownPackets: //p')" 1000
more "by gateway and reason" "$(gateway '.unsupported["bad-tcp"]')" 1000

# a flood of SYNs for no connection
for port in $(seq 2000 2040); do
	on client "$tools/forge" -n 5 $C4 "$port" $S4 80 syn rst cut option-zero
done
has "new connections work after a flood" "$(on client "$tools/httpka" $S4 80 /plain /inspect)" 'responses=2 result=ok'

# without privilege: a message, not a crash
standin_down
said=$(cd / && on gw setpriv --reuid nobody --regid nogroup --clear-groups "$STANDIN" -f "$top/conf/demo.cfg" 2>&1)
status=$?
is "without privilege it does not start" $status 1
has "and says why" "$said" 'ALERT'
is "no rule is in" "$(gw_rules)" ""
finish
