#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""reloads.py CONFIG FILE STCTL SOCKET SECONDS SEED

Writes, again and again, a configuration whose gateways are made up at random - names, queues, matches, rules - to
FILE, the rest of it from CONFIG, and reloads; in between, promotes and demotes what flows it finds. Prints how many
reloads were good, and what was said of others.
"""
import random
import subprocess
import sys
import time

config, file, stctl, sock, seconds, seed = sys.argv[1:7]
random.seed(int(seed))
text = open(config).read()
head, tail = text[: text.index("\ngateway ") + 1], text[text.index("\nfrontend ") :]


def ctl(*words):
    return subprocess.run([stctl, sock, *words], capture_output=True, text=True, timeout=60).stdout


def gateways():
    """None to three of them, each with queues that share no number with another's."""
    out = ""
    queues = random.sample(["0", "1", "2-3", "4", "5"], 3)
    for name, queue in zip(random.sample("abcd", random.randint(0, 3)), queues):
        out += f"gateway {name}\n    queue {queue}\n"
        out += f"    match dport {random.choice(['80', '7', '25', '80,7', '7,25', '9999'])}\n"
        if random.random() < 0.3:
            out += "    on-failure block\n"
        if random.random() < 0.8:
            out += "    tcp-request content promote fe_inspect if { dst_port 80 } { path_beg /inspect }\n"
        if random.random() < 0.3:
            out += "    tcp-request content promote fe_bytes if { dst_port 7 }\n"
        if random.random() < 0.2:
            out += "    timeout hold 1s\n"
    return out


def disturb():
    flows = [line for line in ctl("show", "flow").split("\n") if ":7 " in line]
    quiet = [f for f in flows if "=watched" in f or "=translated" in f]
    busy = [f for f in flows if "=promoted" in f]
    if quiet:
        ctl("promote", "flow", random.choice(quiet).split(":")[0], "fe_bytes")
    if busy:
        ctl("demote", "flow", random.choice(busy).split(":")[0])


good = 0
end = time.time() + float(seconds)
while time.time() < end:
    with open(file, "w") as f:
        f.write(head + gateways() + tail)
    said = ctl("reload")
    if "Success=1" in said:
        good += 1
    else:
        print(said.strip())
    time.sleep(random.choice([0, 0, 0.05, 0.2, 0.5]))
    if random.random() < 0.4:
        disturb()
print(f"good={good}")
