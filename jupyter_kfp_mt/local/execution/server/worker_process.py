"""One run's worker process, seen from the server: started, listened to, stopped."""

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

# How long a run's processes may take to end by themselves when they are asked to.
GRACE_SECONDS = 5.0


class WorkerProcess:
    """One run's process: its assignment goes in, reports come out, and in the end nothing is left.

    The process leads a group of its own, to which everything that the run starts belongs.
    """

    def __init__(self, fork_server: ForkServer) -> None:
        # Why it was stopped, if it was.
        self.stopped = ""
        self._fork_server = fork_server
        self._process: Process | None = None
        self._end: RunReport | None = None

    async def work(
        self, assignment: Assignment, folder: Path, hear: Callable[[RunReport], None]
    ) -> RunReport:
        """Sees the run through in this folder, and tells how it ended."""
        # The process makes this folder: it alone knows that it has to go when the server is killed.
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
        """Tell why there is no report of the end, if there is none."""
        given, assigning = os.pipe()
        # What follows the assignment is silence, until our end closes with us.
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
                    if line.endswith(b"\n"):  # else it has been killed in the middle of it
                        self._hear(msgspec.json.decode(line, type=RunReport), hear)
            except BaseException:
                self._signal(signal.SIGKILL)
                raise
            finally:
                why = await watching
                pipe.close()
        return why

    def stop(self, reason: str) -> None:
        """Asks every process of the run to end, and makes them after a while."""
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
            # It leads no group yet that a signal could reach, and does not know its run yet.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        return reports, pipe

    def _hear(self, report: RunReport, hear: Callable[[RunReport], None]) -> None:
        if report.task:
            hear(report)
        elif not self.stopped:
            self._end = report

    async def _watch(self, log: Path) -> str:
        """Waits for the process, kills what its tasks have left behind, and tells how it ended."""
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
    with suppress(BrokenPipeError):  # If it died at once, its exit code tells.
        for part in (msgspec.json.encode(assignment), b"\n"):
            data = memoryview(part)
            while data:
                data = data[lifeline.write(data) :]


def _death(exit_code: int, log: Path) -> str:
    """Tell why a worker ended without a report, as far as can be known."""
    reason = f"the run's process ended before the run did: {ended(exit_code)}"
    said = raised(end_of(log)) if exit_code > 0 else ""
    return f"{reason}: {said}" if said else reason
