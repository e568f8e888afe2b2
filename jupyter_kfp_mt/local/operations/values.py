"""Arguments and results of operations, in addition to the API's own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from ...models import Trigger
from ..pipelines.pipeline_files import Specification
from ..wire.list_options import ListOptions, Position

T = TypeVar("T")


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: list[T]
    total_size: int
    next_page_token: str


def listed(options: ListOptions, items: list[T], total: int, start: Position | None) -> Listed[T]:
    return Listed(items, total, options.next_page_token(start))


class PipelineToRun(msgspec.Struct, frozen=True, kw_only=True):
    """The pipeline to run: a version, the latest version of a pipeline, or a specification."""

    pipeline_id: str = ""
    pipeline_version_id: str = ""
    specification: Specification | None = None


class NewRun(PipelineToRun, frozen=True, kw_only=True):
    """A request for a run. The namespace, if given, must be the experiment's."""

    display_name: str
    experiment_id: str = ""
    namespace: str = ""
    description: str = ""
    run_id: str = ""
    recurring_run_id: str = ""
    parameters: Mapping[str, Any] = {}
    texts: bool = False
    pipeline_root: str = ""
    service_account: str = ""


class NewRecurringRun(PipelineToRun, frozen=True, kw_only=True):
    """A request for a recurring run. `pinned`: always run the version that is latest now."""

    display_name: str
    experiment_id: str = ""
    namespace: str = ""
    description: str = ""
    parameters: Mapping[str, Any] = {}
    texts: bool = False
    pipeline_root: str = ""
    service_account: str = ""
    max_concurrency: int = 0
    trigger: Trigger = Trigger()
    enabled: bool = False
    no_catchup: bool = False
    pinned: bool = False


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """The name, description and tags of an uploaded file."""

    name: str
    display_name: str = ""
    description: str = ""
    code_source_url: str = ""
    package_url: str = ""
    tags: Mapping[str, str] = {}
