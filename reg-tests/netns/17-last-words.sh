#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A promoted connection whose ends have both closed while much of the answer still stands in a pseudo socket, for
# a client that takes its time. What then when the daemon ends?
. "$(dirname "$0")/lib.sh"
hosts_up
cat >"$T/gw.cfg" <<EOC
$(cfg_base)
gateway g
    match dport 25
    timeout close 1s
    log global
    tcp-request content promote fe_bytes
$(cfg_bytes)
EOC
cat >"$T/giver.py" <<'EOP'
import socket, sys, threading
def give(c):
    c.recv(100)
    c.sendall(b"x" * 150000)
    c.close()
s = socket.create_server(("::", 25), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=give, args=(s.accept()[0],), daemon=True).start()
EOP
cat >"$T/taker.py" <<'EOP'
# asks, closes its half, takes 100 bytes, then waits for a line and takes the rest, slowly
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)
s.settimeout(60)
s.connect((sys.argv[1], 25))
s.sendall(b"please")
s.shutdown(socket.SHUT_WR)
n = len(s.recv(100))
print("begun", flush=True)
sys.stdin.readline()
while True:
    try:
        piece = s.recv(8000)
    except OSError as e:
        print(n, type(e).__name__)
        break
    if not piece:
        print(n, "end")
        break
    n += len(piece)
    time.sleep(0.005)
EOP
spawn giver server python3 "$T/giver.py"

# take ADDR: until all but the client's reading is done
take() {
	rm -f "$T/take.in" "$T/take.out"
	mkfifo "$T/take.in"
	(exec nsenter --net="/run/netns/$ID-client" python3 "$T/taker.py" "$1" <"$T/take.in" >"$T/take.out" 2>&1) &
	taker=$!
	spawned="$spawned $taker"
	exec 9>"$T/take.in"
	wait_for 20 grep -q begun "$T/take.out"
	wait_for 20 flow_is true closing
	is "$1: L7 is done, the client is not" "$(flow_by true '"\(.state) \(.promotions) \(.bytes)"')" "closing 1 150006"
}
# what came of it, in $taken
taken() {
	exec 9>&-
	wait "$taker"
	taken=$(tail -n 1 "$T/take.out")
}

for addr in $S4 $S6; do
	standin_up
	wait_for 10 on server python3 -c 'import socket; socket.create_connection(("::1", 25)).close()'
	take $addr
	kill -USR1 "$standin_pid"
	sleep 0.5
	is "$addr: a soft stop waits for it" "$(ended "$standin_pid" && echo ended)" ""
	taken
	is "$addr: and the client gets everything" "$taken" "150000 end"
	wait_for 20 ended "$standin_pid"
	is "$addr: then it is over" "$(ended "$standin_pid" && echo ended)" ended
	wait "$standin_pid"
	standin_pid=
	is "$addr: no firewall rule is left" "$(gw_rules)" ""

	standin_up
	take $addr
	standin_down
	taken
	has "$addr: told to end at once: the client learns that something is missing" "$taken" '^[0-9]+ (ConnectionResetError|BrokenPipeError)'
done
finish
