"""The iterations of a loop: its items, and the inputs of each iteration."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from ....errors import KfpError
from .go_values import NoSuchValue, value_of
from .scopes import RuntimeArtifact, Values


class LoopFailed(KfpError):
    """A loop without a list of items; the message says why."""


def iterations(task: Any, inputs: Values) -> list[Values]:
    """Return the inputs of each iteration of a task with an iterator.

    Rule: `DAG` in KFP's backend/src/v2/driver/dag.go, `getItems` in util.go; but that a loop within
    may go over the same list. Raises LoopFailed.
    """
    if task.WhichOneof("iterator") == "artifact_iterator":
        return _over_artifacts(task.artifact_iterator, inputs)
    iterator = task.parameter_iterator
    return [
        Values({**inputs.parameters, iterator.item_input: item}, inputs.artifacts)
        for item in _items(iterator, inputs)
    ]


def _items(iterator: Any, inputs: Values) -> list[Any]:
    source = iterator.items.input_parameter
    items = inputs.parameters.get(source) if source else iterator.items.raw
    if isinstance(items, str):
        with suppress(NoSuchValue):
            items = value_of(items, "LIST")
    if not isinstance(items, list):
        shown = json.dumps(items, ensure_ascii=False)[:100]
        raise LoopFailed(f"a loop needs a list to iterate over, not {shown}")
    return items


def _over_artifacts(iterator: Any, inputs: Values) -> list[Values]:
    source = iterator.items.input_artifact
    listed: list[RuntimeArtifact] = inputs.artifacts.get(source, [])
    return [
        Values(inputs.parameters, {**inputs.artifacts, iterator.item_input: [artifact]})
        for artifact in listed
    ]
