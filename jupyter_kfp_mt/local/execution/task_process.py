"""One task's process: its private Python environment, its command, and the log of its output."""

from __future__ import annotations

import codecs
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from packaging.requirements import InvalidRequirement, Requirement

from . import containers, secret_volumes
from .containers import Container, Engine
from .secret_volumes import SecretVolume
from .strays import clear_away, kill_with_descendants
from .task_server import TaskServer, forkable, site_packages, too_long

LOG_NAME = "task.log"
# The beginning of the output is kept up to here, and then only its end.
MAX_LOG_BYTES = 10 * 2**20
TAIL_BYTES = 2**16
MAX_LINE_CHARACTERS = 500
# How long to wait for the rest of the output when the task has ended, but one of its children
# still holds the pipe.
DRAIN_SECONDS = 1.0

# What concerns the worker's own interpreter and must not reach the task's.
_WORKERS_OWN = ("PYTHONPATH", "PYTHONUSERBASE")
# What kfp itself writes at the start of each task: lines, and the inputs as JSON.
_KFPS_OWN_LINES = re.compile(r"^\[KFP Executor .*\n(?:\{\n(?s:.*?)^\}\n)?", re.MULTILINE)
_INSTALL = re.compile(r"pip install (.*?)&&", re.DOTALL)


def run_command(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    server: TaskServer | None = None,
    volumes: Sequence[SecretVolume] = (),
    timeout: float | None = None,
    collect: Callable[[], None] = lambda: None,
) -> str:
    """Runs a task's command in its folder. Returns why it failed, or nothing.

    With a server it is forked where that comes to the same. The environment is what the task gets
    besides what every task has. If it ends well, its outputs are collected before its temporary
    files go.
    """
    command = without_needless_install(command)
    component = forkable(command, environment) if server else None
    prefix = folder / "venv"
    _make_venv(prefix)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        own = {**_own_environment(prefix / "bin"), "PWD": str(folder), "TMPDIR": scratch}
        environment = {**own, **environment}
        with _logging_to(folder / LOG_NAME) as (log, output):
            if server and component:
                secrets = secret_volumes.folders(volumes)
                end = server.run(component, environment, folder, prefix, output, secrets, timeout)
            else:
                with secret_volumes.launch(command, volumes) as (command, descriptors):
                    end = _run(command, environment, folder, output, descriptors, timeout)
        if end == 0:
            collect()
        if isinstance(end, str):
            clear_away(Path(scratch))  # and with it what has left the command's descendants
    shutil.rmtree(prefix, ignore_errors=True)
    return _failure(end, log)


def run_container(
    engine: Engine, container: Container, folder: Path, timeout: float | None = None
) -> str:
    """Runs a task's container to its end. Returns why it failed, or nothing."""
    path = folder / LOG_NAME
    with containers.launch(engine, container) as (command, environment):
        with _logging_to(path) as (log, output):
            end = _run(command, environment, folder, output, timeout=timeout)
    refusal = containers.failure(end, container.image, path) if isinstance(end, int) else ""
    return refusal or _failure(end, log)


@contextmanager
def _logging_to(path: Path) -> Iterator[tuple[TaskLog, int]]:
    """A log, and where to write what shall be in it, as it comes."""
    receiver, output = os.pipe()
    with TaskLog(path) as log:
        pipe = open(receiver, "rb", buffering=0)
        copying = threading.Thread(target=log.copy, args=(pipe,), daemon=True)
        copying.start()
        try:
            yield log, output
        finally:
            os.close(output)
            copying.join(DRAIN_SECONDS)


