# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients and servers that are slow, silent, gone or break off; timeouts, retries, and mode tcp."""
from lib import *

GET = "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"

FE = """
listen l
    mode http
    bind {fe}
    timeout http-request 500ms
    timeout http-keep-alive 700ms
    server s {srv}
"""


def took(f):
    begun = time.monotonic()
    r = f()
    return time.monotonic() - begun, r


def closed_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s  # bound, not listening: connects are refused


def deaf_port():
    """Listens, but its queue is full: connects hang."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    held = [s]
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        try:
            c.connect(s.getsockname())
        except OSError:
            pass
        held.append(c)
    return held


@test("a request that does not become complete is a 408 after timeout http-request, sent by bytes or not")
def _(t):
    srv = t.server(answer())
    p = t.proxy(FE, srv=srv)
    for data in ("", "GET / HTTP/1.1\r\nHo", "\r\n"):
        c = p.connect()
        c.send(data)
        s, r = took(c.recv_msg)
        t.eq(r.status, 408, "%r" % data)
        t.check(0.3 < s < 1.5 * SLOW, "%r: after %.1f s" % (data, s))
    c = p.connect()
    begun = time.monotonic()
    try:
        for b in "GET / HTTP/1.1\r\nHost: h\r\nX: " + "y" * 100:
            c.send(b)
            time.sleep(0.05)
    except OSError:
        pass
    t.check(time.monotonic() - begun < 3, "a byte now and then keeps it open")
    t.eq(c.recv_msg().status, 408, "byte by byte")
    t.eq(len(srv.conns), 0, "connections to the server")


@test("timeout http-keep-alive ends a waiting connection without a word")
def _(t):
    p = t.proxy(FE, srv=t.server(answer()))
    c = p.connect()
    c.send(GET % "/")
    c.recv_msg()
    s, r = took(c.rest)
    t.eq(r, b"", "bytes")
    t.check(0.4 < s < 2 * SLOW, "after %.1f s" % s)


@test("a client that stops sending its body is a 408; that and its abort are told to the server")
def _(t):
    srv = t.server(record)
    p = t.proxy(FE.replace("server s", "timeout client 500ms\n    server s"), srv=srv)
    c = p.connect()
    c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
    s, r = took(c.recv_msg)
    t.eq(r.status, 408, "status")
    time.sleep(0.2)
    t.check(srv.conns[0].eof, "the server's connection stays")
    c = p.connect()
    c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
    time.sleep(0.1)
    c.abort()
    time.sleep(0.3)
    t.check(srv.conns[1].eof, "the server's connection stays after an abort")
    t.check(p.settled(), "connections stay")


@test("a server that does not answer in time is a 504, one that does not accept a 503")
def _(t):
    srv = t.server(record)
    held = deaf_port()
    p = t.proxy("""
frontend f
    mode http
    bind {fe}
    use_backend deaf if { path /deaf }
    use_backend closed if { path /closed }
    use_backend none if { path /none }
    default_backend silent
backend silent
    mode http
    timeout server 400ms
    server s {srv}
backend deaf
    mode http
    timeout connect 300ms
    retries 1
    server s {deaf}
backend closed
    mode http
    retries 1
    server s {closed}
backend none
    mode http
""", srv=srv, deaf="127.0.0.1:%d" % held[0].getsockname()[1], closed="127.0.0.1:%d" % closed_port().getsockname()[1])
    for path, status, lo, hi in (("/", 504, 0.3, 1.5), ("/deaf", 503, 0.4, 2.5), ("/closed", 503, 0, 2.5),
                                 ("/none", 503, 0, 0.5)):
        s, r = took(lambda: p.ask(GET % path))
        t.eq(r.status, status, path)
        t.check(lo <= s < hi * SLOW, "%s: after %.1f s" % (path, s))
    t.check(p.settled(), "connections stay")
    for h in held:
        h.close()


@test("a server that reads slowly keeps its time, one that answers slowly too: activity counts")
def _(t):
    def handler(c):
        c.recv_req()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for i in range(10):
            c.send("x")
            time.sleep(0.15)

    p = t.proxy(FE.replace("server s", "timeout server 500ms\n    timeout client 500ms\n    server s"),
                srv=t.server(handler))
    t.eq(p.ask(GET % "/").body, b"x" * 10, "body")


@test("a server that ends before its answer: idempotent requests go to another, others are a 502")
def _(t):
    bad = t.server(lambda c: c.recv_head() and None)
    good = t.server(echo)
    p = t.proxy("""
listen l
    mode http
    bind {fe}
    retries 3
    option redispatch
    balance roundrobin
    server bad {bad}
    server good {good}
""", bad=bad, good=good)
    got = [p.ask(GET % "/%d" % i).status for i in range(6)]
    if not IS_HAPROXY:
        t.eq(got, [200] * 6, "GET")
    n = len(bad.conns)
    got = [p.ask("POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" % i).status for i in range(4)]
    t.eq(sorted(got), [200, 200, 502, 502], "POST")
    t.eq(len(bad.conns) - n, 2, "a POST was tried twice")


@test("retry-on tells what is tried again; the body is sent again whole")
def _(t):
    fails = [0]

    def handler(c):
        r = c.recv_req()
        fails[0] += 1
        if fails[0] % 2:
            return
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.body) + r.body)
        c.rest(1)

    srv = t.server(handler)
    p = t.proxy("""
