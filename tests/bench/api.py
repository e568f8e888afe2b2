"""The local KFP's API with a thousand, a hundred thousand and a million runs.

Everything is a ratio to the bare request: the median of an authenticated GET of healthz over one
kept-alive connection to the same server.
"""

import contextlib
import itertools
import json
import sqlite3
import statistics
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import quote

import yaml

from jupyter_kfp_mt.local.database.collation import register

from .figures import Figure
from .server import Connection, Server, profiles_file

SIZES = (1_000, 100_000, 1_000_000)
NAMESPACES = 50
CLIENTS = 32
STATES = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "SUCCEEDED")
START = 1_700_000_000
# The others wait, so that creating runs is not measured beside their execution.
ONE_RUN = ("--max-runs", "1")


class Costs(NamedTuple):
    """Measure a server with so many runs."""

    seconds: dict[str, float]  # medians
    tail: float
    start: float
    memory: dict[str, float]
    fork_server_memory: dict[str, float]

    def ratio(self, what: str) -> float:
        return self.seconds[what] / self.seconds["bare"]


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        profiles = profiles_file(Path(folder), NAMESPACES)
        with Server(Path(folder, "empty"), profiles, *ONE_RUN) as server:
            _measure_healthz(server)
            yield from _memory("idle server, its one process", server.memory, 80)
        spec = _waiting_pipeline(Path(folder))
        costs = {size: _costs(Path(folder, str(size)), profiles, size, spec) for size in SIZES}
        yield from _ratios(costs)


def _ratios(costs: dict[int, Costs]) -> Iterator[Figure]:
    limits = {"get a run": 2, "list 20": 3, "filter by state": 3, "create a run": 4}
    for size, cost in costs.items():
        for what, limit in limits.items():
            yield Figure(f"{what}, over healthz, {size:,} runs", cost.ratio(what), limit)
    small, large = costs[SIZES[0]], costs[SIZES[-1]]
    for what in (*limits, "a page deep in the list", "count by name"):
        growth = large.ratio(what) / small.ratio(what)
        yield Figure(f"{what}, a million runs over a thousand", growth, 1.3)
    what = "search in names"
    growth = large.ratio(what) / small.ratio(what)
    yield Figure(f"{what}, a million runs over a thousand", growth, 5)
    yield Figure("32 clients, 99th percentile over median", large.tail, 10)
    own, fork_server = large.memory, large.fork_server_memory
    yield from _memory("with a million runs, the server's own process", own, 120)
    yield from _memory("the fork server, which is there while runs execute", fork_server)
    yield Figure("start on a million runs, s", large.start, 2)


def _memory(
    what: str, megabytes: dict[str, float], resident: float | None = None
) -> Iterator[Figure]:
    """The limit is for what is resident (RSS); pages shared with others count in full there."""
    for kind, value in megabytes.items():
        yield Figure(f"{what}, {kind} MB", value, resident if kind == "RSS" else None)


def _costs(data: Path, profiles: Path, size: int, spec: object) -> Costs:
    _start_seconds(data, profiles)  # makes the database
    _fill(data / "kfp.db", size, spec)
    start = statistics.median(_start_seconds(data, profiles) for _ in range(3))
    with (
        Server(data, profiles, *ONE_RUN) as server,
        contextlib.closing(Connection(server)) as connection,
    ):
        runs = "/apis/v2beta1/runs?namespace=team-00&sort_by=created_at%20desc"
        newest = f"{runs}&page_size=20"
        run_id = connection.json(newest)["runs"][0]["run_id"]
        # A thousand runs are 20 in a namespace, 16 of them in this state: as many rows are asked
        # for whatever the size, so that it is the search for them that is compared.
        state = f"{runs}&page_size=16&filter={_filter('state', 'EQUALS', 'SUCCEEDED')}"
        name = f"{runs}&page_size=2&filter={_filter('display_name', 'IS_SUBSTRING', '7')}"
        others = f"{runs}&page_size=1&filter={_filter('display_name', 'NOT_EQUALS', 'none')}"
        deep = f"{runs}&page_size=10&page_token={_deep(connection, runs, size)}"
        timed = {
            "bare": lambda: connection.seconds("GET", "/apis/v2beta1/healthz"),
            "get a run": lambda: connection.seconds("GET", f"/apis/v2beta1/runs/{run_id}"),
            "list 20": lambda: connection.seconds("GET", newest),
            "filter by state": lambda: connection.seconds("GET", state),
            "a page deep in the list": lambda: connection.seconds("GET", deep),
            "count by name": lambda: connection.seconds("GET", others),
            "search in names": lambda: connection.seconds("GET", name),
            "create a run": _creator(connection),
        }
        seconds, tail = _medians(timed), _tail(server, newest)
        return Costs(seconds, tail, start, server.memory, server.fork_server_memory)


def _start_seconds(data: Path, profiles: Path) -> float:
    with Server(data, profiles) as server:
        return server.start_seconds


def _medians(timed: dict[str, Callable[[], float]], rounds: int = 300) -> dict[str, float]:
    """In turn, so that what disturbs the machine disturbs all of them."""
    seconds: dict[str, list[float]] = {what: [] for what in timed}
    for _ in range(rounds):
        for what, call in timed.items():
            seconds[what].append(call())
    return {what: statistics.median(values) for what, values in seconds.items()}


def _measure_healthz(server: Server) -> None:
    with contextlib.closing(Connection(server)) as connection:
        for _ in range(100):
            connection.seconds("GET", "/apis/v2beta1/healthz")


