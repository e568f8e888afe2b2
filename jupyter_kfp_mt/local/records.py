"""What is kept beside the API's own values."""

from __future__ import annotations

import msgspec

from ..models import Run


class Metric(msgspec.Struct, frozen=True):
    """A number that a run has reported. `format` is RAW or PERCENTAGE."""

    name: str
    node_id: str
    number_value: float
    format: str = "RAW"


class PlacedRun(msgspec.Struct, frozen=True):
    """A run, and what v2beta1 does not say of it: where it is, and its metrics."""

    run: Run
    namespace: str
    workflow_name: str
    metrics: list[Metric] = []
