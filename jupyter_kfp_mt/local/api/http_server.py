"""How requests are read: so much of them, and for so long, as may lead to an answer."""

from __future__ import annotations

from collections.abc import Awaitable

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from ..pipeline_files import MAX_FILE_LENGTH

# A file, and what a form has around it.
LONGEST_BODY = MAX_FILE_LENGTH + (1 << 20)
# As in Go, whose servers KFP's clients know.
LONGEST_HEADERS = 1 << 20


class HttpServer(HTTPServer):
    """Reads a body of any length, so that one that is too long gets an answer that says so."""

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return _Shortened(super().start_request(server_conn, request_conn))


class _Shortened(HTTPMessageDelegate):
    """Passes on so much of a body as shows that it is too long, and drops the rest."""

    def __init__(self, request: HTTPMessageDelegate):
        self._request = request
        self._headers = HTTPHeaders()
        self._left = LONGEST_BODY + 1

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._headers = headers
        return self._request.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        kept = chunk[: self._left]
        self._left -= len(kept)
        if not self._left:
            self._headers.pop("Content-Type", None)  # what is cut off is no form any more
        return self._request.data_received(kept) if kept else None

    def finish(self) -> None:
        self._request.finish()

    def on_connection_close(self) -> None:
        self._request.on_connection_close()
