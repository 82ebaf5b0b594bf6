# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages one after the other: pipelining, keep-alive, versions, bodies of every kind, answers that come early."""
from lib import *

FE = """
listen l
    mode http
    bind {fe}
    timeout http-request 2s
    http-request return status 200 content-type text/plain string here if {{ path_beg /local }}
    server s {srv}
""".replace("{{", "{").replace("}}", "}")

GET = "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"


@test("64 pipelined requests answered by the proxy itself are all answered")
def _(t):
    p = t.proxy(FE, srv=t.server(echo))
    c = p.connect()
    c.send("".join(GET % ("/local/%d" % i) for i in range(64)))
    for i in range(64):
        t.eq(c.recv_msg().body, b"here", "answer %d" % i)
    c.close()
    t.check(p.settled(), "the connection stays")


@test("64 pipelined requests to a server are answered in order, on one connection")
def _(t):
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send("".join(GET % ("/%d" % i) for i in range(64)))
    for i in range(64):
        t.check(c.recv_msg().body.startswith(b"GET /%d " % i), "answer %d" % i)
    t.eq(len(srv.conns), 1, "connections to the server")


@test("pipelined requests larger than all buffers together, with bodies, are answered in order")
def _(t):
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    n = 300

    def send():
        for i in range(n):
            body = b"%05d" % i * (i * 7 % 900)
            if i % 2:
                c.send(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (i, len(body)) + body)
            else:
                c.send(b"POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" % i)
                if body:
                    c.send(b"%x\r\n" % len(body) + body + b"\r\n")
                c.send(b"0\r\n\r\n")

    th = threading.Thread(target=send, daemon=True)
    th.start()
    for i in range(n):
        got = c.recv_msg().body
        t.check(got.startswith(b"POST /%d " % i) and got.endswith(b"\r\n\r\n" + b"%05d" % i * (i * 7 % 900)),
                "answer %d: %r" % (i, got[:80]))
        if t.wrong:
            break
    c.close()


@test("HTTP/1.0 closes unless it asks for keep-alive; 1.1 stays unless it asks to close")
def _(t):
    srv = t.server(answer())
    p = t.proxy(FE, srv=srv)
    for line, hdr, stays in (("1.1", "", True), ("1.1", "Connection: close\r\n", False), ("1.0", "", False),
                             ("1.0", "Connection: keep-alive\r\n", True), ("1.0", "Connection: Keep-Alive\r\n", True),
                             ("1.1", "Connection: foo, CLOSE\r\n", False),
                             ("1.1", "Connection: foo\r\nConnection: close\r\n", False),
                             ("1.1", "Connection: keep-alive\r\n", True), ("1.0", "Connection: close\r\n", False)):
        c = p.connect()
        c.send("GET / HTTP/%s\r\nHost: h\r\n%s\r\n" % (line, hdr))
        r = c.recv_msg()
        what = "HTTP/%s %r" % (line, hdr)
        t.eq(r.body, b"ok", what)
        conn = r.get("connection", "").lower()
        if stays:
            t.check(c.silent(), what + ": closed")
            t.check("close" not in conn, what + ": told to close")
            t.check(line == "1.1" or "keep-alive" in conn, what + ": not told that it stays")
            c.send(GET % "/local")
            t.eq(c.recv_msg().body, b"here", what + ", second")
        else:
            t.eq(c.rest(), b"", what)
            t.check(not c.reset, what + ": reset")
            t.check(line == "1.0" or "close" in conn, what + ": not told to close")
        c.close()


@test("hop-by-hop words of one side are not told to the other")
def _(t):
    srv = t.server(lambda c: (c.recv_req(), c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
                              c.rest()) and None)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    c.recv_msg()
    c = p.connect()
    c.send(GET % "/")
    r = c.recv_msg()
    t.check(r.get("connection") is None, "the server's close was told to the client")
    t.check(c.silent(), "the client's connection was closed")
    c.send(GET % "/")
    t.eq(c.recv_msg().status, 200, "second request")


@test("HEAD, 204 and 304 have no body, whatever their headers say")
def _(t):
    def handler(c):
        while True:
            r = c.recv_req()
            path = r.start.split(" ")[1]
            if path == "/204":
                c.send("HTTP/1.1 204 No Content\r\n\r\n")
            elif path == "/304":
                c.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
            elif path == "/chunked":
                c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            elif path == "/plain":
                c.send("HTTP/1.1 200 OK\r\n\r\n")
            else:
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    for line, status in (("HEAD /", 200), ("GET /204", 204), ("HEAD /chunked", 200), ("GET /304", 304),
                         ("HEAD /plain", 200), ("HEAD /304", 304), ("HEAD /local", 200)):
        c.send(line + " HTTP/1.1\r\nHost: h\r\n\r\n")
        t.eq(c.recv_msg(head_only=True).status, status, line)
        t.check(c.silent(0.05), line + ": bytes behind the head")


