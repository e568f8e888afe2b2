"""The names that completion offers: remembered, and fetched in the background without waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Any

from .. import intervals
from ..client.client import Client
from ..client.listings import Listing
from ..errors import KfpError, NotFound
from ..models import Experiment, Pipeline, RecurringRun, Run
from .verbs.values import BulkChange, Log, NamespaceListing, Notice, Overview

FRESH_SECONDS = intervals.COMPLETION_SECONDS  # older names are fetched again at the next completion
MOST = 100
# Learned at the first completion of all: one of them is what will be written next.
_FIRST = [(kind, "") for kind in ("run", "pipeline", "experiment")]
_KINDS: dict[type, str] = {
    Run: "run",
    Pipeline: "pipeline",
    Experiment: "experiment",
    RecurringRun: "recurring run",
}

Ask = Callable[[Client, str], list[str]]
Key = tuple[str, str]


class KnownNames:
    """Names by kind, and by the run or pipeline to which they belong.

    `connect` makes a client for a background thread; `namespaces` lists the usable namespaces.
    """

    def __init__(self, connect: Callable[[], Client], namespaces: Callable[[], list[str]]) -> None:
        self._connect = connect
        self._known: dict[Key, list[str]] = {}
        self._learned: dict[Key, float] = {}
        self._wanted: dict[Key, None] = {}  # in the order in which they were first wanted
        self._asking: set[Key] = set()
        self._lock = threading.Lock()
        self._asks: dict[str, Ask] = {
            "run": lambda client, _: _of_runs(client.run_page(page_size=MOST)),
            "pipeline": lambda client, _: _named(client.pipelines(limit=MOST)),
            "experiment": lambda client, _: _named(client.experiments(limit=MOST)),
            "recurring run": lambda client, _: _named(client.recurring_runs(limit=MOST)),
            "namespace": lambda client, _: namespaces(),
            "task": _tasks,
            "parameter": _parameters,
            "run parameter": _parameters_of_run,
        }

    def get(self, kind: str, of: str = "") -> list[str]:
        """Return the names known now, and fetch outdated or missing ones in the background."""
        with self._lock:
            first = [] if self._wanted else _FIRST
            wanted = {} if kind not in self._asks else {(kind, of): None}
            self._wanted.update({**wanted, **dict.fromkeys(first)})
            known = self._known.get((kind, of), [])
        self._learn([*wanted, *first])
        return known

    def refresh(self) -> None:
        """Refresh outdated names that completion has used, once a cell has ended."""
        self._learn([key for key in [*self._wanted] if not key[1]])

    def tell(self, value: object, namespace: str = "") -> None:
        """Learn names from what a verb has returned in a namespace, which saves a request."""
        with self._lock:
            if isinstance(value, (Notice, BulkChange)):
                self._learned.clear()  # something has changed
            if isinstance(value, NamespaceListing):
                self._take("namespace", [one.name for one in value if one.usable is not False])
            for kind, items in _by_kind(_items(value, namespace)).items():
                self._take(kind, _of_runs(items) if kind == "run" else _named(items))
            for run in _items(value, namespace):
                if isinstance(run, Run):
                    self._tell_tasks(run)
            if _is_all(value, namespace):
                self._learned[_KINDS[value.kind], ""] = time.monotonic()  # type: ignore[attr-defined]

    def _take(self, kind: str, names: list[str]) -> None:
        self._known[kind, ""] = [*dict.fromkeys([*names, *self._known.get((kind, ""), [])])]

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

    def _learn(self, keys: Iterable[Key]) -> None:
        """Learn what is old, one after the other, in a thread of its own."""
        now = time.monotonic()
        with self._lock:
            old = [
                key
                for key in dict.fromkeys(keys)
                if now - self._learned.get(key, float("-inf")) > FRESH_SECONDS
                and key not in self._asking
            ]
            self._asking.update(old)
        if old:
            name = f"kfp-mt-learn-{old[0][0]}"
            threading.Thread(target=self._learn_all, args=(old,), name=name, daemon=True).start()

    def _learn_all(self, keys: list[Key]) -> None:
        try:
            with closing(self._connect()) as client:
                for key in keys:
                    self._learn_one(client, key)
        except KfpError:
            pass  # keep the old names; the next verb will report the error
        finally:
            with self._lock:
                self._learned.update(dict.fromkeys(keys, time.monotonic()))
                self._asking.difference_update(keys)

    def _learn_one(self, client: Client, key: Key) -> None:
        kind, of = key
        with suppress(KfpError):  # what was known is better than nothing
            found = self._asks[kind](client, of)
            with self._lock:
                self._known[key] = found


def _items(value: object, namespace: str) -> list[Any]:
    """The values in it that are of this namespace, or of none, and have names."""
    if isinstance(value, Listing):
        places = ((item, value.namespace_of(item)) for item in value.shown())
        return [item for item, place in places if place in ("", namespace) or not namespace]
    if isinstance(value, Overview):
        return [*value.active, *value.failed]
    return [value.run] if isinstance(value, Log) else [value]


def _by_kind(items: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        if kind := _KINDS.get(type(item)):
            found.setdefault(kind, []).append(item)
    return found


def _is_all(value: object, namespace: str) -> bool:
    """Tell whether it lists all there are in the namespace."""
    return (
        isinstance(value, Listing)
        and value.kind in _KINDS
        and value.is_complete
        and not (value.filters or value.limit)
        and value.namespaces[:1] == [namespace]
    )


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


def _parameters_of_run(client: Client, run: str) -> list[str]:
    return [*client.source_of(client.find_run(run)).accepted]
