"""The origin of a run: the notebook and cell that started it, its git commit, and its user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

from .. import intervals
from ..client.provenance import Provenance

GIT_SECONDS = intervals.GIT_SECONDS


def here(shell: Any, subject: str) -> Provenance:
    """The origin of the current cell; empty outside a notebook. `subject`: our identity at KFP."""
    notebook = notebook_path(shell)
    by = os.environ.get("JUPYTERHUB_USER") or subject
    if not notebook:
        return Provenance(by=by)
    return Provenance(notebook, _cell(shell), _commit(Path.cwd()), by)


def notebook_path(shell: Any) -> str:
    """The notebook's path, as the Jupyter server names it; empty if unknown.

    Jupyter Server tells a kernel the path of its session in JPY_SESSION_NAME; a console's has no
    suffix. VS Code and papermill leave it in variables.
    """
    variables = shell.user_ns
    named = [
        variables.get("__vsc_ipynb_file__"),
        os.environ.get("PAPERMILL_OUTPUT_PATH"),
        os.environ.get("JPY_SESSION_NAME"),
    ]
    found = next((str(name) for name in named if name and str(name).endswith(".ipynb")), "")
    home = Path.home().as_posix()
    return str(PurePosixPath(found).relative_to(home)) if found.startswith(f"{home}/") else found


def kernel_id(shell: Any) -> str:
    """The id of this kernel at its Jupyter server; empty if it has none."""
    application = getattr(getattr(shell, "kernel", None), "parent", None)
    name = Path(str(getattr(application, "connection_file", ""))).name
    return name[len("kernel-") : -len(".json")] if name.startswith("kernel-") else ""


def _cell(shell: Any) -> str:
    """The execution count, and the id of the cell in its notebook."""
    kernel = getattr(shell, "kernel", None)
    header: dict[str, Any] = kernel.get_parent() if kernel else {}
    cell = (header.get("metadata") or {}).get("cellId", "")
    # Since IPython 9.8 `execution_count` is that of the next cell while one runs.
    count = shell.displayhook.prompt_count
    return f"{count} ({cell})" if cell else str(count)


def _commit(folder: Path) -> str:
    """The commit checked out in a folder, and whether files have changed since."""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return ""
    return f"{commit} with changes" if _git(folder, "status", "--porcelain", "-uno") else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        found = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
