#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
#
# flip.py - promotes and demotes whatever flow there is, by the stats socket, until told to stop
#
#   flip.py [-j THREADS] [-w MS] [-s SEED] [-p PERCENT] [-k PERCENT] SOCKET FRONTEND
#
# Each thread lists the flows again and again and flips what it finds: a watched or translated one is
# promoted, a promoted one demoted, each with PERCENT (70) of chance; -k kills that many of a hundred
# promoted ones. It prints "ready", and at SIGTERM (or SIGINT) one line:
#
#   promoted=N demoted=N killed=N [refused="REASON N, ..."]
import argparse, collections, json, random, re, signal, socket, threading, time

ap = argparse.ArgumentParser()
ap.add_argument("-j", type=int, default=2)
ap.add_argument("-w", type=float, default=0)
ap.add_argument("-s", type=int, default=1)
ap.add_argument("-p", type=int, default=70)
ap.add_argument("-k", type=int, default=0)
ap.add_argument("socket")
ap.add_argument("frontend")
args = ap.parse_args()

said = collections.Counter()
stopped = threading.Event()


asked = [""]


def ask(command):
    asked.append(command)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(args.socket)
        s.sendall(command.encode() + b"\n")
        out = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return out.decode().strip()
            out += piece


def count(what, answer):
    if not answer:
        said[what] += 1
    elif "No flow" not in answer:
        said["refused: " + what + " " + re.sub(r"Flow \d+: |refused: ", "", answer)] += 1


def one(rnd, flow):
    ident, state = flow["id"], flow["state"]
    if rnd.randrange(100) >= args.p:
        return
    if state in ("watched", "translated"):
        count("promoted", ask(f"promote flow {ident} {args.frontend}"))
    elif state == "promoted" and rnd.randrange(100) < args.k:
        count("killed", ask(f"kill flow {ident}"))
    elif state == "promoted":
        count("demoted", ask(f"demote flow {ident}"))


def run(n):
    rnd = random.Random(args.s * 1000 + n)
    while not stopped.is_set():
        try:
            flows = [f for f in json.loads(ask("show flow json")) if f["state"] in ("watched", "translated", "promoted")]
            rnd.shuffle(flows)
            for flow in flows[:8]:
                one(rnd, flow)
            if not flows:
                time.sleep(0.001)
        except (OSError, ValueError) as e:
            said[f"refused: {type(e).__name__} at {asked[-1]}"] += 1
            time.sleep(0.05)
        time.sleep(max(args.w, 0.2) / 1000)


for sig in (signal.SIGTERM, signal.SIGINT):
    signal.signal(sig, lambda *_: stopped.set())
threads = [threading.Thread(target=run, args=(n,)) for n in range(args.j)]
print("ready", flush=True)
for t in threads:
    t.start()
while not stopped.is_set():
    time.sleep(0.05)
for t in threads:
    t.join()
reasons = ", ".join(f"{k[9:]} {v}" for k, v in said.items() if k.startswith("refused: "))
print(f"promoted={said['promoted']} demoted={said['demoted']} killed={said['killed']}" + (f' refused="{reasons}"' if reasons else ""))
