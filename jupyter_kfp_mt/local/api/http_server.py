"""Reads requests, with limits of size and time."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from ..pipelines.pipeline_files import LONGEST_SPECIFICATION, MAX_FILE_LENGTH
from ..tenants.identity import Authenticator, Caller
from ..wire.api_errors import ApiError

# A file, plus the form around it.
LONGEST_UPLOAD = MAX_FILE_LENGTH + (1 << 20)
# A specification, plus the message around it.
LONGEST_MESSAGE = LONGEST_SPECIFICATION + (64 << 10)
# The limit for bodies from unknown callers.
LONGEST_OF_STRANGERS = 64 << 10
# Go's limit, which KFP's clients expect.
LONGEST_HEADERS = 1 << 20

_UPLOADS = ("/pipelines/upload", "/pipelines/upload_version")


class HttpServer(HTTPServer):
    """Reads a body of any length, so that one that is too long gets a proper response."""

    authenticators: Sequence[Authenticator] = ()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return _Shortened(super().start_request(server_conn, request_conn), self.authenticators)


class _Shortened(HTTPMessageDelegate):
    """Passes on just enough of a body to show that it is too long, and drops the rest."""

    def __init__(self, request: HTTPMessageDelegate, authenticators: Sequence[Authenticator]):
        self._request = request
        self._authenticators = authenticators
        self._headers = HTTPHeaders()
        self._left = LONGEST_OF_STRANGERS + 1
        self._more = 0

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._headers = headers
        path = start_line.path.partition("?")[0] if isinstance(start_line, RequestStartLine) else ""
        longest = LONGEST_UPLOAD if path.endswith(_UPLOADS) else LONGEST_MESSAGE
        self._more = longest - LONGEST_OF_STRANGERS
        return self._request.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        if len(chunk) >= self._left and self._more and self._is_known():
            self._left, self._more = self._left + self._more, 0
        kept = chunk[: self._left]
        self._left -= len(kept)
        if not self._left:
            self._more = 0
            self._headers.pop("Content-Type", None)  # a truncated form is no longer valid
        return self._request.data_received(kept) if kept else None

    def _is_known(self) -> bool:
        try:
            return bool(Caller(self._headers, self._authenticators).identity())
        except ApiError:
            return False

    def finish(self) -> None:
        self._request.finish()

    def on_connection_close(self) -> None:
        self._request.on_connection_close()
