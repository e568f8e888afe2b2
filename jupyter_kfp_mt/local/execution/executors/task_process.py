"""One task's process: its private Python environment, its command, and the log of its output."""

from __future__ import annotations

import codecs
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from ...machine.regular_files import is_special, open_to_append
from ..leftover_processes import clear_away, kill_with_descendants
from ..task import task_interpreter
from . import containers, failures, package_installs
from . import volumes as task_volumes
from .containers import Engine, TaskContainer
from .task_server import TaskServer, forkable, too_long
from .volumes import Volume

LOG_NAME = "task.log"
# The folder of the task's own Python environment.
ENVIRONMENT = "venv"
# The beginning of the output is kept up to this size, and then only its end.
MAX_LOG_BYTES = 10 * 2**20
# How long to wait for more output after the task has ended, if one of its children still holds the
# pipe.
DRAIN_SECONDS = 1.0

# Variables for the worker's own interpreter, which must not reach the task's.
_WORKERS_OWN = ("PYTHONPATH", "PYTHONUSERBASE")


def run_command(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    server: TaskServer | None = None,
    volumes: Sequence[Volume] = (),
    timeout: float | None = None,
    collect: Callable[[], None] = lambda: None,
) -> str:
    """Run a task's command in its folder. Returns why it failed; empty if it did not.

    With a server it is forked if that is equivalent. The environment adds to the one of every
    task. After a success, outputs are collected before the temporary files are removed.
    """
    command = package_installs.as_run_here(command)
    component = forkable(command, environment) if server else None
    prefix = folder / ENVIRONMENT
    _make_venv(prefix)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        own = {**_own_environment(prefix / "bin"), "PWD": str(folder), "TMPDIR": scratch}
        environment = {**own, **environment}
        with _logging_to(folder / LOG_NAME) as (log, output):
            if server and component:
                mounts = task_volumes.folders(volumes, Path(scratch))
                end = server.run(component, environment, folder, prefix, output, mounts, timeout)
            else:
                with task_volumes.launch(command, volumes, Path(scratch)) as (command, descriptors):
                    end = _run(command, environment, folder, output, descriptors, timeout)
        if end == 0:
            collect()
        if isinstance(end, str):
            clear_away(
                Path(scratch)
            )  # including processes that are no longer descendants of the command
    failure = _failure(end, log, failures.noted_in(prefix))
    if failure == failures.ended(1):
        failure = package_installs.failure(command, log.end()) or failure
    shutil.rmtree(prefix, ignore_errors=True)
    return failure


def run_container(
    engine: Engine, container: TaskContainer, folder: Path, timeout: float | None = None
) -> str:
    """Run a task's container to its end. Returns why it failed; empty if it did not."""
    path = folder / LOG_NAME
    with containers.launch(engine, container) as (command, environment):
        with _logging_to(path) as (log, output):
            end = _run(command, environment, folder, output, timeout=timeout)
    refusal = containers.failure(end, container.image, path) if isinstance(end, int) else ""
    return refusal or _failure(end, log, failures.noted_in(folder / ENVIRONMENT))


@contextmanager
def _logging_to(path: Path) -> Iterator[tuple[TaskLogFile, int]]:
    """Yield a log, and a descriptor whose input goes into it."""
    receiver, output = os.pipe()
    with TaskLogFile(path) as log:
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
    """Return the exit code, or why the command could not be run."""
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


def _failure(end: int | str, log: TaskLogFile, noted: Path) -> str:
    return end if isinstance(end, str) else failures.of_process(end, noted, log.end())


def open_log(path: Path) -> IO[bytes]:
    """Open a task's log to write at its end; a new one if the task has left something else there.

    Raises OSError.
    """
    if is_special(path) or path.is_symlink():
        path.unlink(missing_ok=True)
    return open_to_append(path)


class TaskLogFile:
    """A task's output on disk, written as it arrives: valid UTF-8, and limited in size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_log(path)
        # Where this attempt begins, after earlier attempts at the task.
        self._begin = path.stat().st_size
        self._room = MAX_LOG_BYTES - self._begin
        # The end of the output since the file was full, and the note that precedes it.
        self._tail = b""
        self._note = b""
        self._lock = threading.Lock()

    def __enter__(self) -> TaskLogFile:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._tail = self._put(self._note + self._tail)
            self._file.close()

    def end(self) -> str:
        """The end of this attempt's output, once the log is closed."""
        return failures.end_of(self._path, self._tail, self._begin)

    def copy(self, output: IO[bytes]) -> None:
        """Write what arrives, until the other end or this log is closed."""
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
                self._tail = (self._tail + data)[-failures.TAIL_BYTES :]
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
        """Write to the file. Returns what did not fit on the disk."""
        with suppress(OSError):
            while data:
                data = data[self._file.write(data) :]
        return data


class _BareEnvironment(venv.EnvBuilder):
    """Build the environment without activation scripts, which take longer than all the rest."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        pass


def _make_venv(prefix: Path) -> None:
    """Make an environment that sees the worker's packages and keeps its own installations."""
    _BareEnvironment(symlinks=True, with_pip=False, clear=True).create(prefix)
    packages = Path(task_interpreter.site_packages(str(prefix)))
    (packages / f"{task_interpreter.NAME}.py").symlink_to(task_interpreter.__file__)
    lines = task_interpreter.add_site(path for path in sys.path if path)
    (packages / "worker.pth").write_text(f"{lines}import {task_interpreter.NAME}\n")
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
