"""The messages of v1beta1, and what they are in the API's own values: both ways, without effects.

A message has one form in requests and in answers. Of a request, what only the server decides is
read and dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
import yaml

from ...models import (
    EPOCH,
    CronSchedule,
    Experiment,
    PeriodicSchedule,
    Pipeline,
    PipelineVersion,
    PipelineVersionReference,
    RecurringRun,
    RuntimeConfig,
    Trigger,
)
from ..api_errors import invalid_input
from ..operations import NewRecurringRun, NewRun
from ..pipeline_files import Specification
from ..protojson import Message, integer
from ..records import Metric, PlacedRun

# Enums, by their numbers. JSON has the name or the number, and leaves out the first.
RESOURCE_TYPES = (
    "UNKNOWN_RESOURCE_TYPE",
    "EXPERIMENT",
    "JOB",
    "PIPELINE",
    "PIPELINE_VERSION",
    "NAMESPACE",
)
RELATIONSHIPS = ("UNKNOWN_RELATIONSHIP", "OWNER", "CREATOR")
MODES = ("UNKNOWN_MODE", "ENABLED", "DISABLED")
FORMATS = ("UNSPECIFIED", "RAW", "PERCENTAGE")

EXPERIMENT_STORAGE = {
    "AVAILABLE": "STORAGESTATE_AVAILABLE",
    "ARCHIVED": "STORAGESTATE_ARCHIVED",
}
# Here, other than for experiments, being available is the first of its enum.
RUN_STORAGE = {"ARCHIVED": "STORAGESTATE_ARCHIVED"}

STATUSES = {
    "PENDING": "Pending",
    "PAUSED": "Pending",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Skipped",
    "FAILED": "Failed",
    "CANCELED": "Failed",
    "CANCELING": "Terminating",
}


def enum_name(names: Sequence[str], value: int | str) -> str:
    """The name of an enum's value, which may be its number."""
    if value == "":
        return names[0]
    if value in names:
        return str(value)
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    raise invalid_input(f"invalid value for enum: {value!r}. It is one of {', '.join(names)}")


class V1Message(Message, frozen=True, omit_defaults=True):
    """As in every answer, what is empty or zero is left out."""


class KeyMessage(V1Message, frozen=True):
    type: int | str = ""
    id: str = ""


class ReferenceMessage(V1Message, frozen=True):
    """What something belongs to, or was created by."""

    key: KeyMessage = KeyMessage()
    name: str = ""
    relationship: int | str = ""


class ExperimentMessage(V1Message, frozen=True):
    id: str = ""
    name: str = ""
    description: str = ""
    created_at: Any = None
    resource_references: list[ReferenceMessage] = []
    storage_state: int | str = ""


class UrlMessage(V1Message, frozen=True):
    pipeline_url: str = ""


class ParameterMessage(V1Message, frozen=True):
    name: str = ""
    value: str = ""


class VersionMessage(V1Message, frozen=True):
    id: str = ""
    name: str = ""
    created_at: Any = None
    parameters: list[ParameterMessage] = []
    code_source_url: str = ""
    package_url: UrlMessage | None = None
    resource_references: list[ReferenceMessage] = []
    description: str = ""


class PipelineMessage(V1Message, frozen=True):
    id: str = ""
    created_at: Any = None
    name: str = ""
    description: str = ""
    parameters: list[ParameterMessage] = []
    url: UrlMessage | None = None
    error: str = ""
    default_version: VersionMessage | None = None
    resource_references: list[ReferenceMessage] = []


class RuntimeConfigMessage(V1Message, frozen=True):
    parameters: dict[str, Any] = {}
    pipeline_root: str = ""


class PipelineSpecMessage(V1Message, frozen=True):
    """What runs, and with which parameters. A manifest is the text of a specification."""

    pipeline_id: str = ""
    pipeline_name: str = ""
    workflow_manifest: str = ""
    pipeline_manifest: str = ""
    parameters: list[ParameterMessage] = []
    runtime_config: RuntimeConfigMessage | None = None


