"""Rows of the database that are no values of the API."""

from __future__ import annotations

import msgspec

from ...models import Run
from ..pipelines.pipeline_files import Specification


class Metric(msgspec.Struct, frozen=True):
    """A number that a run has reported. `format` is RAW or PERCENTAGE."""

    name: str
    node_id: str
    number_value: float
    format: str = "RAW"


class Origin(msgspec.Struct, frozen=True):
    """The source of a run or recurring run, which stays when the pipeline's version goes.

    Without a specification each run of a recurring run takes the pipeline's latest version.
    """

    specification: Specification | None = None
    # That of the version, if it is one.
    pipeline_name: str = ""
    # Whether the parameters were given as v1beta1's list of names and texts.
    texts: bool = False


class PlacedRun(msgspec.Struct, frozen=True):
    """A run, and what v2beta1 does not say of it: where it is, and its metrics."""

    run: Run
    namespace: str
    workflow_name: str
    metrics: list[Metric] = []
