# SPDX-License-Identifier: GPL-3.0-or-later
"""Reloads and stops while connections of every kind are under way."""
import hashlib
import random

import lib
from lib import *

GET = "GET %s HTTP/1.1\r\nHost: h\r\n\r\n"
BIG = random.Random(7).randbytes(20 << 20)
SUM = hashlib.sha256(BIG).hexdigest()

FE = """
frontend f
    mode http
    bind {fe}
    timeout client 20s
    http-response set-header X-Config {n}
    default_backend b
backend b
    mode http
    timeout server 20s
    server s {srv}
"""


def handler(c):
    while True:
        r = c.recv_req()
        if "/big" in r.start:
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
            c.send(BIG)
        else:
            if "/slow" in r.start:
                time.sleep(0.5)
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def reload(t, p, text, ok=True, **kw):
    key = "Epoch" if ok else "Reload_failures"
    was = int(p.info(key))
    p.write(text, **kw)
    p.kill(signal.SIGUSR2)
    end = time.monotonic() + T
    while time.monotonic() < end:
        if int(p.info(key)) != was:
            return True
        time.sleep(0.01)
    t.check(False, "the reload did not happen:\n" + p.stderr())
    return False


def rss(p):
    with open("/proc/%d/statm" % p.proc.pid) as f:
        return int(f.read().split()[1]) * 4096


def get(c, path="/"):
    c.send(GET % path)
    return c.recv_msg()


