"""The progress of a run, as its worker process reports it: task by task."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from types import FrameType

import msgspec

from ....models import Task, TaskValues
from ..executors.failures import shortened
from ..run_request import RunReport, moved
from .scopes import COMPILERS_GROUP

MAX_REASON_CHARACTERS = 2000
_ITERATION = re.compile(r"(.+)-iteration-(\d+)")
# The names of a task and of its enclosing groups, outermost first.
TaskPath = tuple[str, ...]


class Progress:
    """The current tasks of a run; reports each change. Used from several threads."""

    def __init__(
        self, run_id: str, send: Callable[[RunReport], None], earlier: Iterable[Task] = ()
    ) -> None:
        self._run_id = run_id
        self._send = send
        # By id, which stays the same in another attempt.
        self._earlier = {task.task_id: task for task in earlier}
        self._tasks: dict[TaskPath, Task] = {}
        # The author's name for each task.
        self.called: Callable[[TaskPath], str] = display_name
        # The reason why the run will fail.
        self.failure = ""
        self.stopping = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Wait for the tasks, which get the same signal, and start no more."""
        self.stopping = True

    def plan(self, path: TaskPath) -> Task:
        """Register the task, once."""
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

    def try_again(self, path: TaskPath, failure: str) -> None:
        """Record in the task's history that an attempt has failed and the next one begins."""
        task = self._tasks[path]
        again = moved(moved(task, "FAILED", _sendable(failure)), "RUNNING")
        self._put(
            path,
            msgspec.structs.replace(again, start_time=task.start_time, end_time=task.end_time),
        )

    def note_inputs(self, path: TaskPath, inputs: TaskValues) -> None:
        self._send(RunReport(task=self._tasks[path], inputs=inputs))

    def finish(self, path: TaskPath, outputs: TaskValues, failure: str = "") -> None:
        failure = _sendable(failure)
        task = moved(self._tasks[path], "FAILED" if failure else "SUCCEEDED", failure)
        self._put(path, task, outputs)
        if failure:
            self.give_up(f"Task '{self.called(path)}' failed: {failure}")

    def give_up(self, reason: str) -> None:
        """Let the run fail; the first reason counts."""
        self.failure = self.failure or _sendable(reason)

    def end(self, failure: str) -> None:
        state = "FAILED" if failure else "SUCCEEDED"
        self._send(RunReport(state=state, error=_sendable(failure)))

    def _put(self, path: TaskPath, task: Task, outputs: TaskValues | None = None) -> None:
        self._tasks[path] = task
        self._send(RunReport(task=task, outputs=outputs))


def task_id(run_id: str, path: TaskPath) -> str:
    """Return the id of a run's task, which stays the same in every attempt."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join((run_id, *path))))


def display_name(path: TaskPath, labels: Iterable[str] = ()) -> str:
    """Return a readable name of the task, from the keys of its path or from their labels.

    `train`, `train[0]` in a loop, `inner/train` in a pipeline.
    """
    keys, numbers = without_iterations(path)
    *groups, (_, name) = zip(keys, labels or keys, strict=True)
    around = [label for key, label in groups if not COMPILERS_GROUP.fullmatch(key)]
    return "/".join([*around, name]) + "".join(f"[{number}]" for number in numbers)


def without_iterations(path: TaskPath) -> tuple[TaskPath, list[str]]:
    """Return the keys of a task and its groups in the specification, and their iterations."""
    found = [_ITERATION.fullmatch(group) for group in path[:-1]]
    keys = [match[1] if match else group for match, group in zip(found, path, strict=False)]
    return (*keys, path[-1]), [match[2] for match in found if match]


def _sendable(text: str) -> str:
    """Limit a text in length, and replace surrogates, which file names can contain."""
    return shortened(text, MAX_REASON_CHARACTERS).encode("utf-8", "replace").decode()
