"""The values of the Kubeflow Pipelines API, v2beta1, as frozen structs.

Field names are the wire's own. `Rows`, such as the `Page` of a list, become a DataFrame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from .errors import Misconfigured

if TYPE_CHECKING:
    import pandas

FINISHED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
STATES = ("PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED")

# The state of a run for which the API server sends none.
UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"

# The API server sends this time for the end of a run that has not finished.
EPOCH = datetime.fromtimestamp(0, timezone.utc)


def never(moment: datetime) -> bool:
    """Tell whether a time means "none": KFP puts the end of a running task in the year 1."""
    return moment <= EPOCH


class Viewed:
    """A value that a notebook shows as HTML, even if `%kfp` is not loaded."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from . import as_html

        return as_html(self)


class Value(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A value of the API. As in protojson, empty and zero fields are left out."""


class Health(Value, frozen=True):
    """The answer of `healthz`."""

    commit_sha: str = ""
    tag_name: str = ""
    multi_user: bool = False
    pipeline_store: str = "database"

    @property
    def local(self) -> bool:
        """Tell whether this is the local KFP of this package."""
        return self.tag_name.startswith("jupyter-kfp-mt-")


class Experiment(Value, Viewed, frozen=True):
    """A group of runs, in one namespace."""

    experiment_id: str = ""
    display_name: str = ""
    description: str = ""
    created_at: datetime = EPOCH
    namespace: str = ""
    storage_state: str = "STORAGE_STATE_UNSPECIFIED"
    last_run_created_at: datetime = EPOCH


class Pipeline(Value, Viewed, frozen=True):
    """A named pipeline, whose versions are run. Without a namespace it is shared with everyone."""

    pipeline_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: datetime = EPOCH
    namespace: str = ""
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        _name(self)

    def form(self) -> Any:
        """A form of ipywidgets that starts its latest version, as `%kfp` connects to KFP."""
        from . import form_of

        return form_of(self)


class Url(Value, frozen=True):
    """Where a version of a pipeline was fetched from."""

    pipeline_url: str = ""


class PipelineVersion(Value, Viewed, frozen=True):
    """One uploaded specification of a pipeline."""

    pipeline_id: str = ""
    pipeline_version_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: datetime = EPOCH
    package_url: Url | None = None
    code_source_url: str = ""
    pipeline_spec: dict[str, Any] = {}
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        _name(self)

    def form(self) -> Any:
        """A form of ipywidgets that starts its latest version, as `%kfp` connects to KFP."""
        from . import form_of

        return form_of(self)


class PipelineVersionReference(Value, frozen=True):
    """The version of a pipeline that a run executes; without a version, the latest."""

    pipeline_id: str = ""
    pipeline_version_id: str = ""


class RuntimeConfig(Value, frozen=True):
    """The parameters that a run was given."""

    parameters: dict[str, Any] = {}
    pipeline_root: str = ""


class Status(Value, frozen=True):
    """A `google.rpc.Status`: why something went wrong."""

    code: int = 0
    message: str = ""


def state_word(state: str) -> str:
    """A state as people read it, in cells as in the sidebar: KFP's own word, not in capitals."""
    return state.capitalize()


class StateChange(Value, frozen=True):
    """One entry of a state history."""

    update_time: datetime = EPOCH
    state: str = UNSPECIFIED
    error: Status | None = None


class ArtifactList(Value, frozen=True):
    """The artifacts of one input or output, by their number in the metadata store."""

    artifact_ids: list[str] = []


class Artifact(Value, frozen=True):
    """One artifact, as the metadata store knows it. `type` is a schema title: `system.Model`."""

    artifact_id: str = ""
    name: str = ""
    type: str = ""
    uri: str = ""
    metadata: dict[str, Any] = {}


class TaskValues(Value, frozen=True):
    """The values that went into a task, or came out of it, by the names of its inputs or
    outputs.
    """

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[Artifact]] = {}
    # For outputs: the run that produced them, if they came from the cache.
    reused_from: str = ""


