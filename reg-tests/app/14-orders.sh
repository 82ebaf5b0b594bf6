#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Events in unkind orders, and instances that do not want to be found: one primary at a time, nobody left.
. "$(dirname "$0")/common"

# ---- a primary that takes its time to end
WORDS=deaf
ulimit -Sn 500
app_cfg 21140-21149 'standby 0' >"$T/cfg"
daemon_up
runs "the primary gets ready" wait_for 15 primary_up
p=$(instance primary .pid)
is "it has the daemon's own limit of descriptors" "$(awk '/Max open files/ { print $4 }' "/proc/$p/limits")" "$(ulimit -Sn)"
ctl stop app web
ctl start app web
two=0
until gone "$p"; do
	[ "$(ctl show app web json | jq '[.[0].instances[] | select(.role == "primary" and .pid > 0)] | length')" -le 1 ] || two=1
	sleep 0.1
done
is "stopped and started again: never two primaries" "$two" 0
runs "then the next one" wait_for 15 primary_up

# taken out of the configuration and put back while it ends
p=$(instance primary .pid)
app_cfg 21140-21149 'standby 0' >"$T/with"
sed '/^app/,$d' "$T/with" >"$T/cfg"
ctl reload | grep -q Success=1
cp "$T/with" "$T/cfg"
ctl reload | grep -q Success=1
two=0
until gone "$p"; do
	[ "$(ctl show app web json | jq '[.[0].instances[] | select(.role == "primary" and .pid > 0)] | length')" -le 1 ] || two=1
	sleep 0.1
done
is "removed and put back: never two primaries" "$two" 0
runs "then the next one" wait_for 15 primary_up
one_epoch() { [ "$(ctl show info | sed -n 's/^Epochs: //p')" = 1 ]; }
runs "and the old configurations have gone" wait_for 5 one_epoch
daemon_down
is "it stops well" "$status" 0

# ---- the end, twice, while an instance is being started
WORDS='deaf never'
app_cfg 21140-21149 >"$T/cfg"
daemon_up
starting() { [ "$(ctl show app web json | jq '[.[0].instances[] | select(.pid > 0)] | length')" = 1 ]; }
runs "one is starting" wait_for 10 starting
p=$(ctl show app web json | jq '.[0].instances[0].pid') pid=$daemon
kill -USR1 "$daemon"
kill -TERM "$daemon"
sleep 0.1
daemon_down
is "USR1, TERM, TERM during a start" "$status" 0
runs "nobody is left" gone "$p"
is "no cgroup either" "$(trees "$pid")" ""

# ---- an instance with cgroups of its own
WORDS='nested'
app_cfg 21140-21149 | sed 's/user nobody/user root/' >"$T/cfg"
daemon_up
runs "instances with cgroups of their own" wait_for 15 both_up
p=$(instance primary .pid) pid=$daemon
child=$(pgrep -P "$p")
kill -9 "$p"
runs "failed over" wait_for 10 both_up
runs "the child in its own cgroup ended, too" wait_for 5 gone "$child"
dirs() { find /sys/fs/cgroup -type d -path "*/standin-$pid/web-1*" | grep -c .; }
no_dirs() { [ "$(dirs)" = 0 ]; }
runs "and the cgroups" wait_for 5 no_dirs
children=$(pgrep -P "$(instance primary .pid),$(instance standby .pid)")
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
daemon=
all_gone() { for c in $children; do gone "$c" || return 1; done; }
runs "kill -9 of the daemon: none of them is left" wait_for 10 all_gone
no_trees() { [ -z "$(trees "$pid")" ]; }
runs "nor any cgroup" wait_for 5 no_trees

# ---- no descriptors when an instance starts: it must not run without its limits, nor unwatched
WORDS=
app_cfg 21140-21149 'restart backoff 100ms 300ms limit 60 per 1m' >"$T/cfg"
rm -f "$T/sock"
(
	ulimit -n 60
	exec "$STANDIN" -f "$T/cfg" -db >"$T/log" 2>&1
) &
daemon=$!
runs "few descriptors: both get ready" wait_for 15 both_up
/usr/bin/python3 - "$T/sock" <<-'EOP'
	import socket, sys, time
	def conn():
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    return s
	first = conn()
	first.sendall(b"prompt;show version\n")
	time.sleep(0.3)
	rest = [conn() for i in range(62)]
	time.sleep(0.5)
	first.sendall(b"stop app web;show version\n")
	time.sleep(1)
	rest += [conn() for i in range(40)]
	first.sendall(b"start app web;show version\n")
	time.sleep(1)
EOP
runs "and again when there are some" wait_for 20 both_up
settled() { [ "$(ctl show app web json | jq '.[0].instances | length')" = 2 ]; }
runs "no instance of that time is left" wait_for 20 settled
bare=0
for p in $(pgrep -f "$inst 127.0.0.1 2114[0-9]"); do
	[ "$(pids_limit "$p")" -le 32 ] || bare=$((bare + 1))
done
is "none runs without its limits" "$bare" 0
daemon_down
is "it stops well" "$status" 0
finish
