#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The primary dies: the standby takes over in its place, at full size, and a new one is made.
. "$(dirname "$0")/common"
WORDS=fork
app_cfg 21010-21019 'on-promote signal USR1' >"$T/cfg"
sed -i "s|\$PORT fork|& mark=$T/marks|" "$T/cfg"
: >"$T/marks"
chmod 666 "$T/marks"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid)
child=$(pgrep -P "$p")
runs "the primary has a child that would outlive it" [ -n "$child" ]
small=$(memory_limit "$s")
less "the standby's limit before" "$small" $((100 << 20))

kill -9 "$p"
runs "the standby takes over" wait_for 5 primary_is "$s"
is "its limit after: raised in place" "$(memory_limit "$s")" $((128 << 20))
is "its cpu limit" "$(cpu_limit "$s")" 1000
is "its limit of tasks" "$(pids_limit "$s")" 32
is "one failover is counted" "$(app .failovers)" 1
runs "what the dead one left behind is gone" wait_for 2 gone "$child"
is "on-promote: the signal came, once" "$(cat "$T/marks")" "signal web-2"
runs "a new standby stands" wait_for 15 both_up
s2=$(instance standby .pid)
is "it is another one" "$([ "$s2" != "$s" ] && [ "$s2" != "$p" ] && echo yes)" yes
runs "how the old one ended is known" wait_for 3 event 'web-1 exit: .*signal 9'
ms=$(ctl show events web | sed -n 's/.*failover: from web-1.* in \([0-9]*\)\.[0-9]* ms/\1/p' | head -n 1)
less "milliseconds from the death to the switch, as logged" "$ms" 50

kill -9 "$s2"
runs "a dead standby is replaced" wait_for 15 both_up
is "the primary did not change" "$(instance primary .pid)" "$s"
is "that is no failover" "$(app .failovers)" 1

s3=$(instance standby .pid)
kill -9 "$s3" "$s"
runs "with both dead it starts cold, and gets a standby" wait_for 20 both_up
runs "said so" event 'recovered|failover'
pid=$daemon
daemon_down
is "no cgroup is left" "$(trees "$pid")" ""
finish
