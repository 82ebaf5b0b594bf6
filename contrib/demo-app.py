#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""demo-app.py - full text search over Python's own library, by HTTP

A small application with the habits of larger ones: its start reads files and
builds an index, which takes a while and most of its memory, and answering
fills a cache. So a standby that only has to start needs less than a primary
that serves.

    /            a page to try it
    /search?q=W  files and lines with the word W, as JSON
    /health      200 once the index stands

Every answer names its instance in X-Instance. Connections are kept alive.
"""

import argparse
import collections
import glob
import html
import http.server
import json
import os
import re
import signal
import socket
import sys
import urllib.parse

WORD = re.compile(r"[A-Za-z_]{3,}")
CACHE = 20000


def build_index(files):
    """word -> [(file number, line number), ...]"""
    index = collections.defaultdict(list)
    for number, name in enumerate(files):
        with open(name, encoding="utf-8", errors="replace") as f:
            for line, text in enumerate(f, 1):
                for word in set(WORD.findall(text.lower())):
                    index[word].append((number, line))
    return dict(index)


class Search:
    def __init__(self, files):
        self.files = files
        self.index = build_index(files)
        self.cache = {}

    def answer(self, word):
        if word not in self.cache:
            hits = [f"{os.path.basename(self.files[n])}:{line}" for n, line in self.index.get(word, [])[:200]]
            if len(self.cache) >= CACHE:
                self.cache.clear()
            self.cache[word] = json.dumps({"word": word, "hits": hits}).encode()
        return self.cache[word]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    search = None
    instance = "-"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/health":
            self.send(200, "text/plain", b"ready\n")
        elif url.path == "/search":
            word = urllib.parse.parse_qs(url.query).get("q", [""])[0].lower()
            self.send(200, "application/json", self.search.answer(word))
        elif url.path == "/":
            page = f"<p>{html.escape(self.instance)}: {len(self.search.index)} words." \
                   "<form action=/search><input name=q><button>search</button></form>"
            self.send(200, "text/html", page.encode())
        else:
            self.send(404, "text/plain", b"no such page\n")

    def send(self, status, kind, body):
        head = f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n" \
               f"Content-Length: {len(body)}\r\nX-Instance: {self.instance}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def get_request(self):
        conn, peer = super().get_request()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return conn, peer


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--address", default="127.0.0.1")
    args.add_argument("--port", type=int, default=9100)
    args.add_argument("--instance", default="-")
    args.add_argument("--files", type=int, default=60, help="how many files are searched")
    args = args.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Handler.instance = args.instance
    Handler.search = Search(sorted(glob.glob(os.path.dirname(os.__file__) + "/*.py"))[:args.files])
    server = Server((args.address, args.port), Handler)
    print(f"instance {args.instance} on {args.address}:{args.port}: {len(Handler.search.index)} words", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
