#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Firewall and routing rules are replaced again and again under promoted streams at work, and the routing rule is
# taken away by somebody: not one packet for a pseudo socket gets to the other end instead.
. "$(dirname "$0")/lib.sh"
hosts_up
ramp_up
cp "$top/conf/demo.cfg" "$T/gw.cfg"
standin_up

calls=
for addr in $S4 $S6; do
	rm -f "$T/ramp-$addr.log"
	spawn "ramp-$addr" client "$tools/ramp" call $addr 7 10m@1m 10m@1m
	calls="$calls $addr:$spawn_pid"
	wait_for 5 flow_is '.dst|endswith(":7")' watched
	ctl promote flow "$(flow_by true .id)" fe_bytes
done
rules_with() { [ "$(gw_rules | grep -c -- '-g STANDIN_NEW1$')" = "$1" ]; }
# also CONFIGURATION-LINES...
also() {
	{
		cat "$top/conf/demo.cfg"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$T/gw.cfg"
	has "a good reload" "$(ctl reload)" 'Success=1'
}
for i in 1 2 3 4 5; do
	also "gateway two" "    queue 1" "    match dport 9999"
	runs "rules are added" wait_for 20 rules_with 2
	also
	runs "and removed" wait_for 20 rules_with 0
done
is "one routing rule is there" "$(on gw ip rule | grep -c 'lookup 1000') $(on gw ip -6 rule | grep -c 'lookup 1000')" "1 1"
for v in -4 -6; do
	on gw ip $v rule del pref 10
done
sleep 0.3
also "gateway two" "    queue 1" "    match dport 9999"
runs "rules are added" wait_for 20 rules_with 2
is "and the routing rule, that somebody took" \
	"$(on gw ip rule | grep -c 'lookup 1000') $(on gw ip -6 rule | grep -c 'lookup 1000')" "1 1"
for call in $calls; do
	wait "${call##*:}"
	is "the stream to ${call%:*}" "$(grep -o '._result=[a-z]*' "$T/ramp-${call%:*}.log" | tr '\n' ' ')" "c_result=ok s_result=ok "
done
standin_down

# the end comes while a change is under way: it waits for it, and takes out what it put in
for pause in 0 0.01 0.03 0.06 0.1; do
	cp "$top/conf/demo.cfg" "$T/gw.cfg"
	standin_up
	also "gateway two" "    queue 1" "    match dport 9999"
	sleep $pause
	standin_down
done
finish
