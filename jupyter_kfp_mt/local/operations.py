"""What can be done with experiments, pipelines and runs: checked, authorized, on plain values.

Each takes who is calling first, and checks in the order of the API server; the messages of its
refusals are the API server's own, up to the outermost part, which differs between API versions.
"""

from __future__ import annotations

import random
import re
import sqlite3
import string
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ..models import (
    Experiment,
    Pipeline,
    PipelineVersion,
    PipelineVersionReference,
    Run,
    RuntimeConfig,
    StateChange,
)
from .api_errors import already_exists, invalid_input, not_found, wrapped
from .database import Database, new_id
from .identity import Caller
from .listing import ListOptions, Position
from .pipeline_files import Specification, check_parameters
from .profiles import SERVICE_ACCOUNTS
from .roles import Access, Roles

# The namespace of the API server itself, where shared pipelines are authorized.
SYSTEM_NAMESPACE = "kubeflow"
DEFAULT_SERVICE_ACCOUNT = "default-editor"

_LONGEST = {"Experiment": 128, "Pipeline": 128, "PipelineVersion": 127, "Namespace": 63}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

T = TypeVar("T")


class Runner(Protocol):
    """What executes runs."""

    def submit(self, run_id: str) -> None: ...

    def terminate(self, run_id: str) -> None: ...

    def log_file(self, namespace: str, run_id: str, task_id: str) -> Path: ...


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: list[T]
    total_size: int
    next_page_token: str


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as someone wants it."""

    display_name: str
    experiment_id: str = ""
    description: str = ""
    run_id: str = ""
    recurring_run_id: str = ""
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    specification: Specification | None = None
    parameters: Mapping[str, Any] = {}
    pipeline_root: str = ""
    service_account: str = ""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about an uploaded file, besides what is in it."""

    name: str
    display_name: str = ""
    description: str = ""
    code_source_url: str = ""


