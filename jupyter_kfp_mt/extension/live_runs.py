"""The runs of a namespace as its Workflows show them: watched in a thread, read on the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Protocol

from ..client.client import Client
from ..cluster.kubernetes_api import Cluster
from ..cluster.workflows import Workflow
from ..errors import KfpError
from ..models import Run, RunDetails, Task
from .watched_namespace import NamespaceState
from .workflow_runs import WorkflowRun, WorkflowRuns
from .workflow_watch import News, WorkflowWatch


class Ask(Protocol):
    """A way to call KFP. See `Upstream.ask`."""

    async def __call__(self, question: Any) -> Any: ...


class LiveRuns:
    """Calls `heard` after news from Kubernetes: with True if KFP must be asked what has become of
    some runs, or of all because the watch was lost.

    `over` applies the news to the state reported by KFP. Without a namespace nothing is watched.
    """

    def __init__(
        self,
        namespace: str,
        ask: Ask,
        cluster: Callable[[], Cluster | None],
        heard: Callable[[bool], None],
    ) -> None:
        self.is_told = False  # whether the watch is up to date
        self._namespace = namespace
        self._ask = ask
        self._cluster = cluster
        self._heard = heard
        self._runs = WorkflowRuns()
        self._origins: dict[str, Run] = {}
        self._viewed: Collection[str] = ()
        self._watch: WorkflowWatch | None = None
        self._news: deque[News] = deque()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the watch, unless it is running."""
        if self._watch is None and self._namespace:
            loop = asyncio.get_running_loop()

            def heard(news: News) -> None:
                with suppress(RuntimeError):  # the loop is closed: the server has stopped
                    loop.call_soon_threadsafe(self._receive, news)

            self._watch = WorkflowWatch(self._cluster, self._namespace, heard)
            self._watch.viewed = frozenset(self._viewed)
            self._watch.start()

    def close(self) -> None:
        if self._watch:
            self._watch.close()
        if self._task and not self._task.get_loop().is_closed():
            self._task.cancel()

    def view(self, runs: Collection[str]) -> None:
        """Report the tasks of these runs, too."""
        self._viewed = runs
        if self._watch:
            self._watch.viewed = frozenset(runs)

    def settle(self, state: NamespaceState) -> None:
        """Forget the ended runs that KFP has reported."""
        self._origins = state.origins
        self._runs.settle(state)

    def unknown(self, state: NamespaceState) -> dict[str, int]:
        """The runs that KFP has not reported, each with the number of attempts."""
        return self._runs.unknown(state)

    def unsettled(self) -> set[str]:
        """The runs that have ended, but not according to KFP."""
        return self._runs.unsettled()

    def missed(self, run_ids: Iterable[str]) -> None:
        """Count an attempt for runs that KFP did not know when asked."""
        self._runs.missed(run_ids)

    def over(self, state: NamespaceState) -> NamespaceState:
        """Return the state reported by KFP, brought up to date."""
        return self._runs.over(state)

    def _receive(self, news: News) -> None:
        """Queue news, to be handled in order."""
        self._news.append(news)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._take_all())

    async def _take_all(self) -> None:
        while self._news:
            news = self._news.popleft()
            await self._take(news)
            self._heard(news.lost or bool(news.deleted))

    async def _take(self, news: News) -> None:
        self.is_told = not news.lost
        if news.lost:
            self._runs.clear()
            return
        self._runs.add([await self._run(workflow) for workflow in news.workflows])
        self._runs.drop(news.deleted)
        if news.whole:
            self._runs.keep({workflow.run_id for workflow in news.workflows})

    async def _run(self, workflow: Workflow) -> WorkflowRun:
        viewed = workflow.run_id in self._viewed and workflow.status.phase
        return WorkflowRun.of(workflow, await self._tasks(workflow) if viewed else None)

    async def _tasks(self, workflow: Workflow) -> list[Task] | None:
        """The tasks as written in the pipeline; None if the Workflow does not have them."""
        nodes = workflow.tasks()
        if nodes is None:
            return None
        origin = self._origins.get(workflow.run_id, Run())
        told = Run(
            run_id=workflow.run_id,
            state=workflow.state,
            pipeline_spec=origin.pipeline_spec,
            pipeline_version_reference=origin.pipeline_version_reference,
            run_details=RunDetails(task_details=nodes),
        )

        def written(client: Client) -> list[Task]:
            return client.as_written(told).tasks

        try:
            tasks: list[Task] = await self._ask(written)
        except KfpError:
            return None
        return tasks
