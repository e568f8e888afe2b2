"""The memory of a Jupyter server that many listen to, in a namespace with very many runs.

KFP and Kubernetes are played: 2,000 runs go on, each with a Workflow, among 28,000 that have ended.
Kubernetes' own client, which is loaded once a cluster is asked, takes more than all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil

from .door import Door
from .events import Listening
from .figures import Figure

LISTENERS = 200
GOING_ON, ENDED = 2_000, 28_000
NAMESPACE = "team-00"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: bench
clusters: [{{name: bench, cluster: {{server: "http://{host}"}}}}]
users: [{{name: bench, user: {{token: bench}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: bench, namespace: team-00}}}}]
"""


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as name, closing(Played()) as played:
        folder = Path(name)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG.format(host=played.host))
        with Door(played.kfp, folder, f"--Kfp.kubeconfig={kubeconfig}") as door:  # type: ignore[arg-type]
            process = psutil.Process(door.process.pid)
            yield Figure("a server that nobody listens to, MB", process.memory_info().rss / 1e6)
            with closing(Listening(door, LISTENERS)):
                if not played.watched.wait(60):
                    raise RuntimeError("the Workflows were not watched")
                if not played.all_listed.wait(60):
                    raise RuntimeError("the runs were not asked for")
                memory = process.memory_info().rss / 1e6
    what = f"{LISTENERS} listeners, {GOING_ON:,} runs, {GOING_ON + ENDED:,} Workflows, MB"
    yield Figure(what, memory, 165)
    yield Figure("of that Kubernetes' client, MB", _client_memory())


class Played:
    """Both API servers, at one address."""

    def __init__(self) -> None:
        self.watched, self.all_listed = threading.Event(), threading.Event()
        self._closed = threading.Event()
        played = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                if query.get("watch"):
                    played.watched.set()
                    self.send_response(200)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    played._closed.wait()
                    self.close_connection = True
                    return
                self._answer(played.answer(url.path, query))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer({"status": {"allowed": True}})

            def _answer(self, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.kfp = SimpleNamespace(host=self.host, headers={"Authorization": "Bearer bench"})
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if path.endswith("/healthz"):
            return {"multi_user": True, "tag_name": "2.17.0"}
        if path.endswith("/workflows"):
            begin, limit = int(query.get("continue") or 0), int(query["limit"])
            going_on = [_workflow(number) for number in range(GOING_ON)][begin : begin + limit]
            more = str(begin + limit) if begin + limit < GOING_ON else ""
            return {"metadata": {"resourceVersion": "1", "continue": more}, "items": going_on}
        if not path.endswith("/runs"):
            return {}
        begin, size = int(query.get("page_token") or 0), int(query["page_size"])
        runs = [_run(number) for number in range(begin, min(begin + size, GOING_ON))]
        more = str(begin + size) if begin + size < GOING_ON else ""
        if begin and not more:
            self.all_listed.set()
        return {"runs": runs, "total_size": GOING_ON + ENDED, "next_page_token": more}


def _client_memory() -> float:
    """Measure what is in the memory of a process once it has been loaded, and was not before."""
    lines = [
        "import psutil, urllib3, aiohttp, yaml, requests",
        "before = psutil.Process().memory_info().rss",
        "import kubernetes.client",
        "print((psutil.Process().memory_info().rss - before) / 1e6)",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def _workflow(number: int) -> dict[str, Any]:
    labels = {"pipeline/runid": _id(number), "workflows.argoproj.io/phase": "Running"}
    name = {"pipelines.kubeflow.org/run_name": f"training {number}"}
    fields = [{"manager": "workflow-controller", "fieldsV1": {"f:status": "x" * 1000}}]
    metadata = {"name": f"flow-{number}", "namespace": NAMESPACE, "labels": labels}
    metadata |= {"annotations": name, "managedFields": fields, "resourceVersion": "1"}
    return {"metadata": metadata}


def _run(number: int) -> dict[str, Any]:
    return {
        "run_id": _id(number),
        "display_name": f"training {number}",
        "created_at": f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "state": "RUNNING",
        "pipeline_spec": {"long": "x" * 5000},
    }
