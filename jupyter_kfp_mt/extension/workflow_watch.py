"""A watch of the Workflows of a namespace: Kubernetes reports its runs the moment they change.

It costs KFP nothing, and this process a thread and a connection. Only the metadata of active
Workflows are kept; ended ones are not even listed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable

import msgspec

from .. import intervals
from ..cluster.kubernetes_api import Cluster
from ..cluster.workflows import WatchEvent, Workflow
from ..errors import Forbidden, KfpError, Misconfigured, NotFound, Unauthenticated
from ..network.line_stream import split

WATCH_SECONDS = intervals.WATCH_SECONDS
FIRST_PAUSE, LONGEST_PAUSE = intervals.WATCH_RETRY_SECONDS
AGAIN_SECONDS = intervals.WATCH_REFUSED_SECONDS
# After this many failures it counts as lost.
FAILURES = 3

# Errors that do not pass by themselves.
_FINAL = (Forbidden, NotFound, Unauthenticated, Misconfigured)


class News(msgspec.Struct, frozen=True):
    """The news of a watch: current Workflows, and the names of deleted ones.

    `whole`: there are no other active ones. `lost`: the watch is interrupted until further news.
    """

    workflows: list[Workflow] = []
    deleted: list[str] = []
    whole: bool = False
    lost: bool = False


class _Expired(Exception):
    """The resource version from which to resume a watch is too old (410 Gone)."""


class WorkflowWatch:
    """Watches from `start` to `close`, and calls `heard` in its own thread.

    `cluster` returns the cluster to watch, or None. The nodes of Workflows are included for the
    runs in `viewed` and for ended ones.
    """

    def __init__(
        self, cluster: Callable[[], Cluster | None], namespace: str, heard: Callable[[News], None]
    ) -> None:
        self.viewed: Collection[str] = ()
        self._cluster_of = cluster
        self._namespace = namespace
        self._heard = heard
        self._closed = threading.Event()
        self._stream: object = None
        self._names: dict[str, str] = {}  # active Workflows, with their runs
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="kfp-mt-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the watch, even while it waits, and send no more news."""
        self._closed.set()
        close = getattr(self._stream, "close", None)
        if close:
            close()

    def _run(self) -> None:
        while not self._closed.is_set():
            pause = AGAIN_SECONDS
            try:
                cluster = self._cluster_of()
                if cluster is None:
                    return
                if cluster.may_watch_workflows(self._namespace):
                    self._watch_for_ever(cluster)
            except _FINAL:
                pass
            except KfpError:
                pause = LONGEST_PAUSE
            self._tell(News(lost=True))
            self._closed.wait(pause)

    def _watch_for_ever(self, cluster: Cluster) -> None:
        """List and watch; start again whenever the resource version is too old."""
        self._failures = 0
        while not self._closed.is_set():
            try:
                self._watch_from_now(cluster)
            except _FINAL:
                raise
            except KfpError:
                self._failures += 1
                if self._failures == FAILURES:
                    self._tell(News(lost=True))
                self._closed.wait(min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE))
            except _Expired:
                pass

    def _watch_from_now(self, cluster: Cluster) -> None:
        workflows, version = cluster.workflows_going_on(self._namespace)
        self._failures = 0
        ended = self._names.keys() - {each.name for each in workflows}
        self._names = {each.name: each.run_id for each in workflows}
        self._tell(self._with_nodes(cluster, workflows, ended, whole=True))
        while not self._closed.is_set():
            version = self._watch_once(cluster, version)

    def _watch_once(self, cluster: Cluster, version: str) -> str:
        """One watch request; return the version from which to resume."""
        seconds = WATCH_SECONDS * random.uniform(1, 2)
        stream = cluster.watch_workflows(self._namespace, version, seconds)
        self._stream = stream
        if self._closed.is_set():  # before the response existed
            stream.close()
        heard = False
        for piece in stream.pieces():
            version, heard = self._read(cluster, piece) or version, True
        if not heard:
            self._closed.wait(FIRST_PAUSE)  # a proxy closed a silent connection
        return version

    def _read(self, cluster: Cluster, piece: bytes) -> str:
        """Report the events in some lines of a watch; return the last version in them."""
        version, changed, ended = "", dict[str, Workflow](), set[str]()
        for line in split(piece):
            event, workflow = _decoded(line)
            version = workflow.metadata.resource_version or version
            if event in ("ADDED", "MODIFIED"):
                changed[workflow.name] = workflow
                ended.discard(workflow.name)
                self._names[workflow.name] = workflow.run_id
            elif event == "DELETED":
                changed.pop(workflow.name, None)
                ended.add(workflow.name)
                self._names.pop(workflow.name, None)
        if changed or ended:
            self._tell(self._with_nodes(cluster, changed.values(), ended))
        return version

    def _with_nodes(
        self,
        cluster: Cluster,
        going_on: Iterable[Workflow],
        ended: Iterable[str],
        whole: bool = False,
    ) -> News:
        """Return Workflows to report, with nodes if they have ended or are viewed."""
        found, deleted = [], []
        for workflow in going_on:
            seen = workflow.run_id in self.viewed
            found.append(self._whole(cluster, workflow.name) or workflow if seen else workflow)
        for name in ended:
            workflow_now = self._whole(cluster, name)
            if workflow_now:
                found.append(workflow_now)
            else:
                deleted.append(name)
        return News(found, deleted, whole)

    def _whole(self, cluster: Cluster, name: str) -> Workflow | None:
        try:
            return cluster.workflow(self._namespace, name)
        except (NotFound, Forbidden):
            return None

    def _tell(self, news: News) -> None:
        if not self._closed.is_set():
            self._heard(news)


def _decoded(line: bytes) -> tuple[str, Workflow]:
    """The type and object of an event. Raises `_Expired` for one that says so."""
    try:
        event = msgspec.json.decode(line, type=WatchEvent)
        if event.type != "ERROR":
            return event.type, msgspec.json.decode(event.object, type=Workflow)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # not from Kubernetes, or incomplete: list again
    raise _Expired
