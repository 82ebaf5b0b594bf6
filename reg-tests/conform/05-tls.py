# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on both sides: names, verification, ends and cuts, key updates, bytes in bulk."""
import hashlib
import random
import ssl

import lib
from lib import *

GET = "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n"


def certs(dir):
    """ca.pem, and NAME.pem (certificate and key) for several names, signed by it."""

    def run(*a):
        subprocess.run(["openssl"] + list(a), check=True, cwd=dir, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
        "ca.pem", "-days", "2", "-subj", "/CN=conform CA")
    for name, san in (("a", "a.test"), ("b", "b.test"), ("wild", "*.w.test"), ("srv", "srv.test"), ("client", "client")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out",
            name + ".csr", "-subj", "/CN=" + san)
        with open(dir + "/ext", "w") as f:
            f.write("subjectAltName=DNS:%s\n" % san)
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", name + ".crt")
        with open("%s/%s.pem" % (dir, name), "w") as f:
            f.write(open("%s/%s.crt" % (dir, name)).read() + open("%s/%s.key" % (dir, name)).read())
    return dir


DIR = []


def pem(name=""):
    if not DIR:
        DIR.append(certs(tempfile.mkdtemp(dir=lib.TMP)))
    return DIR[0] + "/" + name if name else DIR[0]


def tls_connect(p, name, verify=True, fe="fe", cert=None, version=None):
    ctx = ssl.create_default_context(cafile=pem("ca.pem"))
    ctx.check_hostname = verify
    if not verify:
        ctx.verify_mode = ssl.CERT_NONE
    if cert:
        ctx.load_cert_chain(cert)
    if version:
        ctx.maximum_version = version
    raw = p.connect(fe).sock
    c = Conn(ctx.wrap_socket(raw, server_hostname=name, suppress_ragged_eofs=False))
    c.truncated = False
    return c


def tls_rest(c):
    """All until the end; c.truncated: without close_notify."""
    out = c.buf
    c.truncated = False
    while True:
        try:
            d = c.sock.recv(65536)
        except ssl.SSLEOFError:
            c.truncated = True
            return out
        except ConnectionResetError:
            c.truncated = c.reset = True
            return out
        if not d:
            return out
        out += d


def peer_names(c):
    return [v for k, v in c.sock.getpeercert()["subjectAltName"]]


def tls_server(t, handler, name="srv", names=None, clean=True):
    """A TLS server; <names> collects the SNIs. <clean>: ends with close_notify."""

    def on(c):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(pem(name + ".pem"))
        if names is not None:
            ctx.sni_callback = lambda s, n, x: names.append(n)
        c.sock.settimeout(T)
        raw = c.sock
        c.sock = ctx.wrap_socket(raw, server_side=True)
        r = handler(c)
        if clean and r != "keep":
            try:
                c.sock.settimeout(1)
                c.sock.unwrap()
            except (OSError, ssl.SSLError):
                pass
        return r

    return t.server(on)


FE = """
listen l
    mode http
    bind {fe} ssl crt {a} crt {b} crt {wild}
    http-response set-header X-Sni %[ssl_fc_sni]
    server s {srv}
"""


def fe(t, text, **kw):
    return t.proxy(text, a=pem("a.pem"), b=pem("b.pem"), wild=pem("wild.pem"), ca=pem("ca.pem"), client=pem("client.pem"),
                   **kw)


@test("the certificate follows the name: exact, wildcard for one label, else the first")
def _(t):
    p = fe(t, FE, srv=t.server(answer()))
    for name, want, ok in (("a.test", "a.test", True), ("b.test", "b.test", True), ("B.TEST", "b.test", True),
                           ("x.w.test", "*.w.test", True), ("x.y.w.test", "a.test", False),
                           ("w.test", "a.test", False), ("other.test", "a.test", False)):
        c = tls_connect(p, name, verify=False)
        cert = ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True))
        t.check(cert.strip() in open(pem({"a.test": "a", "b.test": "b"}.get(want, "wild") + ".pem")).read(),
                "%s got another certificate" % name)
        c.send(GET % ("/", name))
        r = c.recv_msg()
        t.eq(r.get("x-sni"), name, "ssl_fc_sni")
        c.close()
        try:
            tls_connect(p, name).close()
            t.check(ok, "%s was accepted" % name)
        except ssl.SSLError:
            t.check(not ok, "%s was refused" % name)


