"""Pipelines on the local KFP, as its clients see them, over the same through kfp.local.

kfp.local is measured at its best: the call of the pipeline alone, in a process that has imported
kfp and run a pipeline before, with `use_venv=False`. The local KFP gives each task an environment
of its own all the same, and is measured from the request for the run until a client sees its end.
It is cold when it has just started, and warm when it has the process from which it forks runs.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import pipelines
from .figures import Figure
from .server import Connection, Server, profiles_file

API = "/apis/v2beta1"
REPETITIONS = 3
# The pipeline, how often kfp.local runs it (which takes ten times as long for ten tasks), and what
# share of kfp.local's time is allowed.
MEASURED = {
    "one trivial task": ("trivial", 3, 1.0),
    "a chain of ten trivial tasks": ("chain", 1, 0.3),
    "ten independent tasks of 1 s": ("naps", 1, 0.3),
}
POLL_SECONDS = 0.005
# As many tasks execute at once as there are processors, so that the ten naps take at least this.
PROCESSORS = os.cpu_count() or 1
LEAST_SECONDS = math.ceil(10 / PROCESSORS)


def figures() -> Iterator[Figure | str]:
    yield "execution, with caching off, so that every task executes; kfp.local with use_venv=False"
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        for what, (name, times, limit) in MEASURED.items():
            directly = statistics.median(_through_kfp_local(name, times))
            cold, warm = _on_the_local_kfp(Path(folder, name), name)
            yield Figure(f"{what}, kfp.local, s", directly)
            yield Figure(f"{what}, local KFP cold, over kfp.local", cold / directly)
            yield Figure(f"{what}, local KFP warm, over kfp.local", warm / directly, limit)
            if name == "naps":
                yield Figure(
                    f"{what}, {PROCESSORS} at once, without overhead", LEAST_SECONDS / directly
                )


def _through_kfp_local(name: str, times: int) -> list[float]:
    command = [sys.executable, "-W", "ignore", "-m", pipelines.__name__, name, str(times)]
    output = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
    return list(json.loads(output.splitlines()[-1]))


def _on_the_local_kfp(folder: Path, name: str) -> tuple[float, float]:
    """Seconds of the first run of a server, and of one that comes after it."""
    folder.mkdir()
    specification = pipelines.specification(folder, name)
    cold, warm = [], []
    for number in range(REPETITIONS):
        with (
            Server(folder / str(number), profiles_file(folder, 1)) as server,
            contextlib.closing(Connection(server)) as connection,
        ):
            body = _request(connection, specification)
            cold.append(_run(connection, body))
            warm.append(_run(connection, body))
    return statistics.median(cold), statistics.median(warm)


def _request(connection: Connection, specification: Any) -> str:
    """The body that asks for a run, in an experiment made for it."""
    experiment = {"display_name": "bench", "namespace": "team-00"}
    experiment = connection.post(f"{API}/experiments", json.dumps(experiment))
    run = {"display_name": "bench", "pipeline_spec": specification}
    return json.dumps({**run, "experiment_id": experiment["experiment_id"]})


def _run(connection: Connection, body: str) -> float:
    """Seconds from the request for the run to the answer that it has succeeded."""
    started = time.perf_counter()
    run = connection.post(f"{API}/runs", body)
    while run["state"] in ("PENDING", "RUNNING"):
        time.sleep(POLL_SECONDS)
        run = connection.json(f"{API}/runs/{run['run_id']}")
    if run["state"] != "SUCCEEDED":
        raise RuntimeError(f"a run ended {run['state']}: {run.get('error')}")
    return time.perf_counter() - started
