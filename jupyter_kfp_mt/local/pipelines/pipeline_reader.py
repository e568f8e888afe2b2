"""Read the pipelines of requests one at a time, outside the event loop, and within limits."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, ClassVar, Generic, TypeVar

import msgspec

from ..wire.api_errors import ApiError, invalid_input
from ..wire.protojson import Message, count_of_values, read
from . import pipeline_process
from .pipeline_files import Specification, is_archive, read_pipeline_file
from .pipeline_process import Found, ReadRequest, file_in_form
from .pipeline_urls import fetch, file_name

# Files up to this size are read in a thread, which is faster than starting a process.
SMALL = 64 << 10
# The limit of elapsed time, as a multiple of processor time, when processors are busy.
_SLOWED_DOWN = 8
# How many URLs are fetched at once; a slow server delays only other fetches.
_FETCHES = 4

log = logging.getLogger(__name__)

# Larger messages keep an interpreter busy noticeably long.
_QUICKLY_READ = 1 << 20
_QUICKLY_BUILT = 20_000


class MessageWithPipeline(Message, frozen=True):
    """A message that may contain a pipeline."""

    # Whether the pipeline is in a text, which takes far longer to read than the message.
    IS_YAML: ClassVar[bool] = False

    def specification(self) -> Specification | None:
        """The pipeline in the message, if any. Raises ApiError if it is refused."""
        raise NotImplementedError

    def without_specification(self: S) -> S:
        raise NotImplementedError


S = TypeVar("S", bound=MessageWithPipeline)
T = TypeVar("T")


class Sent(msgspec.Struct, Generic[S], frozen=True):
    """The received message, and a function that returns its pipeline or raises its refusal."""

    message: S
    specification: Callable[[], Awaitable[Specification | None]]


class PipelineReader:
    """Reads pipelines for one server, whose memory and response times no file can harm.

    A larger file is refused if it needs more than `most_memory` bytes or `most_seconds` of
    processor time.
    """

    def __init__(self, *, most_memory: int = 256 << 20, most_seconds: int = 60) -> None:
        self._most_memory = most_memory
        self._most_seconds = most_seconds
        self._threads = {
            "small": ThreadPoolExecutor(1, "small-pipelines"),
            "large": ThreadPoolExecutor(1, "large-pipelines"),
            "messages": ThreadPoolExecutor(1, "large-messages"),
            "values": ThreadPoolExecutor(1, "large-values"),
            "fetch": ThreadPoolExecutor(_FETCHES, "fetched-pipelines"),
        }
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    async def read(self, name: str, content: bytes) -> Specification:
        """The specification in a file. Raises ApiError with the fault."""
        if len(content) <= SMALL and not is_archive(content):
            return await self._run("small", lambda: read_pipeline_file(name, content))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            return _pipeline(await self._read_apart("large", file, file_name=name))

    async def read_form(self, content_type: str, form: IO[bytes]) -> tuple[str, Specification]:
        """The specification in a form's file, and the file's name."""
        if form.seek(0, 2) <= SMALL:
            form.seek(0)
            name, content = file_in_form(content_type, form.read())
            return name, await self.read(name, content)
        found = await self._read_apart("large", form, content_type=content_type)
        return found.answer.file_name, _pipeline(found)

    async def read_url(self, url: str) -> Specification:
        """The specification behind a URL."""
        with tempfile.SpooledTemporaryFile(SMALL) as file:
            await self._run("fetch", lambda: fetch(url, file))
            if file.tell() <= SMALL:
                file.seek(0)
                return await self.read(file_name(url), file.read())
            return _pipeline(await self._read_apart("large", file, file_name=file_name(url)))

    async def read_message(self, body: bytes, kind: type[S]) -> Sent[S]:
        """A message that contains, or may contain, a pipeline."""
        if not is_quickly_read(body, kind):
            return await self._message_apart(body, kind)
        long = len(body) > SMALL
        message = await self._in_time(long, lambda: read(body, kind))
        if kind.IS_YAML:
            return Sent(message, lambda: self._run("small", message.specification))
        return Sent(message, lambda: self._in_time(long, message.specification))

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function whose arguments are large in a thread, one such call at a time.

        The event loop waits for each thread that computes whenever it has asked the system for
        anything, so that with eight of them it would hardly get on.
        """
        return await self._run("values", lambda: function(*arguments))

    def close(self) -> None:
        """Kill any process that is still reading."""
        self._closed = True
        for process in [*self._processes]:
            process.kill()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def _read_apart(self, thread: str, file: IO[bytes], **where: str) -> Found:
        request = ReadRequest(
            most_memory=self._most_memory, most_seconds=self._most_seconds, **where
        )
        return await self._run(thread, lambda: self._in_process(request, file))

    async def _message_apart(self, body: bytes, kind: type[S]) -> Sent[S]:
        with tempfile.TemporaryFile() as file:
            await self.aside(file.write, body)
            del body
            name = f"{kind.__module__}:{kind.__qualname__}"
            found = await self._read_apart("messages", file, message=name)
        if found.answer.bad_message:
            raise ApiError(*found.answer.bad_message)
        message = msgspec.json.decode(found.answer.message, type=kind)
        return Sent(message, lambda: self._in_time(False, found.specification))

    async def _in_time(self, long: bool, work: Callable[[], T]) -> T:
        """Call a function, in a thread if its input is long."""
        return await self.aside(work) if long else work()

    async def _run(self, where: str, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[where], work)

    def _in_process(self, request: ReadRequest, file: IO[bytes]) -> Found:
        file.flush()
        file.seek(0)
        # Reading a pipe would assemble the pieces while holding the interpreter.
        with tempfile.TemporaryFile() as output:
            status = self._finished(request, file, output)
            if status or not output.seek(0, os.SEEK_END):  # it may have ended at the same moment
                log.warning("Reading a pipeline ended with %d", status)
                raise self._too_costly()
            output.seek(0)
            return Found.read(output)

    def _finished(self, request: ReadRequest, file: IO[bytes], output: IO[bytes]) -> int:
        """Return the exit status of the process that reads the file."""
        with subprocess.Popen(
            [sys.executable, "-m", pipeline_process.__name__, msgspec.json.encode(request)],
            stdin=file.fileno(),
            stdout=output.fileno(),
            stderr=subprocess.DEVNULL,  # its result has the reason
        ) as process:
            self._processes.add(process)
            if self._closed:
                process.kill()
            try:
                process.wait(timeout=self._most_seconds * _SLOWED_DOWN)
            except subprocess.TimeoutExpired:
                process.kill()
        self._processes.discard(process)
        return process.returncode

    def _too_costly(self) -> ApiError:
        return invalid_input(
            f"The file cannot be read within {self._most_seconds} s and "
            f"{self._most_memory >> 20} MB of memory. Compile the pipeline again with "
            "kfp.compiler, or split it into several."
        )


def is_quickly_read(body: bytes, kind: type[MessageWithPipeline]) -> bool:
    longest = SMALL if kind.IS_YAML else _QUICKLY_READ
    return len(body) <= longest and count_of_values(body) <= _QUICKLY_BUILT


def _pipeline(found: Found) -> Specification:
    specification = found.specification()
    assert specification  # a file without one is refused
    return specification
