"""Messages between the server and a run's process."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec

from ...errors import Misconfigured
from ...models import EPOCH, FINISHED, StateChange, Status, Task, TaskValues

# The prefix of folders for a run's temporary files.
SCRATCH_PREFIX = "kfp-mt-"
# google.rpc.Code.INTERNAL, KFP's code for failures during execution.
INTERNAL = 13
# Kubernetes' limit, in seconds.
LONGEST_DEADLINE = 2**31 - 1


class _Kubernetes(msgspec.Struct, frozen=True):
    pipelineConfig: dict[str, Any] = {}


class _Platforms(msgspec.Struct, frozen=True):
    kubernetes: _Kubernetes = _Kubernetes()


class _Platform(msgspec.Struct, frozen=True):
    """The platform-specific settings of a whole run."""

    platforms: _Platforms = _Platforms()

    @property
    def config(self) -> dict[str, Any]:
        return self.platforms.kubernetes.pipelineConfig


class RunRequest(msgspec.Struct, frozen=True):
    """A run to execute: its pipeline, parameters and service account."""

    run_id: str
    namespace: str
    service_account: str
    # As JSON; only the run's process parses it.
    pipeline_spec: msgspec.Raw
    platform_spec: msgspec.Raw = msgspec.Raw(b"{}")
    parameters: dict[str, Any] = {}
    # Values for placeholders in tasks. On a cluster, the name is the workflow's.
    name: str = ""
    display_name: str = ""
    created_at: datetime = EPOCH
    scheduled_at: datetime = EPOCH

    @property
    def deadline(self) -> int | None:
        """The run's time limit, in seconds."""
        return deadline(msgspec.json.decode(self.platform_spec, type=_Platform).config)

    @property
    def kubernetes(self) -> dict[str, Any]:
        """The complete Kubernetes part of the platform specification."""
        platform = msgspec.json.decode(self.platform_spec)
        part: dict[str, Any] = platform.get("platforms", {}).get("kubernetes", {})
        return part


def deadline(asked: dict[str, Any]) -> int | None:
    """The time limit of a task or a run in seconds, if it has one."""
    text = asked.get("activeDeadlineSeconds", 0)
    try:
        seconds = min(int(text), LONGEST_DEADLINE)
    except (TypeError, ValueError):
        raise Misconfigured(
            f"its activeDeadlineSeconds is {text!r}, which is not a number"
        ) from None
    return seconds if seconds > 0 else None


class Assignment(msgspec.Struct, frozen=True):
    """Everything that a worker process receives. Its repr omits the secrets in it."""

    job: RunRequest
    secrets: dict[str, dict[str, str]]
    # Environment variables for all its tasks.
    environment: dict[str, str]
    # Environment variables for the container engine's command.
    engine_environment: dict[str, str] = {}
    # Results of an earlier attempt: its tasks, and the outputs of those that succeeded, by task id.
    tasks: list[Task] = []
    succeeded: dict[str, TaskValues] = {}
    # The working directory of the process, and its whole environment.
    folder: str = ""
    surroundings: dict[str, str] = {}
    config_maps: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"Assignment({self.job.run_id})"


class RunReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A report of a changed task or, without a task, of the run's new state."""

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
    """The task in its next state, with the time and, if it failed, the reason."""
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
