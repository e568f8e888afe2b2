"""The logs of a run of many tasks, from a KFP with the allowance of a real one.

KFP and Kubernetes are played, by the stand-ins of the tests: each request that KFP has to authorize
takes as long as it did on a KFP 2.17 that had nothing else to do, or longer if there are too many.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fakes.argo_kfp import RUN_ID, ArgoKfp, add_pod
from fakes.guarded_kfp import Answer, Request
from fakes.kubernetes_api import ALICE, KubernetesApi

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.cluster.kubernetes_api import Cluster
from jupyter_kfp_mt.credentials import TokenFile
from jupyter_kfp_mt.local.api.allowance import Allowance

from .crowd import LIST_SECONDS
from .figures import Figure

TASKS = 15


class BusyKfp(ArgoKfp):
    """One that waits for Kubernetes before each answer but that to `healthz`."""

    allowance = Allowance()

    def answer(self, request: Request) -> Answer:
        if not request.path.endswith("/healthz"):
            time.sleep(self.allowance.reserve() + LIST_SECONDS)
        answer: Answer = super().answer(request)
        return answer


def figures() -> Iterator[Figure]:
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder, ExitStack() as closed:
        token = Path(folder, "token")
        token.write_text("bench")
        kfp = closed.enter_context(closing(BusyKfp({"bench": "alice"})))
        cluster = Cluster.of_pod(_pod(closed.enter_context(closing(_kubernetes(Path(folder))))))
        for number in range(TASKS):
            kfp.add_component(f"step-{number}")
        client = Client(kfp.endpoint, TokenFile(token), "alice", cluster=lambda: cluster)
        closed.enter_context(closing(client))
        seconds = _seconds(client)
    yield Figure(f"logs of {TASKS} tasks, over one list", seconds / LIST_SECONDS, 3.5)


def _seconds(client: Client) -> float:
    """The time until all that `%kfp logs` shows is there."""
    begun = time.perf_counter()
    run = client.find_run(RUN_ID)
    logs = [client.log(run.run_id, task.task_id, recent=True) for task in client.tasks(run)]
    if len(logs) != TASKS or not all("writes" in log for log in logs):
        raise RuntimeError(f"not all logs were read: {logs}")
    return time.perf_counter() - begun


def _kubernetes(folder: Path) -> Any:
    api = KubernetesApi(folder)
    api.add_profile("alice", "alice@example.com")
    api.allow(ALICE, "get list", "pods", "alice")
    api.allow(ALICE, "get", "pods/log", "alice")
    for number in range(TASKS):
        add_pod(api, f"step-{number}.executor")[1].write(f"{number} writes")
    return api


def _pod(api: Any) -> Path:
    os.environ.update(api.pod_environment())
    files: Path = api.pod_files(ALICE, "alice")
    return files
