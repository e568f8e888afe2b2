"""Messages between the executor and a run's worker process."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec

from ...errors import Misconfigured
from ...models import EPOCH, FINISHED, StateChange, Status, Task, TaskValues

# How the names of the folders for a run's temporary files begin.
SCRATCH_PREFIX = "kfp-mt-"
# google.rpc.Code.INTERNAL, which KFP gives to what went wrong while a run was executing.
INTERNAL = 13
# Of Kubernetes, in seconds.
LONGEST_DEADLINE = 2**31 - 1


class _Kubernetes(msgspec.Struct, frozen=True):
    pipelineConfig: dict[str, Any] = {}


class _Platforms(msgspec.Struct, frozen=True):
    kubernetes: _Kubernetes = _Kubernetes()


class _Platform(msgspec.Struct, frozen=True):
    """The settings for a platform that concern a whole run."""

    platforms: _Platforms = _Platforms()

    @property
    def config(self) -> dict[str, Any]:
        return self.platforms.kubernetes.pipelineConfig


class RunRequest(msgspec.Struct, frozen=True):
    """A run to execute: which pipeline, with which parameters, as whom."""

    run_id: str
    namespace: str
    service_account: str
    # As JSON, which only the run's process reads.
    pipeline_spec: msgspec.Raw
    platform_spec: msgspec.Raw = msgspec.Raw(b"{}")
    parameters: dict[str, Any] = {}
    # What its tasks can ask for with placeholders. The name is the workflow's, on a cluster.
    name: str = ""
    display_name: str = ""
    created_at: datetime = EPOCH
    scheduled_at: datetime = EPOCH

    @property
    def deadline(self) -> int | None:
        """After how many seconds the run is stopped."""
        return deadline(msgspec.json.decode(self.platform_spec, type=_Platform).config)

    @property
    def kubernetes(self) -> dict[str, Any]:
        """The part of the pipeline that is for Kubernetes, whole."""
        platform = msgspec.json.decode(self.platform_spec)
        part: dict[str, Any] = platform.get("platforms", {}).get("kubernetes", {})
        return part


def deadline(asked: dict[str, Any]) -> int | None:
    """The seconds that a task or a run asks for, if it asks for some."""
    text = asked.get("activeDeadlineSeconds", 0)
    try:
        seconds = min(int(text), LONGEST_DEADLINE)
    except (TypeError, ValueError):
        raise Misconfigured(f"its activeDeadlineSeconds is {text!r}, and no number") from None
    return seconds if seconds > 0 else None


class Assignment(msgspec.Struct, frozen=True):
    """All that a worker process is told. It holds secrets, and does not show them."""

    job: RunRequest
    secrets: dict[str, dict[str, str]]
    # What its tasks get besides their own.
    environment: dict[str, str]
    # What a container engine's command gets.
    engine_environment: dict[str, str] = {}
    # What an earlier attempt has left: its tasks, and by task id what those that succeeded gave.
    tasks: list[Task] = []
    succeeded: dict[str, TaskValues] = {}
    # Where the process works, and its whole environment.
    folder: str = ""
    surroundings: dict[str, str] = {}
    config_maps: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"Assignment({self.job.run_id})"


class RunReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task that has changed; or, without a task, the state in which the run is now."""

    task: Task | None = None
    # What is known by now of what went into the task and came out of it.
    inputs: TaskValues | None = None
    outputs: TaskValues | None = None
    state: str = ""
    error: str = ""

    @classmethod
    def failed(cls, reason: str) -> RunReport:
        return cls(state="FAILED", error=reason)


def moved(task: Task, state: str, message: str = "") -> Task:
    """The task in its next state, with the moment and, if it failed, the reason."""
    now = datetime.now(timezone.utc)
    error = Status(code=INTERNAL, message=message) if message else None
    return msgspec.structs.replace(
        task,
        state=state,
        error=error,
        start_time=now if state == "RUNNING" else task.start_time,
        end_time=now if state in FINISHED else task.end_time,
        state_history=[
            *task.state_history,
            StateChange(update_time=now, state=state, error=error),
        ],
    )