@test("interim responses pass to 1.1 clients, in order, and not to 1.0 clients")
def _(t):
    def handler(c):
        while True:
            c.recv_req()
            c.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            time.sleep(0.05)
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect()
    for _ in range(2):
        c.send(GET % "/")
        t.eq([c.recv_head().status, c.recv_head().status, c.recv_msg().status], [102, 103, 200], "1.1")
    c = p.connect()
    c.send("GET / HTTP/1.0\r\n\r\n")
    t.eq(c.recv_msg().status, 200, "1.0")


@test("a flood of interim responses does no harm")
def _(t):
    def handler(c):
        c.recv_req()
        for i in range(200):
            c.send(b"HTTP/1.1 103 Early Hints\r\nX-N: %04d\r\n%s\r\n" % (i, b"X-Pad: " + b"p" * 900 + b"\r\n"))
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        c.rest()

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect(rcvbuf=2048)
    c.send(GET % "/")
    time.sleep(0.3)
    for i in range(200):
        h = c.recv_head()
        t.eq((h.status, h.get("x-n")), (103, "%04d" % i), "interim")
        if t.wrong:
            return
    t.eq(c.recv_msg().body, b"ok", "final")


@test("Expect: 100-continue reaches the server, its 100 the client, then the body passes")
def _(t):
    def handler(c):
        while True:
            h = c.recv_head()
            t.eq((h.get("expect") or "").lower(), "100-continue", "expect")
            if not c.silent(0.1):
                t.check(False, "body before the 100")
            c.send("HTTP/1.1 100 Continue\r\n\r\n")
            body = c.exactly(5)
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect()
    for _ in range(2):
        c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        t.eq(c.recv_head().status, 100, "interim")
        c.send("hello")
        t.eq(c.recv_msg().body, b"hello", "body")


