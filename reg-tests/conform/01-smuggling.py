# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that two parties may read differently: what arrives is one clear message, or nothing and a 400."""
import re

from lib import *

FE = """
listen l
    mode http
    bind {fe}
    http-request set-header X-Rule seen
    server s {srv}
"""

SMUG = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
H = b"Host: h\r\n"


def strict(raw):
    """Requests in <raw> read by a strict reader of RFC 9112; raises ValueError for what could be read in two ways.
    What is incomplete at the end is given back too."""
    reqs = []
    while raw:
        if b"\r\n\r\n" not in raw:
            return reqs, raw
        head, rest = raw.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        if not re.fullmatch(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+ [\x21-\x7e]+ HTTP/1\.[01]", lines[0]):
            raise ValueError("start line %r" % lines[0])
        cl, te, host = [], [], []
        for l in lines[1:]:
            m = re.fullmatch(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([^\x00\r\n]*)", l)
            if not m:
                raise ValueError("header line %r" % l)
            n = m.group(1).lower()
            v = m.group(2).strip()
            if n == b"content-length":
                cl.append(v)
            if n == b"transfer-encoding":
                te.append(v)
            if n == b"host":
                host.append(v)
        if len(host) > 1 or len(cl) > 1 or len(te) > 1 or (cl and te):
            raise ValueError("lengths or hosts %r %r %r" % (cl, te, host))
        if te and (te[0].lower() != b"chunked" or lines[0].endswith(b"1.0")):
            raise ValueError("transfer-encoding %r" % te)
        if cl and not re.fullmatch(rb"[0-9]+", cl[0]):
            raise ValueError("content-length %r" % cl)
        if te:
            while True:
                m = re.match(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n\x00]*)?\r\n", rest)
                if not m:
                    if b"\r\n" not in rest:
                        return reqs, rest
                    raise ValueError("chunk %r" % rest[:40])
                n = int(m.group(1), 16)
                rest = rest[m.end():]
                if n == 0:
                    end = re.match(rb"(([^\r\n\x00:]+:[^\r\n\x00]*\r\n)*)\r\n", rest)
                    if not end:
                        if not rest.endswith(b"\r\n\r\n"):
                            return reqs, rest
                        raise ValueError("trailers %r" % rest)
                    rest = rest[end.end():]
                    break
                if len(rest) < n + 2:
                    return reqs, rest
                if rest[n:n + 2] != b"\r\n":
                    raise ValueError("chunk end %r" % rest[n:n + 2])
                rest = rest[n + 2:]
        elif cl:
            n = int(cl[0])
            if len(rest) < n:
                return reqs, rest
            rest = rest[n:]
        reqs.append(lines[0])
        raw = rest
    return reqs, b""


def post(hdrs, body=b"", line=b"POST / HTTP/1.1\r\n"):
    return line + H + hdrs + b"\r\n" + body


# name, bytes, requests that may arrive at most (0: must be refused before anything is forwarded)
VECTORS = [
    ("CL and TE", post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUG), 1),
    ("TE and CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + SMUG), 1),
    ("two lengths", post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"aaaaa"), 0),
    ("a list of lengths", post(b"Content-Length: 5, 0\r\n", b"aaaaa"), 0),
    ("equal lengths", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"aaaaa"), 1),
    ("equal lengths in a list", post(b"Content-Length: 5, 5\r\n", b"aaaaa"), 1),
    ("length +5", post(b"Content-Length: +5\r\n", b"aaaaa"), 0),
    ("length -1", post(b"Content-Length: -1\r\n", b"aaaaa"), 0),
    ("length 0x5", post(b"Content-Length: 0x5\r\n", b"aaaaa"), 0),
    ("length 5 5", post(b"Content-Length: 5 5\r\n", b"aaaaa"), 0),
    ("empty length", post(b"Content-Length:\r\n", SMUG), 0),
    ("length past 2^64", post(b"Content-Length: 18446744073709551621\r\n", b"aaaaa" + SMUG), 0),
    ("length of 2^63", post(b"Content-Length: 9223372036854775808\r\n", b"aaaaa" + SMUG), 0),
    ("length with a tab before the colon", post(b"Content-Length\t: 5\r\n", b"aaaaa" + SMUG), 0),
    ("length with a blank before the colon", post(b"Content-Length : 5\r\n", b"aaaaa" + SMUG), 0),
    ("TE with a blank before the colon", post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE identity, chunked", post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE chunked, identity", post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE chunked twice", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 0),
    ("TE chunked and x", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE x and chunked", post(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE in quotes", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + SMUG), 0),
    ("TE with a vertical tab", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE with NUL", post(b"Transfer-Encoding: chunked\x00\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE empty", post(b"Transfer-Encoding:\r\n", SMUG), 0),
    ("TE folded", post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + SMUG), 0),
    ("TE in HTTP/1.0", post(b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n", b"0\r\n\r\n" + SMUG,
                            b"POST / HTTP/1.0\r\n"), 0),
    ("Connection names TE", post(b"Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
                                 b"0\r\n\r\n"), 1),
    ("Connection names the length", post(b"Content-Length: 5\r\nConnection: Content-Length\r\n", b"aaaaa"), 1),
    ("header without colon", post(b"Nothing\r\nContent-Length: 0\r\n"), 0),
    ("header without name", post(b": x\r\nContent-Length: 0\r\n"), 0),
    ("folded header", post(b"X: a\r\n b\r\nContent-Length: 0\r\n"), 0),
    ("first header folded", b"GET / HTTP/1.1\r\n X: a\r\n" + H + b"\r\n", 0),
    ("bare LF between headers", b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 0),
    ("bare LF everywhere", b"GET / HTTP/1.1\nHost: h\n\n", 0),
    ("bare LF hides a head's end", post(b"X: y\n\nGET /smuggled HTTP/1.1\r\n"), 0),
    ("bare CR in a value", post(b"X: a\rContent-Length: 30\r\n"), 0),
    ("CR CR LF", b"GET / HTTP/1.1\r\r\n" + H + b"\r\n", 0),
    ("NUL in a value", post(b"X: a\x00b\r\nContent-Length: 0\r\n"), 0),
    ("NUL in the path", b"GET /\x00 HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("8-bit bytes in the path", b"GET /\xe9 HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("blank in the path", b"GET / /b HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("two blanks after the method", b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("tab after the method", b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("blank before the method", b" GET / HTTP/1.1\r\n" + H + b"\r\n", 0),
    ("blank after the version", b"GET / HTTP/1.1 \r\n" + H + b"\r\n", 0),
    ("HTTP/0.9", b"GET /\r\n\r\n", 0),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\n" + H + b"\r\n", 0),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    ("HTTP/1.10", b"GET / HTTP/1.10\r\n" + H + b"\r\n", 0),
    ("http/1.1 in small letters", b"GET / http/1.1\r\n" + H + b"\r\n", 0),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 0),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0),
    ("a host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0),
    ("a host with user information", b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 0),
    ("a host of two", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 0),
    ("the target's host is another", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 0),
    ("GET with a body", b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 35\r\n\r\n" + SMUG, 1),
    ("HEAD with a chunked body", b"HEAD / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1),
    # chunks: the head may have been forwarded, never a body that ends as the attacker says
    ("chunk size 5 with LF", post(b"Transfer-Encoding: chunked\r\n", b"5\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("chunk size of 17 digits", post(b"Transfer-Encoding: chunked\r\n", b"10000000000000005\r\naaaaa\r\n0\r\n\r\n"), 0),
    ("chunk size -1", post(b"Transfer-Encoding: chunked\r\n", b"-1\r\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("chunk size 0x5", post(b"Transfer-Encoding: chunked\r\n", b"0x5\r\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("chunk size missing", post(b"Transfer-Encoding: chunked\r\n", b"\r\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("chunk size with a blank before", post(b"Transfer-Encoding: chunked\r\n", b" 5\r\naaaaa\r\n0\r\n\r\n"), 0),
    ("chunk without CRLF after it", post(b"Transfer-Encoding: chunked\r\n", b"5\r\naaaaa0\r\n\r\n" + SMUG), 0),
    ("chunk with two bytes too many", post(b"Transfer-Encoding: chunked\r\n", b"3\r\naaaXX0\r\n\r\n" + SMUG), 0),
    ("LF in a chunk extension", post(b"Transfer-Encoding: chunked\r\n", b"5;\nX\r\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("CR in a chunk extension", post(b"Transfer-Encoding: chunked\r\n", b"5;a\rb\r\naaaaa\r\n0\r\n\r\n" + SMUG), 0),
    ("a good chunk extension", post(b"Transfer-Encoding: chunked\r\n", b"5;a=b\r\naaaaa\r\n0\r\n\r\n"), 1),
    ("endless chunk extension", post(b"Transfer-Encoding: chunked\r\n", b"5;" + b"a" * 20000), 0),
    ("trailer Content-Length", post(b"Transfer-Encoding: chunked\r\n", b"0\r\nContent-Length: 35\r\n\r\n" + SMUG), 0),
    ("trailer Transfer-Encoding", post(b"Transfer-Encoding: chunked\r\n", b"0\r\nTransfer-Encoding: x\r\n\r\n"), 0),
    ("trailer with LF", post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: y\n\r\n\r\n" + SMUG), 0),
    ("last chunk ends with LF LF", post(b"Transfer-Encoding: chunked\r\n", b"0\n\n" + SMUG), 0),
]


def settle(c, seconds=0.6):
    """What the client gets until nothing comes any more."""
    end = time.monotonic() + seconds
    while not c.eof and time.monotonic() < end:
        try:
            c.fill(0.3)
        except OSError:
            break
    return c.log


@test("no vector of request smuggling arrives as another message")
def _(t):
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    for split in (False, True):
        for name, data, most in VECTORS:
            first = len(srv.conns)
            c = p.connect()
            try:
                if split:
                    for i in range(0, len(data), max(1, len(data) // 7)):
                        c.send(data[i:i + max(1, len(data) // 7)])
                        time.sleep(0.002)
                else:
                    c.send(data)
            except OSError:
                pass
            c.fill(T)
            if most:
                time.sleep(0.05)
            c.close()
            got = b"".join(x.log for x in srv.conns[first:])
            name = "%s%s" % (name, ", split" if split else "")
            # each connection's bytes for themselves
            n = 0
            for x in srv.conns[first:]:
                try:
                    reqs, part = strict(x.log)
                except ValueError as e:
                    t.check(False, "%s: ambiguous message forwarded: %s" % (name, e))
                    continue
                n += len(reqs)
                # behind a body that the attacker ended himself, the next request is a request: it went through
                # rules as any other
                for m in re.finditer(rb"[^\r\n]*HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*", x.log):
                    if b"/smuggled" in m.group(0) and b"X-Rule: seen" not in m.group(0) and most == 0:
                        t.check(False, "%s: smuggled: %r" % (name, m.group(0)))
            if most == 0:
                t.check(n == 0, "%s: %d requests arrived: %r" % (name, n, got[:200]))
                t.check(c.log.startswith(b"HTTP/1.1 400 "), "%s: the client got %r" % (name, c.log[:60]))
                t.check(c.log.count(b"HTTP/1.1 ") == 1, "%s: more than one answer" % name)
            else:
                t.check(n <= most or b"smuggled" not in got, "%s: %d requests arrived" % (name, n))


@test("after a 400 nothing else of the connection is read as a request")
def _(t):
    srv = t.server(echo)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" + b"GET /bad\x01 HTTP/1.1\r\nHost: h\r\n\r\n" + SMUG)
    got = c.rest()
    t.eq([l for l in got.split(b"\r\n") if l.startswith(b"HTTP/1.1 ")], [b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad request"]
         if IS_HAPROXY else [b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"], "answers")
    t.check(b"smuggled" not in b"".join(srv.seen), "the request behind the bad one was forwarded")


RES = [
    ("CL and TE", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
    ("TE gzip alone", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
    ("TE in 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("status 99", b"HTTP/1.1 099 OK\r\n\r\n"),
    ("status 20", b"HTTP/1.1 20 OK\r\n\r\n"),
    ("status 2000", b"HTTP/1.1 2000 OK\r\n\r\n"),
    ("not HTTP", b"SSH-2.0-OpenSSH\r\n"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n\r\n"),
    ("blank before colon", b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc"),
    ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 0\r\n\r\n"),
    ("bare CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"),
    ("head cut by the end", b"HTTP/1.1 200 OK\r\nX: a"),
    ("nothing but CRLF", b"\r\n\r\n\r\n"),
]


@test("a response that may be read in two ways is a 502")
def _(t):
    srv = t.server(lambda c: (c.recv_req(), c.send(srv.now)) and None)
    p = t.proxy(FE, srv=srv)
    for name, data in RES:
        srv.now = data
        r = p.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        t.check(r.status == 502, "%s: the client got %r" % (name, r))


@test("bytes after a response never answer the next request")
def _(t):
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def handler(c):
        c.recv_req()
        c.send(two if len(srv.conns) == 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
        c.rest()

    srv = t.server(handler)
    p = t.proxy(FE, srv=srv)
    c = p.connect()
    c.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
    t.eq(c.recv_msg().body, b"ok", "first")
    c.send("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    t.eq(c.recv_msg().body, b"good", "second")


main()
