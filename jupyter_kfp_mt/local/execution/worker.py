"""One run's worker process, seen from the server: started, listened to, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import site
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ...models import Task
from .job import SCRATCH_PREFIX, Assignment, Report
from .task_process import ended, last_line

# How long a run's processes may take to end by themselves when they are asked to.
GRACE_SECONDS = 5.0
# One report is one line; its texts are cut far below this.
MAX_REPORT_BYTES = 2**22

# What a run inherits from the server's environment. Nothing else does, so that no secret of the
# person who started the server reaches a tenant's code.
INHERITED = frozenset(
    "PATH LANG LANGUAGE TZ LD_LIBRARY_PATH USER LOGNAME"
    " HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY"
    " SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE".split()
)
INHERITED_PREFIXES = ("LC_", "PIP_")


class Worker:
    """One run's process: its assignment goes in, reports come out, and in the end nothing is left.

    The process leads a group of its own, to which everything that the run starts belongs.
    """

    def __init__(self) -> None:
        # Why it was stopped, if it was.
        self.stopped = ""
        self._process: asyncio.subprocess.Process | None = None
        self._end: Report | None = None

    async def work(
        self, assignment: Assignment, folder: Path, put_task: Callable[[Task], None]
    ) -> Report:
        """Sees the run through in this folder, and tells how it ended."""
        with TemporaryDirectory(prefix=SCRATCH_PREFIX, ignore_cleanup_errors=True) as scratch:
            environment = _environment(home=folder.parent.parent, scratch=scratch)
            exit_code = await self._supervise(assignment, folder, environment, put_task)
        return self._end or Report.failed(self.stopped or _death(exit_code, folder / "run.log"))

    async def _supervise(
        self,
        assignment: Assignment,
        folder: Path,
        environment: dict[str, str],
        put_task: Callable[[Task], None],
    ) -> int:
        reports, pipe = await self._start(folder, environment)
        try:
            await self._tell(assignment)
            async for line in reports:
                self._hear(msgspec.json.decode(line, type=Report), put_task)
        except BaseException:
            self._signal(signal.SIGKILL)
            raise
        finally:
            exit_code = await self._leave_nothing()
            pipe.close()
        return exit_code

    def stop(self, reason: str) -> None:
        """Asks every process of the run to end, and makes them after a while."""
        if self.stopped or self._end:
            return
        self.stopped = reason
        self._signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._signal, signal.SIGKILL)

    async def _start(
        self, folder: Path, environment: dict[str, str]
    ) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
        receiver, sender = os.pipe()
        reader, pipe = await _reader(receiver)
        try:
            with open(folder / "run.log", "ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-m",
                        "jupyter_kfp_mt.local.execution.run_process",
                        str(sender),
                    ),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    env=environment,
                    pass_fds=[sender],
                    start_new_session=True,
                )
        finally:
            os.close(sender)
        if self.stopped:
            self._signal(signal.SIGTERM)
        return reader, pipe

    async def _tell(self, assignment: Assignment) -> None:
        """The assignment is one line. What follows is silence, until our end closes with us."""
        assert self._process and self._process.stdin
        self._process.stdin.write(msgspec.json.encode(assignment) + b"\n")
        with suppress(ConnectionError):  # If it died at once, its exit code tells.
            await self._process.stdin.drain()

    def _hear(self, report: Report, put_task: Callable[[Task], None]) -> None:
        if report.task:
            put_task(report.task)
        elif not self.stopped:
            self._end = report

    async def _leave_nothing(self) -> int:
        """Waits for the process, and kills what its tasks have left behind."""
        assert self._process
        exit_code = await self._process.wait()
        self._signal(signal.SIGKILL)
        self._process = None
        return exit_code

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def _death(exit_code: int, log: Path) -> str:
    """Why a worker ended without a report, as far as can be known."""
    reason = f"the run's process ended before the run did: {ended(exit_code)}"
    said = last_line(log) if exit_code > 0 else ""
    return f"{reason}: {said}" if said else reason


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=MAX_REPORT_BYTES)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), open(descriptor, "rb", buffering=0)
    )
    return reader, pipe


def _environment(home: Path, scratch: str) -> dict[str, str]:
    """The worker's whole environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    return {
        **_pip_configuration(),
        **kept,
        "HOME": str(home),
        # Not in the run's folder: sockets in there would get longer paths than the system allows.
        "TMPDIR": scratch,
        "PYTHONPATH": os.pathsep.join(_search_path()),
        # Packages that the server's user installed for himself, now that HOME is another.
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONUTF8": "1",
    }


def _search_path() -> Iterator[str]:
    """What Python must be told to find this package and its dependencies."""
    package_folder = str(Path(__file__).parents[3])
    if package_folder not in site.getsitepackages():
        yield package_folder
    if given := os.environ.get("PYTHONPATH"):
        yield given


def _pip_configuration() -> dict[str, str]:
    """Where pip finds its index, now that HOME is another."""
    for path in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if path.is_file():
            return {"PIP_CONFIG_FILE": str(path)}
    return {}