class MetricMessage(V1Message, frozen=True):
    name: str = ""
    node_id: str = ""
    number_value: float | None = None
    format: int | str = ""


class MetricsMessage(V1Message, frozen=True):
    run_id: str = ""
    metrics: list[MetricMessage] = []


class MetricResultMessage(V1Message, frozen=True):
    metric_name: str = ""
    metric_node_id: str = ""
    status: str = ""
    message: str = ""


class RunMessage(V1Message, frozen=True):
    id: str = ""
    name: str = ""
    storage_state: int | str = ""
    description: str = ""
    pipeline_spec: PipelineSpecMessage = PipelineSpecMessage()
    resource_references: list[ReferenceMessage] = []
    service_account: str = ""
    created_at: Any = None
    scheduled_at: Any = None
    finished_at: Any = None
    status: str = ""
    error: str = ""
    metrics: list[MetricMessage] = []


class RuntimeMessage(V1Message, frozen=True):
    """The Argo Workflow of a run, where there is one."""

    pipeline_manifest: str = ""
    workflow_manifest: str = ""


class RunDetailMessage(V1Message, frozen=True):
    run: RunMessage
    pipeline_runtime: RuntimeMessage | None = None


T = TypeVar("T")

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class CronScheduleMessage(V1Message, frozen=True):
    start_time: _Moment | None = None
    end_time: _Moment | None = None
    cron: str = ""


class PeriodicScheduleMessage(V1Message, frozen=True):
    start_time: _Moment | None = None
    end_time: _Moment | None = None
    interval_second: int | float | str = ""


class TriggerMessage(V1Message, frozen=True):
    cron_schedule: CronScheduleMessage | None = None
    periodic_schedule: PeriodicScheduleMessage | None = None


class JobMessage(V1Message, frozen=True):
    id: str = ""
    name: str = ""
    description: str = ""
    pipeline_spec: PipelineSpecMessage = PipelineSpecMessage()
    resource_references: list[ReferenceMessage] = []
    service_account: str = ""
    max_concurrency: int | float | str = ""
    trigger: TriggerMessage | None = None
    mode: int | str = ""
    created_at: Any = None
    updated_at: Any = None
    status: str = ""
    error: str = ""
    enabled: bool = False
    no_catchup: bool = False


# Requests


def referred(references: Sequence[ReferenceMessage], kind: str, relationship: str = "") -> str:
    """The id of the first reference of a kind."""
    for reference in references:
        relation = enum_name(RELATIONSHIPS, reference.relationship)
        if enum_name(RESOURCE_TYPES, reference.key.type) == kind:
            if relationship in ("", relation):
                return reference.key.id
    return ""


def new_run(message: RunMessage, specification: Specification | None) -> NewRun:
    spec, references = message.pipeline_spec, message.resource_references
    return NewRun(
        display_name=message.name or spec.pipeline_name,
        experiment_id=referred(references, "EXPERIMENT"),
        namespace=referred(references, "NAMESPACE"),
        description=message.description,
        run_id=message.id,
        recurring_run_id=referred(references, "JOB"),
        service_account=message.service_account,
        **_source(spec, references, specification),
    )


def new_recurring_run(message: JobMessage, specification: Specification | None) -> NewRecurringRun:
    spec, references = message.pipeline_spec, message.resource_references
    return NewRecurringRun(
        display_name=message.name or spec.pipeline_name,
        experiment_id=referred(references, "EXPERIMENT"),
        namespace=referred(references, "NAMESPACE"),
        description=message.description,
        service_account=message.service_account,
        max_concurrency=integer(message.max_concurrency or 0, 64),
        trigger=_trigger(message.trigger or TriggerMessage()),
        enabled=message.enabled or enum_name(MODES, message.mode) == "ENABLED",
        no_catchup=message.no_catchup,
        pinned=True,
        **_source(spec, references, specification),
    )


