"""Read a pipeline from a file or a message in a process with limits of memory and time.

A large file keeps an interpreter busy for seconds, and may be malicious. In a process of its own it
delays nobody, and its memory is returned.
"""

from __future__ import annotations

import contextlib
import importlib
import resource
import sys
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import msgspec
from tornado import httputil

from ..wire.api_errors import INVALID_ARGUMENT, UNREADABLE_FORM, ApiError
from ..wire.protojson import read
from .pipeline_files import Head, Specification, read_pipeline_file

# An ApiError's code, text, message, and the API server's text.
Refusal = tuple[int, str, str, str]


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to read a pipeline, with limits of memory (bytes) and time (seconds).

    It has a file's name, the content type of a form with the file, or the class (as `module:name`)
    of a message.
    """

    file_name: str = ""
    content_type: str = ""
    message: str = ""
    most_memory: int
    most_seconds: int


class ReadResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result: the content of the file, or the code and texts of the refusal.

    The specification, if any, follows it as two JSON texts, of which this has only the lengths and
    the digest, so that they need not be parsed again.
    """

    file_name: str = ""
    # The message without its specification.
    message: msgspec.Raw = msgspec.Raw(b"{}")
    pipeline_length: int = 0
    platform_length: int = 0
    digest: str = ""
    head: Head = Head()
    # Why the message, or its specification, cannot be read.
    bad_message: Refusal | None = None
    refusal: Refusal | None = None

    @classmethod
    def of(cls, specification: Specification | None, **more: Any) -> ReadResult:
        if specification is None:
            return cls(**more)
        lengths = len(specification.pipeline), len(specification.platform)
        return cls(
            pipeline_length=lengths[0],
            platform_length=lengths[1],
            digest=specification.digest,
            head=specification.head,
            **more,
        )


class Found(NamedTuple):
    """A result and the specification that follows it."""

    answer: ReadResult
    kept: Specification | None

    @classmethod
    def read(cls, output: IO[bytes]) -> Found:
        answer = msgspec.json.decode(output.readline(), type=ReadResult)
        if not answer.digest:
            return cls(answer, None)
        pipeline = output.read(answer.pipeline_length)
        platform = output.read(answer.platform_length)
        return cls(answer, Specification.read(pipeline, platform, answer.digest, answer.head))

    def specification(self) -> Specification | None:
        """The specification; None if a message had none. Raises the ApiError of a refusal."""
        if self.answer.refusal:
            raise ApiError(*self.answer.refusal)
        return self.kept


def file_in_form(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The name and content of the uploaded file in a form."""
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
    # As `FileName` in Go, which has no folders of the sender's.
    return PurePosixPath(file["filename"]).name, file["body"]


def main() -> None:
    """Read a file: the request is the only argument, standard input the file, output the result."""
    request = msgspec.json.decode(sys.argv[1], type=ReadRequest)
    _limit(resource.RLIMIT_AS, request.most_memory)
    _limit(resource.RLIMIT_CPU, request.most_seconds)
    answer, specification = _answer(request)
    written = [msgspec.json.encode(answer), b"\n"]
    if specification:
        written += [specification.pipeline, specification.platform]
    sys.stdout.buffer.writelines(written)


def _limit(what: int, most: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not every system has all of them
        resource.setrlimit(what, (most, most))


def _answer(request: ReadRequest) -> Found:
    if request.message:
        return _of_message(request.message)
    name, content = request.file_name, sys.stdin.buffer.read()
    try:
        if request.content_type:
            name, content = file_in_form(request.content_type, content)
        specification = read_pipeline_file(name, content)
    except ApiError as error:
        return Found(ReadResult(refusal=_refusal(error)), None)
    return Found(ReadResult.of(specification, file_name=name), specification)


def _of_message(kind: str) -> Found:
    module, _, name = kind.partition(":")
    try:
        message = read(sys.stdin.buffer.read(), getattr(importlib.import_module(module), name))
    except ApiError as error:
        return Found(ReadResult(bad_message=_refusal(error)), None)
    rest = msgspec.json.encode(message.without_specification())
    try:
        specification = message.specification()
    except ApiError as error:
        return Found(ReadResult(message=msgspec.Raw(rest), refusal=_refusal(error)), None)
    return Found(ReadResult.of(specification, message=msgspec.Raw(rest)), specification)


def _refusal(error: ApiError) -> Refusal:
    return error.code, error.text, error.message, error.said


if __name__ == "__main__":
    main()
