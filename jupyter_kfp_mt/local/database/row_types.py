"""Types of rows that are not values of the API."""

from __future__ import annotations

import msgspec

from ...models import Run
from ..pipelines.pipeline_files import Specification


class Metric(msgspec.Struct, frozen=True):
    """A metric reported by a run. `format` is RAW or PERCENTAGE."""

    name: str
    node_id: str
    number_value: float
    format: str = "RAW"


class Origin(msgspec.Struct, frozen=True):
    """The source of a run or recurring run, which survives the pipeline's version.

    Without a specification each run of a recurring run takes the pipeline's latest version.
    """

    specification: Specification | None = None
    # The name of the version, if it is one.
    pipeline_name: str = ""
    # Whether the parameters were given in v1beta1's form, a list of names and texts.
    texts: bool = False


class PlacedRun(msgspec.Struct, frozen=True):
    """A run, with the fields that v2beta1 does not have: its place and its metrics."""

    run: Run
    namespace: str
    workflow_name: str
    metrics: list[Metric] = []