class TaskIO(Value, frozen=True):
    """The inputs and the outputs of one task."""

    inputs: TaskValues = TaskValues()
    outputs: TaskValues = TaskValues()


class ChildTask(Value, frozen=True):
    """A part of a task: another task, or a pod."""

    task_id: str = ""
    pod_name: str = ""


# The errors of a task that was stopped, by the local KFP or by Argo, which kills its pods.
_BY_ORDER = re.compile(r"SIGTERM|SIGKILL|[Dd]eadline|[Tt]erminat|exit code 1(43|37)")


class Task(Value, frozen=True):
    """One task of a run (`PipelineTaskDetail`)."""

    run_id: str = ""
    task_id: str = ""
    display_name: str = ""
    create_time: datetime = EPOCH
    start_time: datetime = EPOCH
    end_time: datetime = EPOCH
    state: str = UNSPECIFIED
    error: Status | None = None
    inputs: dict[str, ArtifactList] = {}
    outputs: dict[str, ArtifactList] = {}
    state_history: list[StateChange] = []
    parent_task_id: str = ""
    pod_name: str = ""
    child_tasks: list[ChildTask] = []
    # The number of attempts, from the parts of a workflow; KFP has no such field.
    attempts: int = 0

    @property
    def tries(self) -> int:
        """Return the number of attempts, as far as is known."""
        return self.attempts or sum(change.state == "RUNNING" for change in self.state_history)

    @property
    def auxiliary(self) -> bool:
        """Tell whether KFP on a cluster has added this task to the pipeline's own."""
        name = self.display_name
        return name == "root" or name.endswith("-driver") or name.partition("(")[0] == "executor"

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def duration(self) -> timedelta:
        """Return how long it ran, or has been running; zero before it has started."""
        return _span(self.start_time, self.end_time)


class RunDetails(Value, frozen=True):
    """The outcome of a run's tasks."""

    task_details: list[Task] = []


class Run(Value, Viewed, frozen=True):
    """One execution of a pipeline. Its namespace is its experiment's, and not repeated here."""

    experiment_id: str = ""
    run_id: str = ""
    display_name: str = ""
    storage_state: str = "STORAGE_STATE_UNSPECIFIED"
    description: str = ""
    pipeline_version_reference: PipelineVersionReference | None = None
    pipeline_spec: dict[str, Any] | None = None
    runtime_config: RuntimeConfig | None = None
    service_account: str = ""
    created_at: datetime = EPOCH
    scheduled_at: datetime = EPOCH
    # None is not sent; the API server writes the epoch for a run that has not finished.
    finished_at: datetime | None = None
    state: str = UNSPECIFIED
    error: Status | None = None
    run_details: RunDetails | None = None
    recurring_run_id: str = ""
    state_history: list[StateChange] = []

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def archived(self) -> bool:
        return self.storage_state == "ARCHIVED"

    @property
    def duration(self) -> timedelta:
        """The time from its creation to its end, or until now, without `idle`."""
        return max(_span(self.created_at, self.finished_at or EPOCH) - self.idle, timedelta())

    @property
    def idle(self) -> timedelta:
        """The time between an end and a retry, during which it was finished."""
        pauses = (
            following.update_time - each.update_time
            for each, following in pairwise(self.state_history)
            if each.state in FINISHED and following.state not in FINISHED
        )
        return sum(pauses, timedelta())

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}, {self.display_name!r}, {self.state})"

    @property
    def terminated(self) -> bool:
        """Tell whether somebody terminated it, going by its history: KFP has no such state."""
        return any(
            change.state in ("CANCELING", "CANCELED")
            or (change.error is not None and change.error.message == "terminated")
            for change in self.state_history
        )

    def stopped(self, task: Task) -> bool:
        """Tell whether one of its tasks was stopped with it, and has not failed by itself.

        KFP reports both as FAILED. If it says when the run was terminated, the time of the task's
        end decides; otherwise the task's error: a signal, or the deadline that KFP then sets for
        the whole workflow.
        """
        if task.state != "FAILED" or not self.terminated:
            return False
        changes = self.state_history
        terminated_at = [entry.update_time for entry in changes if entry.state == "CANCELING"]
        if terminated_at:
            return task.end_time >= terminated_at[0]
        return task.error is None or _BY_ORDER.search(task.error.message) is not None

    @property
    def tasks(self) -> list[Task]:
        return self.run_details.task_details if self.run_details else []


