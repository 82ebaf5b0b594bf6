#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The daemon starts on a gateway host with the configuration we ship, puts its rules in, forwards
# what it has no rule about, and takes everything away again, also what a killed one left.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
sed "s,/run/standin.sock,$SOCK," "$top/conf/standin.cfg" >"$T/gw.cfg"

runs "the shipped configuration is valid" "$STANDIN" -c -f "$top/conf/standin.cfg"
liberal=$(on gw sysctl -n net.netfilter.nf_conntrack_tcp_be_liberal 2>/dev/null)
standin_up
more "rules are in" "$(gw_rules | grep -c .)" 4
for addr in $S4 $S6; do
	said=$(on client "$tools/httpka" $addr 80 /plain /inspect /plain)
	has "three requests through the watching gateway, $addr" "$said" 'responses=3 result=ok'
done
is "two flows were made" "$(ctl show flow json | jq length)" 2
is "nothing was promoted" "$(gateway .promotions)" 0
rules=$(gw_rules)

# a second daemon must not take the queue over unnoticed
said=$(on gw timeout 10 "$STANDIN" -f "$T/gw.cfg" 2>&1)
is "a second daemon on the same queue refuses to start" "$([ $? -ne 0 ] && echo refused)" refused
more "it says why" "$(printf '%s' "$said" | grep -c .)" 1
is "the first one's rules are untouched" "$(gw_rules)" "$rules"

# killed: forwarding goes on (on-failure forward); a new start replaces what the old one left
talk_to $S4
talk /plain >/dev/null
kill -KILL "$standin_pid"
wait_for 5 ended "$standin_pid"
has "a watched connection outlives the daemon" "$(talk /plain)" 'status=200'
talk_end
has "it ends well" "$talk_said" 'result=ok'
said=$(on client "$tools/httpka" $S6 80 /plain)
has "a new connection works without a daemon" "$said" 'result=ok'
standin_up
is "a new start leaves no rule of the old one" "$(gw_rules)" "$rules"
said=$(on client "$tools/httpka" $S6 80 /plain)
has "forwarding after the new start" "$said" 'result=ok'
standin_down
is "the sysctl is as it was" "$(on gw sysctl -n net.netfilter.nf_conntrack_tcp_be_liberal 2>/dev/null)" "$liberal"

said=$("$STANDIN" -f "$T/gw.cfg" --print-steering)
is "--print-steering succeeds" $? 0
has "and prints rules for the queue" "$said" 'NFQUEUE|queue'
finish
