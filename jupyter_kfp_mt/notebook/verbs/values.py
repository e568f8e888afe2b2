"""Answers of `%kfp` that are no value of KFP's API: how it looks is `render`'s business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...client.pipeline_source import PipelineSource
from ...connection.status import ConnectionStatus
from ...errors import KfpError
from ...models import Rows, Run, Task, Viewed

if TYPE_CHECKING:
    from ...namespaces import list_namespaces as there
    from ...namespaces.contributors import Contributor


TAIL = 1000  # lines of a log


class OverviewCheck(msgspec.Struct, frozen=True):
    """A check whether something works, and what was said about it."""

    what: str
    works: bool
    detail: str = ""


class Overview(msgspec.Struct, frozen=True):
    """The answer to `%kfp`: who am I, where, why, and what works."""

    status: ConnectionStatus
    namespace: str
    checks: list[OverviewCheck]
    active: list[Run] = []
    active_in_all: int = 0
    failed: list[Run] = []
    usual: str = ""  # the namespace of the panel, where this kernel has one of its own
    next: list[tuple[str, str]] = []  # lines that are useful now, and what they do


class Chosen(msgspec.Struct, frozen=True):
    """The namespace in use, and why it is that one.

    `usual`: that of the panel and of other notebooks, where this kernel has one of its own.
    """

    namespace: str
    reason: str
    usual: str = ""


class Known(Rows[Any], frozen=True, kw_only=True):
    """Every namespace there is to show, the one in use, and what is not known, and why."""

    items: list[there.Namespace]
    in_use: str
    sources: list[there.SourceLookup]
    unknown: str


class Looked(msgspec.Struct, frozen=True):
    """The knowledge of one namespace."""

    namespace: there.Namespace
    in_use: bool
    unknown: str


class Sharing(Rows[Any], frozen=True, kw_only=True):
    """The people who share a namespace."""

    items: list[Contributor]
    namespace: str


class Log(msgspec.Struct, frozen=True):
    """The output of the tasks of a run."""

    run: Run
    tasks: list[tuple[Task, str]]

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.tasks)


class Planned(msgspec.Struct, Viewed, frozen=True):
    """A run as it would be started, or as `%kfp run --dry-run` tells of it."""

    source: PipelineSource
    namespace: str
    experiment: str
    request: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """All values, defaults among them, in the order of the pipeline's signature."""
        given: dict[str, Any] = self.request["runtime_config"]["parameters"]
        defaults = {
            name: each.default
            for name, each in self.source.accepted.items()
            if each.default_value is not msgspec.UNSET
        }
        values = {**defaults, **given}
        return {name: values[name] for name in self.source.accepted if name in values}


class Touched(Rows[Run], frozen=True, kw_only=True):
    """Runs that something is done with, or would be: `done` says which. Some may have failed."""

    items: list[Run]
    verb: str  # as in "terminate"
    past: str  # as in "terminated"
    done: bool
    failed: list[tuple[Run, KfpError]] = []

    def records(self) -> list[dict[str, Any]]:
        return [
            {"name": run.display_name, "state": run.state, "run_id": run.run_id} for run in self
        ]


class Said(msgspec.Struct, Viewed, frozen=True):
    """A sentence about what was done."""

    text: str

    def __str__(self) -> str:
        return self.text
