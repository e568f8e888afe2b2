"""Reads one pipeline file in a process of its own, which may take only so much memory and time.

A file of some size keeps an interpreter busy for seconds, and may have been made to do harm. Here
it holds up nobody, and what it takes is given back.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from typing import Any

import msgspec
from tornado import httputil

from ..wire.api_errors import INVALID_ARGUMENT, UNREADABLE_FORM, ApiError
from .pipeline_files import Specification, read_pipeline_file


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A file's name, or the content type of the form that the file is in; and what it may take, in
    bytes of memory and in seconds.
    """

    file_name: str = ""
    content_type: str = ""
    most_memory: int
    most_seconds: int


class ReadResult(msgspec.Struct, frozen=True):
    """The content of the file, or the code and the texts of the refusal."""

    file_name: str = ""
    pipeline: dict[str, Any] = {}
    platform: dict[str, Any] = {}
    refusal: tuple[int, str, str, str] | None = None

    def specification(self) -> Specification:
        if self.refusal:
            raise ApiError(*self.refusal)
        return Specification(self.pipeline, self.platform)


def file_in_form(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The name and the content of the file that a form has for an upload."""
    files: dict[str, list[httputil.HTTPFile]] = {}
    try:
        httputil.parse_body_arguments(content_type, body, {}, files)
    except httputil.HTTPInputError as error:
        text = f"The request cannot be read: Invalid body: {error}"
        raise ApiError(INVALID_ARGUMENT, text, text, UNREADABLE_FORM) from None
    if not files.get("uploadfile"):
        text = f"{UNREADABLE_FORM}: the form has no file `uploadfile`"
        raise ApiError(INVALID_ARGUMENT, text, text, UNREADABLE_FORM)
    file = files["uploadfile"][0]
    return file["filename"], file["body"]


def main() -> None:
    """The request is the one argument; the file is standard input, the answer standard output."""
    request = msgspec.json.decode(sys.argv[1], type=ReadRequest)
    _limit(resource.RLIMIT_AS, request.most_memory)
    _limit(resource.RLIMIT_CPU, request.most_seconds)
    try:
        answer = _answer(request)
    except ApiError as error:
        answer = ReadResult(refusal=(error.code, error.text, error.message, error.said))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _limit(what: int, most: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not every system has each of them
        resource.setrlimit(what, (most, most))


def _answer(request: ReadRequest) -> ReadResult:
    name, content = request.file_name, sys.stdin.buffer.read()
    if request.content_type:
        name, content = file_in_form(request.content_type, content)
    specification = read_pipeline_file(name, content)
    return ReadResult(name, specification.pipeline, specification.platform)


if __name__ == "__main__":
    main()
