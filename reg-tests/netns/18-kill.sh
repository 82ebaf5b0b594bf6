#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# kill flow, in every state in which a connection can be met: both ends get a reset at once, and nothing of it is left.
. "$(dirname "$0")/lib.sh"
hosts_up
ramp_up
standin_up -f "$top/conf/demo.cfg"

gone() { ! ctl show flow json | jq -e "any(.[]; .id == $id and .state != \"closing\")" >/dev/null; }
# kills ADDR STATE: a stream in that state
kills() {
	capture_on client server
	rm -f "$T/ramp.log"
	spawn ramp client "$tools/ramp" call $1 7 60m@2m 60m@2m
	call=$spawn_pid
	wait_for 5 flow_is '.dst|endswith(":7")' watched
	id=$(flow_by true .id)
	case $2 in promoted | demoted) ctl promote flow "$id" fe_bytes >/dev/null ;; esac
	[ "$2" != demoted ] || ctl demote flow "$id" >/dev/null
	[ "$2" = promoted ] || wait_for 5 flow_settled
	[ "$2" = demoted ] || is "$1: the flow" "$(flow_by true .state)" "$2"
	is "$1, $2: kill flow answers nothing" "$(ctl kill flow "$id")" ""
	runs "$1, $2: the client knows" wait_for 10 ended "$call"
	runs "$1, $2: the flow is over" wait_for 5 gone
	capture_off
	for host in client server; do
		more "$1, $2: a reset at the $host" "$(word rst "$("$tools/pcapsum" "$T/$host.pcap")")" 1
	done
	has "$1, $2: a new connection passes" "$(on client "$tools/ramp" call $1 7 10k 10k)" 's2c_result=ok .*c2s_result=ok'
}
for addr in $S4 $S6; do
	for state in watched promoted demoted; do
		kills $addr $state
	done
done
has "one that does not exist" "$(ctl kill flow 999999)" 'No flow has the id 999999'
has "none" "$(ctl kill flow)" "expects the id"
finish
