"""Inputs that a task has changed in place, which on a cluster nobody else would see."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .scopes import RuntimeArtifact

# When a file was changed, and how long it is; by its path.
Times = dict[str, tuple[int, int]]


def times_of_files(artifacts: Mapping[str, list[RuntimeArtifact]]) -> Times:
    """Return this of the artifacts that are files of this machine."""
    found = {}
    for listed in artifacts.values():
        for artifact in listed:
            path = artifact.path or artifact.uri
            if os.path.isfile(path):
                status = os.stat(path)
                found[path] = status.st_mtime_ns, status.st_size
    return found


def changed_since(before: Times, artifacts: Mapping[str, list[RuntimeArtifact]]) -> list[str]:
    """Return the names of the inputs with a file that is not as it was."""
    now = times_of_files(artifacts)
    return [
        name
        for name, listed in artifacts.items()
        if any(
            before.get(path) != now.get(path) for path in (one.path or one.uri for one in listed)
        )
    ]
