"""Operations on runs."""

from __future__ import annotations

import math
import random
import re
import sqlite3
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ...models import (
    EPOCH,
    FINISHED,
    Experiment,
    PipelineVersion,
    PipelineVersionReference,
    Run,
    RuntimeConfig,
    StateChange,
    TaskIO,
    TaskValues,
)
from ..database import Database, new_id
from ..database.row_types import Metric, Origin, PlacedRun
from ..pipelines.pipeline_files import Specification, check_parameters
from ..tenants.identity import Caller
from ..tenants.roles import ResourceAttributes, Roles
from ..wire.api_errors import (
    already_exists,
    bad_request,
    failed_precondition,
    invalid_input,
    missing,
    not_found,
    wrapped,
)
from ..wire.list_options import ListOptions
from .pipelines import Pipelines
from .request_checks import (
    DEFAULT_SERVICE_ACCOUNT,
    check_service_account,
    check_text,
    found,
    is_empty,
    now,
)
from .values import Listed, NewRecurringRun, NewRun, PipelineToRun, listed

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_METRIC_NAME = "^[a-zA-Z]([-_a-zA-Z0-9]{0,62}[a-zA-Z0-9])?$"
_LONGEST_NODE_ID = 128
_MOST_METRICS = 1000


class Runner(Protocol):
    """Executes runs."""

    def submit(self, run_id: str) -> None: ...

    def terminate(self, run_id: str) -> None: ...

    def forget(self, namespace: str, run_id: str) -> None: ...

    def is_forgetting(self, run_id: str) -> bool:
        """Return True if files of a deleted run still exist."""

    def log_file(self, namespace: str, run_id: str, task_id: str) -> Path: ...

    def artifact_file(self, namespace: str, uri: str) -> Path | None: ...


class Controller(Protocol):
    """Fires recurring runs."""

    def changed(self, recurring_run_id: str) -> None:
        """Handle a recurring run that was created, enabled, disabled or deleted."""

    def finished(self, recurring_run_id: str) -> None:
        """Handle the end of one of its runs."""


