"""The messages of v1beta1, and their conversion from and to the API's values, without effects.

A message has one form in requests and in answers. Of a request, what only the server decides is
read and dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
import yaml

from ...models import (
    EPOCH,
    Experiment,
    Pipeline,
    PipelineVersion,
    PipelineVersionReference,
    RecurringRun,
    RuntimeConfig,
    Trigger,
)
from ..database.row_types import Metric, Origin, PlacedRun
from ..operations import NewRecurringRun, NewRun
from ..pipelines.pipeline_files import Specification, read_pipeline_file
from ..pipelines.pipeline_reader import MessageWithPipeline
from ..wire.api_errors import invalid_input, wrapped
from ..wire.protojson import Enumeration, Int64, Message, Moment, enumeration
from . import v2beta1_messages
from .v2beta1_messages import RuntimeConfigMessage, UrlMessage, check_mode

S = TypeVar("S", bound="SourceMessage")
T = TypeVar("T")

# Enums, by number.
RESOURCE_TYPES = {
    0: "UNKNOWN_RESOURCE_TYPE",
    1: "EXPERIMENT",
    2: "JOB",
    3: "PIPELINE",
    4: "PIPELINE_VERSION",
    5: "NAMESPACE",
}
_TYPES = Enumeration(tuple(RESOURCE_TYPES.items()))
_RELATIONSHIPS = enumeration("UNKNOWN_RELATIONSHIP", "OWNER", "CREATOR")
_MODES = enumeration("UNKNOWN_MODE", "ENABLED", "DISABLED")
_FORMATS = enumeration("UNSPECIFIED", "RAW", "PERCENTAGE")
_STORAGE = ("STORAGESTATE_AVAILABLE", "STORAGESTATE_ARCHIVED")

# The range of enum values without a name.
_Value = str | int
_Type = Annotated[_Value, msgspec.Meta(extra={"kind": _TYPES})]
_Relationship = Annotated[_Value, msgspec.Meta(extra={"kind": _RELATIONSHIPS})]
_Mode = Annotated[_Value, msgspec.Meta(extra={"kind": _MODES})]
_Format = Annotated[_Value, msgspec.Meta(extra={"kind": _FORMATS})]
_RunStorage = Annotated[_Value, msgspec.Meta(extra={"kind": enumeration(*_STORAGE)})]
_ExperimentStorage = Annotated[
    _Value, msgspec.Meta(extra={"kind": enumeration("STORAGESTATE_UNSPECIFIED", *_STORAGE)})
]

_EXPERIMENT_STORAGE = {"AVAILABLE": "STORAGESTATE_AVAILABLE", "ARCHIVED": "STORAGESTATE_ARCHIVED"}
# For runs, unlike for experiments, available is number 0, which responses omit.
_RUN_STORAGE = {"ARCHIVED": "STORAGESTATE_ARCHIVED"}

_STATUSES = {
    "PENDING": "Pending",
    "PAUSED": "Pending",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "SKIPPED": "Skipped",
    "FAILED": "Failed",
    "CANCELED": "Failed",
    "CANCELING": "Terminating",
}


class KeyMessage(Message, frozen=True):
    type: _Type = 0
    id: str = ""


class ReferenceMessage(Message, frozen=True):
    """A reference to the owner or the creator of a resource."""

    key: KeyMessage = KeyMessage()
    name: str = ""
    relationship: _Relationship = 0


class ExperimentMessage(Message, frozen=True):
    id: str = ""
    name: str = ""
    description: str = ""
    created_at: Moment | None = None
    resource_references: list[ReferenceMessage] = []
    storage_state: _ExperimentStorage = 0


class ParameterMessage(Message, frozen=True):
    name: str = ""
    value: str = ""


class VersionMessage(Message, frozen=True):
    id: str = ""
    name: str = ""
    created_at: Moment | None = None
    parameters: list[ParameterMessage] = []
    code_source_url: str = ""
    package_url: UrlMessage | None = None
    resource_references: list[ReferenceMessage] = []
    description: str = ""


class PipelineMessage(Message, frozen=True):
    id: str = ""
    created_at: Moment | None = None
    name: str = ""
    description: str = ""
    parameters: list[ParameterMessage] = []
    url: UrlMessage | None = None
    error: str = ""
    default_version: VersionMessage | None = None
    resource_references: list[ReferenceMessage] = []


class PipelineSpecMessage(Message, frozen=True):
    """A pipeline and its parameters. A manifest is the text of a specification."""

    pipeline_id: str = ""
    pipeline_name: str = ""
    workflow_manifest: str = ""
    pipeline_manifest: str = ""
    parameters: list[ParameterMessage] = []
    runtime_config: RuntimeConfigMessage | None = None

    @property
    def manifest(self) -> str:
        return self.pipeline_manifest or self.workflow_manifest


class SourceMessage(MessageWithPipeline, frozen=True):
    """The fields that runs and jobs share: the pipeline and its parameters."""

    IS_YAML: ClassVar[bool] = True

    pipeline_spec: PipelineSpecMessage = PipelineSpecMessage()

    def specification(self) -> Specification | None:
        """The specification in the manifest, if there is one."""
        if not self.pipeline_spec.manifest:
            return None
        with wrapped("Failed to fetch a template with an invalid pipeline spec manifest"):
            return read_pipeline_file("manifest.yaml", self.pipeline_spec.manifest.encode())

    def without_specification(self: S) -> S:
        """The message with `{}` in place of its manifest, if any."""
        spec = self.pipeline_spec
        short = msgspec.structs.replace(
            spec,
            pipeline_manifest=spec.pipeline_manifest and "{}",
            workflow_manifest=spec.workflow_manifest and "{}",
        )
        return msgspec.structs.replace(self, pipeline_spec=short)


class MetricMessage(Message, frozen=True):
    name: str = ""
    node_id: str = ""
    number_value: float | None = None
    format: _Format = 0


class MetricsMessage(Message, frozen=True):
    run_id: str = ""
    metrics: list[MetricMessage] = []


class MetricResultMessage(Message, frozen=True):
    metric_name: str = ""
    metric_node_id: str = ""
    status: str = ""
    message: str = ""


class RunMessage(SourceMessage, frozen=True):
    id: str = ""
    name: str = ""
    storage_state: _RunStorage = 0
    description: str = ""
    pipeline_spec: PipelineSpecMessage = PipelineSpecMessage()
    resource_references: list[ReferenceMessage] = []
    service_account: str = ""
    created_at: Moment | None = None
    scheduled_at: Moment | None = None
    finished_at: Moment | None = None
    status: str = ""
    error: str = ""
    metrics: list[MetricMessage] = []


class RuntimeMessage(Message, frozen=True):
    """The Argo Workflow of a run, if there is one."""

    pipeline_manifest: str = ""
    workflow_manifest: str = ""


class RunDetailMessage(Message, frozen=True):
    run: RunMessage
    pipeline_runtime: RuntimeMessage | None = None


class TriggerMessage(v2beta1_messages.TriggerMessage, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        "api.Trigger.trigger",
        v2beta1_messages.TriggerMessage.ONE_OF[1],
    )


class JobMessage(SourceMessage, frozen=True):
    id: str = ""
    name: str = ""
    description: str = ""
    pipeline_spec: PipelineSpecMessage = PipelineSpecMessage()
    resource_references: list[ReferenceMessage] = []
    service_account: str = ""
    max_concurrency: Int64 | str = 0  # a text in responses
    trigger: TriggerMessage | None = None
    mode: _Mode = 0
    created_at: Moment | None = None
    updated_at: Moment | None = None
    status: str = ""
    error: str = ""
    enabled: bool = False
    no_catchup: bool = False


# Requests


def referred(references: Sequence[ReferenceMessage], kind: str, relationship: str = "") -> str:
    """The id of the first reference of a kind."""
    for reference in references:
        if reference.key.type == kind:
            if relationship in ("", reference.relationship):
                return reference.key.id
    return ""


def new_run(message: RunMessage) -> NewRun:
    spec, references = message.pipeline_spec, message.resource_references
    return NewRun(
        display_name=message.name or spec.pipeline_name,
        experiment_id=referred(references, "EXPERIMENT"),
        namespace=referred(references, "NAMESPACE"),
        description=message.description,
        run_id=message.id,
        recurring_run_id=referred(references, "JOB"),
        service_account=message.service_account,
        **_source(spec, references),
    )


def new_recurring_run(message: JobMessage) -> NewRecurringRun:
    spec, references = message.pipeline_spec, message.resource_references
    check_mode(message.mode)
    return NewRecurringRun(
        display_name=message.name or spec.pipeline_name,
        experiment_id=referred(references, "EXPERIMENT"),
        namespace=referred(references, "NAMESPACE"),
        description=message.description,
        service_account=message.service_account,
        max_concurrency=int(message.max_concurrency),
        trigger=message.trigger.value() if message.trigger else Trigger(),
        enabled=message.enabled or message.mode == "ENABLED",
        no_catchup=message.no_catchup,
        pinned=True,
        **_source(spec, references),
    )


def _source(spec: PipelineSpecMessage, references: Sequence[ReferenceMessage]) -> dict[str, Any]:
    """Return the pipeline and the parameters of a new run or recurring run."""
    pipeline_id = spec.pipeline_id or referred(references, "PIPELINE")
    version_id = referred(references, "PIPELINE_VERSION", "CREATOR")
    if spec.workflow_manifest and spec.pipeline_manifest:
        raise invalid_input("Please don't specify both workflow manifest and pipeline manifest")
    if spec.manifest and (pipeline_id or version_id):
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
        "parameters": config.values() or {each.name: each.value for each in spec.parameters},
        "texts": bool(spec.parameters),
        "pipeline_root": config.pipeline_root,
    }


def metric(message: MetricMessage) -> Metric:
    return Metric(
        name=message.name,
        node_id=message.node_id,
        number_value=message.number_value or 0.0,
        format=str(message.format or "UNSPECIFIED"),
    )


# Responses


def experiment_message(experiment: Experiment) -> ExperimentMessage:
    return ExperimentMessage(
        id=experiment.experiment_id,
        name=experiment.display_name,
        description=experiment.description,
        created_at=experiment.created_at,
        resource_references=[_reference("NAMESPACE", experiment.namespace, "OWNER")],
        storage_state=_EXPERIMENT_STORAGE.get(experiment.storage_state, 0),
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


def run_message(placed: PlacedRun, origin: Origin) -> RunMessage:
    run = placed.run
    source = run.pipeline_version_reference or PipelineVersionReference()
    return RunMessage(
        id=run.run_id,
        name=run.display_name,
        storage_state=_RUN_STORAGE.get(run.storage_state, 0),
        description=run.description,
        pipeline_spec=_pipeline_spec(source, origin, run.runtime_config),
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
        status=_STATUSES.get(run.state, "Unknown"),
        metrics=[_metric_message(each) for each in placed.metrics],
    )


def run_detail_message(placed: PlacedRun, origin: Origin) -> RunDetailMessage:
    # There are no Argo Workflows here.
    return RunDetailMessage(run=run_message(placed, origin), pipeline_runtime=RuntimeMessage())


def job_message(recurring: RecurringRun, origin: Origin) -> JobMessage:
    source = recurring.pipeline_version_reference or PipelineVersionReference()
    return JobMessage(
        id=recurring.recurring_run_id,
        name=recurring.display_name,
        description=recurring.description,
        pipeline_spec=_pipeline_spec(source, origin, recurring.runtime_config),
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
        status="STATUS_UNSPECIFIED",  # v1beta1 has no value for it
        enabled=recurring.enabled,
        no_catchup=recurring.no_catchup,
    )


def metric_result(metric: MetricMessage, outcome: tuple[str, str]) -> MetricResultMessage:
    status, message = outcome
    return MetricResultMessage(
        metric_name=metric.name, metric_node_id=metric.node_id, status=status, message=message
    )


def manifest(specification: Specification) -> str:
    """The YAML text of a specification."""
    return "\n---\n".join(
        yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True)
        for document in specification.documents()
    )


def _reference(kind: str, id: str, relationship: str) -> ReferenceMessage:
    return ReferenceMessage(key=KeyMessage(type=kind, id=id), relationship=relationship)


def _references(*references: tuple[str, str, str]) -> list[ReferenceMessage]:
    """Return the non-empty references, without names, like the API server's."""
    return [_reference(*reference) for reference in references if reference[1]]


def _pipeline_spec(
    source: PipelineVersionReference, origin: Origin, config: RuntimeConfig | None
) -> PipelineSpecMessage:
    specification = origin.specification
    given = config.parameters if config and origin.texts else {}
    return PipelineSpecMessage(
        pipeline_id=source.pipeline_id,
        pipeline_name=origin.pipeline_name,
        pipeline_manifest=manifest(specification) if specification else "",
        # Parameters given in one form are not repeated in the other.
        parameters=[ParameterMessage(name=name, value=text) for name, text in given.items()],
        runtime_config=None if given else _same(config, RuntimeConfigMessage),
    )


def _same(value: object, kind: type[T]) -> T | None:
    """Convert a message to another type with the same fields."""
    return None if value is None else msgspec.convert(value, kind, from_attributes=True)


def _metric_message(metric: Metric) -> MetricMessage:
    return MetricMessage(
        name=metric.name,
        node_id=metric.node_id,
        number_value=metric.number_value,
        format=0 if metric.format == "UNSPECIFIED" else metric.format,
    )
