# SPDX-License-Identifier: GPL-3.0-or-later
"""Many bytes, slow readers, half-read downloads, many connections: every byte compared, nothing left behind."""
import hashlib
import random

from lib import *

FE = """
listen l
    mode http
    bind {fe}
    timeout client 20s
    timeout server 20s
    server s {srv}
"""
TCP = FE.replace("mode http", "mode tcp")
# how bytes get from one socket to the other; the last one never copies, however few they are
WAYS = {"copied": "", "splice-auto": "    option splice-auto\n",
        "spliced": "    option splice-request\n    option splice-response\n"}
BIG = random.Random(7).randbytes(6 << 20)
SUM = hashlib.sha256(BIG).hexdigest()


def pieces(data, seed):
    r = random.Random(seed)
    i = 0
    while i < len(data):
        n = min(len(data) - i, r.choice((1, 100, 1460, 16384, 65536, 200000)))
        yield data[i:i + n]
        i += n


def sender(c, data, framing, seed=1):
    if framing == "chunked":
        for x in pieces(data, seed):
            c.send(b"%x\r\n" % len(x))
            c.send(x)
            c.send(b"\r\n")
        c.send(b"0\r\nX-T: 1\r\n\r\n")
    else:
        for x in pieces(data, seed):
            c.send(x)


def framed(framing, n):
    return {"length": b"Content-Length: %d\r\n" % n, "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}[framing]


def slow_read(c, n, delay):
    """Reads <n> bytes, with pauses at first."""
    h = hashlib.sha256()
    pauses = 20
    while n:
        if pauses:
            pauses -= 1
            time.sleep(delay)
        if not c.buf and not c.fill():
            raise Closed("%d bytes are missing" % n)
        x, c.buf = c.buf[:n], c.buf[n:]
        c.log = b""
        h.update(x)
        n -= len(x)
    return h.hexdigest()


def each_way(what):
    def add(f):
        for name, way in WAYS.items():
            def one(t, way=way):
                f(t, way)
            test("%s, %s" % (what, name))(one)
    return add


@each_way("downloads of 6 MB, framed in every way, to fast and slow readers")
def _(t, way):
    def handler(c):
        while True:
            r = c.recv_req()
            framing = r.get("x-framing")
            c.send(b"HTTP/1.1 200 OK\r\n" + framed(framing, len(BIG)) + b"\r\n")
            sender(c, BIG, framing)
            if framing == "close":
                return

    p = t.proxy(FE + way, srv=t.server(handler))
    for slow in (False, True):
        c = p.connect(rcvbuf=4096 if slow else 0)
        for framing in ("length", "chunked", "close"):
            c.send("GET / HTTP/1.1\r\nHost: h\r\nX-Framing: %s\r\n\r\n" % framing)
            c.recv_head()
            if framing == "chunked":
                got = hashlib.sha256(c.chunks()).hexdigest()
                t.check(c.trailers.lower() == b"x-t: 1\r\n", "trailers")
            elif framing == "length":
                got = slow_read(c, len(BIG), 0.01 if slow else 0)
            else:
                c.log = b""
                got = hashlib.sha256(c.rest(20)).hexdigest()
            t.eq(got, SUM, "%s, slow %s" % (framing, slow))
    t.eq(p.info("PipesFree") != "0", bool(way), "pipes were used")


@each_way("uploads of 6 MB, framed in both ways, to fast and slow readers, then the next request")
def _(t, way):
    def handler(c):
        while True:
            h = c.recv_head()
            if "chunked" in h.get("transfer-encoding", ""):
                got = hashlib.sha256(c.chunks()).hexdigest()
            else:
                got = slow_read(c, int(h.get("content-length")), 0.01)
            c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(got), got))

    srv = t.server(handler)
    p = t.proxy(FE + way, srv=srv)
    c = p.connect()
    for framing in ("length", "chunked", "length", "chunked"):
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\n" + framed(framing, len(BIG)) + b"\r\n")
        sender(c, BIG, framing)
        t.eq(c.recv_msg().body.decode(), SUM, framing)
    t.eq(len(srv.conns), 1, "connections to the server")