class Runs:
    """Operations on runs, each in the namespace of its experiment."""

    def __init__(
        self,
        database: Database,
        roles: Roles,
        runner: Runner,
        controller: Controller,
        pipelines: Pipelines,
    ):
        self._database = database
        self._table = database.runs
        self._roles = roles
        self._runner = runner
        self._controller = controller
        self._pipelines = pipelines

    def authorize_creation(self, caller: Caller, new: NewRun) -> str:
        """Authorize, and return the namespace; the pipeline need not be known yet."""
        if not new.display_name:
            raise invalid_input("Run name cannot be empty")
        with wrapped(
            "Failed to create a run due to invalid experimentId and namespace combination"
        ):
            namespace = self.namespace_of(new.experiment_id, new.namespace)
        with wrapped(
            "Failed to create a run due to authorization error. "
            f"Check if you have write permissions to namespace {namespace}"
        ):
            self._authorize(caller, "", ResourceAttributes(namespace, "create", "runs"))
        return namespace

    async def create(self, caller: Caller, new: NewRun) -> PlacedRun:
        namespace = self.authorize_creation(caller, new)
        if existing := self._of_recurring_run(new, namespace):
            return existing
        _check(new)
        with wrapped("Failed to create a run due to error fetching manifest"):
            version, specification = await self.source(caller, new)
        with wrapped("Failed to generate the ExecutionSpec: invalid pipeline job inputs"):
            check_parameters(specification, dict(new.parameters))
        placed = pending_run(new, namespace, version, specification)
        if self._runner.is_forgetting(placed.run.run_id):
            raise already_exists(
                f"Failed to create a run. The id {placed.run.run_id} is that of a run which is "
                "being deleted. Try again in a few seconds, or choose another"
            )
        origin = origin_of(new, version, specification)
        try:
            await self._database.change(
                specification, lambda tables: tables.runs.add(placed, origin)
            )
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a run. The id {placed.run.run_id} is taken"
            ) from None
        self._runner.submit(placed.run.run_id)
        return placed

    async def get(self, caller: Caller, run_id: str) -> PlacedRun:
        self._authorized(caller, run_id, "get")
        placed = await self._database.read(
            self._table.digest(run_id), lambda tables: tables.runs.one(run_id)
        )
        with wrapped(f"Failed to fetch run {run_id}"):
            return found(placed, "Run", run_id)

    async def list(
        self,
        caller: Caller,
        namespace: str,
        experiment_id: str,
        options: ListOptions,
        *,
        manifests: bool = False,
    ) -> Listed[PlacedRun]:
        """List runs of an experiment, if given, else of a namespace."""
        if experiment_id:
            with wrapped(
                "Failed to list runs due to error fetching namespace for experiment "
                f"{experiment_id}. Try filtering based on namespace"
            ):
                namespace = self._namespace_of_experiment(experiment_id)
        with wrapped(
            "Failed to list runs due to authorization error. "
            f"Check if you have permission to access namespace {namespace}"
        ):
            self._authorize(caller, "", ResourceAttributes(namespace, "list", "runs"))
        scope = {"experiment_id": experiment_id} if experiment_id else {"namespace": namespace}
        page = await self._database.page(
            options,
            lambda tables, limit: tables.runs.page(scope, options, limit, manifests=manifests),
        )
        return listed(options, *page)

    def archive(self, caller: Caller, run_id: str) -> None:
        self._authorized(caller, run_id, "archive")
        self._table.set_storage_state(run_id, "ARCHIVED")

    def unarchive(self, caller: Caller, run_id: str) -> None:
        self._authorized(caller, run_id, "unarchive")
        experiment_id, _ = self._existing(run_id)
        with wrapped(f"Failed to unarchive run {run_id} due to experiment fetching error"):
            experiment = self._experiment(experiment_id)
        if experiment.storage_state == "ARCHIVED":
            raise failed_precondition(
                f"Failed to unarchive run {run_id} as experiment {experiment_id} must be "
                "un-archived first",
                "Unarchive the experiment first to allow the run to be restored",
            )
        self._table.set_storage_state(run_id, "AVAILABLE")

    def delete(self, caller: Caller, run_id: str) -> None:
        """Delete a run with its files. If it is executing, it is stopped."""
        namespace = self._authorized(caller, run_id, "delete")
        recurring_run_id = self._table.recurring_run_id(run_id)
        self._table.delete(run_id)
        self._runner.forget(namespace, run_id)
        if recurring_run_id:
            self._controller.finished(recurring_run_id)

    def terminate(self, caller: Caller, run_id: str) -> None:
        self._authorized(caller, run_id, "terminate")
        with wrapped(f"Failed to terminate run {run_id} due to error fetching its namespace"):
            experiment_id, _ = self._existing(run_id)
            self._check_experiment_of(run_id, experiment_id)
        with wrapped(f"Failed to terminate run {run_id}"):
            if not self._table.cancel(run_id):
                raise invalid_input(f"Failed to terminate a run {run_id}. Row not found")
        self._runner.terminate(run_id)

    def retry(self, caller: Caller, run_id: str) -> None:
        """Execute the tasks again that have not succeeded."""
        self._authorized(caller, run_id, "retry")
        experiment_id, state = self._existing(run_id)
        with wrapped(f"Failed to retry run {run_id} due to error fetching its namespace"):
            self._check_experiment_of(run_id, experiment_id)
        if state not in FINISHED:
            with wrapped(
                f"Failed to retry run {run_id}: could not claim database row before workflow "
                "operation"
            ):
                raise bad_request(f"Cannot claim run {run_id} for retry: not in a terminal state")
        if state != "FAILED":
            with wrapped(f"Failed to retry run {run_id}"):
                raise bad_request(
                    "Workflow must be Failed/Error to retry", "workflow cannot be retried"
                )
        self._table.retry(run_id)
        self._runner.submit(run_id)

    def report_metrics(
        self, caller: Caller, run_id: str, metrics: Sequence[Metric]
    ) -> Iterator[tuple[str, str]]:
        """Return the result for each metric: a status of v1beta1, and an error message."""
        if self._table.place(run_id) is None:
            raise not_found("Run %s not found", run_id)  # The API server fills in no id.
        with wrapped("Failed to report v1beta1 run metrics"):
            self._authorized(caller, run_id, "reportMetrics")
            if len(metrics) > _MOST_METRICS:
                raise invalid_input(
                    f"Report at most {_MOST_METRICS} metrics at once. Received {len(metrics)}"
                )
        valid = [metric for metric in metrics if not any(_problem_of(metric))]
        added = iter(self._table.add_metrics(run_id, valid))
        return (_outcome(metric, added) for metric in metrics)

    def artifact(self, caller: Caller, run_id: str, node_id: str, name: str) -> Path:
        """The file of an input or output artifact of a task."""
        namespace = self._authorized(caller, run_id, "readArtifact")
        values = self._table.values(run_id, node_id) or (TaskValues(), TaskValues())
        artifacts = values[1].artifacts.get(name) or values[0].artifacts.get(name) or []
        for artifact in artifacts:
            if path := self._runner.artifact_file(namespace, artifact.uri):
                return path
        raise not_found("artifact", f"runs/{run_id}/nodes/{node_id}/artifacts/{name}")

    def task_values(self, caller: Caller, run_id: str, task_id: str) -> dict[str, TaskValues]:
        """Return the inputs and outputs of a task."""
        self._authorized(caller, run_id, "get")
        values = found(self._table.values(run_id, task_id), "Task", f"{task_id} of run {run_id}")
        return {"inputs": values[0], "outputs": values[1]}

    def all_task_values(self, caller: Caller, run_id: str) -> dict[str, TaskIO]:
        """Return the inputs and outputs of all tasks of a run, by task id."""
        self._authorized(caller, run_id, "get")
        return self._table.all_values(run_id)

    async def origin(self, run_id: str) -> Origin:
        """Return the specification of an authorized run."""
        return await self._database.read(
            self._table.digest(run_id), lambda tables: tables.runs.origin(run_id)
        )

    async def default_root(self, run_id: str) -> str:
        """The pipeline root of an authorized run."""
        return await self._database.default_root(self._table.digest(run_id))

    def log_file(self, caller: Caller, run_id: str, task_id: str) -> Path:
        """The file with a task's log, which may still be growing."""
        namespace = self._authorized(caller, run_id, "get")
        found(self._table.values(run_id, task_id), "Task", f"{task_id} of run {run_id}")
        path = self._runner.log_file(namespace, run_id, task_id)
        if not path.is_file():
            raise missing(self._why_no_log(run_id, task_id))
        return path

    def _why_no_log(self, run_id: str, task_id: str) -> str:
        (task,) = [task for task in self._table.tasks(run_id) if task.task_id == task_id]
        what = f"Task '{task.display_name}' of run {run_id}"
        if task.state == "SKIPPED":
            return f"{what} was skipped, so it has no log"
        if task.state == "PENDING":
            return f"{what} has not started, so it has no log yet"
        return f"The log of task '{task.display_name}' of run {run_id} no longer exists"

    # Shared with recurring runs

    def namespace_of(self, experiment_id: str, claimed: str) -> str:
        """The namespace of the experiment, which is also that of anything created in it."""
        if not experiment_id:
            raise invalid_input("Experiment id can not be empty in multi-user mode")
        with wrapped(f"Failed to fetch namespace for experiment {experiment_id}"):
            namespace = self._namespace_of_experiment(experiment_id)
        if claimed not in ("", namespace):
            raise invalid_input(
                f"Experiment {experiment_id} belongs to namespace '{namespace}' "
                f"instead of '{claimed}'"
            )
        return namespace

    async def source(
        self, caller: Caller, source: PipelineToRun
    ) -> tuple[PipelineVersion | None, Specification]:
        """The pipeline version to run, if it is one, and its specification."""
        if source.pipeline_version_id or source.pipeline_id:
            ids = source.pipeline_id, source.pipeline_version_id
            return await self._pipelines.runnable(caller, *ids)
        if source.specification:
            return None, source.specification
        raise invalid_input("Failed to fetch a template with an empty pipeline spec manifest")

    def latest(self, pipeline_id: str) -> tuple[PipelineVersion, Specification]:
        return self._pipelines.latest(pipeline_id)

    def submit(self, run_id: str) -> None:
        self._runner.submit(run_id)

    # Implementation

    def _of_recurring_run(self, new: NewRun, namespace: str) -> PlacedRun | None:
        """Return the run of a recurring run with this name, if it was created before."""
        if not new.recurring_run_id:
            return None
        recurring = self._database.recurring_runs.one(new.recurring_run_id)
        if recurring is None or recurring.namespace != namespace:
            raise invalid_input(f"RecurringRunId doesn't exist: {new.recurring_run_id}")
        return self._table.of_recurring_run(new.recurring_run_id, new.display_name)

    def _existing(self, run_id: str) -> tuple[str, str]:
        """Return the id of a run's experiment, and its state."""
        with wrapped(f"Failed to fetch run {run_id}"):
            return found(self._table.experiment_and_state(run_id), "Run", run_id)

    def _experiment(self, experiment_id: str) -> Experiment:
        return found(self._database.experiments.one(experiment_id), "Experiment", experiment_id)

    def _check_experiment_of(self, run_id: str, experiment_id: str) -> None:
        """Refuse to continue a run whose experiment was deleted."""
        with wrapped(f"Failed to fetch namespace from run {run_id}"):
            self._namespace_of_experiment(experiment_id)

    def _namespace_of_experiment(self, experiment_id: str) -> str:
        with wrapped(f"Failed to fetch namespace from experiment {experiment_id}"):
            return self._experiment(experiment_id).namespace

    def _authorized(self, caller: Caller, run_id: str, verb: str) -> str:
        """Authorize, and return the run's namespace."""
        with wrapped("Failed to authorize the request"):
            with wrapped(
                f"Failed to authorize with the run ID {run_id}: Failed to fetch run {run_id}"
            ):
                namespace, name = found(self._table.place(run_id), "Run", run_id)
            access = ResourceAttributes(namespace, verb, "runs", name, existing=True)
            self._authorize(caller, run_id, access)
        return namespace

    def _authorize(self, caller: Caller, run_id: str, access: ResourceAttributes) -> None:
        if is_empty(access.namespace):
            raise invalid_input("A run cannot have an empty namespace in multi-user mode")
        with wrapped(
            f"Failed to access run {run_id}. "
            f"Check if you have access to namespace {access.namespace}"
        ):
            self._roles.check(caller.identity(), access)