@test("a reload: the kept connection goes on with the new rules, the download with its bytes")
def _(t):
    srv = t.server(handler)
    p = t.proxy(FE, srv=srv, n=0)
    ka = p.connect()
    t.eq(get(ka).get("x-config"), "0", "before")
    down = p.connect(rcvbuf=65536)
    down.send(GET % "/big")
    h = down.recv_head()
    t.eq(h.get("x-config"), "0", "download")
    got = hashlib.sha256()
    left = len(BIG)
    for i in range(1, 9):
        reload(t, p, FE, n=i)
        t.eq(get(ka).get("x-config"), "%d" % i, "after reload %d" % i)
        got.update(down.exactly(len(BIG) // 10))
        left -= len(BIG) // 10
    got.update(down.exactly(left))
    t.eq(got.hexdigest(), SUM, "download")
    t.eq(get(down).get("x-config"), "8", "the next request on the download's connection")


@test("a bad configuration changes nothing")
def _(t):
    p = t.proxy(FE, srv=t.server(handler), n=0)
    ka = p.connect()
    get(ka)
    reload(t, p, FE + "    nonsense\n", ok=False, n=1)
    t.eq(get(ka).get("x-config"), "0", "after")
    t.eq(p.ask(GET % "/").get("x-config"), "0", "a new connection")


@test("old configurations are freed: 150 reloads with idle, waiting and running connections")
def _(t):
    pad = "".join("backend x%d\n    mode http\n    acl a path_reg ^/x[0-9]+/y%d\n    http-request deny if a\n" % (i, i) +
                  "    server s {srv}\n" for i in range(60))
    p = t.proxy(FE + pad, srv=t.server(handler), n=0)
    idle = [p.connect() for _ in range(20)]
    for c in idle:
        get(c)
    sizes = []
    for i in range(1, 151):
        slow = p.connect()
        slow.send(GET % "/slow")
        reload(t, p, FE + pad, n=i)
        slow.close()
        if i % 30 == 0:
            for c in idle:
                t.eq(get(c).get("x-config"), "%d" % i, "config")
            time.sleep(0.7)
            sizes.append(rss(p) >> 10)
        if t.wrong:
            return
    t.check(SAN or sizes[4] - sizes[1] < 8192, "KB after each 30 reloads: %r" % sizes)


@test("servers come, go and move; frontends go; requests under way end well")
def _(t):
    one = t.server(answer(b"one"))
    two = t.server(answer(b"two"))
    slow = t.server(handler)
    p = t.proxy(FE, srv=one, n=0)
    ka = p.connect()
    t.eq(get(ka).body, b"one", "before")
    reload(t, p, FE, srv=two, n=1)
    t.eq(get(ka).body, b"two", "the server's address moved")
    reload(t, p, FE.replace("server s", "server z"), srv=one, n=2)
    t.eq(get(ka).body, b"one", "another server")
    reload(t, p, FE, srv=slow, n=3)
    wait = p.connect()
    wait.send(GET % "/slow")
    time.sleep(0.1)
    # the backend, and then the frontend's name, go while a request is under way
    reload(t, p, FE.replace("backend b", "backend c"), srv=one, n=4)
    t.eq(wait.recv_msg().body, b"ok", "the request under way")
    t.eq(get(ka).body, b"one", "another backend")
    wait.send(GET % "/slow")
    reload(t, p, FE.replace("frontend f", "frontend g").replace("backend b", "backend d"), srv=two, n=5)
    t.eq(wait.recv_msg().status, 200, "the request under way")
    t.eq(p.ask(GET % "/").body, b"two", "a new connection")
    t.check(ka.rest() == b"" and not ka.reset, "the old frontend's idle connection")


@test("a server that a reload takes away while requests wait for it or connect to it")
def _(t):
    held = []
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(0)
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        try:
            c.connect(s.getsockname())
        except OSError:
            pass
        held.append(c)
    srv = t.server(answer())
    for tls in ("", " ssl verify none"):
        p = t.proxy(FE, srv="127.0.0.1:%d maxconn 2%s" % (s.getsockname()[1], tls), n=0)
        cs = [p.connect() for _ in range(6)]
        for c in cs:
            c.send(GET % "/")
        time.sleep(0.2)
        reload(t, p, FE.replace("server s", "server z"), srv=srv, n=1)
        got = [c.recv_msg().status for c in cs]
        t.check(set(got) <= {200, 503} and got.count(200) >= 4, "statuses %r" % got)
        t.eq(p.ask(GET % "/").body, b"ok", "afterwards")
    for h in held:
        h.close()
    s.close()


@test("reloads under load: no request fails")
def _(t):
    p = t.proxy(FE, srv=t.server(answer()), n=0)
    stop = []
    bad = []
    count = [0]

    def load(keep):
        c = None
        while not stop:
            try:
                c = c or p.connect()
                r = get(c)
                count[0] += 1
                if r.status != 200:
                    bad.append(r.status)
                if not keep:
                    c.close()
                    c = None
            except (OSError, Closed) as e:
                bad.append(repr(e))
                c = None

    ths = [threading.Thread(target=load, args=(k,)) for k in (True, True, False, False)]
    for th in ths:
        th.start()
    for i in range(25):
        reload(t, p, FE, n=i)
    stop.append(1)
    for th in ths:
        th.join(T)
    t.eq(bad, [], "failures of %d requests" % count[0])
    t.check(count[0] > 100, "only %d requests" % count[0])


def stop_test(sig, name):
    @test(name)
    def _(t):
        """Connections of every kind are open; no leak, no use after free (with the sanitizers), an end in time."""
        t.stop_signal = sig
        srv = t.server(handler)
        silent = t.server(record)
        p = t.proxy(FE + """
frontend t
    mode tcp
    bind {fe2}
    default_backend tb
backend tb
    mode tcp
    server s {silent}
frontend q
    mode http
    bind {fe3}
    default_backend qb
backend qb
    mode http
    server s {silent} maxconn 1
    server r {dead} backup
frontend u
    mode http
    bind {fe5}
    default_backend ub
backend ub
    mode http
    retries 0
    balance first
    server s {silent} maxconn 1
    server u unix@/nowhere/at/all maxconn 1
frontend s
    mode http
    timeout http-request 1s
    bind {fe4} ssl crt {crt}
    default_backend b
""", srv=srv, silent=silent, n=0, dead="127.0.0.1:1", crt=crt())
        keep = []
        for fe in ("fe", "fe2", "fe3", "fe4", "fe5"):
            for data in ("", "GET / HTT", GET % "/", GET % "/big", GET % "/slow",
                         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab"):
                for _ in range(3):
                    c = p.connect(fe, rcvbuf=4096)
                    c.send(data)
                    keep.append(c)
        time.sleep(0.2)
        if sig == signal.SIGUSR1:
            p.kill(sig)
            time.sleep(0.3)
            t.check(p.proc.poll() is None, "a soft stop did not wait")
            for c in keep:
                try:
                    c.close()
                except OSError:
                    pass
        else:
            for c in keep[::2]:
                c.abort()


def crt():
    f = lib.TMP + "/crt.pem"
    if not os.path.exists(f):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        f + ".key", "-out", f + ".crt", "-days", "2", "-subj", "/CN=x"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(f, "w") as out:
            out.write(open(f + ".crt").read() + open(f + ".key").read())
    return f


for i in range(3):
    stop_test(signal.SIGTERM, "a stop while connections of every kind are open, %d" % (i + 1))
stop_test(signal.SIGUSR1, "a soft stop while connections of every kind are open waits for them")


@test("a soft stop: idle connections end, requests under way are answered with close, no new ones are taken")
def _(t):
    t.stop_signal = signal.SIGUSR1
    p = t.proxy(FE, srv=t.server(handler), n=0)
    ka, wait = p.connect(), p.connect()
    get(ka)
    wait.send(GET % "/slow")
    time.sleep(0.1)
    p.kill(signal.SIGUSR1)
    t.eq(ka.rest(), b"", "the idle connection")
    r = wait.recv_msg()
    t.eq((r.body, r.get("connection")), (b"ok", "close"), "the request under way")
    t.eq(p.wait(), 0, "status")


main()
