"""The memory of a Jupyter server that many listen to, in a namespace with very many runs.

KFP and Kubernetes are played: 2,000 runs go on, each with a Workflow, among 28,000 that have ended.
The server is in a pod. Outside of one, Kubernetes' own client reads the kubeconfig, and takes more
memory than all the runs.
"""

from __future__ import annotations

import json
import ssl
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
from fakes.kubernetes_api import Certificates

from .door import Door
from .events import Listening
from .figures import Figure

LISTENERS = 200
GOING_ON, ENDED = 2_000, 28_000
NAMESPACE = "team-00"
# A Jupyter server that finds the files of its pod in a folder.
IN_POD = """\
import pathlib, sys
from jupyter_kfp_mt.cluster import own_pod
own_pod.SECRETS = pathlib.Path({secrets!r})
from jupyter_server.serverapp import main
main()
"""


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as name, closing(Played(Path(name))) as played:
        folder = Path(name)
        with Door(
            played.kfp,  # type: ignore[arg-type]
            folder,
            program=("-c", IN_POD.format(secrets=str(played.secrets))),
            environment=played.environment,
        ) as door:
            process = psutil.Process(door.process.pid)
            yield Figure("a server that nobody listens to, MB", process.memory_info().rss / 1e6)
            with closing(Listening(door, LISTENERS)):
                if not played.watched.wait(60):
                    raise RuntimeError("the Workflows were not watched")
                if not played.all_listed.wait(60):
                    raise RuntimeError("the runs were not asked for")
                memory = process.memory_info().rss / 1e6
    what = f"{LISTENERS} listeners, {GOING_ON:,} runs, {GOING_ON + ENDED:,} Workflows, MB"
    yield Figure(what, memory, 130)
    yield Figure("what reads a kubeconfig takes in addition, MB", _client_memory())


class Played:
    """Both API servers: KFP at `kfp`, and Kubernetes as a pod with `secrets` finds it."""

    def __init__(self, folder: Path) -> None:
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

        certificates = Certificates(folder)
        self.secrets = _pod_files(folder / "secrets", certificates.authority)
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        kfp, kubernetes = self._servers
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificates.server())
        kubernetes.socket = tls.wrap_socket(kubernetes.socket, server_side=True)
        self.kfp = SimpleNamespace(
            host=f"127.0.0.1:{kfp.server_address[1]}", headers={"Authorization": "Bearer bench"}
        )
        self.environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(kubernetes.server_address[1]),
        }
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

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


def _pod_files(secrets: Path, authority: Path) -> Path:
    folder = secrets / "kubernetes.io" / "serviceaccount"
    folder.mkdir(parents=True)
    (folder / "namespace").write_text(NAMESPACE)
    (folder / "token").write_text("bench")
    (folder / "ca.crt").write_text(authority.read_text())
    return secrets


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