listen l
    mode http
    bind {fe}
    retries 2
    retry-on empty-response conn-failure
    server s {srv}
""", srv=srv)
    body = bytes(range(256)) * 30
    for _ in range(4):
        c = p.connect()
        c.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        t.eq(c.recv_msg().body, body, "body")
        c.close()
    t.eq(fails[0], 8, "tries")


@test("a kept server connection that was closed meanwhile costs no request")
def _(t):
    def handler(c):
        c.recv_req()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if mode[0] == "late":
            c.recv_req()  # and not a byte of answer
        elif mode[0] == "rst":
            time.sleep(0.02)
            c.abort()
            return "keep"

    for m in ("at once", "late", "rst"):
        mode = [m]
        srv = t.server(handler)
        p = t.proxy(FE, srv=srv)
        c = p.connect()
        for i in range(5):
            c.send(GET % "/")
            r = c.recv_msg()
            t.eq(r.body, b"ok", "%s, request %d" % (m, i))
            if m == "rst":
                time.sleep(0.05)


@test("a kept server connection that breaks in the moment of the next request costs no request")
def _(t):
    """Stopped meanwhile, the proxy finds request and break in one wake-up, in either order."""
    go = threading.Event()

    def handler(c):
        c.recv_req()
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if how and len(srv.conns) % 2:
            go.wait(T)
            c.abort() if how == "rst" else c.close()
            return "keep"
        c.rest()

    for how in ("rst", "fin"):
        srv = t.server(handler)
        p = t.proxy(FE, srv=srv)
        for body in ("", "x" * 10000):
            for first in (True, False):
                go.clear()
                c = p.connect()
                c.send(GET % "/")
                c.recv_msg()
                p.kill(signal.SIGSTOP)
                if first:
                    go.set()
                    time.sleep(0.05)
                c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                time.sleep(0.05)
                go.set()
                time.sleep(0.05)
                p.kill(signal.SIGCONT)
                t.eq(c.recv_msg().status, 200, "%s, %d bytes" % (how, len(body)))
                c.close()
                time.sleep(0.05)
                if len(srv.conns) % 2:
                    p.ask(GET % "/")  # the next one is broken off again


@test("connections refused are tried at another server")
def _(t):
    good = t.server(answer())
    p = t.proxy("""
listen l
    mode http
    bind {fe}
    retries 3
    option redispatch 1
    balance roundrobin
    server dead {dead}
    server good {good}
""", dead="127.0.0.1:%d" % closed_port().getsockname()[1], good=good)
    for i in range(4):
        s, r = took(lambda: p.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"))
        t.eq(r.status, 200, "status")
        t.check(s < 2 * SLOW, "after %.1f s" % s)


@test("requests wait for a server's slot in order, at most timeout queue")
def _(t):
    go = threading.Event()
    order = []

    def handler(c):
        while True:
            r = c.recv_req()
            if "/slow" in r.start:
                go.wait(T)
            else:
                order.append(r.start.split()[1])
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    srv = t.server(handler)
    p = t.proxy("""
listen l
    mode http
    bind {fe}
    timeout queue 1500ms
    server s {srv} maxconn 1
""", srv=srv)
    slow = p.connect()
    slow.send(GET % "/slow")
    time.sleep(0.1)
    c = p.connect()
    c.send(GET % "/late")
    s, r = took(c.recv_msg)
    t.eq(r.status, 503, "status in the queue")
    t.check(1.2 < s < 3 * SLOW, "after %.1f s" % s)
    gone = p.connect()
    gone.send(GET % "/gone")
    time.sleep(0.05)
    gone.abort()
    cs = []
    for i in range(5):
        cs.append(p.connect())
        cs[-1].send(GET % ("/%d" % i))
        time.sleep(0.03)
    go.set()
    for c in cs:
        t.eq(c.recv_msg().status, 200, "status in time")
    t.eq(order, ["/0", "/1", "/2", "/3", "/4"], "order")
    t.eq(slow.recv_msg().body, b"ok", "slow")


@test("a request that waits for a slot does not go to the server of the request before it")
def _(t):
    go = threading.Event()

    def slow(c):
        while True:
            r = c.recv_req()
            if "/hold" in r.start:
                go.wait(T)
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(r.raw + r.body) + r.raw + r.body)

    one, two = t.server(slow), t.server(echo)
    p = t.proxy("""
frontend f
    mode http
    bind {fe}
    use_backend two if { path /two }
    default_backend one
backend one
    mode http
    server s {one} maxconn 1
backend two
    mode http
    server s {two}
