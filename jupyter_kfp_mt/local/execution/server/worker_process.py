"""One run's worker process, seen from the server: start it, read its reports, stop it."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import IO

import msgspec

from ..executors.failures import end_of, ended, raised
from ..leftover_processes import clear_away
from ..run_request import SCRATCH_PREFIX, Assignment, RunReport
from .fork_server import ForkServer, Lost, Process
from .pipes import reader
from .run_environment import inherited

# How long a run's processes have to end by themselves when asked.
GRACE_SECONDS = 5.0


class WorkerProcess:
    """One run's process: it gets an assignment, sends reports, and leaves no processes behind.

    The process leads a process group, to which everything started by the run belongs.
    """

    def __init__(self, fork_server: ForkServer) -> None:
        # The reason why it was stopped, if it was.
        self.stopped = ""
        self._fork_server = fork_server
        self._process: Process | None = None
        self._end: RunReport | None = None

    async def work(
        self, assignment: Assignment, folder: Path, hear: Callable[[RunReport], None]
    ) -> RunReport:
        """Execute the run in this folder, and return why it failed; empty if it did not."""
        # The process makes this folder, and removes it if the server is killed.
        scratch = Path(gettempdir()) / f"{SCRATCH_PREFIX}{uuid.uuid4().hex[:12]}"
        assignment = msgspec.structs.replace(
            assignment,
            folder=str(folder),
            surroundings=inherited(home=folder.parent.parent, scratch=str(scratch)),
        )
        try:
            why = await self._supervise(assignment, hear)
        finally:
            await asyncio.to_thread(clear_away, scratch)
        return self._end or RunReport.failed(self.stopped or why)

    async def _supervise(self, assignment: Assignment, hear: Callable[[RunReport], None]) -> str:
        """Return why the report of the end is missing; empty if it is not."""
        given, assigning = os.pipe()
        # The pipe stays open after the assignment: it closes when the server ends.
        with os.fdopen(assigning, "wb", buffering=0) as lifeline:
            try:
                reports, pipe = await self._start(given, assignment)
            except Lost as lost:
                return str(lost)
            finally:
                os.close(given)
            watching = asyncio.create_task(self._watch(Path(assignment.folder) / "run.log"))
            try:
                await asyncio.to_thread(_assign, assignment, lifeline)
                async for line in reports:
                    if line.endswith(b"\n"):  # otherwise it was killed while writing it
                        self._hear(msgspec.json.decode(line, type=RunReport), hear)
            except BaseException:
                self._signal(signal.SIGKILL)
                raise
            finally:
                why = await watching
                pipe.close()
        return why

    def stop(self, reason: str) -> None:
        """Ask every process of the run to end, and kill them after a while."""
        if self.stopped or self._end:
            return
        self.stopped = reason
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._signal, signal.SIGKILL)

    async def _start(
        self, given: int, assignment: Assignment
    ) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
        receiver, sender = os.pipe()
        reports, pipe = await reader(receiver)
        try:
            self._process = await self._fork_server.start(given, sender, assignment.surroundings)
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(sender)
        if self.stopped:
            # It has no assignment yet, and no process group that could be signalled.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        return reports, pipe

    def _hear(self, report: RunReport, hear: Callable[[RunReport], None]) -> None:
        if report.task:
            hear(report)
        elif not self.stopped:
            self._end = report

    async def _watch(self, log: Path) -> str:
        """Wait for the process, kill leftovers of its tasks, and return its exit code."""
        assert self._process
        try:
            return _death(await self._process.wait(), log)
        except Lost as lost:
            return str(lost)
        finally:
            self._signal(signal.SIGKILL)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _assign(assignment: Assignment, lifeline: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # If it died at once, its exit code is the reason.
        for part in (msgspec.json.encode(assignment), b"\n"):
            data = memoryview(part)
            while data:
                data = data[lifeline.write(data) :]


def _death(exit_code: int, log: Path) -> str:
    """Return why a worker ended without a report, as far as it is known."""
    reason = f"the run's process ended before the run did: {ended(exit_code)}"
    said = raised(end_of(log)) if exit_code > 0 else ""
    return f"{reason}: {said}" if said else reason