def _check(new: NewRun) -> None:
    # The id is used as the name of a folder.
    if new.run_id and not _UUID.fullmatch(new.run_id):
        raise invalid_input(f"The run id {new.run_id!r} is not a UUID")
    check_service_account(new.service_account)
    check_text("Run.DisplayName", new.display_name)
    check_text("Run.Description", new.description)


def _problem_of(metric: Metric) -> tuple[str, str]:
    """Return the status and the message of an invalid metric, or two empty texts."""
    invalid, problem = "INVALID_ARGUMENT", ""
    if not re.fullmatch(_METRIC_NAME, metric.name):
        problem = f"metric.name '{metric.name}' doesn't match with the pattern '{_METRIC_NAME}'"
    elif not metric.node_id:
        problem = "metric.node_id must not be empty"
    elif len(metric.node_id.encode()) > _LONGEST_NODE_ID:
        problem = (
            f"metric.node_id '{metric.node_id}' cannot be longer than {_LONGEST_NODE_ID} characters"
        )
    elif not math.isfinite(metric.number_value):
        return "INTERNAL_ERROR", f"metric.number_value {metric.number_value} is not finite"
    return (invalid, problem) if problem else ("", "")


def _outcome(metric: Metric, added: Iterator[bool]) -> tuple[str, str]:
    problem = _problem_of(metric)
    if any(problem):
        return problem
    if next(added):
        return "OK", ""
    return "DUPLICATE_REPORTING", (
        "Failed to create a run metric. Same metric has been reported before: "
        f"{metric.node_id}/{metric.name}"
    )