def _tail(server: Server, path: str) -> float:
    """The 99th percentile over the median when many ask at once; any failure is an exception."""
    ready = threading.Barrier(CLIENTS)

    def ask(_: int) -> list[float]:
        with contextlib.closing(Connection(server)) as connection:
            connection.seconds("GET", path)
            ready.wait()
            return [connection.seconds("GET", path) for _ in range(50)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        seconds = sorted(itertools.chain.from_iterable(pool.map(ask, range(CLIENTS))))
    return seconds[int(len(seconds) * 0.99)] / statistics.median(seconds)


def _creator(connection: Connection) -> Callable[[], float]:
    """Creates runs that wait: the one place to execute is taken by the first."""
    body = json.dumps(
        {
            "display_name": "made by the bench",
            "experiment_id": "experiment-team-00",
            "pipeline_version_reference": {
                "pipeline_id": "pipeline",
                "pipeline_version_id": "version",
            },
            "runtime_config": {"parameters": {"rate": 0.5}},
        }
    )
    return lambda: connection.seconds("POST", "/apis/v2beta1/runs", body)


def _deep(connection: Connection, runs: str, size: int) -> str:
    """The token of the page in the middle of the namespace's runs."""
    token = ""
    step = min(200, size // NAMESPACES // 2)
    for _ in range(size // NAMESPACES // 2 // step):
        page = connection.json(f"{runs}&page_size={step}&page_token={token}")
        token = quote(str(page["next_page_token"]))
    return token


def _waiting_pipeline(folder: Path) -> object:
    """Compiled: its one task goes on until it is stopped, so that the others have to wait."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python:3.12")
    def wait(rate: float) -> None:
        import time

        time.sleep(3600)

    @dsl.pipeline(name="bench")
    def pipeline(rate: float) -> None:
        wait(rate=rate)

    compiler.Compiler().compile(pipeline, str(folder / "bench.yaml"))
    return yaml.safe_load((folder / "bench.yaml").read_text())


def _filter(key: str, operation: str, value: str) -> str:
    predicate = {"key": key, "operation": operation, "string_value": value}
    text = json.dumps({"predicates": [predicate]})
    return quote(text)


def _fill(path: Path, size: int, spec: object) -> None:
    """As many finished runs, each with a task, spread over the namespaces; written directly."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        register(db)
        db.execute("PRAGMA cache_size = -200000")
        db.execute("PRAGMA synchronous = OFF")
        query = (
            "INSERT INTO specifications (digest, pipeline_spec, platform_spec, length) "
            "VALUES ('d', ?, '{}', ?)"
        )
        db.execute(query, (json.dumps(spec), len(json.dumps(spec))))
        db.execute(
            "INSERT INTO pipelines (pipeline_id, namespace, name, display_name, description, "
            "created_at) VALUES ('pipeline', 'team-00', 'bench', 'bench', '', ?)",
            (START,),
        )
        db.execute(
            "INSERT INTO pipeline_versions (pipeline_version_id, pipeline_id, name, display_name, "
            "description, code_source_url, created_at, digest) "
            "VALUES ('version', 'pipeline', 'bench', 'bench', '', '', ?, 'd')",
            (START,),
        )
        for number in range(NAMESPACES):
            name = f"team-{number:02}"
            db.execute(
                "INSERT INTO experiments (experiment_id, namespace, display_name, description, "
                "created_at) VALUES (?, ?, 'bench', '', ?)",
                (f"experiment-{name}", name, START),
            )
        db.executemany(
            "INSERT INTO runs (run_id, experiment_id, namespace, workflow_name, display_name, "
            "description, service_account, created_at, scheduled_at, finished_at, state, "
            "state_history, recurring_run_id, pipeline_id, pipeline_version_id, digest, "
            "runtime_config) VALUES (?, ?, ?, 'bench-12345', ?, '', 'default-editor', ?, ?, ?, ?, "
            "?, '', 'pipeline', 'version', 'd', '{\"parameters\": {\"rate\": 0.5}}')",
            map(_run, range(size)),
        )
        db.executemany(
            "INSERT INTO tasks (run_id, task_id, task) VALUES (?, ?, ?)", map(_task, range(size))
        )


def _run_id(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012x}"


def _run(number: int) -> tuple[object, ...]:
    namespace = f"team-{number % NAMESPACES:02}"
    moment, state = START + number, STATES[number // NAMESPACES % len(STATES)]
    history = [
        {"update_time": "2026-01-02T03:04:05Z", "state": each}
        for each in ("PENDING", "RUNNING", state)
    ]
    return (
        _run_id(number),
        f"experiment-{namespace}",
        namespace,
        f"training {number} of the bench",
        *(moment, moment, moment + 60),
        state,
        json.dumps(history),
    )


def _task(number: int) -> tuple[str, str, str]:
    task = {
        "run_id": _run_id(number),
        "task_id": f"task-{number}",
        "display_name": "wait",
        "create_time": "2026-01-02T03:04:05Z",
        "start_time": "2026-01-02T03:04:05Z",
        "end_time": "2026-01-02T03:04:06Z",
        "state": "SUCCEEDED",
        "state_history": [
            {"update_time": "2026-01-02T03:04:05Z", "state": state}
            for state in ("PENDING", "RUNNING", "SUCCEEDED")
        ],
    }
    return _run_id(number), f"task-{number}", json.dumps(task)
