"""Pipelines near the limits, eight at once: what others notice of it.

Each has 140,000 values and 7.7 MB. A process of its own asks for healthz all the while, so that it
is the server alone that makes it wait.
"""

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from .figures import Figure
from .pipelines import specification
from .server import Connection, Server, profiles_file

AT_ONCE = 8
ENTRIES, LENGTH = 35_000, 190
LONGEST_WAIT = 50.0  # ms
MOST_MEMORY = 150.0  # MB
API = "/apis/v2beta1"


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as name:
        folder = Path(name)
        texts = [_text(folder, number) for number in range(AT_ONCE)]
        with (
            Server(folder / "data", profiles_file(folder, 1), "--max-runs", "1") as server,
            closing(Tenant(server)) as tenant,
        ):
            yield Figure("the same without them, ms", _longest_wait(server, time.sleep, [2]))
            for what, work, items in tenant.steps(texts):
                before = _peak(server, anew=True)
                wait = _longest_wait(server, work, items)
                yield Figure(f"healthz while {what}, at most after ms", wait, LONGEST_WAIT)
                grown = _peak(server) - before
                yield Figure("its memory meanwhile, MB more", grown, MOST_MEMORY)


class Tenant:
    """Does what people do with large pipelines."""

    def __init__(self, server: Server) -> None:
        self._api = f"http://{server.host}{API}"
        self._headers = {"Authorization": server.headers["Authorization"]}
        new = {"display_name": "large", "namespace": "team-00"}
        with closing(Connection(server)) as connection:
            made = connection.post(f"{API}/experiments", json.dumps(new))
        self._experiment: str = made["experiment_id"]
        self._pipelines: list[str] = []
        self._runs: list[str] = []

    def close(self) -> None:
        """Stop the runs, so that the server has nothing to wait for."""
        for run_id in self._runs:
            requests.post(f"{self._api}/runs/{run_id}:terminate", headers=self._headers, timeout=60)

    def steps(self, texts: list[str]) -> Iterator[tuple[str, Callable[[Any], None], list[Any]]]:
        yield "eight are uploaded", self._upload, texts
        yield "eight are run", self._run_version, self._pipelines
        yield "eight versions are read", self._read_versions, self._pipelines
        yield "eight are sent with runs", self._run, texts
        yield "eight such runs are read", self._read_run, self._runs[-AT_ONCE:]

    def _upload(self, text: str) -> None:
        self._pipelines.append(
            self._asked(
                "POST",
                f"pipelines/upload?namespace=team-00&name=p{hash(text)}",
                files={"uploadfile": ("pipeline.yaml", text)},
            )["pipeline_id"]
        )

    def _run_version(self, pipeline_id: str) -> None:
        self._create(f'"pipeline_version_reference":{{"pipeline_id":"{pipeline_id}"}}')

    def _run(self, text: str) -> None:
        self._create(f'"pipeline_spec":{text}')

    def _create(self, source: str) -> None:
        new = f'{{"display_name":"large","experiment_id":"{self._experiment}",{source}}}'
        self._runs.append(self._asked("POST", "runs", data=new)["run_id"])

    def _read_versions(self, pipeline_id: str) -> None:
        assert len(self._asked("GET", f"pipelines/{pipeline_id}/versions")) == 2

    def _read_run(self, run_id: str) -> None:
        assert self._asked("GET", f"runs/{run_id}")["pipeline_spec"]

    def _asked(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = requests.request(
            method, f"{self._api}/{path}", headers=self._headers, timeout=600, **options
        )
        answer.raise_for_status()
        return dict(answer.json())


def _text(folder: Path, number: int) -> str:
    spec = specification(folder, "trivial")
    spec["deploymentSpec"] |= {
        f"more-{entry}": {"text": f"{number:03}" + "x" * LENGTH} for entry in range(ENTRIES)
    }
    return json.dumps(spec)


def _longest_wait(server: Server, work: Callable[[Any], object], items: list[Any]) -> float:
    """In milliseconds, of whoever asks for healthz while the work is done on all items at once."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, f"http://{server.host}{API}/healthz"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as watcher:
        assert watcher.stdout
        watcher.stdout.readline()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(work, [*items]):
                pass
        said, _ = watcher.communicate()
    return float(said)


def _peak(server: Server, anew: bool = False) -> float:
    """The most memory that the server's process has had, in MB; `anew`: from now on."""
    process = Path(f"/proc/{server.process.pid}")
    if anew:
        (process / "clear_refs").write_text("5")
    peak = (process / "status").read_text().split("VmHWM:")[1].split()[0]
    return int(peak) / 1024


def main(url: str) -> None:
    """Ask for an address until standard input ends; then print the longest wait."""
    with requests.Session() as session:
        session.get(url, timeout=60)
        print("asking", flush=True)
        longest = 0.0
        while not select.select([sys.stdin], [], [], 0.005)[0]:
            started = time.perf_counter()
            session.get(url, timeout=60)
            longest = max(longest, time.perf_counter() - started)
    print(longest * 1000)


if __name__ == "__main__":
    main(sys.argv[1])
