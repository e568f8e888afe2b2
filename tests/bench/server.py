"""A local KFP to be measured, and a connection to it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil


class Server:
    """A local KFP in a process of its own."""

    def __init__(self, data: Path, profiles: Path, *arguments: str) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_kfp_mt.local", "--data", str(data)),
                *("--profiles", str(profiles), *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        ready = json.loads(self.process.stdout.readline())
        self.start_seconds = time.perf_counter() - started
        self.host = ready["endpoint"].removeprefix("http://")
        token = Path(ready["tokens"], "team-00", "default-editor").read_text()
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    @property
    def memory(self) -> dict[str, float]:
        """Of the server's process, without those that it has started."""
        return _memory(psutil.Process(self.process.pid))

    @property
    def fork_server_memory(self) -> dict[str, float]:
        """Of the one child that it has while runs execute; they are that one's children."""
        (fork_server,) = psutil.Process(self.process.pid).children()
        return _memory(fork_server)


class Connection:
    """One kept-alive connection, on which requests are timed."""

    def __init__(self, server: Server) -> None:
        self._http = http.client.HTTPConnection(server.host)
        self._headers = server.headers

    def seconds(self, method: str, path: str, body: str | None = None) -> float:
        started = time.perf_counter()
        self._answer(method, path, body)
        return time.perf_counter() - started

    def json(self, path: str) -> dict[str, Any]:
        return dict(json.loads(self._answer("GET", path)))

    def post(self, path: str, body: str) -> dict[str, Any]:
        return dict(json.loads(self._answer("POST", path, body)))

    def close(self) -> None:
        self._http.close()

    def _answer(self, method: str, path: str, body: str | None = None) -> bytes:
        self._http.request(method, path, body, self._headers)
        response = self._http.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:500]!r}")
        return content


def profiles_file(folder: Path, namespaces: int) -> Path:
    """Namespaces team-00 and so on, as the local KFP reads them."""
    names = [f"team-{number:02}" for number in range(namespaces)]
    path = folder / "profiles.yaml"
    path.write_text(
        "profiles:\n"
        + "".join(f"- {{namespace: {name}, owner: {name}@example.com}}\n" for name in names)
    )
    return path


def _memory(process: psutil.Process) -> dict[str, float]:
    """Megabytes: RSS, and where it is known PSS, which counts shared pages in part only."""
    memory = process.memory_full_info()
    return {
        kind.upper(): getattr(memory, kind) / 1e6
        for kind in ("rss", "pss")
        if hasattr(memory, kind)
    }