class CronSchedule(Value, frozen=True):
    """A schedule of points in time; `cron` has six fields, seconds first."""

    start_time: datetime | None = None
    end_time: datetime | None = None
    cron: str = ""


class PeriodicSchedule(Value, frozen=True):
    """A schedule that repeats after `interval_second`: a string, as the API writes every int64."""

    start_time: datetime | None = None
    end_time: datetime | None = None
    interval_second: str = ""


class Trigger(Value, frozen=True):
    """The schedule of a recurring run: one of the two. Without either it runs once, immediately."""

    cron_schedule: CronSchedule | None = None
    periodic_schedule: PeriodicSchedule | None = None


class RecurringRun(Value, Viewed, frozen=True):
    """A schedule that starts runs of a pipeline: of one version, or of the latest at that time."""

    recurring_run_id: str = ""
    display_name: str = ""
    description: str = ""
    pipeline_spec: dict[str, Any] | None = None
    pipeline_version_reference: PipelineVersionReference | None = None
    runtime_config: RuntimeConfig | None = None
    service_account: str = ""
    # An int64, and hence a string: how many of its runs may execute at the same time, 1 to 10.
    max_concurrency: str = ""
    trigger: Trigger | None = None
    mode: str = "MODE_UNSPECIFIED"
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
    status: str = "STATUS_UNSPECIFIED"
    error: Status | None = None
    no_catchup: bool = False
    namespace: str = ""
    experiment_id: str = ""

    @property
    def enabled(self) -> bool:
        return self.status == "ENABLED"


T = TypeVar("T", bound=msgspec.Struct)


class Rows(msgspec.Struct, Viewed, Generic[T], frozen=True, kw_only=True):
    """A sequence of values that can become plain dicts or a DataFrame."""

    items: list[T] = []

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        return self.items[index]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The items as plain dicts, all the way down; times as `datetime`."""
        return [
            {
                name: msgspec.to_builtins(getattr(item, name), builtin_types=(datetime,))
                for name in item.__struct_fields__
            }
            for item in self.items
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """One row per item. Needs pandas, which is not installed with this package."""
        return frame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """One dict for each row of the DataFrame."""
        return self.to_dicts()


def frame(records: list[dict[str, Any]]) -> pandas.DataFrame:
    """A DataFrame of records. Raises `Misconfigured` if pandas is not installed."""
    try:
        import pandas
    except ModuleNotFoundError:
        raise Misconfigured("to_pandas() needs pandas.", cure="%pip install pandas") from None

    return pandas.DataFrame.from_records(records)


class Page(Rows[T], Generic[T], frozen=True, kw_only=True):
    """One page of a list: its items, how many there are in all, and the token of the next page."""

    kind: type[T]
    total_size: int = 0
    next_page_token: str = ""
    namespace: str = ""


def _name(value: Pipeline | PipelineVersion) -> None:
    """Use the display name as the name: before KFP 2.14 it was the only one."""
    if not value.name:
        msgspec.structs.force_setattr(value, "name", value.display_name)


def _span(start: datetime, end: datetime) -> timedelta:
    if never(start):
        return timedelta()
    if never(end):
        end = datetime.now(timezone.utc)
    return max(end - start, timedelta())
