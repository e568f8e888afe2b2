"""The likely ends of unfinished runs, from the durations of earlier runs of their pipelines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta

from ..models import Run

# The delay with which KFP learns of an end, from its persistence agent.
REPORTED = timedelta(seconds=1)
# The number of a pipeline's newest runs that count.
EARLIER = 5


def next_end(runs: Iterable[Run], now: datetime) -> float | None:
    """Return the seconds until the next likely end of a run; None if none can be estimated.

    The duration of each earlier run counts: a run that takes longer than the shortest may take as
    long as the next.
    """
    known = list(runs)
    durations = _durations(known)
    times = [
        (run.created_at + taken + REPORTED - now).total_seconds()
        for run in known
        if not run.finished
        for taken in durations.get(_pipeline(run), ())
    ]
    return min((seconds for seconds in times if seconds > 0), default=None)


def _durations(runs: Iterable[Run]) -> dict[Hashable, list[timedelta]]:
    found: defaultdict[Hashable, list[timedelta]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.created_at, reverse=True):
        key = _pipeline(run)
        if key and run.state == "SUCCEEDED" and run.finished_at and len(found[key]) < EARLIER:
            found[key].append(run.duration)
    return found


def _pipeline(run: Run) -> Hashable:
    """The recurring run or pipeline version of a run; None if it was started from a file."""
    version = run.pipeline_version_reference
    return run.recurring_run_id or (version and (version.pipeline_id, version.pipeline_version_id))