def _source(
    spec: PipelineSpecMessage,
    references: Sequence[ReferenceMessage],
    specification: Specification | None,
) -> dict[str, Any]:
    """What a new run or recurring run executes, and with what."""
    pipeline_id = spec.pipeline_id or referred(references, "PIPELINE")
    version_id = referred(references, "PIPELINE_VERSION", "CREATOR")
    if specification and (pipeline_id or version_id):
        raise invalid_input(
            "Please don't specify a pipeline version or pipeline ID when you specify a workflow "
            "manifest or pipeline manifest"
        )
    config = spec.runtime_config or RuntimeConfigMessage()
    if spec.parameters and config.parameters:
        raise invalid_input("Please don't specify both parameters and runtime config")
    return {
        "pipeline_id": pipeline_id,
        "pipeline_version_id": version_id,
        "specification": specification,
        "parameters": config.parameters or {each.name: each.value for each in spec.parameters},
        "pipeline_root": config.pipeline_root,
    }


def _trigger(message: TriggerMessage) -> Trigger:
    cron, periodic = message.cron_schedule, message.periodic_schedule
    if cron and periodic:
        raise invalid_input("A trigger has one of cron_schedule and periodic_schedule, not both")
    if cron:
        return Trigger(cron_schedule=_same(cron, CronSchedule))
    if periodic:
        return Trigger(
            periodic_schedule=PeriodicSchedule(
                start_time=periodic.start_time,
                end_time=periodic.end_time,
                interval_second=str(integer(periodic.interval_second or 0, 64)),
            )
        )
    return Trigger()


def metric(message: MetricMessage) -> Metric:
    return Metric(
        name=message.name,
        node_id=message.node_id,
        number_value=message.number_value or 0.0,
        format=enum_name(FORMATS, message.format),
    )


# Answers


def experiment_message(experiment: Experiment) -> ExperimentMessage:
    return ExperimentMessage(
        id=experiment.experiment_id,
        name=experiment.display_name,
        description=experiment.description,
        created_at=experiment.created_at,
        resource_references=[_reference("NAMESPACE", experiment.namespace, "OWNER")],
        storage_state=EXPERIMENT_STORAGE.get(experiment.storage_state, ""),
    )


def pipeline_message(pipeline: Pipeline, latest: PipelineVersion | None) -> PipelineMessage:
    """A pipeline's default version is its latest."""
    version = version_message(latest or PipelineVersion())
    return PipelineMessage(
        id=pipeline.pipeline_id,
        created_at=pipeline.created_at,
        name=pipeline.name,
        description=pipeline.description,
        url=version.package_url,
        default_version=version,
        resource_references=_references(("NAMESPACE", pipeline.namespace, "OWNER")),
    )


def version_message(version: PipelineVersion) -> VersionMessage:
    url = version.code_source_url
    return VersionMessage(
        id=version.pipeline_version_id,
        name=version.name,
        created_at=version.created_at,
        code_source_url=url,
        package_url=UrlMessage(pipeline_url=url) if url else None,
        resource_references=_references(("PIPELINE", version.pipeline_id, "OWNER")),
        description=version.description,
    )


def run_message(placed: PlacedRun, version: PipelineVersion | None) -> RunMessage:
    """`version` is what it runs, if that is one and still there."""
    run = placed.run
    source = run.pipeline_version_reference or PipelineVersionReference()
    return RunMessage(
        id=run.run_id,
        name=run.display_name,
        storage_state=RUN_STORAGE.get(run.storage_state, ""),
        description=run.description,
        pipeline_spec=_pipeline_spec(source, version, run.pipeline_spec, run.runtime_config),
        resource_references=_references(
            ("EXPERIMENT", run.experiment_id, "OWNER"),
            ("NAMESPACE", placed.namespace, "OWNER"),
            ("JOB", run.recurring_run_id, "CREATOR"),
            ("PIPELINE_VERSION", source.pipeline_version_id, "CREATOR"),
        ),
        service_account=run.service_account,
        created_at=run.created_at,
        scheduled_at=run.scheduled_at,
        finished_at=run.finished_at or EPOCH,
        status=STATUSES.get(run.state, "Unknown"),
        metrics=[_metric_message(each) for each in placed.metrics],
    )


