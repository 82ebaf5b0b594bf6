#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Many connections that are promoted and leave L7 at the same time: none may wait for the others, each is
# answered, each ends up forwarded. (They once kept the daemon so busy with looking at those that were
# leaving, and the queue so full of answers to its own probes, that the ACKs they waited for never came.)
# CROWD=N connections (1000), RATE=N a second (10000).
. "$(dirname "$0")/lib.sh"
: "${CROWD:=1000}" "${RATE:=10000}"
hosts_up
spawn crowd server "$tools/crowd" serve 9
cat >"$T/gw.cfg" <<EOC
global
    log stdout format raw local0 warning
    stats socket $SOCK level admin
defaults
    timeout connect 5s
    timeout client 1m
    timeout server 1m
gateway g
    match dport 9
    timeout hold 20s
    tcp-request content promote fe_leave
frontend fe_leave
    mode tcp
    tcp-request inspect-delay 1s
    tcp-request content demote
    default_backend bytes
backend bytes
    mode tcp
    option transparent
EOC
standin_up

# crowd ADDR: all of them, in $crowd_pid; each line to descriptor 9 is another round
crowd() {
	rm -f "$T/crowd.in" "$T/crowd.out"
	mkfifo "$T/crowd.in"
	(exec nsenter --net="/run/netns/$ID-client" "$tools/crowd" call -n "$CROWD" -r "$RATE" -t 60 "$1" 9 \
		<"$T/crowd.in" >"$T/crowd.out" 2>&1) &
	crowd_pid=$!
	spawned="$spawned $crowd_pid"
	exec 9>"$T/crowd.in"
}
crowd_said() {
	grep "round=$1" "$T/crowd.out"
}
# at_rest DEMOTIONS: so many of them since the start, and everybody is forwarded
at_rest() {
	[ "$(gateway '"\(.demotions) \(.flows.translated + .flows.watched)"')" = "$1 $CROWD" ]
}

for addr in $S4 $S6; do
	demotions=$(gateway .demotions) promotions=$(gateway .promotions)
	crowd $addr
	wait_for 70 crowd_said 1
	has "$addr: $CROWD connections, promoted and leaving: each is answered" "$(cat "$T/crowd.out")" "answered=$CROWD bad=0"
	wait_for 20 at_rest $((demotions + CROWD))
	is "$addr: each ends up forwarded" "$(gateway '.flows.translated + .flows.watched')" "$CROWD"
	is "$addr: none is left on the way" "$(gateway '.flows.promoted + .flows.leaving + .flows.held')" 0
	is "$addr: each was promoted" $(($(gateway .promotions) - promotions)) "$CROWD"
	is "$addr: and demoted" $(($(gateway .demotions) - demotions)) "$CROWD"
	# promoted again by what they say next, all at the same moment
	echo >&9
	wait_for 70 crowd_said 2
	has "$addr: all of them again, in one moment" "$(crowd_said 2)" "answered=$CROWD bad=0"
	wait_for 20 at_rest $((demotions + 2 * CROWD))
	is "$addr: each was judged anew" $(($(gateway .promotions) - promotions)) $((2 * CROWD))
	is "$addr: and demoted again" $(($(gateway .demotions) - demotions)) $((2 * CROWD))
	is "$addr: each ends up forwarded again" "$(gateway '.flows.translated + .flows.watched')" "$CROWD"
	echo "# $(cat "$T/crowd.out")"
	echo "# remove_us $(gateway '.remove_us|tojson')"
	exec 9>&-
	wait "$crowd_pid"
	is "$addr: no connection was damaged" $? 0
done
finish
