"""The folders of the machine that a task in a container sees, to read its input artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ....errors import KfpError


class InputFolderRefused(KfpError):
    """An artifact that is not for this namespace; the message says which."""


def input_folders(executor_input: dict[str, Any], run_folder: Path) -> Iterator[str]:
    """Paths of all that is on this machine, of the run's own artifacts their folders.

    There a task may have written beside its artifact, to `model.path + ".json"` for example.
    """
    for name, listed in executor_input.get("inputs", {}).get("artifacts", {}).items():
        for artifact in listed.get("artifacts", []):
            path = Path(artifact.get("uri", "").removeprefix("file://"))
            if path.is_absolute() and path.exists():
                _refuse_what_is_not_for_this_namespace(path, name, run_folder)
                # Neither `..` nor a link leads to a folder that is around the run's.
                beside = path.parent.resolve().is_relative_to(run_folder.resolve())
                yield str(path.parent if beside else path)


def _refuse_what_is_not_for_this_namespace(path: Path, name: str, run_folder: Path) -> None:
    """The server's own files and those of the other namespaces are around a run's folder."""
    namespace, data = run_folder.parents[1].resolve(), run_folder.parents[3].resolve()
    real = path.resolve()
    if not real.is_relative_to(namespace) and (real.is_relative_to(data) or real in data.parents):
        raise InputFolderRefused(f"its input '{name}' is {path}, which is not for this namespace")
