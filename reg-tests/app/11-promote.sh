#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# on-promote by command and by request; apps that start after others; several standbys.
. "$(dirname "$0")/common"
cat >"$T/hook" <<END
#!/bin/sh
sleep 0.5
echo "\$INSTANCE \$PORT \$1 \$(id -un)" >>$T/told
END
chmod 755 "$T/hook"
: >"$T/told"
chmod 666 "$T/told"
app_cfg 21100-21109 "on-promote exec $T/hook \$ADDR" 'standby 2' >"$T/cfg"
daemon_up
two_up() { both_up && [ "$(app '[.instances[] | select(.role == "standby" and .state == "ready")] | length')" = 2 ]; }
runs "a primary and two standbys" wait_for 20 two_up
is "a primary that began as one is not told" "$(cat "$T/told")" ""
p=$(instance primary .pid)
kill -9 "$p"
runs "while the command runs nobody is published" wait_for 2 state_is promoting
is "the command has not ended" "$(cat "$T/told")" ""
runs "then one of them serves" wait_for 5 state_is up
told="$(instance primary .id) $(instance primary .addr | sed 's/.*://') 127.0.0.1 nobody"
is "the command knew whom it was about, as the app's user" "$(cat "$T/told")" "$told"
runs "two standbys again" wait_for 20 two_up
daemon_down

printf '#!/bin/sh\nexit 4\n' >"$T/hook"
app_cfg 21100-21109 "on-promote exec $T/hook" >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 20 both_up
s=$(instance standby .pid)
kill -9 "$(instance primary .pid)"
runs "a command that fails does not keep the standby from serving" wait_for 5 primary_is "$s"
has "but it is said" "$(ctl show events web)" 'on-promote: it ended with status 4'
daemon_down

app_cfg 21100-21109 "on-promote http /promoted" >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 20 both_up
s=$(instance standby .pid)
kill -9 "$(instance primary .pid)"
runs "told by request, it serves" wait_for 5 primary_is "$s"
has_not "its answer was good" "$(cat "$T/log")" 'on-promote:'
daemon_down

WORDS=delay=1
app_cfg 21100-21109 >"$T/cfg"
cat >>"$T/cfg" <<END
app later
    command $inst \$ADDR \$PORT
    user nobody
    listen 127.0.0.1:21110-21119
    resources memory 64m
    depends web
    standby 0
END
daemon_up
sleep 0.4
is "an app waits for the one it depends on" "$(ctl show app later json | jq -r '.[0].instances | length')" 0
later_up() { [ "$(ctl show app later json | jq -r '.[0].state')" = up ]; }
runs "and is started after it" wait_for 20 later_up
before=$(ctl show events json | jq -r '([.[] | select(.app == "web" and .event == "ready")] | last | .time_ms) <= ([.[] | select(.app == "later" and .event == "start")] | last | .time_ms)')
is "in that order" "$before" true
daemon_down
is "it stops well" "$status" 0
finish
