"""The specifications of runs: in the run itself, or in the version of a pipeline that it names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Refused, Unreachable
from ..models import PipelineVersion, PipelineVersionReference, Run

Specification = Mapping[str, Any]

# So many versions are kept; a look at a namespace meets few, again and again.
MOST = 64


class RunSpecifications:
    """Asks for each version once, for one never changes."""

    def __init__(self, version: Callable[[PipelineVersionReference], PipelineVersion]) -> None:
        self._version = version
        self._kept: OrderedDict[str, Specification | None] = OrderedDict()

    def of(self, run: Run) -> Specification | None:
        """A run's; None where it names none, or KFP does not hand it out."""
        if run.pipeline_spec:
            return run.pipeline_spec
        reference = run.pipeline_version_reference
        if reference is None or not (reference.pipeline_id and reference.pipeline_version_id):
            return None
        key = reference.pipeline_version_id
        if key not in self._kept:
            try:
                self._keep(key, self._version(reference).pipeline_spec)
            except Refused:  # it was deleted, or may not be read: that will hardly change
                self._keep(key, None)
            except Unreachable:
                return None
        return self._kept.get(key)

    def _keep(self, key: str, specification: Specification | None) -> None:
        self._kept[key] = specification
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
