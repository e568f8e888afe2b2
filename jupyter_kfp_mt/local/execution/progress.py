"""How far a run has come, as its worker process reports it: task by task."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from types import FrameType

from ...models import Task, TaskValues
from .failures import shortened
from .job import Report, moved

MAX_REASON_CHARACTERS = 2000
# The names of a task and of the groups that it is in, outermost first.
TaskPath = tuple[str, ...]


class Progress:
    """The run's tasks as they are now; each change is reported. Used from several threads."""

    def __init__(
        self, run_id: str, send: Callable[[Report], None], earlier: Iterable[Task] = ()
    ) -> None:
        self._run_id = run_id
        self._send = send
        # By their ids, which they would have again.
        self._earlier = {task.task_id: task for task in earlier}
        self._tasks: dict[TaskPath, Task] = {}
        # Why the run will fail.
        self.failure = ""
        self.stopping = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """The tasks get the same signal; wait for them, and start no more."""
        self.stopping = True

    def plan(self, path: TaskPath, name: str) -> Task:
        """Makes the task known, once."""
        if path not in self._tasks:
            task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join((self._run_id, *path))))
            if task_id in self._earlier:
                self._tasks[path] = self._earlier[task_id]
            else:
                now = datetime.now(timezone.utc)
                task = Task(
                    run_id=self._run_id, task_id=task_id, display_name=name, create_time=now
                )
                self._put(path, moved(task, "PENDING"))
        return self._tasks[path]

    def start(self, path: TaskPath) -> None:
        self._put(path, moved(self._tasks[path], "RUNNING"))

    def note_inputs(self, path: TaskPath, inputs: TaskValues) -> None:
        self._send(Report(task=self._tasks[path], inputs=inputs))

    def finish(self, path: TaskPath, outputs: TaskValues, failure: str = "") -> None:
        failure = _sendable(failure)
        task = moved(self._tasks[path], "FAILED" if failure else "SUCCEEDED", failure)
        self._put(path, task, outputs)
        if failure:
            self.give_up(_told(task))

    def give_up(self, reason: str) -> None:
        """The run will fail; the first reason is the one that it gets."""
        self.failure = self.failure or _sendable(reason)

    def failure_in(self, group: TaskPath) -> str:
        """Why a group of tasks has failed: because of the first in it that did."""
        failed = [
            task
            for path, task in list(self._tasks.items())
            if path[: len(group)] == group and task.state == "FAILED"
        ]
        first = min(failed, key=lambda task: task.end_time, default=None)
        return _told(first) if first else self.failure

    def end(self, failure: str) -> None:
        state = "FAILED" if failure else "SUCCEEDED"
        self._send(Report(state=state, error=_sendable(failure)))

    def _put(self, path: TaskPath, task: Task, outputs: TaskValues | None = None) -> None:
        self._tasks[path] = task
        self._send(Report(task=task, outputs=outputs))


def _told(task: Task) -> str:
    return f"Task '{task.display_name}' failed: {task.error.message if task.error else ''}"


def _sendable(text: str) -> str:
    """Not too long, and without the half characters that the names of files can have."""
    return shortened(text, MAX_REASON_CHARACTERS).encode("utf-8", "replace").decode()
