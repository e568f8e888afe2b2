"""The main function of a run's process: it executes the pipeline and reports on it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ....errors import KfpError, Misconfigured
from ...machine.disk_faults import why
from ...machine.tried_kfp import WHICH
from ..executors.task_server import TaskServer
from ..leftover_processes import adopt_orphans, clear_away, kill_descendants
from ..run_request import Assignment, RunReport
from .record_progress import Progress

STOPPED = "the run's process was told to stop"


def main(reports: int, task_server: TaskServer | None = None) -> None:
    """Read the assignment from stdin, and write reports to the descriptor."""
    assignment = _assignment()
    progress = Progress(assignment.job.run_id, _sender(reports), assignment.tasks)
    try:
        _settle(assignment)
    except OSError as error:
        reason = why(error) or error.strerror
        progress.end(f"the run's process could not start: {reason}: {error.filename}")
        os._exit(1)
    adopt_orphans()
    signal.signal(signal.SIGTERM, progress.stop)
    exiting = threading.Lock()
    threading.Thread(target=_end_with_the_server, args=[exiting], daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the server has ended
        progress.end(_failure_of(assignment, progress, task_server))
    sys.stdout.flush()
    sys.stderr.flush()
    with exiting:
        kill_descendants()
        # A thread that is still waiting must not delay the exit.
        os._exit(0)


def _assignment() -> Assignment:
    with os.fdopen(os.dup(0), "rb") as stdin:
        return msgspec.json.decode(stdin.readline(), type=Assignment)


def _settle(assignment: Assignment) -> None:
    """Set up the forked process for the run."""
    os.environ.clear()
    os.environ.update(assignment.surroundings)
    tempfile.tempdir = None
    os.mkdir(assignment.surroundings["TMPDIR"], 0o700)
    os.chdir(assignment.folder)
    log = os.open("run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    output = _Log(1, "wb", closefd=False)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        output, "utf-8", errors="backslashreplace", write_through=True
    )


class _Log(io.FileIO):
    """A log that drops what does not fit on a full disk, so that the run continues."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _end_with_the_server(exiting: threading.Lock) -> None:
    """End with the server, which holds our stdin open as long as it lives."""
    while os.read(0, 1):
        pass
    exiting.acquire()  # permanently: nothing may end this process before it has cleaned up
    os.killpg(0, signal.SIGTERM)  # which this process only records
    kill_descendants()
    clear_away(Path(os.environ["TMPDIR"]))
    os.killpg(0, signal.SIGKILL)


def _sender(descriptor: int) -> Callable[[RunReport], None]:
    pipe = os.fdopen(descriptor, "wb")
    lock = threading.Lock()

    def send(report: RunReport) -> None:
        with lock:
            pipe.write(msgspec.json.encode(report) + b"\n")
            pipe.flush()

    return send


def _failure_of(assignment: Assignment, progress: Progress, task_server: TaskServer | None) -> str:
    """Run the pipeline. Returns why it failed; empty if it did not."""
    try:
        _run_pipeline(assignment, progress, task_server)
    except KfpError as error:
        return str(error)
    except Exception as error:  # Whatever fails becomes the run's error.
        traceback.print_exc()
        reason = why(error) or f"{type(error).__name__}: {error}"
        return progress.failure or f"the pipeline could not be run: {reason}"
    return STOPPED if progress.stopping else progress.failure


def _run_pipeline(
    assignment: Assignment, progress: Progress, task_server: TaskServer | None
) -> None:
    warnings.simplefilter("ignore")
    try:
        import_kfp()
    except ImportError as error:
        raise Misconfigured(
            f"the local KFP needs kfp {WHICH}, but found {_kfp_version()}",
            cause=str(error),
            cure="pip install 'jupyter-kfp-mt[local]'",
        ) from error
    from .pipeline_run import PipelineRun

    PipelineRun(assignment, Path.cwd(), progress, task_server).run()


def import_kfp() -> None:
    """Import KFP's messages as tasks do, without the compiler and the client."""
    before = os.environ.get("_KFP_RUNTIME")
    os.environ["_KFP_RUNTIME"] = "true"
    try:
        from . import pipeline_run  # noqa: F401
    finally:
        if before is None:
            del os.environ["_KFP_RUNTIME"]
        else:
            os.environ["_KFP_RUNTIME"] = before


def _kfp_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"kfp {version('kfp')}"
    except PackageNotFoundError:
        return "none"


if __name__ == "__main__":
    main(int(sys.argv[1]))
