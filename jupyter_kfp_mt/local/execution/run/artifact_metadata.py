"""The metadata of artifacts, as KFP's metadata store keeps them for the tasks that come after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The store keeps under it the name of the output, unless the task has written another one.
DISPLAY_NAME = "display_name"


def as_stored(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata as a task reads them that has the artifact as input.

    Rule: `StructValueToMLMDValue` and `toRuntimeArtifact` in KFP's
    backend/src/v2/metadata/converter.go: true is 1, lists and dictionaries are in one of their own.
    """
    return {name: _stored(value) for name, value in metadata.items()}


def without_value(metadata: Mapping[str, Any]) -> list[str]:
    """Return the names of the metadata that are null, which cannot be stored."""
    return [name for name, value in metadata.items() if value is None]


def _stored(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
