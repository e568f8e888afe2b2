"""Runs as their Workflows show them, which KFP reports some seconds later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from ..cluster.workflows import Workflow
from ..connection.event_reader import EventFailure
from ..models import EPOCH, FINISHED, UNSPECIFIED, Run, RunDetails, Task
from .watched_namespace import NEWEST, NamespaceState

# How often KFP is asked for a run it does not know: a Workflow exists a moment before.
CLAIMED_AFTER = 2


class WorkflowRun(msgspec.Struct, frozen=True):
    """A run as its Workflow shows it; `tasks` is None if the Workflow does not have them."""

    workflow: str
    run_id: str
    state: str
    finished_at: datetime = EPOCH
    tasks: list[Task] | None = None
    display_name: str = ""
    created_at: datetime = EPOCH

    @classmethod
    def of(cls, workflow: Workflow, tasks: list[Task] | None) -> WorkflowRun:
        return cls(
            workflow.name,
            workflow.run_id,
            workflow.state,
            workflow.status.finished_at or EPOCH,
            tasks,
            workflow.run_name,
            workflow.metadata.creation_timestamp,
        )

    @property
    def ended(self) -> bool:
        return self.state in FINISHED

    def alone(self) -> Run:
        """The run from its Workflow alone; like KFP, pending until Argo acts."""
        return Run(
            run_id=self.run_id,
            display_name=self.display_name,
            created_at=self.created_at,
            finished_at=self.finished_at if self.ended else None,
            state="PENDING" if self.state == UNSPECIFIED else self.state,
        )

    def over(self, run: Run, with_tasks: bool) -> Run:
        """Bring a run up to date; once both report its end, KFP's version is the better one."""
        if self.state == UNSPECIFIED or (self.ended and run.finished):
            return run
        stopping = run.state == "CANCELING" and not self.ended  # which Argo does not know
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
    """The active and recently ended runs of one namespace, by id.

    A run that KFP has never reported is shown from its Workflow. If KFP does not know it when
    asked, it is not one of KFP's runs, or was deleted if KFP knew it before.
    """

    def __init__(self) -> None:
        self._runs: dict[str, WorkflowRun] = {}
        self._looks: Counter[str] = Counter()  # attempts for those that KFP has not reported
        self._told: set[str] = set()  # those that KFP has reported

    def add(self, found: Iterable[WorkflowRun]) -> None:
        """Add or update runs; the others stay unchanged."""
        for run in found:
            known = self._runs.get(run.run_id)
            if run.tasks is None and known is not None and known.tasks is not None:
                run = msgspec.structs.replace(run, tasks=known.tasks)
            self._runs[run.run_id] = run

    def keep(self, run_ids: set[str]) -> None:
        """Forget active runs other than these."""
        self._only({key for key, run in self._runs.items() if run.ended or key in run_ids})

    def drop(self, workflows: Iterable[str]) -> None:
        """Forget deleted Workflows: KFP knows what became of the runs."""
        gone = {*workflows}
        self._only({key for key, run in self._runs.items() if run.workflow not in gone})

    def clear(self) -> None:
        self._only(set())

    def settle(self, state: NamespaceState) -> None:
        """Forget the runs whose end KFP has reported."""
        self._told |= self._runs.keys() & state.runs.keys()
        for run_id in [key for key, run in self._runs.items() if run.ended]:
            told = state.runs.get(run_id)
            gone = told is None and not self._may_be_new(run_id)
            if gone or (told is not None and told.finished):
                self._only(self._runs.keys() - {run_id})

    def unknown(self, state: NamespaceState) -> dict[str, int]:
        """The runs that KFP has not reported, each with the number of attempts."""
        return {key: self._looks[key] for key in self._runs if key not in state.runs}

    def missed(self, run_ids: Iterable[str]) -> None:
        """Count an attempt for runs that KFP did not know when asked."""
        self._looks.update(key for key in run_ids if key in self._runs)

    def unsettled(self) -> set[str]:
        """Return the runs that have ended, but not according to KFP."""
        return {key for key, run in self._runs.items() if run.ended}

    def over(self, state: NamespaceState) -> NamespaceState:
        """Apply the known runs to a state reported by KFP."""
        new = [
            run.alone()
            for key, run in self._runs.items()
            if key not in state.runs and self._may_be_new(key)
        ]
        new = sorted(new, key=lambda run: run.created_at, reverse=True)[:NEWEST]
        runs = {run.run_id: run for run in new} | state.runs
        watched: dict[str, Run | EventFailure] = {**state.watched}
        for run_id, told in self._runs.items():
            if run_id in state.runs:
                runs[run_id] = told.over(runs[run_id], with_tasks=False)
            seen = watched.get(run_id)
            if isinstance(seen, Run):
                watched[run_id] = told.over(seen, with_tasks=True)
        newest = max((run.created_at for run in state.runs.values()), default=EPOCH)
        total = state.total_runs + sum(run.created_at > newest for run in new)
        return msgspec.structs.replace(state, runs=runs, watched=watched, total_runs=total)

    def _may_be_new(self, run_id: str) -> bool:
        return run_id not in self._told and self._looks[run_id] < CLAIMED_AFTER

    def _only(self, run_ids: Collection[str]) -> None:
        self._runs = {key: self._runs[key] for key in self._runs if key in run_ids}
        self._looks = Counter({key: self._looks[key] for key in self._looks if key in run_ids})
        self._told &= self._runs.keys()
