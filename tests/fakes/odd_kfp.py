"""A KFP that answers, and misbehaves, as a test tells it to: on real sockets, byte by byte."""

import contextlib
import json
import select
from typing import NamedTuple

from fakes.listening import Listening


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict
    size: int  # of the body


class OddKfp:
    """`answer(connection, asked)` writes what it wants; the connection is kept unless it closes it.

    healthz is always answered; `seen` holds the others, `left` those whose connection ended early.
    With `tls`, a context, it speaks HTTPS.
    """

    def __init__(self, tls=None, multi_user=True):
        self.answer = lambda connection, asked: connection.sendall(ok(b"{}"))
        self.seen = []
        self.left = 0
        self._listening = Listening(self._serve)
        self.port = self._listening.port
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._tls = tls
        self._health = ok(json.dumps({"multi_user": multi_user}).encode())

    def close(self):
        self._listening.close()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as read:
                while line := read.readline():
                    if not self._answered(connection, read, line):
                        return

    def _answered(self, connection, read, line):
        try:
            method, path, _ = line.decode().split(" ")
        except ValueError:  # not HTTP: from a stranger, whose server had this port before
            return False
        headers = dict(_headers(read))
        asked = Asked(method, path, headers, _body(read, headers))
        if path.endswith("/healthz"):
            connection.sendall(self._health)
            return True
        if asked.size is None:
            self.left += 1
            return False
        self.seen.append(asked)
        self.answer(connection, asked)
        return True


def _headers(read):
    while (line := read.readline().strip()) != b"":
        name, _, value = line.decode("latin1").partition(":")
        yield name.strip(), value.strip()


def _body(read, headers):
    """Return the length of an answer that is read to its end; None for one that breaks off."""
    if "Transfer-Encoding" in headers:
        return sum(iter(lambda: _chunk(read), 0))
    left = length = int(headers.get("Content-Length", 0))
    while left:
        piece = read.read(min(left, 1 << 16))
        if not piece:
            return None
        left -= len(piece)
    return length


def _chunk(read):
    size = int(read.readline(), 16)
    read.read(size + 2)
    return size


def trickling(connection, asked):
    """Blanks without end, for as long as somebody takes them."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not select.select([connection], [], [], 0.1)[0]:
        connection.sendall(b" ")


def ok(body, kind="application/json", *headers):
    return reply("200 OK", body, f"Content-Type: {kind}", *headers)


def reply(status, body=b"", *headers):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def refusal(code, text):
    """KFP's own words, as its gateway writes them."""
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}]
    return json.dumps({"code": code, "message": f"Failed: {text}", "details": details}).encode()
