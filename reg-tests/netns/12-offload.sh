#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Connections that the kernel forwards alone: what their beginning and end cost, what is left of them when the
# tracker forgets them, and how they are called back - those of which the daemon saw no handshake too.
. "$(dirname "$0")/lib.sh"
which conntrack >/dev/null || skip "no conntrack"
hosts_up
nginx_up
ramp_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 80,7
    timeout close 2s
    tcp-request connection forward if { dst_port 80 7 }
    tcp-request content promote fe_bytes if FALSE
$(cfg_bytes)
EOC
standin_up
info() {
	ctl show info | sed -n "s/^$1: //p"
}
flows() {
	ctl show flow json | jq "[.[] | select($1)] | length"
}

# -- the beginning: what a rule says of ports alone, the firewall knows
n=0
while [ $n -lt 40 ]; do
	n=$((n + 1))
	on client "$tools/httpka" $S4 80 /plain || echo failed
done >"$T/plain.log"
is "40 short connections are answered" "$(grep -c 'result=ok' "$T/plain.log")" 40
is "packets that the daemon saw of them" "$(gateway .packets)" 0
is "they are the kernel's" "$(flows '.state == "offloaded"')" 40

# -- the end: told by the tracker, not asked for
on gw conntrack -D -p tcp --state TIME_WAIT >/dev/null 2>&1
on gw conntrack -D -p tcp --state CLOSE >/dev/null 2>&1
wait_for 10 no_flows
is "their records go with the tracker's entries" "$(flows true)" 0
more "events of the tracker" "$(info OffloadEvents)" 40

# -- forgotten in the middle: the decision stands
talk_to $S4
has "a request" "$(talk /plain)" 'status=200'
id=$(flow_by true .id)
on gw conntrack -F >/dev/null 2>&1
sleep 6 # beyond the first look for it
is "after a flush the record of an idle connection stays" "$(flow_by true .id)" "$id"
has "it goes on" "$(talk /plain)" 'status=200'
has "and on" "$(talk /plain)" 'status=200'
is "as the same, the kernel's" "$(flow_by true '"\(.id) \(.state)"')" "$id offloaded"
talk_end
has "and ends well" "$talk_said" 'result=ok'

# -- called back: no packet of it but the SYN was seen
on_ramp=.dst\|endswith\(\":7\"\)
for addr in $S4 $S6; do
	rm -f "$T/ramp.log"
	spawn ramp client "$tools/ramp" call $addr 7 24m@4m 24m@4m
	call=$spawn_pid
	wait_for 5 flow_is "$on_ramp" offloaded
	sleep 0.3
	rm -f "$T/trace"
	"$tools/stctl" -t 30000 "$SOCK" trace flow "$(flow_by "$on_ramp" .id)" >"$T/trace" &
	tracer=$!
	wait_for 10 grep -q ' is offloaded' "$T/trace"
	is "$addr: it is found by its state and port" "$(ctl show flow state offloaded dst $([ "${addr#*:}" = "$addr" ] && echo $addr || echo "[$addr]"):7 older 200 | grep -c state=)" 1
	is "$addr: a connection forwarded at its SYN is promoted" "$(ctl promote flow "$(flow_by "$on_ramp" .id)" fe_bytes)" ""
	is "$addr: it is" "$(flow_by "$on_ramp" .state)" promoted
	sleep 0.5
	is "$addr: and demoted" "$(ctl demote flow "$(flow_by "$on_ramp" .id)")" ""
	wait $call
	is "$addr: every byte in its place" $? 0
	ctl kill flow "$(flow_by "$on_ramp" .id)" >/dev/null
	wait_for 20 ended $tracer || kill $tracer
	wait $tracer
	has "$addr: trace told of the promotion" "$(cat "$T/trace")" ' held -> promoted'
	has "$addr: of its packets" "$(cat "$T/trace")" ' [cs]2[cs] .* seq .*: (held|forwarded)'
	has "$addr: and of the end" "$(cat "$T/trace")" ' gone: '
done

# -- the rules change
talk_to $S4
has "a connection forwarded at its SYN" "$(talk /plain)" 'status=200'
id=$(flow_by true .id)
is "it is the kernel's" "$(flow_by true .state)" offloaded
cp "$T/gw.cfg" "$T/gw.old"
sed -i 's/forward if { dst_port 80 7 }/forward if { dst_port 7 }/; s/promote fe_bytes if FALSE/promote fe_bytes if { path_beg \/inspect }/' "$T/gw.cfg"
reload
wait_for 10 flow_is true watched
is "a reload with other rules calls it back" "$(flow_by true '"\(.id) \(.state)"')" "$id watched"
has "it goes on" "$(talk /plain)" 'status=200'
before=$(gateway .promotions)
has "its next request" "$(talk /inspect)" 'status=200'
is "is promoted" "$(gateway .promotions)" "$((before + 1))"
talk_end
has "it ends well" "$talk_said" 'result=ok'
cp "$T/gw.old" "$T/gw.cfg"
rm "$T/gw.old"
reload

# -- older than the daemon, not than the tracker
standin_down
sed -i '/tcp-request connection/d; s/promote fe_bytes if FALSE/promote fe_bytes if { dst_port 80 }/' "$T/gw.cfg"
standin_up
rm -f "$T/ramp.log"
spawn ramp client "$tools/ramp" call $S4 7 40m@4m 40m@4m
call=$spawn_pid
wait_for 5 flow_is "$on_ramp" watched
kill -KILL "$standin_pid"
wait_for 5 ended "$standin_pid"
standin_up
wait_for 5 flow_is "$on_ramp" watched
sleep 0.3
is "a connection older than the daemon is promoted" "$(ctl promote flow "$(flow_by "$on_ramp" .id)" fe_bytes)" ""
wait $call
is "every byte in its place" $? 0
is "it is not counted as no-syn" "$(gateway '.unsupported["no-syn"] // 0')" 0

# -- whose handshake not even the tracker saw
rm -f "$T/ramp.log"
spawn ramp client "$tools/ramp" call $S4 7 32m@4m 32m@4m
call=$spawn_pid
wait_for 5 flow_is "$on_ramp" watched
on gw conntrack -F >/dev/null 2>&1
sleep 0.3
kill -KILL "$standin_pid"
wait_for 5 ended "$standin_pid"
standin_up
wait_for 5 flow_is "$on_ramp" watched
has "one that the tracker began in the middle is refused" \
	"$(ctl promote flow "$(flow_by "$on_ramp" .id)" fe_bytes)" 'refused: no-syn'
more "and counted" "$(gateway '.unsupported["no-syn"] // 0')" 1
wait $call
is "forwarded unharmed" $? 0
finish
