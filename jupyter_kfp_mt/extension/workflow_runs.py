"""Runs as Workflows tell of them, laid over what KFP tells some seconds later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from ..cluster.workflows import Workflow
from ..connection.event_reader import EventFailure
from ..models import EPOCH, FINISHED, UNSPECIFIED, Run, RunDetails, Task
from .watched_namespace import NamespaceState


class WorkflowRun(msgspec.Struct, frozen=True):
    """A run as its Workflow tells of it; `tasks` are None where that says nothing of them."""

    workflow: str
    run_id: str
    state: str
    finished_at: datetime = EPOCH
    tasks: list[Task] | None = None

    @classmethod
    def of(cls, workflow: Workflow, tasks: list[Task] | None) -> WorkflowRun:
        finished_at = workflow.status.finished_at or EPOCH
        return cls(workflow.name, workflow.run_id, workflow.state, finished_at, tasks)

    @property
    def ended(self) -> bool:
        return self.state in FINISHED

    def over(self, run: Run, with_tasks: bool) -> Run:
        """The run as it is now: once both say that it has ended, KFP knows more."""
        if self.state == UNSPECIFIED or (self.ended and run.finished):
            return run
        stopping = run.state == "CANCELING" and not self.ended  # of which Argo has no word
        details = run.run_details
        if with_tasks and self.tasks is not None:
            details = RunDetails(task_details=self.tasks)
        return msgspec.structs.replace(
            run,
            state=run.state if stopping else self.state,
            finished_at=self.finished_at if self.ended or run.finished else run.finished_at,
            run_details=details,
        )


class WorkflowRuns:
    """The runs of one namespace that go on, or have just ended, by their ids."""

    def __init__(self) -> None:
        self._runs: dict[str, WorkflowRun] = {}

    def add(self, found: Iterable[WorkflowRun]) -> None:
        """Take what is told; tasks that are not told of again are as they were."""
        for run in found:
            known = self._runs.get(run.run_id)
            if run.tasks is None and known is not None and known.tasks is not None:
                run = msgspec.structs.replace(run, tasks=known.tasks)
            self._runs[run.run_id] = run

    def keep(self, run_ids: set[str]) -> None:
        """Forget what goes on and is none of these."""
        self._runs = {key: run for key, run in self._runs.items() if run.ended or key in run_ids}

    def drop(self, workflows: Iterable[str]) -> None:
        """Forget Workflows that are not there any more: KFP says what became of the runs."""
        gone = {*workflows}
        self._runs = {key: run for key, run in self._runs.items() if run.workflow not in gone}

    def clear(self) -> None:
        self._runs.clear()

    def settle(self, state: NamespaceState) -> None:
        """Forget those that have ended and of which KFP knows that by now."""
        for run_id in [key for key, run in self._runs.items() if run.ended]:
            told = state.runs.get(run_id)
            if told is None or told.finished:
                del self._runs[run_id]

    def unknown(self, state: NamespaceState) -> set[str]:
        """The runs of which KFP has not told yet."""
        return self._runs.keys() - state.runs.keys()

    def are_settled(self) -> bool:
        """Tell whether KFP has told the end of each that has ended."""
        return not any(run.ended for run in self._runs.values())

    def over(self, state: NamespaceState) -> NamespaceState:
        """Return what there is now."""
        runs = {**state.runs}
        watched: dict[str, Run | EventFailure] = {**state.watched}
        for run_id, told in self._runs.items():
            if run_id in runs:
                runs[run_id] = told.over(runs[run_id], with_tasks=False)
            seen = watched.get(run_id)
            if isinstance(seen, Run):
                watched[run_id] = told.over(seen, with_tasks=True)
        return msgspec.structs.replace(state, runs=runs, watched=watched)
