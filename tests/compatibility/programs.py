"""Programs beside the front ends: a proxy, a console, and one that executes notebooks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import requests

from .browser import NOTEBOOK, RUN, SECONDS, free_port, of_alice, server
from .environments import Environment

CONSOLE = "%load_ext jupyter_kfp_mt\n%kfp runs\nexit\n"


def server_proxy(environment: Environment, folder: Path, endpoint: str) -> None:
    """Hear events at once behind jupyter-server-proxy, under a prefix."""
    port = free_port()
    prefix = f"/proxy/absolute/{port}/"
    with (
        server(environment, folder, endpoint, "server") as before,
        server(environment, folder, endpoint, "server", prefix, port),
        requests.get(
            f"{before(prefix[1:] + 'kfp-mt/events')}&namespace=alice",
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=SECONDS,
        ) as answer,
    ):
        assert answer.ok, answer.text
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(line for line in lines if line.startswith("event:")) == "event: snapshot"
        assert RUN in next(lines)


def console(environment: Environment, folder: Path, endpoint: str) -> None:
    """See a run in `jupyter console`."""
    shown = _run(environment, folder, endpoint, "console", "--simple-prompt", given=CONSOLE)
    assert RUN in shown, shown


def nbconvert(environment: Environment, folder: Path, endpoint: str) -> None:
    """See a run in a notebook that was executed into a page."""
    notebook = environment.folder / "runs.ipynb"
    notebook.write_text(json.dumps(NOTEBOOK))
    _run(environment, folder, endpoint, "nbconvert", "--execute", "--to", "html", str(notebook))
    assert RUN in notebook.with_suffix(".html").read_text()


def _run(
    environment: Environment, folder: Path, endpoint: str, *command: str, given: str = ""
) -> str:
    return subprocess.run(
        [environment.python, "-m", "jupyter", *command],
        check=True,
        cwd=environment.folder,
        env=of_alice(environment, folder, endpoint),
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS * 2,
    ).stdout
