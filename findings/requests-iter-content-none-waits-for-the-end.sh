#!/usr/bin/env bash
# requests says of Response.iter_content(chunk_size=None) with stream=True that it "will read data as
# it arrives in whatever size the chunks are received". That holds for answers with chunked transfer
# coding alone. Where the answer ends with its connection, or has a Content-Length, nothing is given
# before its end: urllib3's stream(None) reads all of it at once. Server-sent events behind a gateway
# that takes the chunks away are never seen so; urllib3's read1() gives them as they arrive.
#
# Exits with 1 if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet requests==2.33.0 urllib3==2.6.3

"$folder/venv/bin/python" - <<'PYTHON'
import socket
import sys
import threading
import time

import requests
import urllib3

PAUSE = 1.0


def serve(head, first, second):
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(head + first)
            time.sleep(PAUSE)
            connection.sendall(second)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
KINDS = {
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"),
    "ends with its connection": (OK + b"Connection: close\r\n\r\n", b"one", b"two"),
    "Content-Length": (OK + b"Content-Length: 6\r\n\r\n", b"one", b"two"),
}


def first_piece(url, pieces):
    with requests.get(url, stream=True, timeout=30) as response:
        began = time.monotonic()
        piece = next(pieces(response))
        return piece, time.monotonic() - began


def read1(response):
    while piece := response.raw.read1(65536):
        yield piece


print("requests", requests.__version__, "urllib3", urllib3.__version__)
found = {}
for kind, parts in KINDS.items():
    for name, pieces in (("iter_content(None)", lambda r: r.iter_content(None)), ("raw.read1()", read1)):
        piece, seconds = first_piece(serve(*parts), pieces)
        found[kind, name] = piece
        print(f"{kind:26} {name:20} first gives {piece!r} after {seconds:.1f} s")

expected = {
    (kind, name): b"onetwo" if name == "iter_content(None)" and kind != "chunked" else b"one"
    for kind in KINDS
    for name in ("iter_content(None)", "raw.read1()")
}
sys.exit(found != expected)
PYTHON
