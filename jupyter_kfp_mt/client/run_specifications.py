"""Specifications of runs: from the run itself, or from the pipeline version that it refers to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Refused, Unreachable
from ..models import PipelineVersion, PipelineVersionReference, Run

Specification = Mapping[str, Any]

# The number of versions kept; a namespace usually uses few of them, again and again.
MOST = 64


class RunSpecifications:
    """Requests each version only once, as versions never change."""

    def __init__(self, version: Callable[[PipelineVersionReference], PipelineVersion]) -> None:
        self._version = version
        self._kept: OrderedDict[str, Specification | None] = OrderedDict()

    def of(self, run: Run) -> Specification | None:
        """Return a run's specification; None if it has none, or KFP does not return it."""
        if run.pipeline_spec:
            return run.pipeline_spec
        reference = run.pipeline_version_reference
        if reference is None or not (reference.pipeline_id and reference.pipeline_version_id):
            return None
        key = reference.pipeline_version_id
        if key not in self._kept:
            try:
                self._keep(key, self._version(reference).pipeline_spec)
            except Refused:  # it was deleted, or may not be read: no reason to try again
                self._keep(key, None)
            except Unreachable:
                return None
        return self._kept.get(key)

    def _keep(self, key: str, specification: Specification | None) -> None:
        self._kept[key] = specification
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
