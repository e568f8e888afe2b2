"""The messages in requests of the v2beta1 API.

What only the server decides is read and dropped, as the API server does.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from ...models import CronSchedule, PeriodicSchedule, Trigger
from ..operations import NewRecurringRun, NewRun
from ..operations.values import PipelineToRun
from ..pipelines.pipeline_files import Specification, check_values, from_wire
from ..pipelines.pipeline_reader import MessageWithPipeline
from ..wire.api_errors import bad_request, invalid_input, wrapped
from ..wire.protojson import Enumeration, Int32, Int64, Message, Moment, enumeration, struct

S = TypeVar("S", bound="SourceMessage")

_API = "kubeflow.pipelines.backend.api.v2beta1"

# The range of enum values without a name.
_Value = str | int
_StorageState = Annotated[
    _Value,
    msgspec.Meta(extra={"kind": enumeration("STORAGE_STATE_UNSPECIFIED", "AVAILABLE", "ARCHIVED")}),
]
_STATES = (
    "RUNTIME_STATE_UNSPECIFIED PENDING RUNNING SUCCEEDED SKIPPED FAILED CANCELING CANCELED PAUSED"
)
_State = Annotated[_Value, msgspec.Meta(extra={"kind": enumeration(*_STATES.split())})]
_Mode = Annotated[
    _Value, msgspec.Meta(extra={"kind": enumeration("MODE_UNSPECIFIED", "ENABLE", "DISABLE")})
]
_STATUSES = Enumeration(((0, "STATUS_UNSPECIFIED"), (1, "ENABLED"), (3, "DISABLED")))
_Status = Annotated[_Value, msgspec.Meta(extra={"kind": _STATUSES})]


class StatusMessage(Message, frozen=True):
    """`google.rpc.Status`."""

    code: Int32 = 0
    message: str = ""
    details: list[dict[str, Any]] = []


class StateMessage(Message, frozen=True):
    """`RuntimeStatus`."""

    update_time: Moment | None = None
    state: _State = ""
    error: StatusMessage | None = None


class ExecutorMessage(Message, frozen=True):
    """`PipelineTaskExecutorDetail`."""

    main_job: str = ""
    pre_caching_check_job: str = ""
    failed_main_jobs: list[str] = []
    failed_pre_caching_check_jobs: list[str] = []


class ArtifactsMessage(Message, frozen=True):
    """`ArtifactList`."""

    artifact_ids: list[Int64] = []


class ChildTaskMessage(Message, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        f"{_API}.PipelineTaskDetail.ChildTask.child_task",
        frozenset({"task_id", "pod_name"}),
    )

    task_id: str = ""
    pod_name: str = ""


class TaskMessage(Message, frozen=True):
    """`PipelineTaskDetail`."""

    run_id: str = ""
    task_id: str = ""
    display_name: str = ""
    create_time: Moment | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None
    executor_detail: ExecutorMessage | None = None
    state: _State = ""
    execution_id: Int64 = 0
    error: StatusMessage | None = None
    inputs: dict[str, ArtifactsMessage] = {}
    outputs: dict[str, ArtifactsMessage] = {}
    parent_task_id: str = ""
    state_history: list[StateMessage] = []
    pod_name: str = ""
    child_tasks: list[ChildTaskMessage] = []


class DetailsMessage(Message, frozen=True):
    """`RunDetails`."""

    pipeline_context_id: Int64 = 0
    pipeline_run_context_id: Int64 = 0
    task_details: list[TaskMessage] = []


class MetadataValueMessage(Message, frozen=True):
    value: Any = None
    render_type: Annotated[
        _Value, msgspec.Meta(extra={"kind": enumeration("UNSPECIFIED", "URL")})
    ] = ""


class PluginOutputMessage(Message, frozen=True):
    entries: dict[str, MetadataValueMessage] = {}
    state: Annotated[
        _Value,
        msgspec.Meta(
            extra={
                "kind": enumeration(
                    "PLUGIN_STATE_UNSPECIFIED",
                    "PLUGIN_RUNNING",
                    "PLUGIN_SUCCEEDED",
                    "PLUGIN_FAILED",
                )
            }
        ),
    ] = ""
    state_message: str = ""


def check_mode(mode: str | int) -> None:
    """Refuse a number that is not a mode."""
    if mode and isinstance(mode, int):
        raise invalid_input(f"Recurring run's mode is invalid: {mode}")


class ExperimentMessage(Message, frozen=True):
    experiment_id: str = ""
    display_name: str = ""
    description: str = ""
    created_at: Moment | None = None
    namespace: str = ""
    storage_state: _StorageState = ""
    last_run_created_at: Moment | None = None


class PipelineMessage(Message, frozen=True):
    pipeline_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: Moment | None = None
    namespace: str = ""
    error: StatusMessage | None = None
    tags: dict[str, str] | None = None


class UrlMessage(Message, frozen=True):
    pipeline_url: str = ""


class PipelineVersionMessage(Message, frozen=True):
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: Moment | None = None
    package_url: UrlMessage | None = None
    code_source_url: str = ""
    pipeline_spec: dict[str, Any] | None = None
    error: StatusMessage | None = None
    tags: dict[str, str] | None = None


class PipelineAndVersionMessage(Message, frozen=True):
    pipeline: PipelineMessage = PipelineMessage()
    pipeline_version: PipelineVersionMessage = PipelineVersionMessage()


class ReferenceMessage(Message, frozen=True):
    pipeline_id: str = ""
    pipeline_version_id: str = ""


class RuntimeConfigMessage(Message, frozen=True):
    parameters: dict[str, Any] = {}
    pipeline_root: str = ""

    def values(self) -> dict[str, Any]:
        """The parameters, as they are stored."""
        check_values(self.parameters)
        return dict(struct(self.parameters))


class SourceMessage(MessageWithPipeline, frozen=True):
    """The fields that runs and recurring runs share: the pipeline and its parameters."""

    SOURCES: ClassVar[frozenset[str]] = frozenset(
        {"pipeline_version_id", "pipeline_spec", "pipeline_version_reference"}
    )

    pipeline_version_id: str = ""
    pipeline_spec: dict[str, Any] | None = None
    pipeline_version_reference: ReferenceMessage | None = None
    runtime_config: RuntimeConfigMessage = RuntimeConfigMessage()

    def source(self) -> PipelineToRun:
        reference = self.pipeline_version_reference or ReferenceMessage()
        return PipelineToRun(
            pipeline_id=reference.pipeline_id,
            pipeline_version_id=reference.pipeline_version_id or self.pipeline_version_id,
        )

    def specification(self) -> Specification | None:
        with wrapped("Failed to fetch a template with an invalid pipeline spec manifest"):
            return from_wire(self.pipeline_spec) if self.pipeline_spec else None

    def without_specification(self: S) -> S:
        return msgspec.structs.replace(self, pipeline_spec=None)


class RunMessage(SourceMessage, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        f"{_API}.Run.pipeline_source",
        SourceMessage.SOURCES,
    )

    experiment_id: str = ""
    run_id: str = ""
    display_name: str = ""
    storage_state: _StorageState = ""
    description: str = ""
    service_account: str = ""
    created_at: Moment | None = None
    scheduled_at: Moment | None = None
    finished_at: Moment | None = None
    state: _State = ""
    error: StatusMessage | None = None
    run_details: DetailsMessage | None = None
    recurring_run_id: str = ""
    state_history: list[StateMessage] = []
    plugins_input: dict[str, dict[str, Any]] | None = None
    plugins_output: dict[str, PluginOutputMessage] = {}

    def new(self) -> NewRun:
        if self.plugins_output:
            raise bad_request(
                "plugins_output is server-owned and populated exclusively via plugin lifecycle "
                "hooks"
            )
        source = self.source()
        return NewRun(
            display_name=self.display_name,
            experiment_id=self.experiment_id,
            description=self.description,
            run_id=self.run_id,
            recurring_run_id=self.recurring_run_id,
            pipeline_id=source.pipeline_id,
            pipeline_version_id=source.pipeline_version_id,
            parameters=self.runtime_config.values(),
            pipeline_root=self.runtime_config.pipeline_root,
            service_account=self.service_account,
        )


class CronScheduleMessage(Message, frozen=True):
    start_time: Moment | None = None
    end_time: Moment | None = None
    cron: str = ""


class PeriodicScheduleMessage(Message, frozen=True):
    start_time: Moment | None = None
    end_time: Moment | None = None
    interval_second: Int64 | str = 0  # a text in responses


class TriggerMessage(Message, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        f"{_API}.Trigger.trigger",
        frozenset({"cron_schedule", "periodic_schedule"}),
    )

    cron_schedule: CronScheduleMessage | None = None
    periodic_schedule: PeriodicScheduleMessage | None = None

    def value(self) -> Trigger:
        cron, periodic = self.cron_schedule, self.periodic_schedule
        return Trigger(
            cron_schedule=CronSchedule(
                start_time=cron.start_time, end_time=cron.end_time, cron=cron.cron
            )
            if cron
            else None,
            periodic_schedule=PeriodicSchedule(
                start_time=periodic.start_time,
                end_time=periodic.end_time,
                interval_second=str(periodic.interval_second),
            )
            if periodic
            else None,
        )


class RecurringRunMessage(SourceMessage, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        f"{_API}.RecurringRun.pipeline_source",
        SourceMessage.SOURCES,
    )

    recurring_run_id: str = ""
    display_name: str = ""
    description: str = ""
    service_account: str = ""
    max_concurrency: Int64 = 0
    trigger: TriggerMessage = TriggerMessage()
    mode: _Mode = ""
    created_at: Moment | None = None
    updated_at: Moment | None = None
    status: _Status = ""
    error: StatusMessage | None = None
    no_catchup: bool = False
    namespace: str = ""
    experiment_id: str = ""
    plugins_input: dict[str, dict[str, Any]] | None = None

    def new(self) -> NewRecurringRun:
        source = self.source()
        check_mode(self.mode)
        return NewRecurringRun(
            display_name=self.display_name,
            experiment_id=self.experiment_id,
            namespace=self.namespace,
            description=self.description,
            pipeline_id=source.pipeline_id,
            pipeline_version_id=source.pipeline_version_id,
            parameters=self.runtime_config.values(),
            pipeline_root=self.runtime_config.pipeline_root,
            service_account=self.service_account,
            max_concurrency=self.max_concurrency,
            trigger=self.trigger.value(),
            enabled=self.mode == "ENABLE",
            no_catchup=self.no_catchup,
        )
