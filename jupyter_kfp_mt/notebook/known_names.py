"""The names that completion offers: remembered, and fetched in the background without waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from .. import intervals
from ..client.client import Client
from ..client.listings import Listing
from ..errors import KfpError, NotFound
from ..models import Experiment, Pipeline, RecurringRun, Run

FRESH_SECONDS = intervals.COMPLETION_SECONDS  # older names are fetched again at the next completion
MOST = 100

Ask = Callable[[Client, str], list[str]]


class KnownNames:
    """Names by kind, and by the run or pipeline to which they belong.

    `connect` makes a client for a background thread; `namespaces` lists the usable namespaces.
    """

    def __init__(self, connect: Callable[[], Client], namespaces: Callable[[], list[str]]) -> None:
        self._connect = connect
        self._known: dict[tuple[str, str], list[str]] = {}
        self._learned: dict[tuple[str, str], float] = {}
        self._asking: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._asks: dict[str, Ask] = {
            "run": lambda client, _: _of_runs(client.run_page(page_size=MOST)),
            "pipeline": lambda client, _: _named(client.pipelines(limit=MOST)),
            "experiment": lambda client, _: _named(client.experiments(limit=MOST)),
            "recurring run": lambda client, _: _named(client.recurring_runs(limit=MOST)),
            "namespace": lambda client, _: namespaces(),
            "task": _tasks,
            "parameter": _parameters,
        }

    def get(self, kind: str, of: str = "") -> list[str]:
        """Return the names known now, and fetch outdated or missing ones in the background."""
        key = (kind, of)
        with self._lock:
            age = time.monotonic() - self._learned.get(key, float("-inf"))
            wanted = kind in self._asks and age > FRESH_SECONDS and key not in self._asking
            if wanted:
                self._asking.add(key)
            known = self._known.get(key, [])
        if wanted:
            name = f"kfp-mt-learn-{kind}"
            threading.Thread(target=self._learn, args=key, name=name, daemon=True).start()
        return known

    def tell(self, value: object) -> None:
        """Learn names from a value that a verb has returned, which saves a request."""
        items: list[Any] = value.shown() if isinstance(value, Listing) else [value]
        kinds: dict[type, str] = {Run: "run", Pipeline: "pipeline", Experiment: "experiment"}
        kind = next((kinds[type(each)] for each in items if type(each) in kinds), "")
        if not kind:
            return
        names = _of_runs(items) if kind == "run" else _named(items)
        with self._lock:
            known = self._known.get((kind, ""), [])
            self._known[kind, ""] = [*dict.fromkeys([*names, *known])]
            for run in items if kind == "run" else []:
                self._tell_tasks(run)

    def _tell_tasks(self, run: Run) -> None:
        if run.tasks:
            tasks = [task.display_name for task in run.tasks]
            for of in (run.display_name, run.run_id, run.run_id[:8]):
                self._known["task", of] = tasks

    def forget(self) -> None:
        """Forget all names, after a change of connection or namespace."""
        with self._lock:
            self._known.clear()
            self._learned.clear()

    def _learn(self, kind: str, of: str) -> None:
        key = (kind, of)
        try:
            with closing(self._connect()) as client:
                found = self._asks[kind](client, of)
            with self._lock:
                self._known[key] = found
        except KfpError:
            pass  # keep the old names; the next verb will report the error
        finally:
            with self._lock:
                self._learned[key] = time.monotonic()
                self._asking.discard(key)


def _named(found: Iterable[Pipeline | Experiment | RecurringRun]) -> list[str]:
    return [each.display_name for each in found]


def _of_runs(runs: Iterable[Run]) -> list[str]:
    """The names of runs, or their ids where a name is more than one word."""
    found = [run.run_id if " " in run.display_name else run.display_name for run in runs]
    return ["latest", *found]


def _tasks(client: Client, run: str) -> list[str]:
    return [task.display_name for task in client.tasks(client.find_run(run or "latest"))]


def _parameters(client: Client, pipeline: str) -> list[str]:
    try:
        return [*client.pipeline_source(pipeline).accepted]
    except NotFound:
        return []
