"""The work of a run's process: the pipeline, and reports on it."""

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
from ..leftover_processes import adopt_orphans, clear_away, kill_descendants
from ..run_request import Assignment, RunReport
from .record_progress import Progress

STOPPED = "the run's process was told to stop"


def main(reports: int) -> None:
    """Reads the assignment from stdin, and reports on the descriptor."""
    assignment = _assignment()
    progress = Progress(assignment.job.run_id, _sender(reports), assignment.tasks)
    try:
        _settle(assignment)
    except OSError as error:
        reason = why(error) or error.strerror
        progress.end(f"the run's process could not begin: {reason}: {error.filename}")
        os._exit(1)
    adopt_orphans()
    signal.signal(signal.SIGTERM, progress.stop)
    exiting = threading.Lock()
    threading.Thread(target=_end_with_the_server, args=[exiting], daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the server is gone
        progress.end(_failure_of(assignment, progress))
    sys.stdout.flush()
    sys.stderr.flush()
    with exiting:
        kill_descendants()
        # A thread that still waits for something must not hold up the end.
        os._exit(0)


def _assignment() -> Assignment:
    with os.fdopen(os.dup(0), "rb") as stdin:
        return msgspec.json.decode(stdin.readline(), type=Assignment)


def _settle(assignment: Assignment) -> None:
    """Makes this process that of the run, whatever it was forked from."""
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
    """A log that leaves out what a full disk does not take, and the run goes on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _end_with_the_server(exiting: threading.Lock) -> None:
    """The server holds our stdin open as long as it lives, even if it is killed."""
    while os.read(0, 1):
        pass
    exiting.acquire()  # for good: nothing ends this process before it has cleaned up
    os.killpg(0, signal.SIGTERM)  # of which this process only takes note
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


def _failure_of(assignment: Assignment, progress: Progress) -> str:
    """Runs the pipeline. Returns why it failed, or nothing."""
    try:
        _run_pipeline(assignment, progress)
    except KfpError as error:
        return str(error)
    except Exception as error:  # Anything may be wrong; the run's error tells it.
        traceback.print_exc()
        reason = why(error) or f"{type(error).__name__}: {error}"
        return progress.failure or f"the pipeline could not be run: {reason}"
    return STOPPED if progress.stopping else progress.failure


def _run_pipeline(assignment: Assignment, progress: Progress) -> None:
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

    PipelineRun(assignment, Path.cwd(), progress).run()


def import_kfp() -> None:
    """Import what there is of KFP's messages, as tasks do: without the compiler and the client."""
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