def pending_run(
    new: NewRun, namespace: str, version: PipelineVersion | None, specification: Specification
) -> PlacedRun:
    moment = now()
    config = RuntimeConfig(parameters=dict(new.parameters), pipeline_root=new.pipeline_root)
    run = Run(
        run_id=new.run_id.lower() or new_id(),
        experiment_id=new.experiment_id,
        display_name=new.display_name,
        description=new.description,
        storage_state="AVAILABLE",
        pipeline_version_reference=reference_to(version) if version else None,
        pipeline_spec=None if version else specification.to_wire(),
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=new.service_account or DEFAULT_SERVICE_ACCOUNT,
        created_at=moment,
        scheduled_at=moment,
        finished_at=EPOCH,
        state="PENDING",
        recurring_run_id=new.recurring_run_id,
        state_history=[StateChange(update_time=moment, state="PENDING")],
    )
    return PlacedRun(run, namespace, _workflow_name(specification))


def origin_of(
    new: NewRun | NewRecurringRun, version: PipelineVersion | None, specification: Specification
) -> Origin:
    return Origin(specification, version.name if version else "", new.texts)


def reference_to(version: PipelineVersion) -> PipelineVersionReference:
    return PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )


def _workflow_name(specification: Specification) -> str:
    suffix = random.choices(string.ascii_lowercase + string.digits, k=5)
    return f"{specification.name}-{''.join(suffix)}"
