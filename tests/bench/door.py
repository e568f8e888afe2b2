"""The cost of the Jupyter server's door over asking KFP directly, in one run and in turns.

First the clients that could stand behind the door, alone on an event loop; then the door itself, as
a real Jupyter server in a process of its own, before a real local KFP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import httpx
import psutil
import requests
from tornado.httpclient import AsyncHTTPClient

from .figures import Figure
from .pipelines import specification
from .server import Connection, Server, profiles_file

LIST = "/apis/v2beta1/runs?namespace=team-00&page_size=20&sort_by=created_at%20desc"
RUNS = 20
ROUNDS, ASKED = 5, 1000
CALLERS = 32
EACH = 60
REPEATS = 5

Ask = Callable[[], Awaitable[None]]


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        profiles = profiles_file(Path(folder), 1)
        with Server(Path(folder, "data"), profiles) as kfp:
            _fill(kfp, Path(folder))
            yield from _candidates(kfp)
            with Door(kfp, Path(folder)) as door:
                yield from _alone(kfp, door)
                yield from _together(kfp, door)


class Door:
    """A Jupyter server with the extension, and what `Connection` wants to know of it."""

    def __init__(
        self,
        kfp: Server,
        folder: Path,
        *options: str,
        program: tuple[str, ...] = ("-m", "jupyter_server"),
        environment: dict[str, str] | None = None,
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        token_file = folder / "token"
        token_file.write_text(kfp.headers["Authorization"].partition(" ")[2])
        self.host = f"127.0.0.1:{port}"
        self.headers: dict[str, str] = {}
        self.process = subprocess.Popen(
            [
                *(sys.executable, *program, "--no-browser", f"--port={port}"),
                *("--ServerApp.port_retries=0", "--IdentityProvider.token=bench", "--allow-root"),
                *("--ServerApp.jpserver_extensions={'jupyter_kfp_mt': True}",),
                *(f"--Kfp.endpoint=http://{kfp.host}", f"--Kfp.token_file={token_file}"),
                *options,
            ],
            cwd=folder,
            env={**os.environ, "JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_NO_CONFIG": "1"}
            | {"PYTHONPATH": str(Path(__file__).parents[2])}
            | (environment or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Door:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.headers = self._signed_in()
                return self
            time.sleep(0.1)
        raise RuntimeError("the Jupyter server did not start")

    def _signed_in(self) -> dict[str, str]:
        """The headers of a browser that has opened the address with its token once."""
        with requests.Session() as session:
            session.get(f"http://{self.host}/login?token=bench", timeout=5)
            cookies = [f"{name}={value}" for name, value in session.cookies.items()]
        return {"Cookie": "; ".join(cookies), "Referer": f"http://{self.host}/lab"}

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def _alone(kfp: Server, door: Door) -> Iterator[Figure]:
    """One caller, which asks directly and through the door in turn.

    Of several rounds the one counts in which direct answers came soonest: the machine was quiet.
    """
    process = psutil.Process(door.process.pid)
    with _connection(kfp) as direct, _connection(door) as through:
        before = sum(process.cpu_times()[:2])
        rounds = [_round(direct, through) for _ in range(ROUNDS)]
    busy = (sum(process.cpu_times()[:2]) - before) / (ROUNDS * ASKED)
    quiet = min(rounds, key=lambda each: statistics.median(each["direct"]))
    medians = {what: statistics.median(times) * 1000 for what, times in quiet.items()}
    tails = {what: sorted(times)[ASKED * 99 // 100] * 1000 for what, times in quiet.items()}
    yield Figure("list 20 runs directly, median ms", medians["direct"])
    yield Figure("list 20 runs directly, 99th percentile ms", tails["direct"])
    yield Figure("the door's processor ms a request", busy * 1000)
    yield Figure("more through the door, median ms", medians["door"] - medians["direct"])
    yield Figure("through the door over directly, median", medians["door"] / medians["direct"], 2.0)
    yield Figure("the same, 99th percentile", tails["door"] / tails["direct"], 2.0)


def _round(direct: Connection, through: Connection) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"direct": [], "door": []}
    for _ in range(ASKED):
        seconds["direct"].append(direct.seconds("GET", LIST))
        seconds["door"].append(through.seconds("GET", "/kfp-mt/api" + LIST))
    return seconds


def _together(kfp: Server, door: Door) -> Iterator[Figure]:
    """Many callers; the median of several turns."""
    rates: dict[str, list[float]] = {"direct": [], "door": []}
    for _ in range(REPEATS):
        rates["direct"].append(_rate(kfp, LIST))
        rates["door"].append(_rate(door, "/kfp-mt/api" + LIST))
    direct, through = (statistics.median(rates[what]) for what in ("direct", "door"))
    yield Figure(f"{CALLERS} callers directly, requests a second", direct)
    yield Figure(f"{CALLERS} callers, direct throughput over the door's", direct / through, 1 / 0.7)


def _rate(server: Server | Door, path: str) -> float:
    ready = threading.Barrier(CALLERS + 1)

    def ask(_: int) -> None:
        with _connection(server) as connection:
            connection.seconds("GET", path)
            ready.wait()
            for _ in range(EACH):
                connection.seconds("GET", path)

    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(ask, number) for number in range(CALLERS)]
        ready.wait()
        started = time.perf_counter()
        for each in asked:
            each.result()
    return CALLERS * EACH / (time.perf_counter() - started)


# --- the candidates ---------------------------------------------------------------------------


def _candidates(kfp: Server) -> Iterator[Figure]:
    """The cost of a request for the process that sends it, of which a server has one."""
    url = f"http://{kfp.host}{LIST}"
    for name, candidate in CANDIDATES.items():
        median, busy = asyncio.run(_measured(candidate(url, kfp.headers)))
        yield Figure(f"candidate {name}, median ms", median * 1000)
        yield Figure(f"candidate {name}, {CALLERS} callers, processor ms a request", busy * 1000)


async def _measured(candidate: contextlib.AbstractAsyncContextManager[Ask]) -> tuple[float, float]:
    async with candidate as ask:
        seconds = []
        for _ in range(ASKED // 4):
            started = time.perf_counter()
            await ask()
            seconds.append(time.perf_counter() - started)

        async def several() -> None:
            for _ in range(EACH // 4):
                await ask()

        before = time.process_time()
        await asyncio.gather(*(several() for _ in range(CALLERS)))
        busy = (time.process_time() - before) / (EACH // 4 * CALLERS)
    return statistics.median(seconds), busy


@contextlib.asynccontextmanager
async def _requests(url: str, headers: dict[str, str]) -> AsyncIterator[Ask]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CALLERS) as pool, requests.Session() as session:
        session.trust_env = False
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CALLERS))

        async def ask() -> None:
            answer = await loop.run_in_executor(pool, lambda: session.get(url, headers=headers))
            answer.raise_for_status()

        yield ask


@contextlib.asynccontextmanager
async def _httpx(url: str, headers: dict[str, str]) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ask() -> None:
            (await client.get(url, headers=headers)).raise_for_status()

        yield ask


@contextlib.asynccontextmanager
async def _aiohttp(url: str, headers: dict[str, str]) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def ask() -> None:
            async with session.get(url, headers=headers, raise_for_status=True) as answer:
                await answer.read()

        yield ask


@contextlib.asynccontextmanager
async def _tornado(url: str, headers: dict[str, str]) -> AsyncIterator[Ask]:
    client = AsyncHTTPClient(force_instance=True, max_clients=CALLERS)

    async def ask() -> None:
        await client.fetch(url, headers=headers)

    yield ask
    client.close()


CANDIDATES: dict[str, Callable[..., contextlib.AbstractAsyncContextManager[Ask]]] = {
    "requests in threads": _requests,
    "httpx": _httpx,
    "aiohttp": _aiohttp,
    "tornado": _tornado,
}


@contextlib.contextmanager
def _connection(server: Server | Door) -> Iterator[Connection]:
    with contextlib.closing(Connection(server)) as connection:  # type: ignore[arg-type]
        yield connection


def _fill(kfp: Server, folder: Path) -> None:
    """Runs to list, once they have finished."""
    with _connection(kfp) as connection:
        experiment = {"display_name": "bench", "namespace": "team-00"}
        made = connection.post("/apis/v2beta1/experiments", json.dumps(experiment))
        run = {
            "display_name": "made by the bench",
            "experiment_id": made["experiment_id"],
            "pipeline_spec": specification(folder, "trivial"),
        }
        for _ in range(RUNS):
            connection.post("/apis/v2beta1/runs", json.dumps(run))
        while any(found["state"] != "SUCCEEDED" for found in connection.json(LIST)["runs"]):
            time.sleep(0.5)
