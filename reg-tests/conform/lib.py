# SPDX-License-Identifier: GPL-3.0-or-later
"""lib.py - a proxy between raw sockets

A test sends bytes, a recording server keeps what arrives, and both are looked at as bytes: nothing here
understands more HTTP than it must. Listening sockets are made here and passed as fd@N, so that no port is
guessed. STANDIN names the program; STANDIN=/usr/sbin/haproxy runs the same tests with HAProxy, to compare.

    @test("what must hold")
    def _(t):
        srv = t.server(handler)            # handler(conn) in a thread for each connection
        p = t.proxy(FRONTEND, srv=srv)     # text; {srv} is the server's address, {fe} the frontend's bind line
        c = p.connect()                    # Conn
        c.send(...); c.recv_msg() ...
        t.eq(a, b, "...")

A test has a time limit; each proxy is stopped after it, must end with the status of a clean end, must not have
used the processor for nothing and must not have left a connection behind (its `show info`).
"""
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

STANDIN = os.environ.get("STANDIN", "./standin")
IS_HAPROXY = os.path.basename(STANDIN).startswith("haproxy")
SAN = bool(os.environ.get("SAN"))
SLOW = 3 if SAN else 1
T = 5 * SLOW  # seconds any single wait may take


class Closed(Exception):
    pass


class Conn:
    """A socket read as a stream of bytes, with all that arrived kept in .log."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = b""
        self.log = b""
        self.eof = False
        self.reset = False
        sock.settimeout(T)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.sendall(data)
        return self

    def fill(self, timeout=T):
        """One read; False at the end, which .reset tells from a reset."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            self.reset = self.eof = True
            return False
        if not data:
            self.eof = True
            return False
        self.buf += data
        self.log += data
        return True

    def until(self, mark, timeout=T):
        end = time.monotonic() + timeout
        while mark not in self.buf:
            if not self.fill(max(0.01, end - time.monotonic())):
                raise Closed("end before %r, after %r" % (mark, self.log[-200:]))
        i = self.buf.index(mark) + len(mark)
        out, self.buf = self.buf[:i], self.buf[i:]
        return out

    def exactly(self, n):
        while len(self.buf) < n:
            if not self.fill():
                raise Closed("end after %d of %d bytes" % (len(self.buf), n))
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def rest(self, timeout=T):
        """All until the end."""
        end = time.monotonic() + timeout
        while not self.eof:
            self.fill(max(0.01, end - time.monotonic()))
        out, self.buf = self.buf, b""
        return out

    def silent(self, seconds=0.2):
        """Nothing comes, and it does not end."""
        if self.buf or self.eof:
            return False
        return not select.select([self.sock], [], [], seconds)[0] or not (self.fill() or True)

    def recv_head(self):
        return Head(self.until(b"\r\n\r\n"))

    def chunks(self):
        """A chunked body: its data; trailers in self.trailers."""
        data = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            data += self.exactly(size)
            assert self.exactly(2) == b"\r\n", "chunk without its end"
        self.trailers = b""
        while True:
            line = self.until(b"\r\n")
            if line == b"\r\n":
                return data
            self.trailers += line

    def recv_msg(self, head_only=False):
        """A response with its body, by RFC 9112 6.3."""
        h = self.recv_head()
        if head_only or h.status in (204, 304) or 100 <= h.status < 200:
            h.body = b""
        elif "chunked" in h.get("transfer-encoding", ""):
            h.body = self.chunks()
        elif h.get("content-length") is not None:
            h.body = self.exactly(int(h.get("content-length")))
        else:
            h.body = self.rest()
        return h

    def recv_req(self):
        """A request with its body."""
        h = self.recv_head()
        if "chunked" in h.get("transfer-encoding", ""):
            h.body = self.chunks()
        else:
            h.body = self.exactly(int(h.get("content-length", "0")))
        return h

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.sock.close()

    def abort(self):
        """Ends with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Head:
    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.hdr = []
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                self.hdr.append((name, value.strip()))
        self.body = b""
        parts = self.start.split(" ")
        self.status = int(parts[1]) if self.start.startswith("HTTP/") else 0

    def get(self, name, default=None):
        vals = [v for n, v in self.hdr if n.lower() == name.lower()]
        return ", ".join(vals) if vals else default

    def __repr__(self):
        return "<%s %r %d bytes>" % (self.start, self.hdr, len(self.body))


class Server:
    """Accepts, runs handler(conn) in a thread; .conns are all connections, .seen what each of them got."""

    def __init__(self, handler, rcvbuf=0, backlog=128, family=socket.AF_INET):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(backlog)
        self.port = self.sock.getsockname()[1]
        self.handler = handler
        self.conns = []
        self.errors = []
        self.stopping = False
        threading.Thread(target=self.run, daemon=True).start()

    def __str__(self):
        return "127.0.0.1:%d" % self.port

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            c = Conn(sock)
            self.conns.append(c)
            threading.Thread(target=self.one, args=(c,), daemon=True).start()

    def one(self, c):
        try:
            if self.handler(c) != "keep":
                c.close()
        except (Closed, OSError, ValueError):
            try:
                c.close()
            except OSError:
                pass
        except Exception as e:  # a mistake of the test
            self.errors.append(e)
            traceback.print_exc()

    @property
    def seen(self):
        return [c.log for c in self.conns]

    def stop(self):
        self.sock.close()
        for c in self.conns:
            try:
                c.close()
            except OSError:
                pass


def answer(body=b"ok", head="HTTP/1.1 200 OK\r\n", extra=""):
    """A server that answers every request in the same way."""

    def handler(c):
        while True:
            c.recv_req()
            c.send(head + extra + "Content-Length: %d\r\n\r\n" % len(body))
            c.send(body)

    return handler


def record(c):
    """A server that only reads."""
    c.rest(30)


def echo(c):
    """Answers with what it got, request by request."""
    while True:
        r = c.recv_req()
        body = r.raw + r.body
        c.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        c.send(body)


DEFAULTS = """
defaults
    timeout connect 2s
    timeout client 4s
    timeout server 4s
    retries 1
