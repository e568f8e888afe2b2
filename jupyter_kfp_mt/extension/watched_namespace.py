"""What there is in a namespace, and what of it is new: asked of KFP with as few requests as can be.

The newest runs are on one page. Older ones that go on are asked for together with one request more,
and only while there are any. What KFP lists is newest first, so whatever was known, is newer than
the end of a page and yet not on it, was deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

from ..client.client import LONGEST_PAGE, Client
from ..connection.event_reader import Changes, EventFailure, Removed
from ..connection.status import Problem
from ..errors import NotFound, Refused
from ..models import Experiment, Page, RecurringRun, Run

NEWEST = 50
MOST_UNFINISHED = 5000

Item = TypeVar("Item", Run, RecurringRun, Experiment)
Items = dict[str, Item]

_IDS = {Run: "run_id", RecurringRun: "recurring_run_id", Experiment: "experiment_id"}


class NamespaceState(msgspec.Struct, frozen=True):
    """What is known, by ids: the newest runs and those that go on, and the newest of the others.

    `watched` are the runs that were asked for, with their tasks, or why one is not to be had.
    """

    runs: dict[str, Run] = {}
    recurring_runs: dict[str, RecurringRun] = {}
    experiments: dict[str, Experiment] = {}
    watched: dict[str, Run | EventFailure] = {}
    total_runs: int = 0

    @property
    def busy(self) -> bool:
        """Whether something goes on."""
        seen = [run for run in self.watched.values() if isinstance(run, Run)]
        return not all(run.finished for run in [*self.runs.values(), *seen])

    def everything(self, watched: Collection[str]) -> Changes:
        """All of it, for somebody who asked for these runs."""
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
        """What is new to everybody."""
        return Changes(
            runs=_new(before.runs, self.runs),
            recurring_runs=_new(before.recurring_runs, self.recurring_runs),
            experiments=_new(before.experiments, self.experiments),
            total_runs=None if self.total_runs == before.total_runs else self.total_runs,
        )

    def of_watched(self, before: NamespaceState) -> Iterator[tuple[str, Changes | EventFailure]]:
        """What is new to those who asked for a run; who asks first is told everything instead."""
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


def look(
    client: Client, namespace: str, before: NamespaceState, watched: Collection[str], thorough: bool
) -> tuple[NamespaceState, Removed]:
    """What there is now, and what was deleted; what seldom changes is asked for if `thorough`.

    Raises the `KfpError` that stands in the way.
    """
    page = client.run_page(namespace, page_size=NEWEST)
    runs, gone = _runs(client, namespace, before.runs, page, thorough)
    state = NamespaceState(
        runs={run_id: _summary(_light(run)) for run_id, run in runs.items()},
        recurring_runs=before.recurring_runs,
        experiments=before.experiments,
        watched={
            run_id: _light(client.as_written(runs[run_id]))
            if run_id in runs
            else _watched(client, run_id, before, thorough)
            for run_id in watched
        },
        total_runs=page.total_size,
    )
    if not thorough:
        return state, Removed(runs=gone)
    schedules, stopped = _newest(
        before.recurring_runs, client.recurring_run_page(namespace, LONGEST_PAGE)
    )
    experiments, dropped = _newest(
        before.experiments, client.experiment_page(namespace, LONGEST_PAGE)
    )
    state = msgspec.structs.replace(
        state,
        recurring_runs={key: _light(item) for key, item in schedules.items()},
        experiments=experiments,
    )
    return state, Removed(runs=gone, recurring_runs=stopped, experiments=dropped)


def _runs(
    client: Client, namespace: str, before: Items[Run], page: Page[Run], thorough: bool
) -> tuple[Items[Run], list[str]]:
    found, gone = _newest(before, page)
    left = {run_id for run_id, run in before.items() if run_id not in found and not run.finished}
    older = left.difference(gone)
    if page.next_page_token and (older or thorough):
        found |= {
            run.run_id: run for run in islice(client.unfinished_runs(namespace), MOST_UNFINISHED)
        }
    for run_id in older.difference(found):
        try:
            found[run_id] = client.run(run_id)  # it has finished, or is deleted
        except NotFound:
            gone.append(run_id)
    return found, gone


def _newest(before: Mapping[str, Item], page: Page[Item]) -> tuple[Items[Item], list[str]]:
    """What is on a page, and what would be on it if it still existed."""
    found = {_id(item): item for item in page}
    last = _age(page[-1]) if page.next_page_token and len(page) else None
    gone = [
        key
        for key, item in before.items()
        if key not in found and (last is None or _age(item) > last)
    ]
    return found, gone


def _watched(
    client: Client, run_id: str, before: NamespaceState, thorough: bool
) -> Run | EventFailure:
    """A run that is not among the listed ones; one that has finished is not asked for each time."""
    known = before.watched.get(run_id)
    if known and not thorough and (isinstance(known, EventFailure) or known.finished):
        return known
    try:
        return _light(client.run(run_id))
    except Refused as error:
        return EventFailure(**msgspec.structs.asdict(Problem.of(error)), run_id=run_id)


def _new(before: Mapping[str, Item], after: Mapping[str, Item]) -> list[Item]:
    return [item for key, item in after.items() if before.get(key) != item]


def _summary(run: Run) -> Run:
    return msgspec.structs.replace(run, run_details=None)


def _light(item: Item) -> Item:
    """Without what never changes of it, and may be long."""
    light: Item = msgspec.structs.replace(item, pipeline_spec=None, runtime_config=None)
    return light


def _id(item: Run | RecurringRun | Experiment) -> str:
    return str(getattr(item, _IDS[type(item)]))


def _age(item: Run | RecurringRun | Experiment) -> tuple[object, str]:
    return item.created_at, _id(item)
