"""What requests of the v2beta1 API may hold.

What only the server decides is read and dropped, as the API server does.
"""

from __future__ import annotations

from typing import Any

from ...models import CronSchedule, PeriodicSchedule, Trigger
from ..api_errors import bad_request, invalid_input, wrapped
from ..operations import NewRecurringRun, NewRun
from ..operations.values import Source
from ..pipeline_files import Specification, check_values, from_wire
from ..protojson import Message, Moment, enum, integer, struct

_MODES = {0: "MODE_UNSPECIFIED", 1: "ENABLE", 2: "DISABLE"}


class ExperimentMessage(Message, frozen=True):
    experiment_id: str = ""
    display_name: str = ""
    description: str = ""
    created_at: Any = None
    namespace: str = ""
    storage_state: str | int = ""
    last_run_created_at: Any = None


class PipelineMessage(Message, frozen=True):
    pipeline_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: Any = None
    namespace: str = ""
    error: Any = None
    tags: dict[str, str] | None = None


class UrlMessage(Message, frozen=True):
    pipeline_url: str = ""


class PipelineVersionMessage(Message, frozen=True):
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: Any = None
    package_url: UrlMessage | None = None
    code_source_url: str = ""
    pipeline_spec: Any = None
    error: Any = None
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
        """The parameters, as they are kept."""
        check_values(self.parameters)
        return dict(struct(self.parameters))


class SourceMessage(Message, frozen=True):
    """What a run and a recurring run have in common: which pipeline, and with what."""

    pipeline_version_id: str = ""
    pipeline_spec: dict[str, Any] | None = None
    pipeline_version_reference: ReferenceMessage | None = None
    runtime_config: RuntimeConfigMessage = RuntimeConfigMessage()

    def source(self) -> Source:
        sources = (self.pipeline_version_id, self.pipeline_version_reference, self.pipeline_spec)
        if len([source for source in sources if source]) > 1:
            raise invalid_input(
                "A run has one source: pipeline_version_reference, pipeline_version_id or "
                "pipeline_spec"
            )
        reference = self.pipeline_version_reference or ReferenceMessage()
        return Source(
            pipeline_id=reference.pipeline_id,
            pipeline_version_id=reference.pipeline_version_id or self.pipeline_version_id,
        )

    def specification(self) -> Specification | None:
        """The one in the message itself, which is read once its sender is authorized."""
        with wrapped("Failed to fetch a template with an invalid pipeline spec manifest"):
            return from_wire(self.pipeline_spec) if self.pipeline_spec else None


class RunMessage(SourceMessage, frozen=True):
    experiment_id: str = ""
    run_id: str = ""
    display_name: str = ""
    storage_state: str | int = ""
    description: str = ""
    service_account: str = ""
    created_at: Any = None
    scheduled_at: Any = None
    finished_at: Any = None
    state: str | int = ""
    error: Any = None
    run_details: Any = None
    recurring_run_id: str = ""
    state_history: Any = None
    plugins_input: Any = None
    plugins_output: Any = None

    def new(self) -> NewRun:
        if self.plugins_output is not None:
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
    interval_second: int | float | str = 0


class TriggerMessage(Message, frozen=True):
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
                interval_second=str(integer(periodic.interval_second, 64)),
            )
            if periodic
            else None,
        )


class RecurringRunMessage(SourceMessage, frozen=True):
    recurring_run_id: str = ""
    display_name: str = ""
    description: str = ""
    service_account: str = ""
    max_concurrency: int | float | str = 0
    trigger: TriggerMessage = TriggerMessage()
    mode: str | int = 0
    created_at: Any = None
    updated_at: Any = None
    status: str | int = 0
    error: Any = None
    no_catchup: bool = False
    namespace: str = ""
    experiment_id: str = ""
    plugins_input: Any = None

    def new(self) -> NewRecurringRun:
        source = self.source()
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
            max_concurrency=integer(self.max_concurrency, 64),
            trigger=self.trigger.value(),
            enabled=enum("Mode", _MODES, self.mode) == "ENABLE",
            no_catchup=self.no_catchup,
        )
