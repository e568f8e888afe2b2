"""Reads the pipelines of requests: one at a time, apart from the event loop, within limits."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, ClassVar, Generic, TypeVar

import msgspec

from ..wire.api_errors import ApiError, invalid_input
from ..wire.protojson import Message, count_of_values, read
from . import pipeline_process
from .pipeline_files import Specification, is_archive, read_pipeline_file
from .pipeline_process import Found, ReadRequest, file_in_form
from .pipeline_urls import fetch, file_name

# What is no longer is read in a thread here, which takes less time than to start a process.
SMALL = 64 << 10
# How many times its processor time a file may take, where others keep the processors busy.
_SLOWED_DOWN = 8
# So many addresses are fetched at once; what a slow server holds up is others' fetches alone.
_FETCHES = 4

log = logging.getLogger(__name__)

# What is longer, or has more values, takes an interpreter so long that others would notice.
_QUICKLY_READ = 1 << 20
_QUICKLY_BUILT = 20_000


class MessageWithPipeline(Message, frozen=True):
    """A message that may have a pipeline in it."""

    # Whether the pipeline is in a text, of which it takes far longer to read than the message.
    IS_YAML: ClassVar[bool] = False

    def specification(self) -> Specification | None:
        """The pipeline in the message, if there is one, or a refusal (ApiError)."""
        raise NotImplementedError

    def without_specification(self: S) -> S:
        raise NotImplementedError


S = TypeVar("S", bound=MessageWithPipeline)
T = TypeVar("T")


class Sent(msgspec.Struct, Generic[S], frozen=True):
    """The message that was sent, and what gives the pipeline in it, or raises its refusal."""

    message: S
    specification: Callable[[], Awaitable[Specification | None]]


class PipelineReader:
    """For one server. Whatever is in a file, the server's memory and the others' time are safe.

    A file that is not small takes `most_memory` bytes and `most_seconds` of a processor, or it is
    refused.
    """

    def __init__(self, *, most_memory: int = 256 << 20, most_seconds: int = 60) -> None:
        self._most_memory = most_memory
        self._most_seconds = most_seconds
        self._threads = {
            "small": ThreadPoolExecutor(1, "small-pipelines"),
            "large": ThreadPoolExecutor(1, "large-pipelines"),
            "messages": ThreadPoolExecutor(1, "large-messages"),
            "fetch": ThreadPoolExecutor(_FETCHES, "fetched-pipelines"),
        }
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    async def read(self, name: str, content: bytes) -> Specification:
        """The specification in a file, or a refusal (ApiError) with what is wrong with it."""
        if len(content) <= SMALL and not is_archive(content):
            return await self._run("small", lambda: read_pipeline_file(name, content))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            return _pipeline(await self._read_apart("large", file, file_name=name))

    async def read_form(self, content_type: str, form: IO[bytes]) -> tuple[str, Specification]:
        """The same of the file in a form, which also has the file's name."""
        if form.seek(0, 2) <= SMALL:
            form.seek(0)
            name, content = file_in_form(content_type, form.read())
            return name, await self.read(name, content)
        found = await self._read_apart("large", form, content_type=content_type)
        return found.answer.file_name, _pipeline(found)

    async def read_url(self, url: str) -> Specification:
        """The same of what is behind an address."""
        with tempfile.SpooledTemporaryFile(SMALL) as file:
            await self._run("fetch", lambda: fetch(url, file))
            if file.tell() <= SMALL:
                file.seek(0)
                return await self.read(file_name(url), file.read())
            return _pipeline(await self._read_apart("large", file, file_name=file_name(url)))

    async def read_message(self, body: bytes, kind: type[S]) -> Sent[S]:
        """A message that has, or may have, a pipeline in it."""
        if not is_quickly_read(body, kind):
            return await self._message_apart(body, kind)
        long = len(body) > SMALL
        message = await self._in_time(long, lambda: read(body, kind))
        if kind.IS_YAML:
            return Sent(message, lambda: self._run("small", message.specification))
        return Sent(message, lambda: self._in_time(long, message.specification))

    def close(self) -> None:
        """Leaves no process behind, whatever is being read."""
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
            await asyncio.to_thread(file.write, body)
            del body
            name = f"{kind.__module__}:{kind.__qualname__}"
            found = await self._read_apart("messages", file, message=name)
        if found.answer.bad_message:
            raise ApiError(*found.answer.bad_message)
        message = msgspec.json.decode(found.answer.message, type=kind)
        return Sent(message, lambda: self._in_time(False, found.specification))

    async def _in_time(self, long: bool, work: Callable[[], T]) -> T:
        """Call what takes a while if what it is about is long."""
        return await asyncio.to_thread(work) if long else work()

    async def _run(self, where: str, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[where], work)

    def _in_process(self, request: ReadRequest, file: IO[bytes]) -> Found:
        file.flush()
        file.seek(0)
        # Of a pipe it would be put together piece by piece, while nobody else gets the interpreter.
        with tempfile.TemporaryFile() as output:
            status = self._finished(request, file, output)
            if status or not output.seek(0, os.SEEK_END):  # it may have ended just as its time did
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
            stderr=subprocess.DEVNULL,  # what it has to say is in its answer
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
            f"{self._most_memory >> 20} MB of memory. Compile the pipeline anew with "
            "kfp.compiler, or split it into several."
        )


def is_quickly_read(body: bytes, kind: type[MessageWithPipeline]) -> bool:
    longest = SMALL if kind.IS_YAML else _QUICKLY_READ
    return len(body) <= longest and count_of_values(body) <= _QUICKLY_BUILT


def _pipeline(found: Found) -> Specification:
    specification = found.specification()
    assert specification  # a file that has none is refused
    return specification