@test("a refused Expect ends the connection unless the body comes: no body is read as a request")
def _(t):
    def handler(c):
        c.recv_head()
        c.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        c.rest()

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    body = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    c.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
    r = c.recv_msg()
    t.eq(r.status, 417, "status")
    c.send(body)
    more = c.rest()
    t.check(b"HTTP/1.1" not in more, "the body was answered: %r" % more)
    t.check(not any(b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n" in x and b"POST" not in x for x in srv.seen),
            "the body was forwarded as a request")


@test("an early answer with close, while the request's body is still here: the body is no request")
def _(t):
    """The server answers whole and ends without having read; what is left of the body must not be parsed."""
    go = threading.Event()

    def handler(c):
        c.recv_head()
        if len(srv.conns) > 1:
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
            c.rest()
            return
        go.wait(T)
        c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
        c.shut()
        time.sleep(2)

    srv = t.server(handler, rcvbuf=4096)
    p = t.proxy(FE, srv=srv)
    for pad in (0, 3, 11):
        first = len(srv.conns)
        srv.conns.clear()
        go.clear()
        c = p.connect()
        smug = b"GET /smuggled HTTP/1.1\r\nHost: h\r\nX-Pad: " + b"p" * (57 + pad) + b"\r\n\r\n"
        n = 8 << 20
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % n)
        # all that fits; then the exact rest, while the server does not read
        body = smug * (n // len(smug) + 1)
        sent = 0
        c.sock.settimeout(0.3)
        try:
            while sent < n:
                sent += c.sock.send(body[sent:min(n, sent + 65536)])
        except OSError:
            pass
        t.check(sent < n, "the buffers hold everything: the test proves nothing")
        go.set()
        r = c.recv_msg()
        t.eq(r.body, b"early", "answer")
        try:
            c.sock.settimeout(0.5)
            while sent < n:
                sent += c.sock.send(body[sent:min(n, sent + 65536)])
        except OSError:
            pass
        more = b""
        try:
            more = c.rest(1.5)
        except OSError:
            pass
        t.check(b"HTTP/1.1" not in more, "the body was answered: %r" % more[:80])
        t.check(not any(x.startswith(b"GET /smuggled") for x in srv.seen), "the body was forwarded as a request")
        c.close()


@test("an early answer with close when the last bytes of the body wait here: the body is no request")
def _(t):
    """As above, but the request is complete in the proxy's buffers when the answer comes."""
    def handler(c):
        c.recv_head()
        if not c.log.startswith(b"POST"):
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
            c.rest()
            return
        go.wait(T)
        c.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
        c.shut()
        time.sleep(1)

    srv = t.server(handler, rcvbuf=4096)
    p = t.proxy(FE, srv=srv, fe_rcvbuf=4096)
    smug = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    go = threading.Event()
    # how much does the proxy take when the server does not read?
    c = p.connect(sndbuf=4096)
    c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
    c.sock.settimeout(0.3)
    took = 0
    try:
        while True:
            took += c.sock.send(b"x" * 4096)
    except OSError:
        pass
    go.set()
    c.abort()
    time.sleep(0.2)
    for less in range(0, 60000, 6000):
        go.clear()
        n = max(took - less, 1000) // len(smug) * len(smug)
        c = p.connect(sndbuf=4096)
        c.sock.settimeout(1)
        try:
            c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % n)
            c.send(smug * (n // len(smug)))
        except OSError:
            c.abort()
            continue
        time.sleep(0.1)
        go.set()
        more = b""
        try:
            r = c.recv_msg()
            t.eq(r.body, b"early", "answer")
            more = c.rest(0.5)
        except OSError:
            pass
        t.check(b"HTTP/1.1" not in more, "the body was answered: %r" % more[:80])
        t.check(not any(x.startswith(b"GET /smuggled") for x in srv.seen), "the body was forwarded as a request")
        c.close()
        if t.wrong:
            break


@test("an early answer that keeps the connection: the body goes on, and so does the connection")
def _(t):
    def handler(c):
        while True:
            h = c.recv_head()
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
            c.exactly(int(h.get("content-length", "0")))

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    t.eq(c.recv_msg().body, b"early", "first")
    c.send(b"x" * 100000)
    c.send(GET % "/")
    t.eq(c.recv_msg().body, b"early", "second")
    t.eq(len(srv.conns), 1, "connections to the server")


@test("chunked bodies with extensions and trailers pass whole, both ways")
def _(t):
    body = b"5;a=b\r\nhello\r\n0A ;x\r\n0123456789\r\n000\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"

    def handler(c):
        while True:
            r = c.recv_req()
            t.eq(r.body, b"hello0123456789", "request")
            t.check(b"sum: 1" in c.trailers.lower() and b"more: 2" in c.trailers.lower(), "request's trailers")
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            for i in range(0, len(body), 3):
                c.send(body[i:i + 3])
                time.sleep(0.001)

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect()
    for _ in range(3):
        c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), 5):
            c.send(body[i:i + 5])
            time.sleep(0.001)
        t.eq(c.recv_msg().body, b"hello0123456789", "response")
        t.check(b"sum: 1" in c.trailers.lower() and b"more: 2" in c.trailers.lower(), "response's trailers")


@test("a response that ends with the connection ends so for the client")
def _(t):
    def handler(c):
        c.recv_req()
        c.send(b"HTTP/1.%d 200 OK\r\n\r\n" % (len(srv.conns) % 2))
        c.send(b"z" * 300000)

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    for v in ("1.1", "1.1", "1.0", "1.0"):
        c = p.connect()
        c.send("GET / HTTP/%s\r\nHost: h\r\n\r\n" % v)
        r = c.recv_msg()
        t.eq(len(r.body), 300000, "bytes")
        t.check(not c.reset, "reset")
    t.check(p.settled(), "connections stay")


def cut(t, head, what, data=b"x" * 1000):
    """The server breaks off; True if the client can see it."""
    for how in ("fin", "rst"):
        if how == "fin" and b"Content-Length" not in head and b"chunked" not in head:
            continue

        def handler(c):
            c.recv_req()
            c.send(head + data)
            time.sleep(0.1)
            c.abort() if how == "rst" else c.close()
            return "keep"

        srv = t.server(handler)
        p = t.proxy(FE, srv=srv)
        c = p.connect()
        c.send(GET % "/")
        c.recv_head()
        body = c.rest()
        if b"Content-Length" in head:
            t.check(len(body) < 2000 or c.reset, what + " " + how)
            t.eq(len(body), 1000, what + " " + how + ": bytes that had come")
        elif b"chunked" in head:
            t.check(not body.endswith(b"0\r\n\r\n"), what + " " + how + ": a clean end")
        else:
            t.check(c.reset, what + " " + how + ": a clean end of a body that was cut")
        t.check(p.settled(), what + ": the connection stays")


