"""Outputs of earlier runs in the namespace, reused by identical tasks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from .scopes import RuntimeArtifact, Values

# Placeholders that differ in each run, wherever they occur in a task's command or arguments.
_OF_THIS_RUN = ("{{$.pipeline_", "{{$.workspace_path}}", "/kfp-workspace")


class _Entry(msgspec.Struct, frozen=True):
    """The outputs of a task, and the run that made them."""

    run_id: str
    values: Values
    # Artifacts without files, such as metrics, whose content is in their metadata.
    without_files: list[str] = []


class TaskCache:
    """The cache of one namespace, as used by one run.

    Reused files are copied into the run's folder. So they survive the deletion of the run that made
    them, and a task that changes its inputs changes nobody else's.
    """

    def __init__(self, folder: Path, runs: Path, run_id: str, pipeline_name: str) -> None:
        self._folder = folder
        self._runs = runs
        self._run_id = run_id
        self._pipeline_name = pipeline_name
        # The original URI of each reused artifact, by its new one.
        self._origins: dict[str, str] = {}

    def custom_key(self, component_name: str, cache_key: str) -> str:
        """Return the key of a task that names its own, independent of its inputs.

        Rule: `getFingerPrint` in KFP's backend/src/v2/driver/cache.go, but numbered copies of a
        component count as the same component.
        """
        component = re.sub(r"-\d+$", "", component_name)
        return _hashed(["custom", self._pipeline_name, component, cache_key])

    def key(self, component_name: str, container: Any, given: Values, platform: Any) -> str:
        """Return a key that is equal for tasks that may reuse each other's outputs.

        `container` is that of the executor, as JSON.
        """
        everything: list[Any] = [
            *("task", self._pipeline_name, component_name, container, platform),
            *(given.parameters, self._identities(given.artifacts)),
        ]
        if any(mark in json.dumps([container, given.parameters]) for mark in _OF_THIS_RUN):
            everything.append(self._run_id)
        return _hashed(everything)

    def put(self, key: str, values: Values) -> None:
        """Keep the outputs of a task. After a full disk, the next task is simply executed."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                listed = [one.uri for some in values.artifacts.values() for one in some]
                missing = [uri for uri in listed if not is_there(uri)]
                file.write(msgspec.json.encode(_Entry(self._run_id, values, missing)))
            os.replace(file.name, self._path(key))

    def found(self, key: str, folder: Path, component: Any) -> tuple[Values | None, str]:
        """Return the outputs stored under a key, copied into this folder, and their run."""
        try:
            entry = msgspec.json.decode(self._path(key).read_bytes(), type=_Entry)
            if not _is_whole(entry, component):
                return None, ""
            artifacts = {
                name: [self._taken_over(one, folder, entry.without_files) for one in listed]
                for name, listed in entry.values.artifacts.items()
            }
        except (OSError, msgspec.MsgspecError):  # They are being deleted.
            return None, ""
        return Values(entry.values.parameters, artifacts), entry.run_id

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _taken_over(
        self, artifact: RuntimeArtifact, folder: Path, without_files: list[str]
    ) -> RuntimeArtifact:
        made = Path(artifact.uri)
        if not made.is_relative_to(self._runs) or artifact.uri in without_files:
            return artifact
        place = Path(tempfile.mkdtemp(prefix="reused-", dir=folder)) / made.name
        if made.is_dir():
            shutil.copytree(made, place, symlinks=True)
        else:
            shutil.copy2(made, place)
        self._origins[str(place)] = artifact.uri
        return msgspec.structs.replace(artifact, uri=str(place))

    def _identities(self, artifacts: dict[str, list[RuntimeArtifact]]) -> Any:
        """Identify an artifact by its origin, wherever it is now."""
        return {
            name: [[one.type, one.name, one.metadata, self._content(one.uri)] for one in listed]
            for name, listed in artifacts.items()
        }

    def _content(self, uri: str) -> str:
        """A fingerprint of the content. Only runs write to the artifacts' folders."""
        if uri in self._origins or Path(uri).is_relative_to(self._runs) or not os.path.exists(uri):
            return self._origins.get(uri, uri)
        status = os.stat(uri)
        return f"{uri} {status.st_mtime_ns} {status.st_size}"


def _is_whole(entry: _Entry, component: Any) -> bool:
    """Return whether these are all outputs of the component, and all still exist."""
    declared, values = component.output_definitions, entry.values
    listed = [one.uri for some in values.artifacts.values() for one in some]
    return (
        values.parameters.keys() == set(declared.parameters)
        and values.artifacts.keys() == set(declared.artifacts)
        and all(is_there(uri) or uri in entry.without_files for uri in listed)
    )


def is_there(uri: str) -> bool:
    """Return whether the URI is remote or still exists on this machine."""
    return "://" in uri or Path(uri).exists()


def _hashed(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