""", one=one, two=two)
    a, b = p.connect(), p.connect()
    a.send(GET % "/hold")
    b.send(GET % "/two")
    b.recv_msg()
    b.send("POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nX: 45678901234\r\n\r\n")
    time.sleep(0.1)
    go.set()
    a.recv_msg()
    r = b.recv_msg()
    t.check(r.body.startswith(b"POST /one "), "answer %r" % r.body)
    t.check(b"/one" not in two.seen[0], "the other server got it, too")
    t.check(not any(x.startswith(b"GET /smuggled") for x in one.seen), "the body arrived as a request")


TCP = """
listen l
    mode tcp
    bind {fe}
    server s {srv}
"""


@test("mode tcp: a server that speaks first; half-closes pass both ways; a reset is a reset")
def _(t):
    def handler(c):
        c.send("220 hello\r\n")
        if c.until(b"\r\n") == b"QUIT\r\n":
            c.shut()
            t.eq(c.rest(), b"still here", "after the server's end")
            return
        t.eq(c.rest(), b"body", "until the client's end")
        c.send("221 bye\r\n")

    srv = t.server(handler)
    p = t.proxy(TCP, srv=srv)
    c = p.connect()
    t.eq(c.until(b"\n"), b"220 hello\r\n", "greeting")
    c.send("DATA\r\nbody")
    c.shut()
    t.eq(c.rest(), b"221 bye\r\n", "after our end")
    t.check(not c.reset, "reset")
    c = p.connect()
    c.until(b"\n")
    c.send("QUIT\r\n")
    t.eq(c.rest(), b"", "server's end")
    c.send("still here")
    c.shut()
    t.check(p.settled(), "connections stay")
    srv.handler = lambda c: (c.exactly(1), time.sleep(0.05), c.abort()) and "keep"
    c = p.connect()
    c.send("x")
    c.rest()
    t.check(c.reset or IS_HAPROXY, "the server's reset became an end")
    t.check(p.settled(), "connections stay")


@test("mode tcp: connections that only wait take no processor time and end by their timeouts")
def _(t):
    srv = t.server(record)
    p = t.proxy(TCP.replace("server s", "timeout client 1s\n    timeout server 1s\n    timeout client-fin 300ms\n    server s"),
                srv=srv)
    full = [p.connect() for _ in range(20)]
    half = [p.connect().shut() for _ in range(20)]
    time.sleep(0.1)
    t.check(p.idle(0.5) < 0.2, "busy")
    s, _ = took(lambda: [c.rest() for c in full + half])
    t.check(s < 3 * SLOW, "after %.1f s" % s)
    t.check(p.settled(), "connections stay")


@test("timeout tunnel ends tunnels that rest, of HTTP and of mode tcp")
def _(t):
    def handler(c):
        if c.recv_head().start.startswith("GET"):
            c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        c.send("!")
        c.rest(10)

    srv = t.server(handler)
    for mode in ("http", "tcp"):
        p = t.proxy(TCP.replace("mode tcp", "mode %s\n    timeout tunnel 500ms" % mode), srv=srv)
        c = p.connect()
        c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        c.until(b"!")
        s, _ = took(c.rest)
        t.check(0.3 < s < 2 * SLOW, "%s: after %.1f s" % (mode, s))
        t.check(p.settled(), "connections stay")


@test("half-closed clients are answered, and take no processor time while the server thinks")
def _(t):
    def handler(c):
        c.recv_req()
        time.sleep(0.6)
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        c.rest(1)

    p = t.proxy(FE, srv=t.server(handler))
    cs = [p.connect() for _ in range(10)]
    for c in cs:
        c.send(GET % "/")
        c.shut()
    t.check(p.idle(0.4) < 0.2, "busy")
    for c in cs:
        t.eq(c.recv_msg().body, b"ok", "body")
        t.eq(c.rest(), b"", "end")


@test("clients that reset in every state leave nothing behind")
def _(t):
    def handler(c):
        r = c.recv_req()
        if "/silent" in r.start:
            c.rest()
        elif "/half" in r.start:
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + "x" * 50000)
            c.rest()
        else:
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
            c.send("y" * 3000000)
            c.rest()

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    fds = p.fd_count()
    for how in ("abort", "close"):
        for data in ("", "G", GET % "/silent", GET % "/half", GET % "/big", (GET % "/big") * 3,
                     "POST /silent HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab"):
            for wait in (0, 0.05):
                c = p.connect()
                c.send(data)
                time.sleep(wait)
                c.abort() if how == "abort" else c.close()
    t.check(p.idle(0.3) < 0.5, "busy")
    t.check(p.settled(6 * SLOW), "%s connections stay" % p.conns())
    t.check(p.fd_count() <= fds + 2, "descriptors: %d, then %d" % (fds, p.fd_count()))


@test("option abortonclose gives up when the client does; without it the server is still asked")
def _(t):
    srv = t.server(record)
    p = t.proxy(FE.replace("server s", "option abortonclose\n    server s"), srv=srv)
    c = p.connect()
    c.send(GET % "/")
    time.sleep(0.1)
    c.close()
    time.sleep(0.3)
    t.check(srv.conns[0].eof, "the server's connection stays")
    srv = t.server(lambda c: (c.recv_req(), time.sleep(0.3), c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), c.rest())
                   and None)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send(GET % "/")
    c.shut()
    t.eq(c.recv_msg().body, b"ok", "without the option, half closed")


main()