@test("strict-sni refuses other names, and none")
def _(t):
    p = fe(t, FE.replace("crt {a}", "strict-sni crt {a}"), srv=t.server(answer()))
    tls_connect(p, "a.test").close()
    for name in ("other.test", None):
        try:
            tls_connect(p, name, verify=False)
            t.check(False, "%r was accepted" % name)
        except (ssl.SSLError, OSError):
            pass
    t.check(p.settled(), "connections stay")


@test("an end is announced with close_notify; a cut is not")
def _(t):
    def handler(c):
        r = c.recv_req()
        if "/close" in r.start:
            c.send("HTTP/1.1 200 OK\r\n\r\n" + "x" * 100000)
        elif "/cut" in r.start:
            c.send("HTTP/1.1 200 OK\r\n\r\n" + "x" * 1000)
            time.sleep(0.1)
            c.abort()
            return "keep"
        else:
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    for version in (None, ssl.TLSVersion.TLSv1_2):
        p = fe(t, FE, srv=t.server(handler))
        c = tls_connect(p, "a.test", version=version)
        c.send(GET % ("/close", "h"))
        c.recv_head()
        t.eq(len(tls_rest(c)), 100000, "body until the end")
        t.check(not c.truncated, "the end was not announced")
        c = tls_connect(p, "a.test", version=version)
        c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        c.recv_msg()
        tls_rest(c)
        t.check(not c.truncated, "connection: close was not announced")
        c = tls_connect(p, "a.test", version=version)
        c.send(GET % ("/cut", "h"))
        c.recv_head()
        tls_rest(c)
        t.check(c.truncated, "a cut looks like an end")


@test("mode tcp with TLS: ends pass in both directions, with what came before them")
def _(t):
    srv = tls_server(t, lambda c: c.send(c.exactly(5)) and (c.send("!" * 50000), "x")[1])
    p = fe(t, """
listen l
    mode tcp
    bind {fe} ssl crt {a}
    server s {srv} ssl verify required ca-file {ca} verifyhost srv.test
""", srv=srv)
    c = tls_connect(p, "a.test")
    c.send("hello")
    t.eq(len(tls_rest(c)), 50005, "bytes")
    t.check(not c.truncated, "the end was not announced")
    c.close()
    t.check(p.settled(), "connections stay")


@test("a server is verified: by its CA, by its name; failures are a 503")
def _(t):
    srv = tls_server(t, answer())
    other = tempfile.mkdtemp(dir=lib.TMP)
    certs(other)
    p = fe(t, """
frontend f
    mode http
    bind {fe}
    use_backend %[path,regsub(/,,)]
backend good
    mode http
    server s {srv} ssl verify required ca-file {ca} sni str(srv.test)
backend name
    mode http
    server s {srv} ssl verify required ca-file {ca} sni str(other.test)
backend verifyhost
    mode http
    server s {srv} ssl verify required ca-file {ca} verifyhost other.test
backend ca
    mode http
    server s {srv} ssl verify required ca-file {other}
backend none
    mode http
    server s {srv} ssl verify none
backend plain
    mode http
    server s {plain} ssl verify none
""", srv=srv, other=other + "/ca.pem", plain=t.server(lambda c: (c.fill(), c.send("HTTP/1.1 200 OK\r\n\r\n")) and None))
    for be, status in (("good", 200), ("name", 503), ("verifyhost", 503), ("ca", 503), ("none", 200), ("plain", 503)):
        t.eq(p.ask(GET % ("/" + be, "h")).status, status, be)
    t.check(p.settled(), "connections stay")


@test("the name told to the server follows the request, also on a kept connection")
def _(t):
    names = []
    srv = tls_server(t, answer(), names=names)
    p = fe(t, """
listen l
    mode http
    bind {fe}
    server s {srv} ssl verify none sni req.hdr(host)
""", srv=srv)
    c = p.connect()
    for name in ("one.test", "one.test", "two.test", "two.test", "one.test"):
        c.send(GET % ("/", name))
        t.eq(c.recv_msg().status, 200, name)
    t.eq(names, ["one.test", "two.test", "one.test"], "names")


