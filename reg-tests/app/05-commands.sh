#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# failover, restart, stop and start on demand; a request under way ends well.
. "$(dirname "$0")/common"
app_cfg 21040-21049 'timeout stop 5s' >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid)

get "$(instance primary .addr)" /slow >"$T/slow" &
slow=$!
sleep 0.2
is "failover app answers nothing" "$(ctl failover app web)" ""
runs "the standby is the primary at once" wait_for 1 primary_is "$s"
is "the old one drains" "$(app ".instances[] | select(.pid == $p) | .state")" draining
wait "$slow"
is "a request that was under way got its answer" "$(cat "$T/slow")" well
runs "then the old one ends" wait_for 8 gone "$p"
runs "by itself, as asked" wait_for 3 event 'web-1 exit: standby ended with status 0'
is "one failover is counted" "$(app .failovers)" 1
runs "a new standby stands" wait_for 15 both_up

old="$(instance primary .pid) $(instance standby .pid)"
ctl restart app web
all_new() { both_up && [ "$(instance primary .pid)" != "${old% *}" ] && [ "$(instance standby .pid)" != "${old#* }" ] &&
	[ "$(instance primary .pid)" != "${old#* }" ]; }
runs "restart app replaces both" wait_for 30 all_new
runs "and the old ones end" wait_for 10 gone "${old% *}"

ctl stop app web
runs "stop app ends all" wait_for 10 state_is stopped
is "nothing runs" "$(app '.instances | length')" 0
has "failover is refused then" "$(ctl failover app web)" 'no ready primary'
sleep 0.5
is "and it stays so" "$(app .state)" stopped
ctl start app web
runs "start app starts it" wait_for 20 both_up
has "an unknown app is refused" "$(ctl failover app nosuch)" 'No such app'
has "help knows the commands" "$(ctl help)" 'failover app'
daemon_down
is "it stops well" "$status" 0
finish
