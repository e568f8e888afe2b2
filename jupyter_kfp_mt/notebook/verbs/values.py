"""Return values of verbs that are not objects of KFP's API; `render` draws them."""

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
    """A check that something works, and its message."""

    what: str
    works: bool
    detail: str = ""


class Overview(msgspec.Struct, frozen=True):
    """The value of `%kfp`: identity, endpoint, the reasons for both, and what works."""

    status: ConnectionStatus
    namespace: str
    checks: list[OverviewCheck]
    active: list[Run] = []
    active_in_all: int = 0
    failed: list[Run] = []
    usual: str = ""  # the namespace of the panel, where this kernel has one of its own
    next: list[tuple[str, str]] = []  # commands that are useful now, and what they do


class NamespaceChoice(msgspec.Struct, frozen=True):
    """The namespace in use, and why it is that one.

    `usual`: that of the panel and of other notebooks, where this kernel has one of its own.
    """

    namespace: str
    reason: str
    usual: str = ""


class NamespaceListing(Rows[Any], frozen=True, kw_only=True):
    """All known namespaces, the one in use, and the reason if the list is incomplete."""

    items: list[there.Namespace]
    in_use: str
    sources: list[there.SourceLookup]
    unknown: str


class NamespaceDetails(msgspec.Struct, frozen=True):
    """Everything known of one namespace."""

    namespace: there.Namespace
    in_use: bool
    unknown: str


class ContributorList(Rows[Any], frozen=True, kw_only=True):
    """The people who share a namespace."""

    items: list[Contributor]
    namespace: str


class Log(msgspec.Struct, frozen=True):
    """The output of the tasks of a run."""

    run: Run
    tasks: list[tuple[Task, str]]

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.tasks)


class RunPlan(msgspec.Struct, Viewed, frozen=True):
    """A run before it is started, as shown by `%kfp run --dry-run`."""

    source: PipelineSource
    namespace: str
    experiment: str
    request: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """All values, including defaults, in the order of the pipeline's signature."""
        given: dict[str, Any] = self.request["runtime_config"]["parameters"]
        defaults = {
            name: each.default
            for name, each in self.source.accepted.items()
            if each.default_value is not msgspec.UNSET
        }
        values = {**defaults, **given}
        return {name: values[name] for name in self.source.accepted if name in values}


class BulkChange(Rows[Run], frozen=True, kw_only=True):
    """Runs that were changed or, unless `done`, would be. Some changes may have failed."""

    items: list[Run]
    verb: str  # as in "terminate"
    past: str  # as in "terminated"
    done: bool
    failed: list[tuple[Run, KfpError]] = []

    def records(self) -> list[dict[str, Any]]:
        return [
            {"name": run.display_name, "state": run.state, "run_id": run.run_id} for run in self
        ]


class Notice(msgspec.Struct, Viewed, frozen=True):
    """A sentence about what was done."""

    text: str

    def __str__(self) -> str:
        return self.text
