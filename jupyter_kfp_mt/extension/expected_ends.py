"""When unfinished runs are likely to end: after as long as earlier runs of their pipeline took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta

from ..models import Run

# KFP learns of an end from its persistence agent, a little later.
REPORTED = timedelta(seconds=1)
# Of so many earlier runs of a pipeline, the newest.
EARLIER = 5


def next_end(runs: Iterable[Run], now: datetime) -> float | None:
    """Return the seconds until a run is next likely to end; None if nothing is known of any.

    Each time that an earlier run took counts: a run that is not over after the shortest of them may
    be over after the next.
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
    """The schedule or the pipeline version of a run; None if it was started from a file."""
    version = run.pipeline_version_reference
    return run.recurring_run_id or (version and (version.pipeline_id, version.pipeline_version_id))
