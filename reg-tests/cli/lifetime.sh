#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What a reload or an end must not leave behind, and what it must not meet: old configurations, jobs of the
# helper thread, pid files of a successor, a process without descriptors.
. "$(dirname "$0")/common"
pid= load=
cleanup() {
	for p in $pid $load; do
		! grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$p/status" || kill -KILL "$p"
	done
}

port=$(free_port)
config() {
	cat <<-EOC
		global
		    stats socket $T/sock mode 600 level admin
		    node $1
		defaults
		    mode http
		    timeout connect 1s
		    timeout client 5s
		    timeout server 5s
		frontend web
		    bind 127.0.0.1:$port
		    http-request return status 200
	EOC
}
ctl() {
	echo "$*" | timeout 20 /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
sys.stdout.write(b"".join(iter(lambda: s.recv(65536), b"")).decode())' "$T/sock"
}
info() { ctl show info | sed -n "s/^$1: //p"; }
up() {
	rm -f "$T/sock"
	"$STANDIN" -f "$T/cfg" -db "$@" >"$T/log" 2>&1 &
	pid=$!
	wait_for 10 [ -S "$T/sock" ] || not_ok "the daemon starts: $(cat "$T/log")"
}
# down SIGNAL: $status is how it ended
down() {
	kill "-$1" "$pid"
	wait "$pid"
	status=$?
	pid=
}

# ---- configurations are dropped by their last user
config first >"$T/cfg"
up -n 333
/usr/bin/python3 - "$port" <<-'EOP' &
	import http.client, sys
	c = [http.client.HTTPConnection("127.0.0.1", int(sys.argv[1])) for i in range(8)]
	while True:
	    for x in c:
	        x.request("GET", "/")
	        x.getresponse().read()
EOP
load=$!
reloads=0
while [ $reloads -lt 50 ]; do
	case $(ctl reload) in
	*Success=1*) reloads=$((reloads + 1)) ;;
	*) break ;;
	esac
done
is "50 reloads under traffic" "$reloads" 50
kill "$load"
wait "$load" 2>/dev/null
load=
one_epoch() { [ "$(info Epochs)" = 1 ]; }
if wait_for 10 one_epoch; then ok "one configuration is left"; else not_ok "configurations left: $(info Epochs)"; fi
is "-n holds after reloads" "$(info Maxconn)" 333
down TERM
is "it ends well" "$status" 0

# ---- the end comes while the helper thread builds a configuration
{
	config second
	/usr/bin/python3 -c '
for i in range(20000): print(f"backend b{i}\n    server s 127.0.0.1:{i % 60000 + 1}")'
} >"$T/big"
for sig in TERM USR1; do
	config first >"$T/cfg"
	up
	cp "$T/big" "$T/cfg"
	kill -USR2 "$pid"
	ctl reload >"$T/answer" &
	sleep 0.1
	down $sig
	is "$sig during a reload" "$status" 0
	wait
done

# ---- a pid file belongs to whose pid is in it
config first >"$T/cfg"
up -p "$T/pid"
is "the pid file" "$(cat "$T/pid")" "$pid"
echo 1 >"$T/pid"
down TERM
is "a successor's pid file stays" "$(cat "$T/pid" 2>&1)" 1
up -p "$T/pid"
down TERM
is "its own goes" "$(ls "$T/pid" 2>/dev/null)" ""

# ---- no descriptors left: it waits for better times, it does not spin
(
	ulimit -n 24
	exec "$STANDIN" -f "$T/cfg" -db >"$T/log" 2>&1
) &
pid=$!
wait_for 10 [ -S "$T/sock" ] || not_ok "it starts with few descriptors: $(cat "$T/log")"
spins=$(/usr/bin/python3 - "$T/sock" "$pid" <<-'EOP'
	import socket, sys, time
	all = []
	for i in range(40):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    all.append(s)
	def ticks():
	    return sum(map(int, open(f"/proc/{sys.argv[2]}/stat").read().rsplit(")", 1)[1].split()[11:13]))
	time.sleep(0.3)
	before = ticks()
	time.sleep(1)
	print(ticks() - before)
EOP
)
if [ "$spins" -lt 15 ]; then ok "without descriptors it rests"; else not_ok "without descriptors it spins: $spins ticks in a second"; fi
wait_for 10 ctl show version >/dev/null
is "and answers when there are some" "$(ctl show version | head -n 1)" "$(cat VERSION)"
down TERM
is "and ends well" "$status" 0

# ---- a client that asks for much and reads fast leaves room for others
up
/usr/bin/python3 - "$T/sock" <<-'EOP'
	import socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.sendall(b";".join([b"help"] * 20000) + b"\n")
	while s.recv(1 << 20):
	    pass
EOP
lag=$(info Loop_lag_us_max)
if [ "$lag" -lt $((150000 * ${SLOW:-1})) ]; then ok "a flood of commands is taken in turns"; else not_ok "a flood of commands held the loop for $lag us"; fi

# ---- the socket's file
sed -i 's/mode 600/mode 660/' "$T/cfg"
ctl reload >/dev/null
is "a reload changes the socket's mode" "$(stat -c %a "$T/sock")" 660
sed -i "s,$T/sock,$T/sock2," "$T/cfg"
ctl reload >"$T/answer"
is "the socket is moved, the answer still comes" "$(grep -c Success=1 "$T/answer")" 1
is "the old file goes" "$(ls "$T/sock" 2>/dev/null)" ""
mv "$T/sock2" "$T/sock"
is "the new one answers" "$(ctl show version | head -n 1)" "$(cat VERSION)"
down TERM
config first >"$T/cfg"
rm -f "$T/sock"
echo precious >"$T/sock"
timeout 10 "$STANDIN" -f "$T/cfg" -db >"$T/log" 2>&1
is "a file that is no socket: it does not start" "$?" 1
is "and stays" "$(cat "$T/sock")" precious

[ $failed -eq 0 ] || { echo "the daemon's log:"; tail -n 30 "$T/log"; }
exit $failed
