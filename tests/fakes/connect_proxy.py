"""An HTTP proxy, as companies have: it opens tunnels to whom it knows."""

import base64
import contextlib
import re
import socket
import threading

from fakes.listening import Listening


class ConnectProxy:
    """`hosts` says on which port of this machine each host it knows is; it asks for `account`.

    `asked` holds the first line of each request; `answer`, if any, is all that it ever says.
    """

    def __init__(self, account=""):
        self.account = account
        self.hosts = {}
        self.asked = []
        self.answer = b""
        self._listening = Listening(self._serve)
        self.port = self._listening.port
        self.address = f"http://{account and account + '@'}127.0.0.1:{self.port}"

    def close(self):
        self._listening.close()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            line, *headers = head.decode().split("\r\n")
            self.asked.append(line)
            host = re.split("[ :/]+", line)[1]
            if self.answer:
                connection.sendall(self.answer)
            elif not self._is_known(headers):
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            elif host not in self.hosts:
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            else:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._tunnel(connection, self.hosts[host])

    def _is_known(self, headers):
        account = base64.b64encode(self.account.encode()).decode()
        return not self.account or f"Proxy-Authorization: Basic {account}" in headers

    def _tunnel(self, near, port):
        with socket.create_connection(("127.0.0.1", port)) as far:
            there = threading.Thread(target=_pour, args=[near, far], daemon=True)
            there.start()
            _pour(far, near)
            there.join()


def _pour(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
