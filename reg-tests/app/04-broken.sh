#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Instances that cannot be started: said, tried again with growing waits, given up; nothing leaks.
. "$(dirname "$0")/common"

WORDS=never
app_cfg 21030-21039 'timeout start 300ms' 'restart backoff 50ms 1s limit 3 per 1m' >"$T/cfg"
daemon_up
runs "a primary that never gets ready is given up" wait_for 15 state_is gave-up
is "after three tries" "$(ctl show events web | grep -c 'not ready in 300 ms')" 3
has "said as an alert" "$(ctl show events web)" 'give-up: 3 failures'
pid=$daemon
runs "no process of it is left" wait_for 5 [ -z "$(pgrep -f "inst.py 127.0.0.1 2103[0-9]")" ]
is "start app clears it" "$(ctl start app web)" ""
runs "and it is tried again" wait_for 5 event 'web-4 start'
daemon_down
is "no cgroup is left" "$(trees "$pid")" ""

WORDS=exit=3
app_cfg 21030-21039 'restart backoff 200ms 5s limit 4 per 1m' >"$T/cfg"
rm -f "$T/state.db"
daemon_up
runs "one that ends at once is given up, too" wait_for 15 state_is gave-up
has "its status is told" "$(ctl show events web)" 'exit: primary ended with status 3'
has "its last words are in the log" "$(cat "$T/log")" 'output: this instance ends at once'
times=$(ctl show events web json | jq -r '[.[] | select(.event == "start") | .time_ms] | reverse | "\(.[2] - .[1] > .[1] - .[0]) \(.[3] - .[2] > .[2] - .[1])"')
is "each wait is longer than the one before" "$times" "true true"
daemon_down

WORDS=
app_cfg 21030-21039 >"$T/cfg"
sed -i "s|command $inst|command $T/script|" "$T/cfg"
printf '#!/no/such/interpreter\n' >"$T/script"
chmod 755 "$T/script"
daemon_up
runs "a program that cannot be executed: errno and step" wait_for 5 event 'script: exec: No such file'
daemon_down

app_cfg 21030-21039 >"$T/cfg"
sed -i "s|state-db .*|state-db /proc/nowhere/state.db|" "$T/cfg"
daemon_up
runs "a state-db that cannot be written stops nothing" wait_for 15 both_up
is "the standby's size was measured all the same" "$(ctl show sizing json | jq -r '.[0].basis')" measured
has "and it is said" "$(cat "$T/log")" "state-db '/proc/nowhere/state.db' does not work"
daemon_down
is "it stops well" "$status" 0

# a port that is in use is not given to an instance
/usr/bin/python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 21030)); s.listen(); time.sleep(60)' &
squatter=$!
bound() { ss -Hltn "sport = :21030" | grep -q .; }
wait_for 5 bound
app_cfg 21030-21039 >"$T/cfg"
daemon_up
runs "a port in use is left alone" wait_for 15 both_up
is "the next one is taken" "$(instance primary .addr)" 127.0.0.1:21031
daemon_down
kill "$squatter"
wait "$squatter" 2>/dev/null
finish
