#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# -sf and -st: a running standin takes the configuration of its successor, which ends; another process is told to end.
. "$(dirname "$0")/common"
pid= other=
cleanup() {
	for p in $pid $other; do # with our directory among its arguments, or it is another one by now
		! grep -qsF "$T" "/proc/$p/cmdline" || kill -KILL "$p"
	done
}
port=$(free_port)
config() {
	cat <<-EOC
		global
		    stats socket $T/sock mode 600 level admin
		defaults
		    mode http
		    timeout connect 1s
		    timeout client 5s
		    timeout server 5s
		frontend web
		    bind 127.0.0.1:$port
		    http-request return status 200 content-type text/plain string $1
	EOC
}
get() { curl -s -m 5 "http://127.0.0.1:$port/"; }
answers() { [ "$(get)" = "$1" ]; }

config first >"$T/a.cfg"
"$STANDIN" -D -p "$T/pid" -f "$T/a.cfg" >"$T/log" 2>&1
pid=$(cat "$T/pid")
wait_for 10 answers first || not_ok "it answers: $(cat "$T/log")"

# ---- other files, with a space in a name, relative, two of them
mkdir "$T/new files"
config second | sed '/^frontend/,$d' >"$T/new files/b 1.cfg"
config second | sed -n '/^frontend/,$p' >"$T/new files/b;2.cfg"
said=$(cd "$T/new files" && timeout 60 "$STANDIN" -D -p "$T/pid" -f "b 1.cfg" -f "b;2.cfg" -sf "$pid" 2>&1)
is "-sf: the successor ends well" $? 0
has "and says who runs" "$said" "process $pid runs with this configuration"
is "it answers as configured now" "$(get)" second
is "by the same process" "$(cat "$T/pid")" "$pid"
sed -i s/second/third/ "$T/new files/b;2.cfg"
kill -USR2 "$pid"
if wait_for 10 answers third; then ok "which reads the new files from then on"; else not_ok "a reload reads other files: $(get)"; fi

# ---- one that is refused: by the successor itself, by the process that runs
echo nonsense >>"$T/a.cfg"
said=$(timeout 60 "$STANDIN" -f "$T/a.cfg" -sf "$pid" 2>&1)
is "a bad file: status" $? 1
has "a bad file: it is told" "$said" 'unknown keyword'
/usr/bin/python3 -c "
import socket, sys, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(60)" "$T" >"$T/bound" &
other=$!
wait_for 10 [ -s "$T/bound" ]
config fourth | sed "s/127.0.0.1:$port/127.0.0.1:$(cat "$T/bound")/" >"$T/c.cfg"
said=$(timeout 60 "$STANDIN" -D -f "$T/c.cfg" -st "$pid" 2>&1)
is "a port in use: status" $? 1
has "a port in use: it is told" "$said" "cannot bind.*$(cat "$T/bound")"
has "and what runs" "$said" "process $pid goes on with the configuration that it has"
is "which it does" "$(get)" third

# ---- not one of ours: it is signalled, and there is a new process
config fifth | sed "s/sock /sock2 /; s/127.0.0.1:$port/127.0.0.2:$port/" >"$T/d.cfg"
"$STANDIN" -D -p "$T/pid2" -f "$T/d.cfg" -sf "$other" >"$T/log2" 2>&1
is "beside another process: status" $? 0
gone() { ! grep -qsF "$T" "/proc/$other/cmdline"; }
if wait_for 10 gone; then ok "which was told to end"; else not_ok "it was not signalled: $(cat "$T/log2")"; fi
other=$(cat "$T/pid2")
is "and the successor runs" "$(curl -s -m 5 "http://127.0.0.2:$port/")" fifth

# ---- two at once: the first takes it, the other ends
config sixth >"$T/e.cfg"
timeout 60 "$STANDIN" -D -p "$T/pid" -f "$T/e.cfg" -sf "$pid" "$other" >"$T/log3" 2>&1
is "two pids: status" $? 0
is "the first takes the configuration" "$(get)" sixth
if wait_for 10 gone; then ok "the second ends"; else not_ok "the second does not end: $(cat "$T/log3")"; fi
other=

# ---- nobody else may ask
if [ "$(id -u)" = 0 ] && which setpriv >/dev/null; then
	said=$(setpriv --reuid=65534 --clear-groups /usr/bin/python3 -c "
import socket
s = socket.socket(socket.AF_UNIX)
s.connect(b'\0' + b'standin-$pid'.ljust(107, b'\0'))
try:
    s.sendall(b'show version\n')
    print(len(s.recv(100)))
except OSError:
    print(0)" 2>&1)
	is "another user gets no answer" "$said" 0
fi

kill "$pid"
gone() { ! grep -qsF "$T" "/proc/$pid/cmdline"; }
if wait_for 10 gone; then ok "it ends"; else not_ok "it does not end"; fi
[ $failed -eq 0 ] || cat "$T"/log*
exit $failed