def run_detail_message(placed: PlacedRun, version: PipelineVersion | None) -> RunDetailMessage:
    # No Argo Workflow runs here, so there is none to tell about.
    return RunDetailMessage(run=run_message(placed, version), pipeline_runtime=RuntimeMessage())


def job_message(recurring: RecurringRun, version: PipelineVersion | None) -> JobMessage:
    source = recurring.pipeline_version_reference or PipelineVersionReference()
    return JobMessage(
        id=recurring.recurring_run_id,
        name=recurring.display_name,
        description=recurring.description,
        pipeline_spec=_pipeline_spec(
            source, version, recurring.pipeline_spec, recurring.runtime_config
        ),
        resource_references=_references(
            ("NAMESPACE", recurring.namespace, "OWNER"),
            ("EXPERIMENT", recurring.experiment_id, "OWNER"),
            ("PIPELINE", source.pipeline_id, "CREATOR"),
            ("PIPELINE_VERSION", source.pipeline_version_id, "CREATOR"),
        ),
        service_account=recurring.service_account,
        max_concurrency=recurring.max_concurrency,
        trigger=_same(recurring.trigger, TriggerMessage),
        created_at=recurring.created_at,
        updated_at=recurring.updated_at,
        status=recurring.status,
        enabled=recurring.enabled,
        no_catchup=recurring.no_catchup,
    )


def metric_result(metric: MetricMessage, outcome: str) -> MetricResultMessage:
    status, message = _OUTCOMES[outcome]
    return MetricResultMessage(
        metric_name=metric.name,
        metric_node_id=metric.node_id,
        status=status,
        message=message.format(metric=metric),
    )


_OUTCOMES = {
    "ok": ("OK", ""),
    "invalid": (
        "INVALID_ARGUMENT",
        "A metric has a node_id, and a name of at most 64 letters, digits, - and _ that starts "
        "with a letter and does not end with - or _",
    ),
    "duplicate": (
        "DUPLICATE_REPORTING",
        "Failed to create a run metric. Same metric has been reported before: "
        "{metric.node_id}/{metric.name}",
    ),
}


def manifest(spec: dict[str, Any]) -> str:
    """The YAML text of a specification as the API has it, bare or beside a platform's."""
    documents = (
        [spec["pipeline_spec"], spec["platform_spec"]] if "pipeline_spec" in spec else [spec]
    )
    return "\n---\n".join(
        yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True) for document in documents
    )


def _reference(kind: str, id: str, relationship: str) -> ReferenceMessage:
    return ReferenceMessage(key=KeyMessage(type=kind, id=id), relationship=relationship)


def _references(*references: tuple[str, str, str]) -> list[ReferenceMessage]:
    """Those that refer to something; like the API server's, without its name."""
    return [_reference(*reference) for reference in references if reference[1]]


def _pipeline_spec(
    source: PipelineVersionReference,
    version: PipelineVersion | None,
    inline: dict[str, Any] | None,
    config: RuntimeConfig | None,
) -> PipelineSpecMessage:
    spec = version.pipeline_spec if version else inline
    return PipelineSpecMessage(
        pipeline_id=source.pipeline_id,
        pipeline_name=version.name if version else "",
        pipeline_manifest=manifest(spec) if spec else "",
        runtime_config=_same(config, RuntimeConfigMessage),
    )


def _same(value: object, kind: type[T]) -> T | None:
    """What has the same fields in both, as the other kind."""
    return None if value is None else msgspec.convert(value, kind, from_attributes=True)


def _metric_message(metric: Metric) -> MetricMessage:
    return MetricMessage(
        name=metric.name,
        node_id=metric.node_id,
        number_value=metric.number_value,
        format="" if metric.format == FORMATS[0] else metric.format,
    )
