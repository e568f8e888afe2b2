"""Live events: what fifty listeners cost KFP and the Jupyter server, and how soon they are told.

They listen for a minute while runs come and go; BENCH_MINUTES=10 makes it ten.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import psutil
from aiohttp import web

from jupyter_kfp_mt.connection.event_reader import parsed
from jupyter_kfp_mt.models import Run

from .door import Door
from .figures import Figure
from .pipelines import specification
from .server import Connection, Server, profiles_file

LISTENERS = 50
MINUTES = float(os.environ.get("BENCH_MINUTES", "1"))
COUNTED_SECONDS = 30.0
WARM_SECONDS = 15.0
EVENTS = "/kfp-mt/events?namespace=team-00"
RUNS = "/apis/v2beta1/runs"


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        profiles = profiles_file(Path(folder), 1)
        with Server(Path(folder, "data"), profiles) as kfp, Counted(kfp) as counted:
            runs = Runs(kfp, Path(folder))
            runs.start("long")  # so that the pace is the one of a namespace at work
            with Door(counted, Path(folder)) as door:  # type: ignore[arg-type]
                yield from _cost(door, counted)
                yield from _told(door, runs)
            runs.close()


class Counted:
    """Stands before a KFP and counts what it is asked, but for its health."""

    def __init__(self, kfp: Server) -> None:
        self.headers = kfp.headers
        self.host = ""
        self.count = 0
        self._kfp = f"http://{kfp.host}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Counted:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _open(self) -> None:
        self._session = aiohttp.ClientSession()
        self._server = web.Server(self._answer)
        self._runner = web.ServerRunner(self._server)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.host = "{}:{}".format(*self._runner.addresses[0])

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.count += not request.path.endswith("/healthz")
        async with self._session.request(
            request.method,
            self._kfp + request.raw_path,
            headers={"Authorization": self.headers["Authorization"]},
            data=await request.read(),
        ) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
            )


class Runs:
    """Starts runs and watches them, on KFP itself."""

    def __init__(self, kfp: Server, folder: Path) -> None:
        self._connection = Connection(kfp)
        experiment = {"display_name": "bench", "namespace": "team-00"}
        made = self._connection.post("/apis/v2beta1/experiments", json.dumps(experiment))
        self._bodies = {
            name: json.dumps(
                {
                    "display_name": name,
                    "experiment_id": made["experiment_id"],
                    "pipeline_spec": specification(folder, name),
                }
            )
            for name in ("trivial", "long")
        }

    def start(self, name: str) -> str:
        return str(self._connection.post(RUNS, self._bodies[name])["run_id"])

    def followed(self, run_id: str) -> dict[str, float]:
        """When each state of a run that now starts was there first."""
        seen: dict[str, float] = {}
        while "SUCCEEDED" not in seen:
            state = self._connection.json(f"{RUNS}/{run_id}")["state"]
            seen.setdefault(state, time.monotonic())
            time.sleep(0.02)
        return seen

    def close(self) -> None:
        self._connection.close()


class Listener(threading.Thread):
    """Hears events, and when it heard which state of a run."""

    def __init__(self, door: Door) -> None:
        super().__init__(daemon=True)
        self.heard: dict[tuple[str, str], float] = {}
        self.ready = threading.Event()
        self._connection = http.client.HTTPConnection(door.host)
        self._headers = door.headers
        self.start()

    def run(self) -> None:
        with suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            self._connection.request("GET", EVENTS, headers=self._headers)
            answer = self._connection.getresponse()
            for event in parsed(iter(lambda: answer.read1(1 << 16), b"")):
                if event.name in ("snapshot", "changed"):
                    now = time.monotonic()
                    for run in event.changes().runs:
                        self.hear(run, now)
                    self.ready.set()

    def hear(self, run: Run, now: float) -> None:
        self.heard.setdefault((run.run_id, run.state), now)

    def leave(self) -> None:
        if self._connection.sock:
            self._connection.sock.shutdown(2)
        self.join()
        self._connection.close()


class Listening:
    """So many listeners, each of which knows what there is."""

    def __init__(self, door: Door, listeners: int) -> None:
        self.listeners = [Listener(door) for _ in range(listeners)]
        if not all(listener.ready.wait(30) for listener in self.listeners):
            raise RuntimeError("a listener was not told what there is")

    def close(self) -> None:
        for listener in self.listeners:
            listener.leave()


def _cost(door: Door, counted: Counted) -> Iterator[Figure]:
    counts = {}
    for listeners in (1, LISTENERS):
        before = counted.count
        started = time.monotonic()
        with closing(Listening(door, listeners)):
            time.sleep(COUNTED_SECONDS - (time.monotonic() - started))
            counts[listeners] = counted.count - before
    yield Figure(f"requests of one listener in {COUNTED_SECONDS:g} s", counts[1])
    yield Figure(f"requests of {LISTENERS} listeners over that", counts[LISTENERS] / counts[1], 1.1)


def _told(door: Door, runs: Runs) -> Iterator[Figure]:
    """Measure how soon many listeners hear of a state, and what the server holds meanwhile."""
    process = psutil.Process(door.process.pid)
    delays: list[float] = []
    with closing(Listening(door, LISTENERS)) as listening:
        _told_for(WARM_SECONDS, listening, runs)
        before = process.memory_info().rss
        for _ in range(max(1, round(MINUTES))):
            delays += _told_for(60 * MINUTES / max(1, round(MINUTES)), listening, runs)
        grown = (process.memory_info().rss - before) / 1e6
    yield Figure("runs that came and went", len(delays) / LISTENERS)
    yield Figure("a state reaches a listener, median s", statistics.median(delays))
    yield Figure("a state reaches the last listener, at most s", max(delays), 1.5)
    yield Figure(f"memory grown with {LISTENERS} listeners in {MINUTES:g} min, MB", grown, 5)


def _told_for(seconds: float, listening: Listening, runs: Runs) -> list[float]:
    """Return how long the last state of each run took to each listener."""
    delays = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run_id = runs.start("trivial")
        there = runs.followed(run_id)["SUCCEEDED"]
        for listener in listening.listeners:
            while (run_id, "SUCCEEDED") not in listener.heard:
                if time.monotonic() > there + 30:
                    raise RuntimeError("a listener was never told of a run's end")
                time.sleep(0.01)
            delays.append(listener.heard[run_id, "SUCCEEDED"] - there)
    return delays