@test("a response cut in the middle never looks whole")
def _(t):
    cut(t, b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", "length")
    cut(t, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked", b"3e8\r\n" + b"x" * 1000 + b"\r\n")
    cut(t, b"HTTP/1.1 200 OK\r\n\r\n", "until the end")


@test("a body until the end that the proxy cuts (server timeout, client's upload broken) is reset, not ended")
def _(t):
    def handler(c):
        c.recv_head()
        c.send("HTTP/1.1 200 OK\r\n\r\npart")
        time.sleep(5)

    p = t.proxy(FE.replace("bind", "timeout server 500ms\n    bind"), srv=t.server(handler))
    c = p.connect()
    c.send(GET % "/")
    c.recv_head()
    c.rest()
    t.check(c.reset, "server timeout: a clean end")
    c = p.connect()
    c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
    c.recv_head()
    c.shut()
    c.rest()
    t.check(c.reset, "upload cut: a clean end")
    c = p.connect()
    c.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    c.recv_head()
    c.send("xx\r\n")
    c.rest()
    t.check(c.reset, "upload framed wrongly: a clean end")


@test("bad bytes in a chunked response are never passed as a whole response")
def _(t):
    for bad in (b"xx\r\n", b"5\r\nhelloXX", b"3\nabc\r\n", b"fffffffffffffffff\r\n"):
        def handler(c):
            c.recv_req()
            c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + bad + b"0\r\n\r\n")
            c.rest(1)

        p = t.proxy(FE, srv=t.server(handler))
        c = p.connect()
        c.send(GET % "/")
        h = c.recv_head()
        got = c.rest()
        t.check(h.status == 502 or not got.endswith(b"0\r\n\r\n"), "%r passed" % bad)


@test("101: a tunnel both ways, with what was sent at once; half-closes pass")
def _(t):
    def handler(c):
        h = c.recv_head()
        t.eq((h.get("upgrade"), h.get("connection", "").lower()), ("websocket", "upgrade"), "request")
        c.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nserver first")
        t.eq(c.exactly(12), b"client first", "tunnel")
        c.send("x" * 200000)
        t.eq(c.rest(), b"y" * 100000, "client's bytes until its end")
        c.send("last words")

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect()
    c.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nclient first")
    h = c.recv_head()
    t.eq((h.status, h.get("upgrade"), h.get("connection", "").lower()), (101, "websocket", "upgrade"), "response")
    t.eq(c.exactly(12), b"server first", "tunnel")
    t.eq(c.exactly(200000), b"x" * 200000, "tunnel")
    c.send(b"y" * 100000)
    c.shut()
    t.eq(c.rest(), b"last words", "after the client's end")
    t.check(not c.reset, "reset")
    t.check(p.settled(), "the connection stays")


@test("an upgrade that is refused goes on as HTTP")
def _(t):
    p = t.proxy(FE, srv=t.server(answer()))
    c = p.connect()
    for _ in range(2):
        c.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        t.eq(c.recv_msg().body, b"ok", "answer")


@test("an upgrade to h2c is not passed: requests in its tunnel would not be seen")
def _(t):
    if IS_HAPROXY:
        return
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    for up in ("h2c", "websocket, H2C"):
        c.send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, X-Y\r\nUpgrade: %s\r\n"
               "HTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Y: z\r\n\r\n" % up)
        r = c.recv_msg()
        t.eq(r.status, 200, "status")
        t.check(b"pgrade" not in r.body and b"HTTP2" not in r.body, "passed: %r" % r.body)
        t.check(b"Connection: X-Y\r\n" in r.body and b"X-Y: z" in r.body, "another option went, too: %r" % r.body)


@test("a 101 that nobody asked for is a 502")
def _(t):
    def handler(c):
        c.recv_head()
        c.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nevil")
        c.rest()

    p = t.proxy(FE, srv=t.server(handler))
    t.eq(p.ask(GET % "/").status, 502, "status")


@test("CONNECT makes a tunnel with 200, and none with 403")
def _(t):
    def handler(c):
        h = c.recv_head()
        if "bad" in h.start:
            c.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            c.rest()
            return
        c.send("HTTP/1.1 200 OK\r\n\r\n")
        d = c.exactly(4)
        c.send(d.upper())
        c.rest()

    p = t.proxy(FE, srv=t.server(handler))
    c = p.connect()
    c.send("CONNECT good:443 HTTP/1.1\r\nHost: good:443\r\n\r\n")
    t.eq(c.recv_head().status, 200, "status")
    c.send("abcd")
    t.eq(c.exactly(4), b"ABCD", "tunnel")
    c.close()
    t.eq(p.ask("CONNECT bad:443 HTTP/1.1\r\nHost: bad:443\r\n\r\n").status, 403, "refused")
    t.check(p.settled(), "the connection stays")


