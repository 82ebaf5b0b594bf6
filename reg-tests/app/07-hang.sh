#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A primary that is there but does not answer; an instance that does not want to end.
. "$(dirname "$0")/common"
WORDS=deaf
app_cfg 21060-21069 'check inter 100ms fall 2 rise 1' 'timeout check 100ms' 'timeout stop 500ms' >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
p=$(instance primary .pid) s=$(instance standby .pid)
begin=$(($(date +%s%N) / 1000000))
kill -STOP "$p"
runs "a stopped primary is noticed by its checks" wait_for 5 primary_is "$s"
less "milliseconds until then" $(($(date +%s%N) / 1000000 - begin)) $((1500 * ${SLOW:-1}))
runs "it was killed" wait_for 5 gone "$p"
has "the cause is told" "$(ctl show events web)" '2 checks failed'
runs "a new standby stands" wait_for 15 both_up

s=$(instance standby .pid)
kill -STOP "$s"
runs "a stopped standby is replaced before it is needed" wait_for 15 gone "$s"
runs "by another" wait_for 15 both_up

p=$(instance primary .pid)
begin=$(($(date +%s%N) / 1000000))
ctl stop app web
runs "one that ignores its stop signal" wait_for 5 gone "$p"
more "is given its time" $(($(date +%s%N) / 1000000 - begin)) 400
has "and killed then" "$(cat "$T/log")" 'still there: killed'
daemon_down
is "it stops well" "$status" 0
finish
