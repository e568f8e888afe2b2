"""The folders of this machine that a container needs in order to read its input artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ....errors import KfpError


class InputFolderRefused(KfpError):
    """An artifact that belongs to another namespace; the message names it."""


def input_folders(executor_input: dict[str, Any], run_folder: Path) -> Iterator[str]:
    """Return the local paths of the inputs; for the run's own artifacts, their folders.

    A task may have written other files next to its artifact, such as `model.path + ".json"`.
    """
    for name, listed in executor_input.get("inputs", {}).get("artifacts", {}).items():
        for artifact in listed.get("artifacts", []):
            path = Path(artifact.get("uri", "").removeprefix("file://"))
            if path.is_absolute() and path.exists():
                _refuse_what_is_not_for_this_namespace(path, name, run_folder)
                # Neither `..` nor a link may lead to a parent of the run's folder.
                beside = path.parent.resolve().is_relative_to(run_folder.resolve())
                yield str(path.parent if beside else path)


def _refuse_what_is_not_for_this_namespace(path: Path, name: str, run_folder: Path) -> None:
    """Refuse parents of a run's folder, which hold the server's files and other namespaces."""
    namespace, data = run_folder.parents[1].resolve(), run_folder.parents[3].resolve()
    real = path.resolve()
    if not real.is_relative_to(namespace) and (real.is_relative_to(data) or real in data.parents):
        raise InputFolderRefused(
            f"its input '{name}' is {path}, which belongs to another namespace"
        )
