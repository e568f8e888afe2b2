"""Outputs of earlier runs in the namespace, for tasks that would only make the same again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache

# The name, in an entry of the cache, under which it says which run has made it.
_RUN = "\0run"
# What is different in each run, wherever it stands in a task's command or arguments.
_OF_THIS_RUN = ("{{$.pipeline_", "{{$.workspace_path}}", "/kfp-workspace")


class Reuse(cache.LocalCache):  # type: ignore[misc]
    """kfp.local's cache, but of one namespace, and what is found becomes the new run's own.

    The files are copied into its folder: they stay when the run that made them is deleted, and a
    task that changes what it is given changes nobody else's.
    """

    def __init__(self, folder: Path, runs: Path, run_id: str) -> None:
        super().__init__(str(folder))
        self._runs = runs
        self._run_id = run_id
        # By the uri that a reused artifact has now, the one with which it was made.
        self._origins: dict[str, str] = {}

    def key(self, platform: dict[str, Any], arguments: dict[str, Any], **task: Any) -> str:
        """What two tasks have in common if one may have the outputs of the other."""
        everything = {"arguments": self._identity(arguments), "platform": platform}
        text = json.dumps([everything, task], default=str)
        if any(mark in text for mark in _OF_THIS_RUN):
            everything["run"] = self._run_id
        return str(self.compute_key(arguments=everything, **task))

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        with suppress(OSError):  # Then the next such task is executed.
            super().put(key, {**outputs, _RUN: self._run_id})

    def found(self, key: str, folder: Path) -> tuple[dict[str, Any] | None, str]:
        """The outputs of a task with this key, moved into this folder, and from which run."""
        outputs = self.get(key)
        if outputs is None:
            return None, ""
        run_id = outputs.pop(_RUN, "")
        try:
            for value in outputs.values():
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, dsl.Artifact):
                        self._take_over(one, folder)
        except OSError:  # They are just being deleted.
            return None, ""
        return outputs, run_id

    def _take_over(self, artifact: dsl.Artifact, folder: Path) -> None:
        made = Path(artifact.uri)
        if not made.is_relative_to(self._runs):
            return
        place = Path(tempfile.mkdtemp(prefix="reused-", dir=folder)) / made.name
        if made.is_dir():
            shutil.copytree(made, place, symlinks=True)
        else:
            shutil.copy2(made, place)
        self._origins[str(place)] = artifact.uri
        artifact.uri = str(place)

    def _identity(self, value: Any) -> Any:
        """As kfp, but an artifact is what was once made, wherever it is now."""
        if isinstance(value, dsl.Artifact):
            return [value.schema_title, value.name, value.metadata, self._content(value.uri)]
        if isinstance(value, list):
            return [self._identity(one) for one in value]
        if isinstance(value, dict):
            return {name: self._identity(one) for name, one in value.items()}
        return value

    def _content(self, uri: str) -> str:
        """What changes if the content does. Nothing else writes where a run keeps its artifacts."""
        if uri in self._origins or Path(uri).is_relative_to(self._runs) or not os.path.exists(uri):
            return self._origins.get(uri, uri)
        status = os.stat(uri)
        return f"{uri} {status.st_mtime_ns} {status.st_size}"


class TaskCache:
    """The cache as kfp sees it while it executes one task."""

    def __init__(self, reuse: Reuse, folder: Path, log: Path, platform: dict[str, Any]) -> None:
        self._reuse = reuse
        self._folder = folder
        self._log = log
        self._platform = platform
        self.put = reuse.put

    def compute_key(self, **task: Any) -> str:
        return self._reuse.key(self._platform, **task)

    def get(self, key: str) -> dict[str, Any] | None:
        outputs, run_id = self._reuse.found(key, self._folder)
        if outputs is not None:
            with suppress(OSError), self._log.open("a", encoding="utf-8") as log:
                log.write(
                    f"[Not executed: run {run_id} did the same, and its outputs are reused. "
                    "With task.set_caching_options(False) it is executed each time.]\n"
                )
        return outputs