@each_way("mode tcp: 6 MB both ways at once, and the ends after them")
def _(t, way):
    def handler(c):
        th = threading.Thread(target=lambda: (sender(c, BIG, "", 2), c.shut()))
        th.start()
        got = hashlib.sha256(c.rest(30)).hexdigest()
        t.eq(got, SUM, "client to server")
        th.join(T * 4)

    p = t.proxy(TCP + way, srv=t.server(handler))
    c = p.connect()
    th = threading.Thread(target=lambda: (sender(c, BIG, "", 3), c.shut()))
    th.start()
    got = hashlib.sha256(c.rest(30)).hexdigest()
    t.eq(got, SUM, "server to client")
    th.join(T * 4)
    t.check(not c.reset, "reset")
    t.check(p.settled(), "connections stay")


@test("a client that does not read costs no processor time and little memory")
def _(t):
    def handler(c):
        c.recv_req()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        c.send(BIG)

    p = t.proxy(FE, srv=t.server(handler))

    def rss():
        with open("/proc/%d/statm" % p.proc.pid) as f:
            return int(f.read().split()[1]) * 4096

    before = rss()
    cs = [p.connect(rcvbuf=4096) for _ in range(30)]
    for c in cs:
        c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    time.sleep(0.5)
    t.check(p.idle(0.5) < 0.2, "busy")
    t.check(SAN or rss() - before < 8 << 20, "%d bytes more" % (rss() - before))
    for c in cs:
        c.abort()
    t.check(p.settled(), "connections stay")


@test("2000 connections at once, each with two requests, and none stays")
def _(t):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = min(2000, (hard - 200) // 3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    srv = t.server(None, backlog=4096)
    stop = []

    # one thread with epoll: 2000 threads would measure something else
    def serve():
        ep = select.epoll()
        ep.register(srv2.fileno(), select.EPOLLIN)
        conns = {}
        ans = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        while not stop:
            for fd, ev in ep.poll(0.2):
                if fd == srv2.fileno():
                    s, _ = srv2.accept()
                    s.setblocking(False)
                    conns[s.fileno()] = s
                    ep.register(s.fileno(), select.EPOLLIN)
                    continue
                s = conns[fd]
                try:
                    d = s.recv(65536)
                except OSError:
                    d = b""
                if d:
                    s.send(ans * d.count(b"\r\n\r\n"))
                else:
                    ep.unregister(fd)
                    del conns[fd]
                    s.close()
        for s in conns.values():
            s.close()

    srv.stop()
    srv2 = socket.socket()
    srv2.bind(("127.0.0.1", 0))
    srv2.listen(4096)
    th = threading.Thread(target=serve, daemon=True)
    th.start()
    p = t.proxy("global\n    maxconn 5000\n" + DEFAULTS + FE, srv="127.0.0.1:%d" % srv2.getsockname()[1])
    cs = []
    for _ in range(n):
        cs.append(p.connect())
    for _ in range(2):
        for c in cs:
            c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for c in cs:
            t.eq(c.recv_msg().body, b"ok", "body")
            if t.wrong:
                break
    t.check(p.conns() >= n, "CurrConns: %d" % p.conns())
    t.check(p.idle(0.5) < 0.2, "busy")
    for c in cs:
        c.close()
    t.check(p.settled(10), "%d connections stay" % p.conns())
    stop.append(1)
    th.join(2)
    srv2.close()


@test("few descriptors: connections wait or are refused, nothing spins, and all goes on afterwards")
def _(t):
    srv = t.server(answer())
    p = t.proxy("global\n    maxconn 500\n" + DEFAULTS.replace("timeout client 4s", "timeout client 1s") +
                FE.replace("timeout client 20s", ""), srv=srv, nofile=64) if not IS_HAPROXY else None
    if not p:
        return
    cs = []
    for _ in range(120):
        c = p.connect()
        c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        cs.append(c)
    time.sleep(0.3)
    t.check(p.idle(0.6) < 0.3, "busy")
    t.check(p.proc.poll() is None, "it ended")
    for c in cs:
        c.close()
    time.sleep(1.5)
    t.eq(p.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200, "afterwards")
    t.check(p.settled(5), "connections stay")


@test("maxconn: the next connection waits for the first to go")
def _(t):
    p = t.proxy(FE.replace("server s", "maxconn 2\n    server s"), srv=t.server(answer()))
    a, b, c = p.connect(), p.connect(), p.connect()
    for x in (a, b):
        x.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        x.recv_msg()
    c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    t.check(c.silent(0.3), "a third was served")
    t.check(p.idle(0.3) < 0.2, "busy")
    a.close()
    t.eq(c.recv_msg().body, b"ok", "after the first went")


main()
