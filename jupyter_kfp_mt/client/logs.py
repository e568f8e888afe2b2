"""The logs of tasks, from a pod, the local KFP, a Jupyter server's door or KFP's archive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..models import Run
from ..network.line_stream import LineStream
from .queries import part
from .runs import Runs
from .transport import API, Transport

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster
    from .task_logs import Seen, TaskLog


class Logs(Runs):
    """The logs of tasks, by the words of `%kfp`.

    `cluster` finds the Kubernetes API that has them; `logs` is the address at which a Jupyter
    server's door reads them instead.
    """

    def __init__(
        self,
        transport: Transport,
        namespace: str = "",
        cluster: Callable[[], Cluster | None] = lambda: None,
        logs: str = "",
    ) -> None:
        super().__init__(transport, namespace, cluster)
        self._logs = logs
        self.seen_runs: dict[str, Seen] = {}  # by id, while many logs of one run are read
        self.last_told: Seen | None = None  # the run that KFP told of last
        self._places: dict[str, str] = {}  # of experiments, by ids: none of them ever moves

    def run_as_told(self, run_id: str) -> Run:
        """Return a run with the tasks that KFP lists; its logs may then use it for a moment."""
        from .task_logs import Seen  # it imports this file

        run = super().run_as_told(run_id)
        self.last_told = Seen(time.monotonic(), run, None)
        return run

    def namespace_of_experiment(self, experiment_id: str) -> str:
        """The namespace of an experiment, requested once."""
        if experiment_id not in self._places:
            self._places[experiment_id] = self.experiment(experiment_id).namespace
        return self._places[experiment_id]

    def log(self, run_id: str, task_id: str, tail: int | None = None, recent: bool = False) -> str:
        """The log of a task so far, or its last lines; only the end of a very long one.

        See `task_log`.
        """
        from .task_logs import ending  # it imports this file

        log = self.task_log(run_id, task_id, tail=tail, recent=recent)
        try:
            return ending(log.pieces()).decode("utf-8", "replace")
        finally:
            log.close()

    def task_log(
        self,
        run_id: str,
        task_id: str,
        follow: bool = False,
        tail: int | None = None,
        container: str = "",
        recent: bool = False,
        after: str = "",
    ) -> TaskLog:
        """Return the log of a task so far, or its last lines; with `follow` also new lines.

        With `recent`, information about the run may be a few seconds old. `after` is a
        `TaskLog.cursor`: earlier lines are left out.

        Raises a `KfpError` with the reason if there is no log.
        """
        from . import task_logs  # it stands on this file

        wanted = task_logs.Wanted(follow, tail, container, recent, after)
        asked = f"read the log of task {task_id}"
        if self._logs:
            url = f"{self._logs}/{part(run_id)}/{part(task_id)}"
            kind = {"Accept": "text/event-stream" if follow else "text/plain"}

            def opened(after: str) -> LineStream:
                query = {**wanted.query, **({"after": after} if after else {})}
                return self.transport.stream(url, asked, query, follow, kind)

            return task_logs.DoorLog(opened)
        return task_logs.opened(self, self._cluster, run_id, task_id, wanted)

    def local_log(self, run_id: str, task_id: str, start: int = 0) -> LineStream:
        """Return the local KFP's log from a byte on, or all of it if it is shorter (see
        `LineStream.partial`). It is never requested from a cluster's KFP, which does not check who
        reads a log.
        """
        path = f"/apis/v1alpha1/runs/{part(run_id)}/nodes/{part(task_id)}/log"
        asked = f"read the log of task {task_id}"
        return self.transport.stream(
            self.endpoint + path, asked, headers={"Range": f"bytes={start}-"}
        )

    def archived_log(self, run_id: str, node_id: str) -> LineStream:
        """Return the log of a node that KFP has archived: JSON with the file in it."""
        path = f"runs/{part(run_id)}/nodes/{part(node_id)}/artifacts/main-logs:read"
        return self.transport.stream(
            self.endpoint + API + path, f"read the archived log of {node_id}"
        )
