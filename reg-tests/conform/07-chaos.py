# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients and servers that do anything at any time, with reloads and commands in between.

What must hold: an answer that is complete is the answer to its request; nothing is left when all is over; the
processor rests; and with the sanitizers there is no report. CHAOS_SEED=n repeats a run's choices (not its timing),
CHAOS_SECONDS=n makes it longer.
"""
import random
import ssl

import lib
from lib import *

SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1 << 30)
SECONDS = float(os.environ.get("CHAOS_SECONDS", "8"))

CFG = """
defaults
    mode http
    timeout client 1s
    timeout server 700ms
    timeout connect 500ms
    timeout queue 300ms
    timeout http-request 600ms
    timeout tunnel 800ms
    retries 2
    option redispatch
frontend f
    bind {fe}
    http-request return status 200 content-type text/plain lf-string "%[req.hdr(x-id)]" hdr x-id %[req.hdr(x-id)] if {{ path_beg /local }}
    http-request deny if {{ path_beg /deny }}
    http-response set-header X-N {n}
    use_backend retry if {{ path_beg /retry }}
    use_backend one if {{ path_beg /one }}
    use_backend tls if {{ path_beg /tls }}
    default_backend b
frontend s
    bind {fe2} ssl crt {crt}
    default_backend b
frontend t
    mode tcp
    bind {fe3}
    tcp-request inspect-delay 100ms
    tcp-request content reject if {{ req.len gt 5000 }}
    default_backend t
backend b
    server s1 {srv}
    server s2 {srv2}
    server dead 127.0.0.1:1
backend retry
    retry-on all-retryable-errors
    balance leastconn
    server s1 {srv}
    server s2 {srv2}
backend one
    option abortonclose
    balance first
    server s1 {srv} maxconn 2
    server bk {srv2} backup maxconn 1
backend tls
    server s1 {tsrv} ssl verify none sni req.hdr(x-id)
backend t
    mode tcp
    server s1 {srv}
    server s2 {srv2}
""".replace("{{", "{").replace("}}", "}")


def crt():
    f = lib.TMP + "/crt.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    f + ".key", "-out", f + ".crt", "-days", "2", "-subj", "/CN=x"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(f, "w") as out:
        out.write(open(f + ".crt").read() + open(f + ".key").read())
    return f


def chaotic_server(rnd):
    """Answers with the request's id over and over, in one of many ways; or does not."""

    def handler(c):
        r = random.Random(rnd.random())
        c.sock.settimeout(2)
        while True:
            h = c.recv_head()
            how = r.random()
            if how < 0.04:
                return None
            if how < 0.08:
                c.abort()
                return "keep"
            if how < 0.10:
                time.sleep(1)
                return None
            if how < 0.12:
                c.send(r.randbytes(r.randrange(1, 3000)))
                return None
            early = r.random() < 0.1
            if not early:
                if "chunked" in h.get("transfer-encoding", ""):
                    c.chunks()
                else:
                    c.exactly(int(h.get("content-length", "0")))
            ident = h.get("x-id", "none").encode()
            body = (ident + b".") * r.choice((0, 1, 10, 1000, 20000))
            out = b""
            if r.random() < 0.1:
                out += b"HTTP/1.1 103 Early Hints\r\nX-Id: " + ident + b"\r\n\r\n"
            head = b"HTTP/1.%d 200 OK\r\nX-Id: %s\r\n" % (r.random() < 0.9, ident)
            framing = r.choice(("length", "length", "length", "chunked", "close"))
            close = framing == "close" or r.random() < 0.1
            if "HEAD" in h.start:
                body = b""
            if framing == "chunked" and head.startswith(b"HTTP/1.0"):
                framing = "length"
            if framing == "length":
                head += b"Content-Length: %d\r\n" % len(body)
            elif framing == "chunked":
                head += b"Transfer-Encoding: chunked\r\n"
                if "HEAD" not in h.start:
                    n = r.randrange(1, 9000)
                    body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + n]), body[i:i + n]) for i in range(0, len(body), n))
                    body += b"0\r\n\r\n"
            if close:
                head += b"Connection: close\r\n"
            out += head + b"\r\n" + body
            if r.random() < 0.08:
                c.send(out[:r.randrange(len(out))])
                if framing == "close" or r.random() < 0.5:  # nobody could tell that end from a good one
                    c.abort()
                    return "keep"
                return None
            if r.random() < 0.2:
                i = r.randrange(len(out))
                c.send(out[:i])
                time.sleep(r.random() * 0.05)
                c.send(out[i:])
            else:
                c.send(out)
            if early:
                try:
                    if "chunked" in h.get("transfer-encoding", ""):
                        c.chunks()
                    else:
                        c.exactly(int(h.get("content-length", "0")))
                except Closed:
                    return None
            if close or c.log[-20:] == b"":
                return None
            c.log = b""

    return handler


