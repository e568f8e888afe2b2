"""The state of a namespace and its changes, fetched from KFP with as few requests as possible.

The newest runs are on one page, just long enough for the active ones among them. Older active runs
take one more request, and only while there are any. KFP lists the newest first, so a known run that
is newer than the end of a page, but not on it, was deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from math import ceil
from typing import TypeVar

import msgspec

from ..client.client import Client
from ..client.listings import LONGEST_PAGE
from ..connection.event_reader import Changes, EventFailure, Removed
from ..connection.status import Problem
from ..errors import Forbidden, NotFound, Refused
from ..models import Experiment, Page, RecurringRun, Run

NEWEST = 50
# The least runs on a page, and how many follow the last active one.
FEWEST, SPARE = 10, 5
MOST_UNFINISHED = 5000

Item = TypeVar("Item", Run, RecurringRun, Experiment)
Items = dict[str, Item]

_IDS = {Run: "run_id", RecurringRun: "recurring_run_id", Experiment: "experiment_id"}


class NamespaceState(msgspec.Struct, frozen=True):
    """The known state, by id: the newest and the active runs, and the newest of other objects.

    `watched` are the requested runs with their tasks, or the error of one; `origins` are the same
    runs with their pipelines, which are not published.
    """

    runs: dict[str, Run] = {}
    recurring_runs: dict[str, RecurringRun] = {}
    experiments: dict[str, Experiment] = {}
    watched: dict[str, Run | EventFailure] = {}
    origins: dict[str, Run] = {}
    total_runs: int = 0

    @property
    def busy(self) -> bool:
        """Return True if a run is active."""
        seen = [run for run in self.watched.values() if isinstance(run, Run)]
        return not all(run.finished for run in [*self.runs.values(), *seen])

    def everything(self, watched: Collection[str]) -> Changes:
        """The whole state, for a listener that requested these runs."""
        seen = {run_id: self.watched[run_id] for run_id in watched}
        runs = {run_id: run for run_id, run in seen.items() if isinstance(run, Run)}
        older = [_summary(run) for run_id, run in runs.items() if run_id not in self.runs]
        return Changes(
            runs=[*self.runs.values(), *older],
            recurring_runs=[*self.recurring_runs.values()],
            experiments=[*self.experiments.values()],
            tasks=[task for run in runs.values() for task in run.tasks],
            total_runs=self.total_runs,
        )

    def since(self, before: NamespaceState) -> Changes:
        """Return the changes for every listener."""
        return Changes(
            runs=_new(before.runs, self.runs),
            recurring_runs=_new(before.recurring_runs, self.recurring_runs),
            experiments=_new(before.experiments, self.experiments),
            total_runs=None if self.total_runs == before.total_runs else self.total_runs,
        )

    def of_watched(self, before: NamespaceState) -> Iterator[tuple[str, Changes | EventFailure]]:
        """Return the changes for listeners that requested a run; new ones get a snapshot."""
        for run_id, run in self.watched.items():
            known = before.watched.get(run_id)
            if known is None or known == run:
                continue
            if isinstance(run, EventFailure):
                yield run_id, run
            else:
                tasks = known.tasks if isinstance(known, Run) else []
                new = [task for task in run.tasks if task not in tasks]
                yield run_id, Changes(runs=[_summary(run)], tasks=new)


class Look:
    """One poll of a namespace, based on the state before; `requests` counts its requests.

    Its methods call KFP, and raise a `KfpError` if that fails.
    """

    def __init__(self, client: Client, namespace: str, before: NamespaceState) -> None:
        self.requests = 0
        self._client = client
        self._namespace = namespace
        self._before = before

    def runs(
        self, watched: Collection[str], older: bool = False, again: bool = False
    ) -> tuple[NamespaceState, Removed]:
        """The current runs, and those that were deleted.

        `older`: also active runs that are not known yet; `again`: also watched runs that had
        finished and may have been retried.
        """
        page, found, gone = self._page(again)
        gone += self._find_older(page, found, gone, older)
        seen = {run_id: self._watched(run_id, found, again) for run_id in watched}
        state = msgspec.structs.replace(
            self._before,
            runs=_kept(self._before.runs, found, gone),
            watched={key: light(run) if isinstance(run, Run) else run for key, run in seen.items()},
            origins={key: self._origin(key, run) for key, run in seen.items()},
            total_runs=page.total_size,
        )
        return state, Removed(runs=gone)

    def one(self, run_id: str) -> tuple[NamespaceState, Removed]:
        """Update one run of the state; remove it if KFP does not know it."""
        before = self._before
        known = before.runs.keys() & {run_id}
        try:
            run = self._asked_run(run_id)
        except (NotFound, Forbidden):
            runs = {key: each for key, each in before.runs.items() if key != run_id}
            total = before.total_runs - len(known)
            state = msgspec.structs.replace(before, runs=runs, total_runs=total)
            return state, Removed(runs=[*known])
        is_new = not known and all(_age(run) > _age(each) for each in before.runs.values())
        return msgspec.structs.replace(
            before,
            runs={**before.runs, run_id: _summary(light(run))},
            watched=before.watched | ({run_id: light(run)} if run_id in before.watched else {}),
            total_runs=before.total_runs + is_new,
        ), Removed()

    def older(self) -> tuple[NamespaceState, Removed]:
        """Add the active runs that are not on the last page."""
        before = self._before.runs
        found = {key: run for key, run in before.items() if not run.finished} | self._unfinished()
        return msgspec.structs.replace(self._before, runs=_kept(before, found, [])), Removed()

    def others(self) -> tuple[NamespaceState, Removed]:
        """Update what seldom changes: recurring runs and experiments."""
        client, before, self.requests = self._client, self._before, self.requests + 2
        schedules, stopped = _newest(
            before.recurring_runs, client.recurring_run_page(self._namespace, LONGEST_PAGE)
        )
        experiments, dropped = _newest(
            before.experiments, client.experiment_page(self._namespace, LONGEST_PAGE)
        )
        state = msgspec.structs.replace(
            before,
            recurring_runs={key: light(item) for key, item in schedules.items()},
            experiments=experiments,
        )
        return state, Removed(recurring_runs=stopped, experiments=dropped)

    def _page(self, whole: bool) -> tuple[Page[Run], Items[Run], list[str]]:
        """The newest runs on a page, and the ids of deleted runs that would be on it."""
        before = self._before
        size = NEWEST if whole else _page_size(before.runs)
        page = self._asked_page(size)
        found, gone = _newest(before.runs, page)
        known = before.total_runs - len(gone) + len(found.keys() - before.runs.keys())
        if size < NEWEST and (page.total_size != known or not found.keys() & before.runs.keys()):
            page = self._asked_page(NEWEST)  # the total shows a change beyond its end
            found, gone = _newest(before.runs, page)
        return page, found, gone

    def _asked_page(self, size: int) -> Page[Run]:
        self.requests += 1
        return self._client.run_page(self._namespace, page_size=size)

    def _find_older(
        self, page: Page[Run], found: Items[Run], gone: list[str], unknown: bool
    ) -> list[str]:
        """Update the older active runs; return the ids of deleted ones."""
        before = self._before.runs
        left = {run_id for run_id, run in before.items() if not run.finished}
        older = left.difference(found, gone)
        if page.next_page_token and (older or unknown):
            found |= self._unfinished()
        missing = []
        for run_id in older.difference(found):
            try:
                found[run_id] = self._asked_run(run_id)  # it has finished or was deleted
            except NotFound:
                missing.append(run_id)
        return missing

    def _unfinished(self) -> Items[Run]:
        """Read all unfinished runs, page by page."""
        found = self._client.unfinished_runs(self._namespace)
        runs = {run.run_id: run for run in islice(found, MOST_UNFINISHED)}
        self.requests += max(1, ceil(len(runs) / LONGEST_PAGE))
        return runs

    def _asked_run(self, run_id: str) -> Run:
        self.requests += 1
        return self._client.run(run_id)

    def _watched(self, run_id: str, found: Items[Run], again: bool) -> Run | EventFailure:
        """A run with its tasks; a finished one is not fetched every time."""
        if run_id in found:
            return self._client.as_written(found[run_id])
        known = self._before.watched.get(run_id)
        if known and not again and (isinstance(known, EventFailure) or known.finished):
            return known
        try:
            return self._asked_run(run_id)
        except Refused as error:
            return EventFailure(**msgspec.structs.asdict(Problem.of(error)), run_id=run_id)

    def _origin(self, run_id: str, run: Run | EventFailure) -> Run:
        """Return the run with its pipeline."""
        if isinstance(run, Run) and run.pipeline_spec:
            return Run(run_id=run_id, pipeline_spec=run.pipeline_spec)
        if isinstance(run, Run) and run.pipeline_version_reference:
            return Run(run_id=run_id, pipeline_version_reference=run.pipeline_version_reference)
        return self._before.origins.get(run_id, Run(run_id=run_id))


def _page_size(known: Mapping[str, Run]) -> int:
    """Return the page size: enough for the active runs and a few more."""
    newest = sorted(known.values(), key=_age, reverse=True)[:NEWEST]
    if not newest:
        return NEWEST
    going_on = [number for number, run in enumerate(newest, 1) if not run.finished]
    return min(max(FEWEST, max(going_on, default=0) + SPARE), NEWEST)


def _kept(before: Items[Run], found: Items[Run], gone: Collection[str]) -> Items[Run]:
    """Merge the runs found with the newest known ones that were not fetched again."""
    kept = {key: run for key, run in before.items() if key not in gone and run.finished}
    runs = kept | {key: _summary(light(run)) for key, run in found.items()}
    newest = sorted(runs, key=lambda key: _age(runs[key]), reverse=True)
    return {key: runs[key] for key in newest if key in found or key in newest[:NEWEST]}


def _newest(before: Mapping[str, Item], page: Page[Item]) -> tuple[Items[Item], list[str]]:
    """Return the items of a page, and the ids of deleted ones that would be on it."""
    found = {_id(item): item for item in page}
    last = _age(page[-1]) if page.next_page_token and len(page) else None
    gone = [
        key
        for key, item in before.items()
        if key not in found and (last is None or _age(item) > last)
    ]
    return found, gone


def _new(before: Mapping[str, Item], after: Mapping[str, Item]) -> list[Item]:
    return [item for key, item in after.items() if before.get(key) != item]


def _summary(run: Run) -> Run:
    return msgspec.structs.replace(run, run_details=None)


def light(item: Item) -> Item:
    """Strip the fields that never change and may be long."""
    light: Item = msgspec.structs.replace(item, pipeline_spec=None, runtime_config=None)
    return light


def _id(item: Run | RecurringRun | Experiment) -> str:
    return str(getattr(item, _IDS[type(item)]))


def _age(item: Run | RecurringRun | Experiment) -> tuple[object, str]:
    return item.created_at, _id(item)
