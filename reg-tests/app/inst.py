#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""inst.py ADDR PORT [word...] - an instance that behaves as its test needs

  delay=S     listens after S seconds           mb=N          has N MiB of memory when it is ready
  exit=N      exits with status N at once       later-mb=N    the same, but not the first instance
  never       never listens                     fork          leaves a child that outlives it
  deaf        ignores SIGTERM                   mark=FILE     appends "signal" to FILE at SIGUSR1
  bad=NAME    exits at once when $INSTANCE is not NAME
  escape      leaves a grandchild in a session of its own, deaf to SIGTERM
  nested      leaves a child in cgroups that it makes below its own (as root)

GET /health 200; /env its environment; /who instance and pid; /slow answers after a second.
"""
import glob
import http.server
import os
import signal
import sys
import time

words = dict((w.split("=", 1) + [""])[:2] for w in sys.argv[3:])
name = os.environ.get("INSTANCE", "-")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1)
        body = {
            "/env": "".join(f"{k}={v}\n" for k, v in sorted(os.environ.items())) + f"cwd={os.getcwd()}\n"
                    f"argv={' '.join(sys.argv[1:])}\n",
            "/who": f"{name} {os.getpid()}\n",
        }.get(self.path, "well\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if "exit" in words:
    print("this instance ends at once", flush=True)
    sys.exit(int(words["exit"]))
if "bad" in words and name != words["bad"]:
    sys.exit(9)
if "deaf" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if "mark" in words:
    signal.signal(signal.SIGUSR1, lambda *_: open(words["mark"], "a").write(f"signal {name}\n"))
if "fork" in words and os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)
if "escape" in words and os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(sig, signal.SIG_IGN)
    time.sleep(1000)
if "nested" in words:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    for own in glob.glob(f"/sys/fs/cgroup/**/standin-*/{name}", recursive=True):
        os.makedirs(f"{own}/a/b")
        with open(f"{own}/a/b/cgroup.procs", "w") as f:
            f.write(str(child))
if "never" in words:
    time.sleep(1000)
time.sleep(float(words.get("delay", 0)))
first = name.endswith("-1")
held = bytearray(os.urandom(1)) * (int(words.get("mb", 0)) << 20)
if not first:
    held += bytearray(b"x") * (int(words.get("later-mb", 0)) << 20)
http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
print(f"{name} listens", flush=True)
server.serve_forever()
