"""The tasks of a run, with their inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .. import models
from ..attempts import attempting
from ..models import Run, RunDetails
from . import results
from .api import Api
from .queries import part
from .written_tasks import stated, written


class TaskResults(Api):
    """The tasks of a run, by the words of `%kfp`."""

    def run_as_told(self, run_id: str) -> Run:
        """Return a run with the tasks that KFP lists: on a cluster all parts of a workflow."""
        return stated(self._get("runs", run_id, Run))

    def as_written(self, run: Run) -> Run:
        """Return the run with the tasks of its pipeline, which it may have already.

        The pipeline version that it refers to is requested once.
        """
        if not run.run_details:
            return run
        tasks = written(run, self._specifications.of, lambda: self.health().local)
        return msgspec.structs.replace(run, run_details=RunDetails(task_details=tasks))

    def specification(self, run: Run) -> Mapping[str, Any] | None:
        """Return the compiled pipeline of a run, requested once; None if KFP does not return it."""
        return self._specifications.of(run)

    def tasks(self, run: Run) -> list[models.Task]:
        """The tasks of a run that are in its pipeline."""
        return self.as_written(run).tasks

    def task_values(self, run_id: str) -> dict[str, models.TaskIO]:
        """Return the inputs and outputs of a run's tasks, by their ids.

        Only the local KFP has them; for a cluster the result is empty.
        """
        if not self.health().local:
            return {}
        url = f"{self.endpoint}/apis/v1alpha1/runs/{part(run_id)}/nodes"
        with attempting(f"read the values of run {run_id}"):
            answer = self.transport.whole(url)
        found: dict[str, dict[str, models.TaskIO]] = self.transport.decode(
            answer, dict[str, dict[str, models.TaskIO]]
        )
        return found.get("nodes", {})

    def metrics(self, run: Run) -> dict[str, float]:
        """Return the metrics that a run's tasks logged, if KFP has them."""
        return results.metrics(run, self.task_values(run.run_id)) if run.finished else {}

    def artifacts(self, run: Run) -> results.Artifacts:
        """Return the artifacts that a run's tasks produced, if KFP has them."""
        return results.artifacts(run, self.task_values(run.run_id))

    def compare(self, runs: Sequence[Run]) -> results.Comparison:
        """Parameters and metrics of runs side by side, what differs first."""
        return results.comparison([(run, self.task_values(run.run_id)) for run in runs])
