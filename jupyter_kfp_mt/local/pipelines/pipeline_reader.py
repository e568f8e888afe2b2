"""Reads the pipelines of requests: one at a time, apart from the event loop, within limits."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TypeVar

import msgspec

from ..wire.api_errors import ApiError, invalid_input
from . import pipeline_process
from .pipeline_files import Specification, is_archive, read_pipeline_file
from .pipeline_process import ReadRequest, ReadResult, file_in_form
from .pipeline_urls import fetch, file_name

# What is no longer is read in a thread here, which takes less time than to start a process.
SMALL = 64 << 10
# So many addresses are fetched at once; what a slow server holds up is others' fetches alone.
_FETCHES = 4

log = logging.getLogger(__name__)

T = TypeVar("T")


class PipelineReader:
    """For one server. Whatever is in a file, the server's memory and the others' time are safe.

    A file that is not small takes `most_memory` bytes and `most_seconds`, or it is refused.
    """

    def __init__(self, *, most_memory: int = 256 << 20, most_seconds: int = 60) -> None:
        self._most_memory = most_memory
        self._most_seconds = most_seconds
        self._threads = {
            "small": ThreadPoolExecutor(1, "small-pipelines"),
            "large": ThreadPoolExecutor(1, "large-pipelines"),
            "fetch": ThreadPoolExecutor(_FETCHES, "fetched-pipelines"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    async def read(self, name: str, content: bytes) -> Specification:
        """The specification in a file, or a refusal (ApiError) with what is wrong with it."""
        if len(content) <= SMALL and not is_archive(content):
            return await self._run("small", lambda: read_pipeline_file(name, content))
        with tempfile.TemporaryFile() as file:
            file.write(content)
            return (await self._read_apart(file, file_name=name)).specification()

    async def read_form(self, content_type: str, form: IO[bytes]) -> tuple[str, Specification]:
        """The same of the file in a form, which also has the file's name."""
        if form.seek(0, 2) <= SMALL:
            form.seek(0)
            name, content = file_in_form(content_type, form.read())
            return name, await self.read(name, content)
        answer = await self._read_apart(form, content_type=content_type)
        return answer.file_name, answer.specification()

    async def read_url(self, url: str) -> Specification:
        """The same of what is behind an address."""
        with tempfile.SpooledTemporaryFile(SMALL) as file:
            await self._run("fetch", lambda: fetch(url, file))
            if file.tell() <= SMALL:
                file.seek(0)
                return await self.read(file_name(url), file.read())
            answer = await self._read_apart(file, file_name=file_name(url))
            return answer.specification()

    def close(self) -> None:
        """Leaves no process behind, whatever is being read."""
        self._closed = True
        if self._process:
            self._process.kill()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def _read_apart(self, file: IO[bytes], **where: str) -> ReadResult:
        request = ReadRequest(
            most_memory=self._most_memory, most_seconds=self._most_seconds, **where
        )
        return await self._run("large", lambda: self._in_process(request, file))

    async def _run(self, where: str, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[where], work)

    def _in_process(self, request: ReadRequest, file: IO[bytes]) -> ReadResult:
        file.flush()
        file.seek(0)
        with subprocess.Popen(
            [sys.executable, "-m", pipeline_process.__name__, msgspec.json.encode(request)],
            stdin=file.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it has to say is in its answer
        ) as process:
            output, self._process = b"", process
            if self._closed:
                process.kill()
            try:
                output, _ = process.communicate(timeout=self._most_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = None
        if process.returncode or not output:  # it may have ended just as its time did
            log.warning("Reading a pipeline ended with %d", process.returncode)
            raise self._too_costly()
        return msgspec.json.decode(output, type=ReadResult)

    def _too_costly(self) -> ApiError:
        return invalid_input(
            f"The file cannot be read within {self._most_seconds} s and "
            f"{self._most_memory >> 20} MB of memory. Compile the pipeline anew with "
            "kfp.compiler, or split it into several."
        )
