#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The daemon is killed and started again: what it only watched goes on and can be promoted again, and what it
# was translating is reset, for its segments would be taken for other bytes than they are.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up

# crashes WHAT: with a watched, a translated and a promoted connection
crashes() {
	standin_up
	: >"$T/nginx/access.log"
	mkfifo "$T/other.in"
	spawn other client sh -c "exec \"$tools/httpka\" -T 20 $S6 80 <\"$T/other.in\""
	other=$spawn_pid
	exec 8>"$T/other.in"
	echo /plain >&8
	wait_for 5 grep -q '^n=1 ' "$T/other.log"
	talk_to $S4
	talk /plain >/dev/null
	talk /inspect >/dev/null
	wait_for 5 flow_is true translated
	kill -KILL "$standin_pid"
	wait "$standin_pid" # its queue is free when all of its threads are gone
	standin_up
	has "$1: a translated connection is reset" "$(talk /plain)" 'responses=2 result=reset'
	talk_end
	is "$1: it is counted" "$(gateway '.unsupported.lost > 0')" true
	echo /plain >&8
	wait_for 20 grep -Eq '^(n=2|responses)' "$T/other.log"
	has "$1: a watched one goes on" "$(sed -n 2p "$T/other.log")" "$2"
	[ "$2" != status=200 ] || {
		echo /inspect >&8
		wait_for 20 grep -q '^n=3 ' "$T/other.log"
		has "$1: and is promoted" "$(nginx_log | tail -n 1)" '/inspect.*x="inspected"'
	}
	exec 8>&- # others have it, too
	stop "$other"
	is "$1: the server was asked nothing that nobody had asked" "$(nginx_log | grep -vc '"GET /[a-z]* HTTP/1.1"')" 0
	rm -f "$T/other.in" "$T/other.log"
	has "$1: new connections are as ever" "$(on client "$tools/httpka" $S4 80 /inspect)" 'result=ok'
	standin_down
}
cp "$top/conf/demo.cfg" "$T/gw.cfg"
crashes "on-failure forward" status=200

# with `block` every connection is of the class that nobody may pass on alone: after a crash it is not known why
sed 's/on-failure forward/on-failure block/' "$top/conf/demo.cfg" >"$T/gw.cfg"
crashes "on-failure block" 'responses=1 result=reset'
standin_up
talk_to $S4
talk /plain >/dev/null
standin_down
standin_up
has "block, an end in order: a watched connection goes on with the next daemon" "$(talk /inspect)" 'status=200'
talk_end
has "to its end" "$talk_said" 'responses=2 result=ok'
finish
