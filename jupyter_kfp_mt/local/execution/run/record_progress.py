"""How far a run has come, as its worker process reports it: task by task."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from types import FrameType

from ....models import Task, TaskValues
from ..run_request import RunReport, moved
from ..task.failures import shortened
from .scopes import COMPILERS_GROUP

MAX_REASON_CHARACTERS = 2000
_ITERATION = re.compile(r"(.+)-iteration-(\d+)")
# The names of a task and of the groups that it is in, outermost first.
TaskPath = tuple[str, ...]


class Progress:
    """The run's tasks as they are now; each change is reported. Used from several threads."""

    def __init__(
        self, run_id: str, send: Callable[[RunReport], None], earlier: Iterable[Task] = ()
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

    def plan(self, path: TaskPath) -> Task:
        """Makes the task known, once."""
        if path not in self._tasks:
            own_id = task_id(self._run_id, path)
            if own_id in self._earlier:
                self._tasks[path] = self._earlier[own_id]
            else:
                task = Task(
                    run_id=self._run_id,
                    task_id=own_id,
                    display_name=display_name(path),
                    create_time=datetime.now(timezone.utc),
                )
                self._put(path, moved(task, "PENDING"))
        return self._tasks[path]

    def start(self, path: TaskPath) -> None:
        self._put(path, moved(self._tasks[path], "RUNNING"))

    def note_inputs(self, path: TaskPath, inputs: TaskValues) -> None:
        self._send(RunReport(task=self._tasks[path], inputs=inputs))

    def finish(self, path: TaskPath, outputs: TaskValues, failure: str = "") -> None:
        failure = _sendable(failure)
        task = moved(self._tasks[path], "FAILED" if failure else "SUCCEEDED", failure)
        self._put(path, task, outputs)
        if failure:
            self.give_up(_told(task))

    def give_up(self, reason: str) -> None:
        """The run will fail; the first reason is the one that it gets."""
        self.failure = self.failure or _sendable(reason)

    def end(self, failure: str) -> None:
        state = "FAILED" if failure else "SUCCEEDED"
        self._send(RunReport(state=state, error=_sendable(failure)))

    def _put(self, path: TaskPath, task: Task, outputs: TaskValues | None = None) -> None:
        self._tasks[path] = task
        self._send(RunReport(task=task, outputs=outputs))


def task_id(run_id: str, path: TaskPath) -> str:
    """Return the id that a run's task has, whenever the run is tried again."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join((run_id, *path))))


def display_name(path: TaskPath) -> str:
    """Return what a person calls the task.

    `train`, `train[0]` in a loop, `inner/train` in a pipeline.
    """
    *scope, name = path
    iterations = ""
    pipelines = ""
    for group in scope:
        if iteration := _ITERATION.fullmatch(group):
            group, number = iteration.groups()
            iterations += f"[{number}]"
        if not COMPILERS_GROUP.fullmatch(group):
            pipelines += f"{group}/"
    return f"{pipelines}{name}{iterations}"


def _told(task: Task) -> str:
    return f"Task '{task.display_name}' failed: {task.error.message if task.error else ''}"


def _sendable(text: str) -> str:
    """Not too long, and without the half characters that the names of files can have."""
    return shortened(text, MAX_REASON_CHARACTERS).encode("utf-8", "replace").decode()
