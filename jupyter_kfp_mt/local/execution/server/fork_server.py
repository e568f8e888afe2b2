"""The server's side of the process from which runs are forked (`run/fork_process.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

from .. import forking
from .pipes import reader
from .run_environment import inherited

IDLE_SECONDS = 60.0
_RUNS = "jupyter_kfp_mt.local.execution.run"  # never imported in this process
# Tasks are forked from it as well, and kfp imports less there.
_AS_TASKS = {"PYTHONUNBUFFERED": "1", "_KFP_RUNTIME": "true"}
LOST = "the process that starts the runs ended without warning; start the run again"


class Lost(Exception):
    """The exit code of a process cannot be determined."""


class Process(Protocol):
    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Wait for its exit code, or minus the signal that killed it. Raises `Lost`."""


class ForkServer:
    """Starts the processes of runs. It is started with the first, and stops after a while idle.

    It belongs to the event loop.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()
        self._forked = 0
        self._idle: asyncio.TimerHandle | None = None

    async def start(self, assignment: int, reports: int, environment: dict[str, str]) -> Process:
        """A run's process: it reads its assignment from one descriptor and reports on another."""
        if not forking.AVAILABLE:
            return await _spawn(assignment, reports, environment)
        async with self._starting:
            try:
                fate = forking.ask(await self._ready(), [assignment, reports])
            except ConnectionError:  # It has died in the meantime.
                await self.close()
                fate = forking.ask(await self._ready(), [assignment, reports])
        self._busy()
        lines, _ = await reader(fate)
        if pid := await lines.readline():
            return _Forked(int(pid), lines, self._done)
        self._done()
        raise Lost(LOST)

    async def close(self) -> None:
        """Stop the fork server, but no run."""
        if self._idle:
            self._idle.cancel()
        if self._control:
            self._control.close()
            self._control = None
        if self._process:
            process, self._process = self._process, None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ready(self) -> socket.socket:
        if self._control and self._process and self._process.returncode is None:
            return self._control
        await self.close()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{_RUNS}.fork_process", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                # Python looks for modules in its working directory.
                cwd="/",
                env={**inherited(Path("/"), gettempdir()), **_AS_TASKS},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._control

    def _busy(self) -> None:
        self._forked += 1
        if self._idle:
            self._idle.cancel()
            self._idle = None

    def _done(self) -> None:
        self._forked -= 1
        if not self._forked:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(IDLE_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._forked and self._control:
            self._control.close()  # which makes it exit
            self._control = None


class _Forked:
    """A process made by the fork server."""

    def __init__(self, pid: int, fate: asyncio.StreamReader, done: Callable[[], None]) -> None:
        self.pid = pid
        self._fate = fate
        self._done = done

    async def wait(self) -> int:
        line = await self._fate.readline()
        self._done()
        if not line:
            raise Lost(LOST)
        return int(line)


async def _spawn(assignment: int, reports: int, environment: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{_RUNS}.run_process", str(reports)),
        stdin=assignment,
        cwd="/",
        env=environment,
        pass_fds=[reports],
        start_new_session=True,
    )
