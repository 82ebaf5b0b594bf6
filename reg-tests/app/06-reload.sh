#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A reload leaves alone what did not change, replaces what did, standby first, and goes back by itself.
. "$(dirname "$0")/common"
app_cfg 21050-21059 'env V=1' >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid)
reload() {
	n=$(ctl show info | sed -n 's/^Reloads: //p')
	kill -USR2 "$daemon"
	wait_for 10 reloaded "$n"
}
reloaded() { [ "$(ctl show info | sed -n 's/^Reloads: //p')" -gt "$1" ]; }

app_cfg 21050-21059 'env V=1' 'check inter 500ms' 'timeout stop 3s' >"$T/cfg"
sed -i 's/memory 128m/memory 192m/' "$T/cfg"
runs "other timeouts, checks, sizes: it reloads" reload
sleep 0.3
is "the primary is the same" "$(instance primary .pid)" "$p"
is "the standby too" "$(instance standby .pid)" "$s"
is "the primary's limit changed in place" "$(memory_limit "$p")" $((192 << 20))

app_cfg 21050-21059 'env V=2' >"$T/cfg"
runs "another environment: it reloads" reload
changed() { both_up && get "$(instance primary .addr)" /env | grep -qx "V=$1"; }
runs "the primary is replaced" wait_for 20 changed 2
runs "the old one ends" wait_for 10 gone "$p"
runs "and a standby of the new kind stands" wait_for 20 both_up
has "its standby has it, too" "$(get "$(instance standby .addr)" /env)" '^V=2$'

p=$(instance primary .pid)
app_cfg 21050-21059 'env V=3' 'restart backoff 100ms 300ms limit 50 per 1m' >"$T/cfg"
sed -i 's/\$PORT/& exit=1/' "$T/cfg"
runs "a release that does not start: it reloads" reload
runs "it is tried" wait_for 10 event 'failed: standby: ended before it was ready'
is "the old primary serves on" "$(instance primary .pid)" "$p"
app_cfg 21050-21059 'env V=3' >"$T/cfg"
runs "mended: it reloads" reload
runs "and is replaced" wait_for 20 changed 3

echo "app web" >>"$T/cfg"
kill -USR2 "$daemon"
sleep 0.5
runs "a bad configuration changes nothing" both_up

p=$(instance primary .pid)
app_cfg 21050-21059 | sed '/^app/,$d' >"$T/cfg"
reload
runs "no longer configured: ended" wait_for 10 gone "$p"
no_apps() { [ "$(ctl show app json | jq length)" = 0 ]; }
runs "and not shown" wait_for 5 no_apps
app_cfg 21050-21059 >"$T/cfg"
reload
runs "and configured again: started" wait_for 20 both_up
daemon_down
is "it stops well" "$status" 0
finish
