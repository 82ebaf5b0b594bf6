#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines as they arrive: by UDP over IPv4 and IPv6, at a unix datagram socket like /dev/log, on standard output;
in every form, of every length and level, with and without a host's name, and the same as HAProxy's where there is one.
"""
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

STANDIN = os.environ.get("STANDIN", "./standin")
FORMS = ["local", "rfc3164", "rfc5424", "short", "timed", "priority", "iso", "raw"]
failed = 0


def check(what, good, why=""):
    global failed
    failed += not good
    print(("ok - " if good else "not ok - ") + what + ("" if good else f": {why}"), flush=True)


class Sink:
    """A datagram socket, and the words of the log line that leads to it."""

    def __init__(self, name, words, path=None, family=socket.AF_INET):
        self.name, self.words = name, words
        self.s = socket.socket(socket.AF_UNIX if path else family, socket.SOCK_DGRAM)
        self.s.bind(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        port = None if path else self.s.getsockname()[1]
        self.addr = path or (f"[::1]:{port}" if family == socket.AF_INET6 else f"127.0.0.1:{port}")

    def got(self):
        """Two lines, within a time that a busy machine keeps."""
        lines = []
        self.s.settimeout(5)
        try:
            while len(lines) < 2:
                lines.append(self.s.recv(65536))
        except TimeoutError:
            pass
        return lines


def sinks(d):
    all = [Sink(f"UDP, {f}", f"format {f} local0") for f in FORMS]
    all += [Sink(f"unix, {f}", f"format {f} local1", os.path.join(d, f)) for f in ("local", "rfc3164", "rfc5424")]
    all.append(Sink("UDP, no form given", "local2"))
    all.append(Sink("UDP over IPv6", "format raw local2", family=socket.AF_INET6))
    all.append(Sink("cut", "len 80 format raw local3"))
    all.append(Sink("as debug at most", "format priority local4 debug debug"))
    return all


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, path):
    for _ in range(100):
        try:
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            c.request("GET", path)
            c.getresponse().read()
            c.close()
            return
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("nobody listens")


def run(program, extra=""):
    """What each sink got of two requests, by its name."""
    with tempfile.TemporaryDirectory() as d:
        all, port = sinks(d), free_port()
        logs = "".join(f"    log {s.addr} {s.words}\n" for s in all)
        with open(os.path.join(d, "cfg"), "w") as f:
            f.write(f"""global
    nbthread 1
    log stdout format raw daemon
{logs}    log-tag mytag
{extra}defaults
    mode http
    log global
    log-format "a request for %HP with status %ST, and more words so that it becomes a somewhat longer line"
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind 127.0.0.1:{port}
    http-request return status 503 if {{ path /b }}
    http-request return status 200
""")
        p = subprocess.Popen([program, "-db", "-f", f.name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for path in ("/a", "/b"):
            ask(port, path)
        got = {s.name: [plain(x) for x in s.got()] for s in all}
        p.terminate()
        out = p.communicate()[0].splitlines(True)
        got["stdout"] = [plain(x) for x in out if b"a request" in x]
        return got


def plain(line):
    """Times and pids, which differ, as words."""
    t = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", "ISO", line.decode())
    t = re.sub(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", "TIME", t)
    return re.sub(r"\[\d+\]", "[PID]", re.sub(r"mytag \d+ ", "mytag PID ", t))


TEXT = "a request for /a with status 200, and more words so that it becomes a somewhat longer line\n"
WANTED = {
    "UDP, local": "<134>TIME mytag[PID]: ", "UDP, rfc3164": "<134>TIME localhost mytag[PID]: ",
    "UDP, rfc5424": "<134>1 ISO - mytag PID - - ", "UDP, short": "<6>", "UDP, timed": "<6>ISO ",
    "UDP, priority": "<134>", "UDP, iso": "ISO ", "UDP, raw": "", "unix, local": "<142>TIME mytag[PID]: ",
    "unix, rfc3164": "<142>TIME localhost mytag[PID]: ", "unix, rfc5424": "<142>1 ISO - mytag PID - - ",
    "UDP, no form given": "<150>TIME mytag[PID]: ", "UDP over IPv6": "", "as debug at most": "<167>", "stdout": "",
}

ours = run(STANDIN)
for name, head in WANTED.items():
    check(name, ours[name] and ours[name][0] == head + TEXT, ours[name])
    check(f"{name}: two lines", len(ours[name]) == 2, ours[name])
check("a line is cut at its length", all(len(x) == 81 and x.endswith("\n") for x in ours["cut"]) and ours["cut"], ours["cut"])
named = run(STANDIN, "    log-send-hostname myhost\n")
for name in WANTED:
    wanted = WANTED[name].replace("TIME localhost", "TIME myhost").replace("ISO - ", "ISO myhost ")
    if name == "UDP, no form given":
        wanted = wanted.replace("TIME ", "TIME myhost ")
    check(f"{name}, with a host's name", named[name] and named[name][0] == wanted + TEXT, named[name])

haproxy = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
if haproxy:
    for extra, mine in (("", ours), ("    log-send-hostname myhost\n", named)):
        theirs = run(haproxy, extra)
        for name in theirs.keys() - {"UDP over IPv6"}:
            check(f"{name}: as HAProxy's{' with a name' * bool(extra)}", mine[name] == theirs[name],
                  f"{mine[name]} instead of {theirs[name]}")
sys.exit(failed > 0)
