#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The command line: what it answers, with which exit status; what a bad file or place makes it say.
. "$(dirname "$0")/common"
pids=
cleanup() {
	for pid in $pids; do # with our directory among its arguments, or it is another one by now
		! grep -qsF "$T" "/proc/$pid/cmdline" || kill -KILL "$pid"
	done
}

# answers WHAT STATUS PATTERN ARGUMENT...: runs standin; the pattern is searched in both outputs
answers() {
	what=$1 wanted=$2 pattern=$3
	shift 3
	said=$(timeout 20 "$STANDIN" "$@" 2>&1 </dev/null)
	status=$?
	if [ $status -ne "$wanted" ]; then
		not_ok "$what: status $status instead of $wanted: $(printf "%s\n" "$said" | tail -n 6)"
	elif ! printf '%s\n' "$said" | grep -Eq -- "$pattern"; then
		not_ok "$what: no '$pattern' in: $(printf "%s\n" "$said" | tail -n 6)"
	else
		ok "$what"
	fi
}

free=$(free_port)
proxy() {
	cat <<-EOC
		global
		    stats socket $T/sock mode 600 level admin
		defaults
		    mode http
		    timeout connect 1s
		    timeout client 1s
		    timeout server 1s
		listen web
		    bind 127.0.0.1:$free
	EOC
}

answers "-v tells the version" 0 "standin version $(cat VERSION)" -v
answers "-vv tells what it was built with" 0 'OpenSSL' -vv
answers "no argument: usage" 1 'Usage'
answers "an unknown one: usage" 1 'Usage' --nonsense
answers "a file that is not there" 1 'No such file' -c -f "$T/none.cfg"

# every shipped configuration is valid, given what it refers to
mkdir -p "$T/tls"
for name in a.example gw-b.example; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$T/key" \
		-out "$T/crt" -subj "/CN=$name" -days 2 2>/dev/null
	cat "$T/crt" "$T/key" >"$T/tls/$name.pem"
	cp "$T/crt" "$T/tls/ca.pem"
done
DEMO_DIR=$T DEMO_STATE=$T/state.db
export DEMO_DIR DEMO_STATE
for f in conf/*.cfg; do
	answers "$f is valid" 0 'Configuration file is valid' -c -f "$f"
	answers "$f gives no warning" 0 'valid' -dW -c -f "$f"
done
DEMO_DIR=/nonexistent
answers "a certificate that is not there is told by its name" 1 'nonexistent/tls' -c -f conf/demo.cfg

# all errors in one pass, with file, line and the nearest word
cat >"$T/bad.cfg" <<'EOC'
global
    maxfows 10
defaults
    timeout connect nonsense
frontend x
    mode htp
    http-request set-headr X y
    bind 127.0.0.1:http-not
gateway g
    match dport 80
    tcp-request content promote nowhere
    tcp-request content promot x
    queue 9-1
EOC
answers "unknown keywords, with the line" 1 'bad\.cfg:2' -c -f "$T/bad.cfg"
for line in 4 6 7 8 11 12 13; do
	if printf '%s\n' "$said" | grep -q "bad\.cfg:$line"; then ok "line $line, too"; else not_ok "line $line is not reported: $said"; fi
done
for word in maxflows set-header promote; do
	if printf '%s\n' "$said" | grep -q "'$word'"; then ok "$word is suggested"; else not_ok "$word is not suggested: $said"; fi
done

# rules to put in by hand
answers "--print-steering: for iptables" 0 '^\} \| iptables-restore' --print-steering -f conf/standin.cfg
answers "which can be said" 0 '^\} \| iptables-restore' --print-steering=iptables -f conf/standin.cfg
answers "or for nft" 0 '^table inet standin' --print-steering=nft -f conf/standin.cfg
answers "a format that is none, and the nearest" 1 "unknown format 'ntf'; did you mean 'nft'" --print-steering=ntf -f conf/standin.cfg
answers "no other argument has a value in it" 1 'Usage' -q=1 -f conf/standin.cfg

# a running one
proxy >"$T/good.cfg"
"$STANDIN" -f "$T/good.cfg" >"$T/log" 2>&1 &
pid=$!
pids="$pids $pid"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -S "$T/sock" ] && break
	sleep 0.1
done
if kill -0 $pid 2>/dev/null; then ok "it runs"; else not_ok "it runs: $(cat "$T/log")"; fi

# -S: one more stats socket, with the words of `stats socket`
answers "-S with a word that is none" 1 "did you mean 'mode'" -f "$T/good.cfg" -S "$T/master,moed,600"
answers "-S with an argument that is none" 1 "'level' expects user, operator or admin, not 'boss'" -f "$T/good.cfg" -S "$T/master,level,boss"
sed "s,/sock,/sock4,; s/127.0.0.1:$free/127.0.0.1:0/" "$T/good.cfg" | sed 's/bind .*/bind unix@'"$(echo "$T" | sed 's,/,\\/,g')"'\/http/' >"$T/master.cfg"
"$STANDIN" -db -f "$T/master.cfg" -S "$T/master,mode,600,level,operator" >"$T/log4" 2>&1 &
master=$!
pids="$pids $master"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ "$(stat -c %a "$T/master" 2>/dev/null)" = 600 ] && break
	sleep 0.1
done
is "-S makes a socket of that mode" "$(stat -c %a "$T/master" 2>&1)" 600
kill -TERM "$master"
wait "$master"

# a port that another program has
port=
/usr/bin/python3 -c "
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
print(s.getsockname()[1], flush=True); time.sleep(30)" "$T" >"$T/bound" &
pids="$pids $!"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	port=$(cat "$T/bound")
	[ -n "$port" ] && break
	sleep 0.1
done
proxy | sed "s/127.0.0.1:.*/127.0.0.1:$port/; s,/sock,/sock2," >"$T/port.cfg"
answers "a port in use is told" 1 "$port" -f "$T/port.cfg"
proxy | sed "s,$T/sock,/nonexistent/dir/sock," >"$T/dir.cfg"
answers "a stats socket that cannot be made is told" 1 '/nonexistent/dir' -f "$T/dir.cfg"

kill -TERM $pid
wait $pid
status=$?
case $status in 0 | 143) ok "SIGTERM ends it" ;; *) not_ok "SIGTERM: exit status $status: $(cat "$T/log")" ;; esac
if [ -e "$T/sock" ]; then not_ok "its socket is left"; else ok "its socket is gone"; fi

# in the background: the starting process ends when it runs
answers "-D starts" 0 '' -D -p "$T/pid" -f "$T/good.cfg"
pid=$(cat "$T/pid" 2>/dev/null)
if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then ok "and runs, with its pid in a file"; else not_ok "no process of -D"; fi
if [ -n "$pid" ]; then
	pids="$pids $pid"
	kill -USR1 "$pid"
	i=0
	while kill -0 "$pid" 2>/dev/null && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
	if kill -0 "$pid" 2>/dev/null; then not_ok "SIGUSR1: it still runs"; else ok "SIGUSR1 ends it when idle"; fi
	if [ -e "$T/pid" ]; then not_ok "its pid file is left"; else ok "its pid file is gone"; fi
fi
exit $failed