@test("a body until the end from a TLS server: whole with close_notify, cut without")
def _(t):
    for clean in (True, False):
        def handler(c):
            c.recv_req()
            c.send("HTTP/1.1 200 OK\r\n\r\n" + "x" * 50000)
            if not clean:
                time.sleep(0.1)
                socket.socket.close(c.sock)

        srv = tls_server(t, handler, clean=clean)
        p = fe(t, """
listen l
    mode http
    bind {fe}
    server s {srv} ssl verify none
""", srv=srv)
        c = p.connect()
        c.send(GET % ("/", "h"))
        c.recv_head()
        body = c.rest()
        if clean:
            t.eq((len(body), c.reset), (50000, False), "whole")
        else:
            t.check(c.reset or IS_HAPROXY, "a cut looks like an end")


@test("a client's certificate is asked for and verified")
def _(t):
    p = fe(t, FE.replace("crt {a}", "ca-file {ca} verify required crt {a}"), srv=t.server(answer()))
    c = tls_connect(p, "a.test", cert=pem("client.pem"))
    c.send(GET % ("/", "h"))
    t.eq(c.recv_msg().status, 200, "with certificate")
    try:
        c = tls_connect(p, "a.test")
        c.send(GET % ("/", "h"))
        c.recv_msg()
        t.check(False, "accepted without a certificate")
    except (OSError, Closed):
        pass
    t.check(p.settled(), "connections stay")


@test("12 MB up and down through TLS on both sides, slow and fast, every byte")
def _(t):
    big = random.Random(3).randbytes(12 << 20)
    want = hashlib.sha256(big).hexdigest()

    def handler(c):
        while True:
            h = c.recv_head()
            body = c.exactly(int(h.get("content-length", "0")))
            t.check(not body or hashlib.sha256(body).hexdigest() == want, "upload")
            c.log = b""
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big) + big)

    srv = tls_server(t, handler)
    p = fe(t, "defaults\n timeout client 30s\n timeout server 30s\n timeout connect 5s\n" + FE.replace(
        "server s {srv}", "server s {srv} ssl verify none"), srv=srv)
    for version in (None, ssl.TLSVersion.TLSv1_2):
        c = tls_connect(p, "a.test", version=version)
        c.send(GET % ("/", "h"))
        h = c.recv_head()
        for _ in range(10):
            time.sleep(0.02)
            c.fill()
        t.eq(hashlib.sha256(c.exactly(len(big))).hexdigest(), want, "download")
        c.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(big))
        c.send(big)
        t.eq(hashlib.sha256(c.recv_msg().body).hexdigest(), want, "download after the upload")
        c.close()
    t.check(p.settled(), "connections stay")


@test("many small requests in one TLS record, and one request in many records")
def _(t):
    p = fe(t, FE, srv=t.server(echo))
    c = tls_connect(p, "a.test")
    c.send("".join(GET % ("/%d" % i, "h") for i in range(200)))
    for i in range(200):
        t.check(c.recv_msg().body.startswith(b"GET /%d " % i), "answer %d" % i)
        if t.wrong:
            return
    for b in GET % ("/bytes", "h"):
        c.send(b)
    t.check(c.recv_msg().body.startswith(b"GET /bytes "), "byte by byte")


@test("plain HTTP to a TLS port, handshakes that stop or are nonsense: ended in time, nothing left")
def _(t):
    p = fe(t, FE.replace("bind", "timeout http-request 500ms\n    timeout client 500ms\n    bind"), srv=t.server(answer()))
    fds = p.fd_count()
    for data in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"", b"\x80" * 500,
                 b"\x16\x03\x01\xff\xff" + b"\x00" * 70000):
        c = p.connect()
        try:
            c.send(data)
            c.rest()
        except OSError:
            pass
        t.check(c.eof, "%r stays" % data[:10])
    t.check(p.settled(), "connections stay")
    t.check(p.fd_count() <= fds + 1, "descriptors")
    tls_connect(p, "a.test").close()


@test("a client's key update and its early end do no harm")
def _(t):
    """openssl s_client sends K (update both ways) between requests."""
    p = fe(t, FE, srv=t.server(answer()))
    for key in ("K", "k"):
        cl = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % p.fds["fe"], "-servername", "a.test",
                               "-tls1_3", "-nbio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        time.sleep(0.3 * SLOW)
        for _ in range(3):
            cl.stdin.write((GET % ("/", "h")).encode())
            cl.stdin.flush()
            time.sleep(0.2)
            cl.stdin.write(key.encode() + b"\n")
            cl.stdin.flush()
            time.sleep(0.2)
        cl.stdin.close()
        out = cl.stdout.read()
        cl.wait()
        t.eq(out.count(b"HTTP/1.1 200"), 3, "answers with " + key)
    t.check(p.settled(), "connections stay")


main()