class Operations:
    """Everything the API can do, whichever version of it asks."""

    def __init__(self, database: Database, roles: Roles, runner: Runner):
        self._database = database
        self._roles = roles
        self._runner = runner

    def _authorize(self, caller: Caller, access: Access) -> None:
        self._roles.check(caller.identity(), access)

    # Experiments

    def create_experiment(
        self, caller: Caller, *, display_name: str, description: str, namespace: str
    ) -> Experiment:
        if not display_name:
            with wrapped("Failed to convert API experiment to model experiment"):
                raise invalid_input("Experiment must have a non-empty name")
        _check_length("Experiment", "Name", display_name)
        _check_length("Experiment", "Namespace", namespace)
        with wrapped("Failed to authorize the request"):
            self._authorize_experiment(
                caller, Access(namespace, "create", "experiments", display_name)
            )
        experiment = Experiment(
            experiment_id=new_id(),
            display_name=display_name,
            description=description,
            namespace=namespace,
            created_at=_now(),
            storage_state="AVAILABLE",
        )
        try:
            self._database.add_experiment(experiment)
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a new experiment. The name {display_name} already exists. "
                "Please specify a new name"
            ) from None
        return self._experiment(experiment.experiment_id)

    def experiment(self, caller: Caller, experiment_id: str) -> Experiment:
        with wrapped("Failed to authorize the request"):
            with wrapped("Failed to authorize with the experiment ID"):
                experiment = self._experiment(experiment_id)
            self._authorize_experiment(
                caller,
                Access(experiment.namespace, "get", "experiments", experiment.display_name),
            )
        return experiment

    def experiments(
        self, caller: Caller, namespace: str, options: ListOptions
    ) -> Listed[Experiment]:
        with wrapped("Failed to authorize with API"):
            self._authorize_experiment(caller, Access(namespace, "list", "experiments"))
        return _listed(options, *self._database.experiments(namespace, options))

    def _experiment(self, experiment_id: str) -> Experiment:
        return _found(self._database.experiment(experiment_id), "Experiment", experiment_id)

    def _authorize_experiment(self, caller: Caller, access: Access) -> None:
        if _is_empty(access.namespace):
            raise invalid_input("An experiment cannot have an empty namespace in multi-user mode")
        with wrapped("Failed to authorize with API"):
            self._authorize(caller, access)

    # Pipelines

    def authorize_upload(self, caller: Caller, namespace: str) -> None:
        _check_length("Pipeline", "Namespace", namespace)
        with wrapped("Authorization Failure"):
            self._authorize_pipeline(caller, "", Access(namespace, "create", "pipelines"))

    def create_pipeline_with_version(
        self, namespace: str, upload: Upload, specification: Specification
    ) -> Pipeline:
        """The caller has been authorized already, before the file was read."""
        _check_length("Pipeline", "Name", upload.name)
        pipeline = Pipeline(
            pipeline_id=new_id(),
            name=upload.name,
            display_name=upload.display_name or upload.name,
            description=upload.description,
            namespace=namespace,
            created_at=_now(),
        )
        version = _version_of(pipeline, upload)
        try:
            self._database.add_pipeline_with_version(pipeline, version, specification)
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a new pipeline. The name {upload.name} already exists. "
                "Please specify a new name"
            ) from None
        return pipeline

    def authorize_version_upload(self, caller: Caller, pipeline_id: str) -> Pipeline:
        if not pipeline_id:
            raise invalid_input(
                "The pipeline is missing: its id goes into the parameter pipelineid"
            )
        pipeline = self._pipeline(pipeline_id)
        with wrapped("Authorization Failure"):
            access = Access(pipeline.namespace, "create", "pipelines")
            self._authorize_pipeline(caller, pipeline_id, access)
        return pipeline

    def create_version(
        self, pipeline: Pipeline, upload: Upload, specification: Specification
    ) -> PipelineVersion:
        """The caller has been authorized already, before the file was read."""
        _check_length("PipelineVersion", "Name", upload.name)
        version = _version_of(pipeline, upload)
        try:
            self._database.add_version(version, specification)
        except sqlite3.IntegrityError:
            raise already_exists(
                f"Failed to create a new pipeline version. The name {upload.name} already exist. "
                "Specify a new name"
            ) from None
        return msgspec.structs.replace(version, pipeline_spec=specification.to_wire())

    def pipeline(self, caller: Caller, pipeline_id: str) -> Pipeline:
        with wrapped(
            f"Failed to get a pipeline due authorization error for pipeline id {pipeline_id}"
        ):
            return self._readable_pipeline(caller, pipeline_id)

    def pipeline_named(self, caller: Caller, namespace: str, name: str) -> Pipeline:
        with wrapped(
            "Failed to fetch a pipeline due to authorization error. "
            f"Check if you have read permission to namespace {namespace}"
        ):
            self._authorize_pipeline(caller, "", Access(namespace, "get", "pipelines", name))
        with wrapped(f"Failed to get a pipeline named {name} in namespace {namespace}"):
            return _found(
                self._database.pipeline_named(namespace, name),
                "Namespace/Pipeline",
                f"{namespace}/{name}",
            )

    def pipelines(self, caller: Caller, namespace: str, options: ListOptions) -> Listed[Pipeline]:
        with wrapped(
            "Failed to list pipelines due to authorization error. "
            f"Check if you have read permission to namespace {namespace}"
        ):
            self._authorize_pipeline(caller, "", Access(namespace, "list", "pipelines"))
        return _listed(options, *self._database.pipelines(namespace, options))

    def version(self, caller: Caller, version_id: str) -> PipelineVersion:
        with wrapped(
            "Failed to get a pipeline version due to authorization error for pipeline version id "
            f"{version_id}"
        ):
            return self._readable_version(caller, version_id)

    def versions(
        self, caller: Caller, pipeline_id: str, options: ListOptions
    ) -> Listed[PipelineVersion]:
        with wrapped(
            "Failed to list pipeline versions due to error fetching the namespace for pipeline "
            f"{pipeline_id}: Failed to get namespace for pipeline id {pipeline_id}"
        ):
            pipeline = self._pipeline(pipeline_id)
        with wrapped(
            "Failed to list pipeline versions due to authorization error. "
            f"Check if you have read permission to namespace {pipeline.namespace}"
        ):
            self._authorize_pipeline(caller, "", Access(pipeline.namespace, "list", "pipelines"))
        return _listed(options, *self._database.versions(pipeline_id, options))

    def _pipeline(self, pipeline_id: str) -> Pipeline:
        with wrapped(f"Failed to get a pipeline with id {pipeline_id}"):
            return _found(self._database.pipeline(pipeline_id), "Pipeline", pipeline_id)

    def _readable_pipeline(self, caller: Caller, pipeline_id: str) -> Pipeline:
        with wrapped(
            f"Failed to access pipeline {pipeline_id}. "
            "Check if it exists and have a namespace assigned"
        ):
            pipeline = self._pipeline(pipeline_id)
        access = Access(pipeline.namespace, "get", "pipelines", pipeline.name)
        self._authorize_pipeline(caller, pipeline_id, access)
        return pipeline

    def _readable_version(self, caller: Caller, version_id: str) -> PipelineVersion:
        with wrapped(
            f"Failed to access pipeline version {version_id}. Check if it exists: "
            f"Failed to get a pipeline version with id {version_id}"
        ):
            version = _found(self._database.version(version_id), "PipelineVersion", version_id)
        self._readable_pipeline(caller, version.pipeline_id)
        return version

    def _authorize_pipeline(self, caller: Caller, pipeline_id: str, access: Access) -> None:
        """Shared pipelines, which have no namespace, are open to be read by anyone."""
        if not _is_empty(access.namespace):
            with wrapped(
                f"Failed to access pipeline {pipeline_id}. "
                f"Check if you have access to namespace {access.namespace}"
            ):
                self._authorize(caller, access)
        elif access.verb not in ("get", "list"):
            with wrapped(
                f"Failed to access shared pipeline {pipeline_id}. "
                f"Check if you have permission to {access.verb} shared pipelines"
            ):
                self._authorize(caller, msgspec.structs.replace(access, namespace=SYSTEM_NAMESPACE))

    # Runs

    def create_run(self, caller: Caller, new: NewRun) -> Run:
        if not new.display_name:
            raise invalid_input("Run name cannot be empty")
        namespace = self._namespace_of_new_run(new.experiment_id)
        with wrapped(
            "Failed to create a run due to authorization error. "
            f"Check if you have write permissions to namespace {namespace}"
        ):
            self._authorize_run(caller, "", Access(namespace, "create", "runs"))
        _check_new_run(new)
        with wrapped("Failed to create a run due to error fetching manifest"):
            version, specification = self._source(caller, new)
        with wrapped("Failed to generate the ExecutionSpec: invalid pipeline job inputs"):
            check_parameters(specification, dict(new.parameters))
        run = _pending_run(new, version, specification)
        try:
            self._database.add_run(run, namespace, _workflow_name(specification), specification)
        except sqlite3.IntegrityError:
            raise already_exists(f"Failed to create a run. The id {run.run_id} is taken") from None
        self._runner.submit(run.run_id)
        return run

    def run(self, caller: Caller, run_id: str) -> Run:
        with wrapped("Failed to authorize the request"):
            self._authorize_run_by_id(caller, run_id, "get")
        return self._run(run_id)

    def runs(
        self, caller: Caller, namespace: str, experiment_id: str, options: ListOptions
    ) -> Listed[Run]:
        """Those of an experiment if one is named, whatever the namespace."""
        if experiment_id:
            with wrapped(
                "Failed to list runs due to error fetching namespace for experiment "
                f"{experiment_id}. Try filtering based on namespace: "
                f"Failed to fetch namespace from experiment {experiment_id}"
            ):
                namespace = self._experiment(experiment_id).namespace
        with wrapped(
            "Failed to list runs due to authorization error. "
            f"Check if you have permission to access namespace {namespace}"
        ):
            self._authorize_run(caller, "", Access(namespace, "list", "runs"))
        scope = {"experiment_id": experiment_id} if experiment_id else {"namespace": namespace}
        return _listed(options, *self._database.runs(scope, options))

    def terminate_run(self, caller: Caller, run_id: str) -> None:
        with wrapped("Failed to authorize the request"):
            self._authorize_run_by_id(caller, run_id, "terminate")
        with wrapped(f"Failed to terminate run {run_id}"):
            if not self._database.cancel_run(run_id):
                raise invalid_input(f"Failed to terminate a run {run_id}. Row not found")
        self._runner.terminate(run_id)

    def log_file(self, caller: Caller, run_id: str, task_id: str) -> Path:
        """The file with a task's output, which may still be growing."""
        with wrapped("Failed to authorize the request"):
            namespace = self._authorize_run_by_id(caller, run_id, "get")
        if not self._database.has_task(run_id, task_id):
            raise not_found("Task", f"{task_id} of run {run_id}")
        path = self._runner.log_file(namespace, run_id, task_id)
        if not path.is_file():
            raise not_found("Log of task", f"{task_id} of run {run_id}")
        return path

    def _run(self, run_id: str) -> Run:
        with wrapped(f"Failed to fetch run {run_id}"):
            return _found(self._database.run(run_id), "Run", run_id)

    def _namespace_of_new_run(self, experiment_id: str) -> str:
        with wrapped(
            "Failed to create a run due to invalid experimentId and namespace combination"
        ):
            if not experiment_id:
                raise invalid_input("Experiment id can not be empty in multi-user mode")
            with wrapped(
                f"Failed to fetch namespace for experiment {experiment_id}: "
                f"Failed to fetch namespace from experiment {experiment_id}"
            ):
                return self._experiment(experiment_id).namespace

    def _source(self, caller: Caller, new: NewRun) -> tuple[PipelineVersion | None, Specification]:
        """The pipeline version that a new run is to run, if it is one, and its specification."""
        if new.pipeline_version_id:
            version = self._readable_version(caller, new.pipeline_version_id)
            if new.pipeline_id not in ("", version.pipeline_id):
                raise invalid_input(
                    f"Pipeline version {new.pipeline_version_id} belongs to pipeline "
                    f"{version.pipeline_id} (not {new.pipeline_id})"
                )
        elif new.pipeline_id:
            self._readable_pipeline(caller, new.pipeline_id)
            version = _found(
                self._database.latest_version(new.pipeline_id), "PipelineVersion", new.pipeline_id
            )
        elif new.specification:
            return None, new.specification
        else:
            raise invalid_input("Failed to fetch a template with an empty pipeline spec manifest")
        return version, self._database.specification(version.pipeline_version_id)

    def _authorize_run_by_id(self, caller: Caller, run_id: str, verb: str) -> str:
        """The run's namespace, for those who may."""
        with wrapped(f"Failed to authorize with the run ID {run_id}: Failed to fetch run {run_id}"):
            namespace, name = _found(self._database.run_place(run_id), "Run", run_id)
        self._authorize_run(caller, run_id, Access(namespace, verb, "runs", name))
        return namespace

    def _authorize_run(self, caller: Caller, run_id: str, access: Access) -> None:
        if _is_empty(access.namespace):
            raise invalid_input("A run cannot have an empty namespace in multi-user mode")
        with wrapped(
            f"Failed to access run {run_id}. "
            f"Check if you have access to namespace {access.namespace}"
        ):
            self._authorize(caller, access)