class Client(threading.Thread):
    def __init__(self, p, n, stop, wrong):
        super().__init__(daemon=True)
        self.p, self.stop, self.wrong = p, stop, wrong
        self.r = random.Random(SEED * 1000 + n)
        self.n = n
        self.good = self.tried = 0

    def open(self):
        r = self.r
        kind = r.choice(("fe", "fe", "fe", "fe2", "fe3"))
        c = self.p.connect(kind, rcvbuf=r.choice((0, 0, 4096)))
        if kind == "fe2":
            ctx = ssl.create_default_context()
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
            c.sock.settimeout(2)
            c = Conn(ctx.wrap_socket(c.sock, server_hostname="x", suppress_ragged_eofs=False))
        c.sock.settimeout(2)
        return c

    def request(self, ident):
        r = self.r
        path = r.choice(("/", "/", "/", "/retry", "/one", "/tls", "/local", "/deny"))
        meth = r.choice(("GET", "GET", "GET", "POST", "PUT", "HEAD"))
        out = "%s %s HTTP/1.%d\r\nHost: h\r\nX-Id: %s\r\n" % (meth, path, r.random() < 0.93, ident)
        if r.random() < 0.1:
            out += "Connection: %s\r\n" % r.choice(("close", "keep-alive"))
        body = b""
        if meth in ("POST", "PUT"):
            body = b"b" * r.choice((0, 1, 100, 3000, 17000, 100000))
            if r.random() < 0.4 and "HTTP/1.1" in out:
                out += "Transfer-Encoding: chunked\r\n"
                body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            else:
                out += "Content-Length: %d\r\n" % len(body)
            if r.random() < 0.1:
                out += "Expect: 100-continue\r\n"
        out = (out + "\r\n").encode() + body
        if r.random() < 0.03:
            i = r.randrange(len(out))
            out = out[:i] + bytes([r.randrange(256)]) + out[i + 1:]
            return out, meth, None
        return out, meth, ident

    def answer(self, c, meth, ident):
        while True:
            h = c.recv_head()
            if h.status >= 200 or h.status == 101:
                break
        if ident is None:
            return False
        if h.status == 200 and h.get("x-id") != ident:
            self.wrong.append("asked %s, the answer is %r" % (ident, h))
            return False
        if meth == "HEAD":
            return h.get("connection", "") != "close"
        if "chunked" in h.get("transfer-encoding", ""):
            body = c.chunks()
        elif h.get("content-length") is not None:
            body = c.exactly(int(h.get("content-length")))
        else:
            while c.fill(2):
                pass
            if c.reset:
                return False
            body, c.buf = c.buf, b""
        if h.status == 200:
            self.good += 1
            one = ident.encode() + b"."
            if body != ident.encode() and body != one * (len(body) // len(one)):
                self.wrong.append("%s: a body of %d bytes: %r..." % (ident, len(body), body[:60]))
        return not c.eof and "close" not in h.get("connection", "")

    def session(self):
        r = self.r
        c = self.open()
        try:
            for _ in range(r.randrange(1, 8)):
                batch = []
                data = b""
                for _ in range(r.choice((1, 1, 1, 2, 5))):
                    self.tried += 1
                    q = self.request("%d-%d" % (self.n, self.tried))
                    data += q[0]
                    batch.append(q[1:])
                how = r.random()
                if how < 0.08:
                    c.send(data[:r.randrange(len(data))])
                    time.sleep(r.random() * 0.02)
                    c.abort() if r.random() < 0.5 else c.close()
                    return
                if how < 0.2:
                    i = r.randrange(len(data))
                    c.send(data[:i])
                    time.sleep(r.random() * 0.03)
                    c.send(data[i:])
                else:
                    c.send(data)
                if r.random() < 0.05:
                    c.shut() if not isinstance(c.sock, ssl.SSLSocket) else None
                if r.random() < 0.1:
                    time.sleep(r.random() * 0.2)
                for meth, ident in batch:
                    if r.random() < 0.05:
                        c.abort() if r.random() < 0.5 else c.close()
                        return
                    if not self.answer(c, meth, ident):
                        return
        finally:
            try:
                c.close()
            except OSError:
                pass

    def run(self):
        while not self.stop:
            try:
                self.session()
            except (OSError, Closed, ValueError, IndexError, AssertionError):
                pass
            except Exception as e:
                self.wrong.append("client: %r" % e)


def chaos(sig, name):
    @test("chaos, then %s (seed %d)" % (name, SEED))
    def _(t):
        t.stop_signal = sig
        rnd = random.Random(SEED)
        srv, srv2 = t.server(chaotic_server(rnd)), t.server(chaotic_server(rnd))
        pem = crt()

        def tls(c):
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(pem)
            c.sock.settimeout(2)
            c.sock = ctx.wrap_socket(c.sock, server_side=True)
            return chaotic_server(rnd)(c)

        tsrv = t.server(tls)
        p = t.proxy(CFG, srv=srv, srv2=srv2, tsrv=tsrv, crt=pem, n=0)
        fds = p.fd_count()
        stop, wrong = [], []
        cl = [Client(p, i, stop, wrong) for i in range(12)]
        for c in cl:
            c.start()
        end = time.monotonic() + SECONDS
        n = 0
        while time.monotonic() < end and p.proc.poll() is None and not wrong:
            time.sleep(0.1)
            n += 1
            what = rnd.randrange(6)
            if what == 0:
                p.write(CFG if n % 3 else CFG.replace("server s2", "server z2").replace("backend one", "backend one\n    backlog 10"),
                        n=n)
                p.kill(signal.SIGUSR2)
            elif what == 1:
                p.cli("disable server %s/s1" % rnd.choice(("b", "one", "retry")))
            elif what == 2:
                p.cli("enable server b/s1; enable server one/s1; enable server retry/s1")
            elif what == 3:
                p.cli("set server b/s1 addr 127.0.0.1 port %d" % rnd.choice((srv.port, srv2.port, 1)))
            elif what == 4:
                p.cli("set server b/s1 state %s" % rnd.choice(("ready", "drain", "maint")))
            else:
                p.cli("show sess all")
                p.cli("show stat")
        if sig == signal.SIGUSR1 or n % 2:
            stop.append(1)
            for c in cl:
                c.join(T)
            for s in (srv, srv2, tsrv):
                s.stop()
            t.check(p.settled(6), "connections stay: %s" % p.cli("show sess"))
            t.check(p.fd_count() <= fds + 2, "descriptors: %d, then %d" % (fds, p.fd_count()))
            stat = p.cli("show stat").splitlines()
            cur = [l for l in stat[1:] if l and l.split(",")[4] not in ("0", "")]
            t.eq(cur, [], "current sessions in show stat")
        t.wrong += wrong[:5]
        good, tried = sum(c.good for c in cl), sum(c.tried for c in cl)
        t.check(good > tried // 10, "only %d of %d requests were answered" % (good, tried))
        stop.append(1)


chaos(signal.SIGTERM, "a stop")
chaos(signal.SIGUSR1, "a soft stop")

main()
