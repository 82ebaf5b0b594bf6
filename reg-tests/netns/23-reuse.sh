#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A client that uses its port again at once, however the connection before ended and whatever of it the gateway
# has yet to deliver.
. "$(dirname "$0")/lib.sh"
hosts_up
cat >"$T/gw.cfg" <<-EOC
	$(cfg_base)
	gateway g
	    match dport 9
	    timeout close 2s
	    tcp-request connection promote fe_bytes if { dst_port 9 }
	$(cfg_bytes)
EOC
standin_up

# again.py serve: one line tells who ends the connection, and how; the answer is "done"
# again.py call ADDR N WHO HOW [PAUSE]: N connections from one port; "connect_ms=N bad=N", of the worst
cat >"$T/again.py" <<'EOP'
import errno, socket, struct, sys, threading, time

HARD = struct.pack("ii", 1, 0)


def leave(s, how):
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HARD)
    s.close()


def serve_one(s):
    try:
        who, how = s.makefile().readline().split()
        s.sendall(b"done")
        if who == "client":
            s.recv(1)
        leave(s, how if who == "server" else "close")
    except (OSError, ValueError):
        s.close()


def call_one(family, addr, who, how):
    s = socket.socket(family)
    s.settimeout(20)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 40009))
    begun = time.monotonic()
    while (rc := s.connect_ex((addr, 9))) == errno.EADDRNOTAVAIL:  # the last ACK of the one before is on its way to us
        begun = time.monotonic()
    if rc:
        raise OSError(rc, "connect")
    took = int((time.monotonic() - begun) * 1000)
    s.sendall(f"{who} {how}\n".encode())
    got = b""
    try:
        while len(got) < 4 or who == "server":
            piece = s.recv(16)
            if not piece:
                break
            got += piece
    except ConnectionResetError:
        if (who, how) != ("server", "reset"):
            raise
    leave(s, how if who == "client" else "close")
    if pause:
        print("ended", file=sys.stderr, flush=True)
        time.sleep(pause)
    return took, got == b"done"


if sys.argv[1] == "serve":
    l = socket.create_server(("", 9), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
    while True:
        threading.Thread(target=serve_one, args=(l.accept()[0],), daemon=True).start()
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
worst = bad = 0
pause = float(sys.argv[6]) if len(sys.argv) > 6 else 0
for i in range(int(sys.argv[3])):
    try:
        took, ok = call_one(family, sys.argv[2], *sys.argv[4:6])
    except OSError as e:
        print(e, file=sys.stderr)
        took, ok = 0, False
    worst, bad = max(worst, took), bad + (not ok)
print(f"connect_ms={worst} bad={bad}")
EOP
spawn again server python3 "$T/again.py" serve
wait_for 10 on server sh -c 'ss -Htln sport = :9 | grep -q .'
on client sysctl -qw net.ipv4.tcp_tw_reuse=1
on client sysctl -qw net.ipv4.tcp_tw_reuse_delay=1 2>/dev/null

# again ADDR N WHO HOW [PAUSE]: in $said; how many of them were promoted in $promoted
again() {
	promoted=$(gateway .promotions)
	said=$(on client timeout 60 python3 "$T/again.py" call "$@" 2>"$T/again.err")
	promoted=$(($(gateway .promotions) - promoted))
}

for addr in $S4 $S6; do
	for end in "server close" "client reset" "server reset"; do
		again $addr 30 $end
		has "$addr: $end: the port is used again at once" "$said" 'bad=0'
		is "$addr: $end: and each connection was promoted" "$promoted" 30
		brief "$addr: $end: longest wait for a connection, ms" "$(word connect_ms "$said")" 900
	done
done

# The server's host does not hear of the client's end for a while: what it says when it does is the old connection's
for filter in iptables ip6tables; do
	addr=$S4
	[ $filter = iptables ] || addr=$S6
	capture_on client server
	on server $filter -A INPUT -p tcp --dport 9 --tcp-flags FIN FIN -j DROP
	: >"$T/again.err"
	(
		wait_for 10 grep -q ended "$T/again.err"
		sleep 0.3
		on server $filter -D INPUT -p tcp --dport 9 --tcp-flags FIN FIN -j DROP
	) &
	again $addr 2 server close 0.02
	wait $!
	capture_off
	has "$addr: a FIN that is late: the port is used again" "$said" 'bad=0'
	is "$addr: and both were promoted" "$promoted" 2
	brief "$addr: and the second connection waits only for that, ms" "$(word connect_ms "$said")" 2500
	is "$addr: the server sees no reset" "$(tcpdump -nr "$T/server.pcap" 2>/dev/null | grep -c 'Flags \[R')" 0
done
finish
