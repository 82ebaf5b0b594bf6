#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 6: an application with a primary and a measured standby; the primary is killed under
# load; what was learnt is remembered by the next daemon.
. "$(dirname "$0")/lib.sh"
hosts_up
app_up
runs "primary and standby are ready" wait_for 60 app_ready

primary=$(instance primary .pid) standby=$(instance standby .pid)
spec=$(jq -n '256 * 1024 * 1024')
is "the primary has its specification" "$(cgroup_memory "$primary")" "$spec"
small=$(cgroup_memory "$standby")
less "the standby's limit is smaller, bytes" "$small" $((spec - 1))
is "as the stats socket says" "$(instance standby .memory_limit)" "$small"
has "its size was measured" "$(ctl show sizing json | jq -r '.[0].basis')" 'measured|raised'

said=$(on gw "$tools/load" -n 8 -t 6 -i X-Instance -k "$primary" -K 2000 127.0.0.1 8080 '/search?q=socket')
echo "$said"
is "no request failed" "$(word failed "$said")" 0
more "there was load" "$(word requests "$said")" 1000
is "no client connection was lost" "$(word closed "$said")" 0
takeover=$(word takeover_ms "$said")
brief "from the kill to the standby's first answer, ms" "${takeover%.*}" 300
is "the standby is the primary" "$(instance primary .pid)" "$standby"
is "raised in place to the specification" "$(cgroup_memory "$standby")" "$spec"
is "one failover is counted" "$(app .failovers)" 1
runs "a new standby stands" wait_for 30 app_ready
is "the dead one is gone" "$(gone "$primary" && echo gone)" gone

# on demand, too
standby=$(instance standby .pid)
is "failover app is accepted" "$(ctl failover app search)" ""
runs "the standby takes over" wait_for 10 primary_is "$standby"
runs "and another one stands" wait_for 30 app_ready
has "events tell of it" "$(ctl show events search)" '[Ff]ailover'

starts=$(ctl show sizing json | jq -r '.[0].starts')
pids=$(ctl show app json | jq -r '.[0].instances[].pid')
daemon=$standin_pid
standin_down
for pid in $pids; do
	is "instance $pid ended with the daemon" "$(gone "$pid" && echo gone)" gone
done
is "no cgroup is left" "$(find /sys/fs/cgroup -type d -name "standin-$daemon" 2>/dev/null)" ""

app_up
more "the next daemon remembers the starts" "$(ctl show sizing json | jq -r '.[0].starts')" "$starts"
runs "its instances get ready" wait_for 60 app_ready
less "its first standby is small at once" "$(cgroup_memory "$(instance standby .pid)")" $((spec - 1))
finish
