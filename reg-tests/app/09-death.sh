#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The daemon itself is killed: nothing of it is left running, no cgroup stays.
. "$(dirname "$0")/common"
app_cfg 21080-21089 >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid) pid=$daemon
keeper=$(pgrep -P "$daemon")
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
daemon=
runs "kill -9 of the loop: the keeper ends the primary" wait_for 5 gone "$p"
runs "and the standby" wait_for 5 gone "$s"
runs "and itself" wait_for 5 gone "$keeper"
is "no cgroup is left" "$(trees "$pid")" ""

rm -f "$T/sock"
daemon_up
runs "a new daemon starts" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid)
keeper=$(pgrep -P "$daemon")
kill -INT "$keeper"
kill -TERM "$keeper"
sleep 0.2
runs "signals meant for the daemon do not end the keeper" both_up
kill -9 "$keeper"
runs "kill -9 of the keeper: its instances end with it" wait_for 5 gone "$p"
runs "both" wait_for 5 gone "$s"
said() { grep -q 'keeper process .* is gone' "$T/log"; }
runs "the daemon says so" wait_for 5 said
pid=$daemon
daemon_down
is "and ends well" "$status" 0
is "no cgroup is left" "$(trees "$pid")" ""

rm -f "$T/sock"
daemon_up
runs "another daemon starts" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid) pid=$daemon
kill -9 "$(pgrep -P "$daemon")" "$daemon"
wait "$daemon" 2>/dev/null
daemon=
runs "kill -9 of both: no instance is left" wait_for 5 gone "$p"
runs "neither" wait_for 5 gone "$s"
rm -f "$T/sock"
daemon_up
runs "the next daemon" wait_for 15 both_up
is "sweeps the empty cgroups away" "$(trees "$pid")" ""
daemon_down
finish
