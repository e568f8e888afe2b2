"""Queues runs, executes each in a worker process, and brings every one to an end."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ....errors import KfpError
from ....models import FINISHED, Task, TaskValues
from ...machine.disk_faults import why
from ..executors.containers import MARK, Engines, stop_left
from ..executors.task_process import LOG_NAME
from ..run_request import Assignment, RunReport, RunRequest, moved
from .fork_server import ForkServer
from .unwritten_states import UnwrittenStates
from .worker_process import GRACE_SECONDS, WorkerProcess

__all__ = ["RunQueue", "RunRequest", "RunStore"]

TERMINATED = "terminated"
DELETED = "deleted"
STOPPED = "the local KFP was stopped while this run was executing"
LOST = "the local KFP ended without warning while this run was executing"

# Longer than runs have to end by themselves, and than it then takes to kill them.
_MOST_SECONDS_TO_END = 4 * GRACE_SECONDS

logger = logging.getLogger(__name__)


class RunStore(Protocol):
    """The part of the database that the run queue needs."""

    def unfinished_runs(self) -> list[tuple[str, str]]:
        """The run id and state of each unfinished run, oldest first."""

    def deleted_runs(self) -> list[tuple[str, str]]:
        """The run id and namespace of each deleted run whose folder still exists."""

    def folder_removed(self, run_id: str) -> None: ...

    def namespace(self, run_id: str) -> str: ...

    def set_run_state(self, run_id: str, state: str, error: str = "") -> None: ...

    def put_task(
        self, task: Task, inputs: TaskValues | None = None, outputs: TaskValues | None = None
    ) -> None:
        """Insert a task, or update the one with this run and task id. None: unchanged."""

    def tasks(self, run_id: str) -> list[Task]: ...

    def succeeded(self, run_id: str) -> dict[str, TaskValues]:
        """The outputs of the succeeded tasks, by task id."""


class RunQueue:
    """Executes runs in worker processes, at most `limit` at once, with namespaces taking turns.

    It belongs to the event loop, and calls the store on that thread.
    """

    def __init__(
        self,
        store: RunStore,
        request: Callable[[str], Awaitable[RunRequest]],
        folder: Path,
        secrets: Callable[[str], dict[str, dict[str, str]]],
        token_file: Callable[[str, str], Path],
        endpoint: str,
        limit: int,
        ended: Callable[[str], None] = lambda run_id: None,
        config_maps: Callable[[str], dict[str, dict[str, str]]] = lambda namespace: {},
    ) -> None:
        self._store = store
        # Returns the request for a run; raises KeyError if it has been deleted.
        self._request = request
        self._folder = folder
        self._secrets = secrets
        self._config_maps = config_maps
        self._token_file = token_file
        self._endpoint = endpoint
        self._limit = limit
        self._ended = ended
        # The queued runs by namespace; the first namespace is the next in turn.
        self._waiting: dict[str, deque[str]] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._executions: set[asyncio.Task[None]] = set()
        self._fork_server = ForkServer()
        self._ledger = UnwrittenStates(self._write, self._start_waiting)
        self._engines = Engines(os.environ)
        # The folders of deleted runs that still have to be removed.
        self._forgotten: dict[str, Path] = {}

    def recover(self) -> None:
        """Resume after the last server: queue pending runs, end those that were executing, and
        remove those that were being deleted.
        """
        for run_id, namespace in self._store.deleted_runs():
            self.forget(namespace, run_id)
        for run_id, state in self._store.unfinished_runs():
            if state == "PENDING":
                self._enqueue(run_id)
            else:
                self._end_lost(run_id, TERMINATED if state == "CANCELING" else LOST)
        self._start_waiting()

    def _end_lost(self, run_id: str, reason: str) -> None:
        namespace = self._store.namespace(run_id)
        if (self._run_folder(namespace, run_id) / MARK).exists():
            self._start(namespace, run_id, reason)  # to stop its containers, which takes time
        else:
            self._ledger.put(run_id, RunReport.failed(reason))

    def submit(self, run_id: str) -> None:
        """Start the run now, or when its turn comes.

        In a retried run, tasks that have succeeded are not executed again.
        """
        self._enqueue(run_id)
        self._start_waiting()

    def terminate(self, run_id: str) -> None:
        """Stop every process of the run, or remove it from the queue; it ends FAILED."""
        self._ledger.catch_up()  # Perhaps it has ended, and only its end is not written yet.
        if worker := self._workers.get(run_id):
            worker.stop(TERMINATED)
        elif self._dequeue(run_id) or run_id in dict(self._store.unfinished_runs()):
            self._ledger.put(run_id, RunReport.failed(TERMINATED))

    def log_file(self, namespace: str, run_id: str, task_id: str) -> Path:
        """The path of a task's log. The ids are the database's own."""
        return self._run_folder(namespace, run_id) / "tasks" / task_id / LOG_NAME

    def artifact_file(self, namespace: str, uri: str) -> Path | None:
        """The file of a URI, if it exists and belongs to the namespace."""
        path = uri.removeprefix("file://")
        if not (path.startswith("/") and os.path.isfile(path)):
            return None
        real = Path(path).resolve()
        return real if real.is_relative_to((self._folder / namespace).resolve()) else None

    def forget(self, namespace: str, run_id: str) -> None:
        """Stop a run whose record is deleted, and remove its files."""
        self._dequeue(run_id)
        self._forgotten[run_id] = self._run_folder(namespace, run_id)
        if worker := self._workers.get(run_id):
            worker.stop(DELETED)  # its execution removes the rest at its end
        else:
            self._keep(self._remove(run_id))

    def is_forgetting(self, run_id: str) -> bool:
        """Return True if files of a deleted run still exist."""
        return run_id in self._forgotten

    async def _remove(self, run_id: str) -> None:
        folder = self._forgotten[run_id]
        await asyncio.to_thread(self._stop_containers, run_id, folder)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        try:
            if folder.exists():
                logger.warning("run %s has left files, which the next start will remove", run_id)
                return
            self._store.folder_removed(run_id)
        except (OSError, sqlite3.Error) as error:
            logger.warning(
                "run %s: the next start will check that it is removed: %s", run_id, error
            )
            return
        del self._forgotten[run_id]

    async def close(self, because: str = STOPPED) -> None:
        """Stop the executing runs; queued ones stay PENDING for the next start."""
        self._limit = 0  # Runs submitted from now on are not started, either.
        for worker in self._workers.values():
            worker.stop(because)
        await self._all_ended()
        self._ledger.close()
        await self._fork_server.close()

    async def _all_ended(self) -> None:
        """Wait for the runs to end, even if the process that starts them does not answer."""
        if not self._executions:
            return
        _, unended = await asyncio.wait(self._executions, timeout=_MOST_SECONDS_TO_END)
        if unended:
            logger.warning("Runs do not end, and the process that starts them is killed")
            await self._fork_server.close()
            await asyncio.gather(*unended, return_exceptions=True)

    def _enqueue(self, run_id: str) -> None:
        self._waiting.setdefault(self._store.namespace(run_id), deque()).append(run_id)

    def _dequeue(self, run_id: str) -> bool:
        for namespace, queue in self._waiting.items():
            if run_id in queue:
                queue.remove(run_id)
                if not queue:
                    del self._waiting[namespace]
                return True
        return False

    def _next_in_turn(self) -> tuple[str, str]:
        namespace, queue = next(iter(self._waiting.items()))
        del self._waiting[namespace]
        run_id = queue.popleft()
        if queue:
            self._waiting[namespace] = queue
        return namespace, run_id

    def _start_waiting(self) -> None:
        # A run started while nothing can be written would only fail.
        while self._waiting and len(self._workers) < self._limit and not self._ledger.behind:
            self._start(*self._next_in_turn())

    def _start(self, namespace: str, run_id: str, stopped: str = "") -> None:
        """Execute the run; or, if it was stopped, only clean up after it."""
        self._workers[run_id] = WorkerProcess(self._fork_server)
        if stopped:
            self._workers[run_id].stop(stopped)
        self._keep(self._execute(run_id, self._run_folder(namespace, run_id)))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Make sure that the work is finished before the queue is closed."""
        execution = asyncio.get_running_loop().create_task(work)
        self._executions.add(execution)
        execution.add_done_callback(self._executions.discard)

    async def _execute(self, run_id: str, folder: Path) -> None:
        try:
            end = await self._outcome(run_id, folder)
            await asyncio.to_thread(self._stop_containers, run_id, folder)
            self._ledger.put(run_id, end)
        finally:
            del self._workers[run_id]
            self._start_waiting()
            if run_id in self._forgotten:
                await self._remove(run_id)

    async def _outcome(self, run_id: str, folder: Path) -> RunReport:
        worker = self._workers[run_id]
        try:
            if worker.stopped:
                return RunReport.failed(worker.stopped)
            self._ledger.put(run_id, RunReport(state="RUNNING"))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            job = await self._request(run_id)
            with _stopped_after(job.deadline, worker):
                return await worker.work(
                    self._assignment(job), folder, partial(self._ledger.put, run_id)
                )
        except Exception as error:  # Whatever it was: no run may stay RUNNING.
            if worker.stopped:  # It may also have been deleted.
                return RunReport.failed(worker.stopped)
            reason = why(error)
            logger.error("run %s: %s", run_id, reason, exc_info=None if reason else error)
            reason = reason or f"{type(error).__name__}: {error}"
            return RunReport.failed(f"the run could not be executed: {reason}")

    def _stop_containers(self, run_id: str, folder: Path) -> None:
        try:
            stop_left(self._engines, run_id, folder)
        except Exception as error:  # Whatever it was: no run may stay RUNNING.
            unexpected = None if isinstance(error, (KfpError, OSError)) else error
            logger.warning(
                "run %s may have left containers: %s", run_id, error, exc_info=unexpected
            )

    def _assignment(self, job: RunRequest) -> Assignment:
        token_file = self._token_file(job.namespace, job.service_account or "default-editor")
        return Assignment(
            job,
            self._secrets(job.namespace),
            {
                "KF_PIPELINES_ENDPOINT": self._endpoint,
                "KF_PIPELINES_SA_TOKEN_PATH": str(token_file),
            },
            self._engines.environment,
            self._store.tasks(job.run_id),
            self._store.succeeded(job.run_id),
            config_maps=self._config_maps(job.namespace),
        )

    def _write(self, run_id: str, report: RunReport) -> None:
        if report.task:
            self._store.put_task(report.task, report.inputs, report.outputs)
        elif report.state in FINISHED:
            self._finish(run_id, report)
        else:
            self._store.set_run_state(run_id, report.state)

    def _finish(self, run_id: str, end: RunReport) -> None:
        try:
            self._settle(run_id, end)
        except Exception as error:  # Whatever it was: no run may stay RUNNING.
            if why(error):
                raise
            logger.error("run %s: its end cannot be recorded", run_id, exc_info=error)
            reason = f"the end of the run could not be recorded: {type(error).__name__}"
            self._store.set_run_state(run_id, "FAILED", reason)
        self._ended(run_id)

    def _settle(self, run_id: str, end: RunReport) -> None:
        for task in self._store.tasks(run_id):
            if task.state == "RUNNING":
                self._store.put_task(moved(task, "FAILED", end.error))
            elif not task.finished:
                self._store.put_task(moved(task, "SKIPPED"))
        self._store.set_run_state(run_id, end.state, end.error)

    def _run_folder(self, namespace: str, run_id: str) -> Path:
        if run_id in ("", ".", "..") or "/" in run_id or "\0" in run_id:
            raise ValueError(f"the run id {run_id!r} cannot be the name of a folder")
        return self._folder / namespace / "runs" / run_id


@contextmanager
def _stopped_after(seconds: int | None, worker: WorkerProcess) -> Iterator[None]:
    if seconds is None:
        yield
        return
    reason = f"the run took longer than its deadline of {seconds} s"
    timer = asyncio.get_running_loop().call_later(seconds, worker.stop, reason)
    try:
        yield
    finally:
        timer.cancel()