"""


class Proxy:
    def __init__(self, text, dir, nofile=None, fe_rcvbuf=0, **kw):
        self.dir = dir
        self.ended = False
        self.fds = {}
        self.fe_sock = {}
        kw = {k: str(v) for k, v in kw.items()}
        for name in re.findall(r"\{(fe\w*)\}", text):
            if name in kw:
                continue
            s = socket.socket()
            if fe_rcvbuf:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, fe_rcvbuf)
            s.bind(("127.0.0.1", 0))
            s.listen(4096)
            self.fe_sock[name] = s
            self.fds[name] = s.getsockname()[1]
            kw[name] = "fd@%d" % s.fileno()
        self.kw = kw
        self.cfg = os.path.join(dir, "cfg")
        self.cli_path = os.path.join(dir, "cli")
        self.write(text)
        self.errlog = open(os.path.join(dir, "stderr"), "ab+")
        fds = [s.fileno() for s in self.fe_sock.values()]

        def limits():
            if nofile:
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.proc = subprocess.Popen([STANDIN, "-db", "-f", self.cfg], pass_fds=fds, stderr=self.errlog,
                                     stdout=self.errlog, preexec_fn=limits)
        end = time.monotonic() + T * 2
        while not self.up():
            if self.proc.poll() is not None or time.monotonic() > end:
                raise AssertionError("the proxy did not start:\n" + self.stderr())
            time.sleep(0.02)

    def write(self, text, **kw):
        self.kw.update({k: str(v) for k, v in kw.items()})
        text = re.sub(r"\{(\w+)\}", lambda m: self.kw[m.group(1)], text)
        if "defaults" not in text:
            text = DEFAULTS + text
        with open(self.cfg, "w") as f:
            f.write("global\n    stats socket %s level admin\n" % self.cli_path + text)

    def up(self):
        try:
            return b"uptime" in self.cli("show info").lower().encode()
        except OSError:
            return False

    def stderr(self):
        self.errlog.flush()
        with open(self.errlog.name, "rb") as f:
            return f.read().decode("latin-1")

    def cli(self, cmd):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(T)
        s.connect(self.cli_path)
        s.sendall(cmd.encode() + b"\n")
        out = b""
        while True:
            d = s.recv(65536)
            if not d:
                break
            out += d
        s.close()
        return out.decode("latin-1")

    def info(self, key):
        m = re.search(r"^%s: (.*)$" % key, self.cli("show info"), re.M)
        return m.group(1) if m else None

    def connect(self, fe="fe", rcvbuf=0, sndbuf=0):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        s.settimeout(T)
        s.connect(("127.0.0.1", self.fds[fe]))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Conn(s)

    def ask(self, text, fe="fe", head_only=False):
        c = self.connect(fe)
        c.send(text)
        r = c.recv_msg(head_only)
        c.close()
        return r

    def cpu(self):
        """Seconds of processor time so far."""
        with open("/proc/%d/stat" % self.proc.pid) as f:
            st = f.read().rsplit(")", 1)[1].split()
        return (int(st[11]) + int(st[12])) / os.sysconf("SC_CLK_TCK")

    def idle(self, seconds=0.5):
        """Processor time used while nothing should happen, as a share."""
        before = self.cpu()
        time.sleep(seconds)
        return (self.cpu() - before) / seconds

    def fd_count(self):
        return len(os.listdir("/proc/%d/fd" % self.proc.pid))

    def kill(self, sig):
        self.proc.send_signal(sig)

    def wait(self, timeout=T * 2):
        """Its status, when it ends; the test expects that."""
        self.ended = True
        return self.proc.wait(timeout)

    def conns(self):
        return int(self.info("CurrConns"))

    def settled(self, seconds=3.0):
        """Do all connections go within that time?"""
        end = time.monotonic() + seconds
        while self.conns() > 0:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def stop(self, sig=signal.SIGTERM):
        """None, or what was wrong with its end."""
        wrong = None
        if self.proc.poll() is not None and not self.ended:
            wrong = "it ended by itself with status %d:\n%s" % (self.proc.returncode, self.stderr())
        elif not self.ended:
            self.kill(sig)
            try:
                rc = self.proc.wait(T * 2)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                return "it did not stop"
            want = (0, 143, -15) if sig == signal.SIGTERM else (0,)
            if rc not in want:
                wrong = "it ended with status %d:\n%s" % (rc, self.stderr())
        for s in self.fe_sock.values():
            s.close()
        self.errlog.close()
        return wrong


class Test:
    def __init__(self, name, fn):
        self.name = name
        self.fn = fn
        self.wrong = []
        self.proxies = []
        self.servers = []
        self.stop_signal = signal.SIGTERM

    def server(self, handler, **kw):
        s = Server(handler, **kw)
        self.servers.append(s)
        return s

    def proxy(self, text, **kw):
        p = Proxy(text, tempfile.mkdtemp(dir=TMP), **kw)
        self.proxies.append(p)
        return p

    def check(self, ok, what):
        if not ok:
            self.wrong.append(what)
        return ok

    def eq(self, got, want, what):
        return self.check(got == want, "%s: %r, not %r" % (what, got, want))

    def run(self):
        try:
            self.fn(self)
        except Exception as e:
            tb = traceback.extract_tb(e.__traceback__)
            at = [f for f in tb if f.filename.startswith(os.path.dirname(os.path.abspath(__file__)))][-1:]
            where = [f for f in tb if f.name == self.fn.__name__ and "lib.py" not in f.filename][-1:] or at
            self.wrong.append("%s: %s (line %d)" % (type(e).__name__, e, where[0].lineno if where else 0))
        for p in self.proxies:
            try:
                if p.proc.poll() is None and p.idle(0.2) > 0.5:
                    self.wrong.append("it uses the processor while nothing happens")
            except OSError:
                pass
            for s in self.servers:
                pass
            end = p.stop(self.stop_signal)
            if end:
                self.wrong.append(end)
        for s in self.servers:
            s.stop()
            self.wrong += ["server: %r" % e for e in s.errors]
        print("%s - %s" % ("not ok" if self.wrong else "ok", self.name))
        for w in self.wrong:
            print("    " + w.replace("\n", "\n    "))
        sys.stdout.flush()
        return not self.wrong


TESTS = []
TMP = None


def test(name):
    def add(fn):
        TESTS.append(Test(name, fn))
        return fn

    return add


def main():
    """Runs what the file defined; arguments choose by words in the names."""
    global TMP
    import shutil
    os.environ.setdefault("LC_ALL", "C")
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
    TMP = tempfile.mkdtemp(prefix="conform")
    ok = True
    try:
        for t in TESTS:
            if not sys.argv[1:] or any(w in t.name for w in sys.argv[1:]):
                ok &= t.run()
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
        for t in TESTS:
            for p in t.proxies:
                if p.proc.poll() is None:
                    p.proc.kill()
    sys.exit(0 if ok else 1)
