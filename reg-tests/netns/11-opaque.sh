#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Connections whose first bytes could become an HTTP request but do not: they are held for a head
# only where a rule could act on one, and are never promoted by a rule that is not about them.
. "$(dirname "$0")/lib.sh"
hosts_up
cat >"$T/gw.cfg" <<EOC
global
    stats socket $SOCK level admin
defaults
    timeout connect 5s
    timeout client 1m
    timeout server 1m
gateway g
    match dport 7000-7002
    tcp-request inspect-delay 1s
    tcp-request content promote fe_bytes if { dst_port 7001 }
    tcp-request content promote fe_bytes if { dst_port 7002 } { path_beg /inspect }
$(cfg_bytes)
EOC

# answers every piece with itself
cat >"$T/echo.py" <<'EOC'
import socket, selectors, sys
sel = selectors.DefaultSelector()
for port in 7000, 7001, 7002:
    s = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    sel.register(s, selectors.EVENT_READ, True)
print("ready", flush=True)
while True:
    for key, _ in sel.select():
        if key.data:
            sel.register(key.fileobj.accept()[0], selectors.EVENT_READ, False)
            continue
        piece = key.fileobj.recv(65536)
        if piece:
            key.fileobj.sendall(piece)
        else:
            sel.unregister(key.fileobj)
            key.fileobj.close()
EOC
spawn echo server python3 "$T/echo.py"
wait_for 5 grep -q ready "$T/echo.log"

# ask ADDR PORT PIECE...: sends each piece (\r and \n are escapes) when the one before it came back; prints the longest wait in ms
ask() {
	on client python3 - "$@" <<'EOC'
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
worst = 0
for piece in (a.encode().decode('unicode_escape') for a in sys.argv[3:]):
    began = time.monotonic()
    s.sendall(piece.encode())
    back = b""
    while len(back) < len(piece):
        back += s.recv(65536)
    assert back == piece.encode()
    worst = max(worst, time.monotonic() - began)
print(int(worst * 1000))
EOC
}

standin_up
for addr in $S4 $S6; do
	less "$addr: no rule can act on it: not held, ms" "$(ask $addr 7000 D GET Q "P x")" 500
	is "$addr: and not promoted" "$(gateway .promotions)" 0
done
for addr in $S4 $S6; do
	less "$addr: promoted whatever it says: not held, ms" "$(ask $addr 7001 D E)" 500
done
is "promoted by the rule that is about them" "$(gateway .promotions)" 2
for addr in $S4 $S6; do
	more "$addr: a rule waits for a head: held for inspect-delay, ms" "$(ask $addr 7002 D E)" 900
done
is "where framing is lost, L7 looks on" "$(gateway .promotions)" 4
less "a request that no rule wants is not held, ms" "$(ask $S4 7002 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')" 500
standin_down
finish
