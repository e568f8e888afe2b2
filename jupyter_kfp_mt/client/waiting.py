"""Waiting for runs, and the reasons for their failures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from .. import intervals, models
from ..errors import KfpError, NotFound, RunFailed, may_pass
from ..models import Run
from . import tracebacks
from .logs import Logs

LOG_LINES = 50


class Waiting(Logs):
    """Waiting for runs."""

    def watch(self, run_id: str, known: Run | None = None) -> Iterator[Run]:
        """Yield a run again and again until it has finished; `known` is its last known state.

        Polls twice a second at first, and less often while nothing changes, down to every 5
        seconds. Raises `KfpError`; an error that may pass only once it has lasted for
        `PATIENCE_SECONDS`.
        """
        shortest, longest = intervals.WAIT_SECONDS
        pause, before, failing_since = shortest, Run(), 0.0
        while not before.finished:
            try:
                run, failing_since = self.run(run_id), 0.0
                yield run
            except NotFound as error:
                seen = before if before.run_id else known
                raise deleted(seen, error) if seen else error from None
            except KfpError as error:
                run, failing_since = before, failing_since or time.monotonic()
                lasting = time.monotonic() - failing_since > intervals.PATIENCE_SECONDS
                if lasting or not may_pass(error):
                    raise
            pause = shortest if run != before else min(pause * 1.2, longest)
            before = run
            if not run.finished:
                time.sleep(pause)

    def wait(self, run_id: str) -> Run:
        """Wait until a run has finished. Raises `RunFailed`, with the failed task's last lines."""
        (run,) = deque(self.watch(run_id), maxlen=1)
        self.raise_for_failure(run)
        return run

    def raise_for_failure(self, run: Run) -> None:
        """Raises `RunFailed` for a run that failed: which task, why, and its last 50 log lines."""
        if run.state not in ("FAILED", "CANCELED"):
            return
        failed = [task for task in self.tasks(run) if task.state == "FAILED"]
        first = min(failed, key=lambda task: task.end_time, default=None)
        error = RunFailed(
            f"Run {run.display_name} ({run.run_id}) {run.state.lower()}: {_reason(run, first)}",
            cause=self._log_tail(run, first) if first else "",
        )
        error.run = run
        raise error

    def _log_tail(self, run: Run, task: models.Task) -> str:
        try:
            log = self.log(run.run_id, task.task_id, 4 * LOG_LINES)  # the executor's among them
            lines = tracebacks.readable(log).strip().splitlines()[-LOG_LINES:]
        except KfpError as error:
            return f"The log of task {task.display_name} cannot be read: {error.message}"
        return "\n".join([f"The last lines of task {task.display_name}:", *lines]) if lines else ""


def deleted(run: Run, error: NotFound) -> NotFound:
    """Return the error for a run that has been deleted meanwhile."""
    return NotFound(
        f"Run {run.display_name} ({run.run_id}) was deleted while waiting for it.",
        cause="Deleting a run also stops it.",
        server_text=error.server_text,
    )


def _reason(run: Run, failed: models.Task | None) -> str:
    """Say why it did not succeed, as far as is known: on a cluster only the tasks have errors."""
    if run.error:
        return run.error.message
    if any(change.state == "CANCELING" for change in run.state_history):
        return "it was terminated."
    return f"task {failed.display_name} failed." if failed else "KFP gives no reason."