@test("names and values keep their case and bytes; absolute-form targets pass as they are")
def _(t):
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    r = p.ask(b"GET http://h/a%41?B=c HTTP/1.1\r\nHost: h\r\nX-MiXeD: VaLuE  two\r\nX-8bit: \xe9\xff\r\nx-empty:\r\n\r\n")
    t.check(b"GET http://h/a%41?B=c HTTP/1.1\r\n" in r.body, "start line: %r" % r.body)
    want = b"x-mixed: VaLuE  two\r\n" if IS_HAPROXY else b"X-MiXeD: VaLuE  two\r\n"
    t.check(want in r.body, "case: %r" % r.body)
    t.check(b"8bit: \xe9\xff\r\n" in r.body, "8-bit bytes")
    t.check(b"x-empty:" in r.body, "empty value")
    r = p.ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
    t.check(b"OPTIONS * HTTP/1.1\r\n" in r.body, "OPTIONS *")
    r = p.ask("brew /pot HTTP/1.1\r\nHost: h\r\n\r\n")
    t.check(b"brew /pot HTTP/1.1\r\n" in r.body, "own method")


@test("heads up to the buffer's limit pass, larger ones are a 400, larger responses a 502")
def _(t):
    def handler(c):
        while True:
            r = c.recv_req()
            n = int(r.get("x-want", "0"))
            c.send("HTTP/1.1 200 OK\r\nX-Big: %s\r\nContent-Length: 2\r\n\r\nok" % ("b" * n))

    srv = t.server(handler)
    p = t.proxy(FE.replace("server s", "option forwardfor\n    http-response set-header X-Added " + "y" * 100 +
                           "\n    http-request set-header X-Added " + "x" * 500 + "\n    server s"), srv=srv)
    seen = set()
    for n in list(range(14000, 17000, 250)) + [20000, 100000]:
        for what in ("request", "response"):
            c = p.connect()
            if what == "request":
                req = "GET / HTTP/1.1\r\nHost: h\r\nX-Big: %s\r\n\r\n" % ("b" * n)
            else:
                req = "GET / HTTP/1.1\r\nHost: h\r\nX-Want: %d\r\n\r\n" % n
            try:
                c.send(req)
                r = c.recv_msg()
                status = r.status
            except Exception as e:
                status = repr(e)
            seen.add((what, n, status))
            c.close()
    for what, bad in (("request", 400), ("response", 502)):
        got = [s for w, n, s in sorted(seen, key=lambda x: x[1]) if w == what]
        t.check(set(got) <= {200, bad}, "%s: %r" % (what, got))
        t.check(got[0] == 200 and got[-1] == bad and got == sorted(got), "%s: %r" % (what, got))


@test("100 headers pass, 200 are refused")
def _(t):
    srv = t.server(answer())
    p = t.proxy(FE, srv=srv)
    many = lambda n: "GET / HTTP/1.1\r\nHost: h\r\n" + "".join("X-%d: y\r\n" % i for i in range(n)) + "\r\n"
    t.eq(p.ask(many(99)).status, 200, "100 headers")
    t.eq(p.ask(many(199)).status, 400, "200 headers")


@test("unread pipelined bytes do not destroy the last answer")
def _(t):
    """The proxy closes after its answer while the client is still sending: no reset before the answer was read."""
    p = t.proxy(FE + "    http-request set-header a b\n    option httpclose\n", srv=t.server(answer(b"v" * 100000)))
    for _ in range(20):
        c = p.connect(rcvbuf=4096)
        c.send(GET % "/")
        time.sleep(0.01)
        c.send((GET % "/more") * 20)
        r = c.recv_msg()
        t.eq(len(r.body), 100000, "bytes")
        c.close()


@test("an answer to an upload that nobody reads arrives")
def _(t):
    """403 by rule while megabytes come: the client that reads only after it sent gets the answer."""
    p = t.proxy(FE.replace("server s", "http-request deny if { path /no }\n    server s"), srv=t.server(answer()))
    for _ in range(5):
        c = p.connect()
        c.send(b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n")
        try:
            for _ in range(30):
                c.send(b"x" * 10000)
                time.sleep(0.001)
        except OSError:
            pass
        r = c.recv_msg()
        t.eq(r.status, 403, "status")
        c.close()
    t.check(p.settled(), "connections stay")


main()
