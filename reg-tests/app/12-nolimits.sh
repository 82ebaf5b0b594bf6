#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A host without some controllers, or without any: apps run without those limits, and it is said.
. "$(dirname "$0")/common"
unshare -m true 2>/dev/null || { echo "skipped: no mount namespaces"; exit 77; }
real=$STANDIN

# without MOUNT...: the daemon sees a host where these are not mounted
without() {
	cat >"$T/run" <<-END
	#!/bin/sh
	exec unshare -m sh -c 'for m in $*; do umount -l \$m; done; exec $real "\$@"' sh "\$@"
	END
	chmod 755 "$T/run"
	STANDIN=$T/run
}
mounts() { awk '/ - cgroup2? / { print $5 }' /proc/self/mountinfo; }
pids=$(awk '/ - cgroup / && $NF ~ /pids/ { print $5 }' /proc/self/mountinfo | head -n 1)
WORDS="fork escape"
app_cfg 21120-21129 >"$T/cfg"

if [ -n "$pids" ]; then
	without "$pids"
	daemon_up
	runs "without the pids controller both get ready" wait_for 20 both_up
	has "it is said which limit is missing and why" "$(cat "$T/log")" \
		"app 'web' runs without its limit of pids: no such controller"
	has_not "and only that one" "$(cat "$T/log")" "without its limit of (memory|cpu)"
	daemon_down
	is "it stops well" "$status" 0
fi

without $(mounts)
rm -f "$T/state.db"
daemon_up
runs "without any both get ready" wait_for 20 both_up
for what in memory cpu pids; do
	has "the limit of $what is missed" "$(cat "$T/log")" "runs without its limit of $what"
done
is "what could not be measured is as the primary's" "$(ctl show sizing json | jq -r '.[0].minimum.memory')" $((128 << 20))
is "no limit is shown where none holds" "$(app '[.instances[] | .memory_limit, .cpu_limit, .pids_limit] | add')" 0
p=$(instance primary .pid) s=$(instance standby .pid)
child=$(pgrep -P "$p")
kill -9 "$p"
runs "failover works all the same" wait_for 5 primary_is "$s"
runs "and so does killing what the dead one left, by its process group" wait_for 3 gone "$child"
daemon_down
is "it stops well" "$status" 0
is "nothing is left" "$(pgrep -f "$inst 127.0.0.1 2112[0-9]")" ""
finish