def _is_empty(namespace: str) -> bool:
    return namespace in ("", "-")


def _found(value: T | None, kind: str, name: str) -> T:
    if value is None:
        raise not_found(kind, name)
    return value


def _listed(
    options: ListOptions, items: list[T], total_size: int, start: Position | None
) -> Listed[T]:
    return Listed(items, total_size, options.next_page_token(start))


def _check_length(kind: str, field: str, text: str) -> None:
    longest = _LONGEST["Namespace" if field == "Namespace" else kind]
    if len(text.encode()) > longest:
        raise invalid_input(f"{kind}.{field} length cannot exceed {longest}")


def _check_new_run(new: NewRun) -> None:
    # The id becomes the name of a folder.
    if new.run_id and not _UUID.fullmatch(new.run_id):
        raise invalid_input(f"The run id {new.run_id!r} is not a UUID")
    if new.service_account and new.service_account not in SERVICE_ACCOUNTS:
        raise invalid_input(
            f"There is no service account {new.service_account!r} in the run's namespace, "
            f"only {' and '.join(SERVICE_ACCOUNTS)}"
        )
    if new.recurring_run_id:
        raise invalid_input(f"RecurringRunId doesn't exist: {new.recurring_run_id}")


def _version_of(pipeline: Pipeline, upload: Upload) -> PipelineVersion:
    return PipelineVersion(
        pipeline_id=pipeline.pipeline_id,
        pipeline_version_id=new_id(),
        name=upload.name,
        display_name=upload.display_name or upload.name,
        description=upload.description,
        code_source_url=upload.code_source_url,
        created_at=_now(),
    )


def _pending_run(new: NewRun, version: PipelineVersion | None, specification: Specification) -> Run:
    now = _now()
    config = RuntimeConfig(parameters=dict(new.parameters), pipeline_root=new.pipeline_root)
    return Run(
        run_id=new.run_id.lower() or new_id(),
        experiment_id=new.experiment_id,
        display_name=new.display_name,
        description=new.description,
        storage_state="AVAILABLE",
        pipeline_version_reference=_reference_to(version) if version else None,
        pipeline_spec=None if version else specification.to_wire(),
        runtime_config=config if config.parameters or config.pipeline_root else None,
        service_account=new.service_account or DEFAULT_SERVICE_ACCOUNT,
        created_at=now,
        scheduled_at=now,
        finished_at=datetime.fromtimestamp(0, timezone.utc),
        state="PENDING",
        state_history=[StateChange(update_time=now, state="PENDING")],
    )


def _reference_to(version: PipelineVersion) -> PipelineVersionReference:
    return PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )


def _workflow_name(specification: Specification) -> str:
    suffix = random.choices(string.ascii_lowercase + string.digits, k=5)
    return f"{specification.name}-{''.join(suffix)}"


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
