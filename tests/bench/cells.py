"""The cost of a cell: the first `%kfp` of a kernel, and a list of runs beside its bare bytes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import kfp

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.credentials import TokenFile

from .api import NAMESPACES, _fill, _task, _waiting_pipeline
from .figures import Figure
from .imports import seconds, seconds_after
from .server import Connection, Server, profiles_file

LISTED, TASKS = 100, 10
ROUNDS = 15
PATH = (
    f"/apis/v2beta1/runs?namespace=team-00&page_size={LISTED}&sort_by=created_at%20desc&"
    "filter=%7B%22predicates%22%3A%5B%7B%22operation%22%3A%22NOT_EQUALS%22%2C%22key%22%3A"
    "%22storage_state%22%2C%22string_value%22%3A%22ARCHIVED%22%7D%5D%7D"
)
# A kernel has IPython loaded before the first cell.
SHELL = (
    "import ipykernel.ipkernel, IPython.core.completer\n"
    "from IPython.core.interactiveshell import InteractiveShell\n"
    "shell = InteractiveShell.instance()"
)
CELL = "shell.run_line_magic('load_ext', 'jupyter_kfp_mt'); shell.run_line_magic('kfp', 'runs')"


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        data, profiles = Path(folder, "data"), profiles_file(Path(folder), NAMESPACES)
        with Server(data, profiles):
            pass  # makes the database
        _fill(data / "kfp.db", LISTED * NAMESPACES, _waiting_pipeline(Path(folder)))
        _add_tasks(data / "kfp.db")
        with Server(data, profiles, "--max-runs", "1") as server:
            token = data / "tokens" / "team-00" / "default-editor" / "token"
            yield from _first(server, token)
            yield from _listed(server, token)


def _add_tasks(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        rows = (
            (run_id, f"{task_id}-{each}", task)
            for run_id, task_id, task in map(_task, range(0, LISTED * NAMESPACES, NAMESPACES))
            for each in range(TASKS - 1)
        )
        db.executemany("INSERT INTO tasks (run_id, task_id, task) VALUES (?, ?, ?)", rows)


def _first(server: Server, token: Path) -> Iterator[Figure]:
    settings = {
        "KFP_MT_ENDPOINT": f"http://{server.host}",
        "KFP_MT_TOKEN_FILE": str(token),
        "KFP_MT_NAMESPACE": "team-00",
    }
    sdk = seconds("import kfp")
    with patch.dict(os.environ, settings):
        first = seconds_after(SHELL, CELL)
    yield Figure("the first %kfp runs of a kernel, imports among it, ms", first * 1000)
    yield Figure("the first %kfp runs of a kernel over import kfp", first / sdk, 0.12)


def _listed(server: Server, token: Path) -> Iterator[Figure]:
    endpoint = f"http://{server.host}"
    sdk = kfp.Client(host=endpoint, existing_token=token.read_text())
    with (
        contextlib.closing(Connection(server)) as bare,
        contextlib.closing(Client(endpoint, TokenFile(token), "team-00")) as client,
    ):
        assert len(client.run_page(page_size=LISTED).items) == LISTED
        asks: dict[str, Callable[[], object]] = {
            "bare": lambda: bare.seconds("GET", PATH),
            "ours": lambda: client.run_page(page_size=LISTED),
            "sdk": lambda: sdk.list_runs(page_size=LISTED, namespace="team-00"),
        }
        times = {what: statistics.median(_times(ask)) for what, ask in asks.items()}
    what = f"a list of {LISTED} runs of {TASKS} tasks"
    yield Figure(f"{what}, over the bare request", times["ours"] / times["bare"], 1.15)
    yield Figure(f"{what}, over the SDK's", times["ours"] / times["sdk"], 1 / 40)


def _times(ask: Callable[[], object]) -> Iterator[float]:
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ask()
        yield time.perf_counter() - started