def _run(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    output: int,
    descriptors: tuple[int, ...] = (),
    timeout: float | None = None,
) -> int | str:
    """The exit code, or why the command could not be run."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            pass_fds=descriptors,
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            return "its parameters are too long for a command line; pass them as an artifact"
        raise
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill_with_descendants(process.pid)
        process.wait()
        return too_long(timeout)


def _failure(end: int | str, log: TaskLog) -> str:
    if isinstance(end, str):
        return end
    if end == 0:
        return ""
    return ended(end) if _signal_name(end) else log.last_line() or ended(end)


def ended(exit_code: int) -> str:
    """How a process ended, in words."""
    name = _signal_name(exit_code)
    memory = " (out of memory?)" if name == "SIGKILL" else ""
    return f"killed by {name}{memory}" if name else f"exit code {exit_code}"


def _signal_name(exit_code: int) -> str:
    """A shell says 128 + n where its child got signal n."""
    try:
        return signal.Signals(-exit_code if exit_code < 0 else exit_code - 128).name
    except ValueError:
        return ""


def last_line(log: Path, unwritten: bytes = b"") -> str:
    """The last line that has a word in it, which for a Python program is the exception."""
    end, begins_within = b"", False
    with suppress(OSError), log.open("rb") as file:
        begins_within = file.seek(max(0, log.stat().st_size - TAIL_BYTES)) > 0
        end = file.read()
    text = _KFPS_OWN_LINES.sub("", (end + unwritten).decode("utf-8", "replace"))
    lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    if not lines:
        return ""
    return _well_cut(lines[-1], begins_within and len(lines) == 1)


def _well_cut(line: str, begins_within: bool) -> str:
    """The line, not too long, with no part of a word at an end where something is left out."""
    if begins_within:
        line = f"... {line.partition(' ')[2] or line}"
    if len(line) <= MAX_LINE_CHARACTERS:
        return line
    cut = line[: MAX_LINE_CHARACTERS - len(" ...")]
    return f"{cut.rpartition(' ')[0] if ' ' in cut[len(cut) // 2 :] else cut} ..."


class TaskLog:
    """A task's output on disk, written as it comes: valid UTF-8, and never without bounds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._room = MAX_LOG_BYTES - path.stat().st_size
        # The end of what has come since the file takes no more; what goes before it there.
        self._tail = b""
        self._note = b""
        self._lock = threading.Lock()

    def __enter__(self) -> TaskLog:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._tail = self._put(self._note + self._tail)
            self._file.close()

    def last_line(self) -> str:
        """Once it is closed."""
        return last_line(self._path, self._tail)

    def copy(self, output: IO[bytes]) -> None:
        """Writes what comes, until nothing more can or this log is closed."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with output:
            while data := output.read(2**16):
                if not self._write(decoder.decode(data).encode()):
                    break
            self._write(decoder.decode(b"", final=True).encode())

    def _write(self, data: bytes) -> bool:
        with self._lock:
            if self._file.closed:
                return False
            if self._room > 0:
                self._write_head(data)
            else:
                self._tail = (self._tail + data)[-TAIL_BYTES:]
            return True

    def _write_head(self, data: bytes) -> None:
        left = self._put(data)
        self._room -= len(data)
        if left:
            self._room = 0
            self._note = b"\n[The disk was full. What follows is the end of the output.]\n"
            self._tail = left
        elif self._room <= 0:
            limit = f"{MAX_LOG_BYTES // 2**20} MB"
            note = f"\n[This log holds {limit}. What follows is the end of the output.]\n"
            self._put(note.encode())

    def _put(self, data: bytes) -> bytes:
        """Writes it to the file. What the disk does not take is returned."""
        with suppress(OSError):
            while data:
                data = data[self._file.write(data) :]
        return data


class _BareEnvironment(venv.EnvBuilder):
    """Without the scripts that activate it in a shell, which cost more than all the rest."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        pass


def _make_venv(prefix: Path) -> None:
    """An environment that sees the worker's packages and keeps what is installed to itself."""
    _BareEnvironment(symlinks=True, with_pip=False, clear=True).create(prefix)
    lines = [f"import site; site.addsitedir({path!r})\n" for path in sys.path if path]
    (site_packages(prefix) / "worker.pth").write_text("".join(lines))
    if find_spec("pip"):
        _make_pip(prefix / "bin" / "pip")


def _make_pip(path: Path) -> None:
    path.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
    path.chmod(0o755)
    path.with_name("pip3").symlink_to(path.name)


def _own_environment(bin_folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _WORKERS_OWN}
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", os.defpath)])
    return {**inherited, "PATH": path, "PYTHONUNBUFFERED": "1"}


def without_needless_install(command: list[str]) -> list[str]:
    """Leaves out the compiler's `pip install` step if all it asks for is there: it takes 0.6 s."""
    if command[:2] == ["sh", "-c"] and len(command) > 3:
        steps = _INSTALL.findall(command[2])
        if steps and all(_satisfied(step) for step in steps):
            return command[3:]
    return command


def _satisfied(step: str) -> bool:
    wanted = [word for word in shlex.split(step) if not word.startswith("-")]
    return all(_installed(word) for word in wanted)


def _installed(text: str) -> bool:
    try:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            return True
        if wanted.url or wanted.extras:
            return False
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False
