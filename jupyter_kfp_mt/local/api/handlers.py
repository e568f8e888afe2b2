"""What all routes share: who is calling, query parameters, answers, and errors as responses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from tornado import httputil, web

from ..api_errors import (
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
    ApiError,
    invalid_input,
)
from ..identity import Authenticator, Caller
from ..listing import ListOptions, Noun, list_options
from ..operations import Operations
from ..pipeline_files import MAX_FILE_LENGTH
from ..protojson import Message, read

log = logging.getLogger(__name__)

# Clients refuse longer ones, and a message may repeat what was asked.
LONGEST_HEADER = 8000

M = TypeVar("M", bound=Message)


class Handler(web.RequestHandler):
    """The only place where a refusal becomes a response."""

    def initialize(self, operations: Operations, authenticators: Sequence[Authenticator]) -> None:
        self.operations = operations
        self.caller = Caller(self.request.headers, authenticators)

    def prepare(self) -> None:
        if len(self.request.body) > MAX_FILE_LENGTH + (1 << 20):
            raise invalid_input(
                f"The request has {len(self.request.body)} bytes, more than {MAX_FILE_LENGTH}"
            )

    def parameter(self, name: str) -> str:
        """A query parameter as it came: names may hold any character."""
        values = self.request.query_arguments.get(name, [b""])
        try:
            return values[-1].decode()
        except UnicodeDecodeError:
            raise invalid_input(f"The parameter {name} is not UTF-8 text") from None

    def body(self, message: type[M]) -> M:
        return read(self.request.body, message)

    def list_options(self, noun: Noun) -> ListOptions:
        return list_options(noun, self.parameter)

    def answer(self, value: object) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(value))

    def answer_list(self, key: str, listed: Any) -> None:
        """A page of a list; like everything else, what is empty is left out."""
        answer = {
            key: listed.items,
            "total_size": listed.total_size,
            "next_page_token": listed.next_page_token,
        }
        self.answer({name: value for name, value in answer.items() if value})

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = _as_api_error(status_code, kwargs.get("exc_info", (None, None, None))[1])
        self.set_status(error.status)
        if error.code == UNAUTHENTICATED:
            self.set_header("WWW-Authenticate", _printable(error.message)[:LONGEST_HEADER])
        self.answer(self.error_body(error))

    def error_body(self, error: ApiError) -> dict[str, Any]:
        return error.to_dict()

    def log_exception(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, ApiError | web.HTTPError):
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=error)


class UploadHandler(Handler):
    """The upload endpoints answer errors in a shape of their own."""

    def error_body(self, error: ApiError) -> dict[str, Any]:
        return error.to_upload_dict()

    def uploaded_file(self) -> httputil.HTTPFile:
        files = self.request.files.get("uploadfile")
        if not files:
            text = "Failed to read pipeline from file"
            raise ApiError(INVALID_ARGUMENT, f"{text}: the form has no file `uploadfile`", text)
        return files[0]


class UnknownPath(Handler):
    """What is asked of a path that there is not."""

    def prepare(self) -> None:
        if self.request.path.startswith("/apis/"):
            raise ApiError(NOT_FOUND, "Not Found", "Not Found")
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("404 page not found\n")


_TEXTS: dict[int, tuple[int, str]] = {
    400: (INVALID_ARGUMENT, "The request cannot be read"),
    404: (NOT_FOUND, "Not Found"),
    405: (UNIMPLEMENTED, "Method Not Allowed"),
}


def _as_api_error(status: int, error: BaseException | None) -> ApiError:
    if isinstance(error, ApiError):
        return error
    code, text = _TEXTS.get(status, (INTERNAL, "Internal Server Error"))
    return ApiError(code, text, text)


def _printable(text: str) -> str:
    """What may be in a header."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def log_request(handler: web.RequestHandler) -> None:
    """One line for each request: what was asked, how it ended, and by whom."""
    who = handler.caller.name if isinstance(handler, Handler) else ""
    log.info(
        "%s %s %d %s",
        handler.request.method,
        _printable(handler.request.path),
        handler.get_status(),
        who or "-",
    )
