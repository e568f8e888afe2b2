"""Verbs that change existing runs: one, or several at once."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ...attempts import attempting
from ...client.client import Client
from ...errors import BadRequest, KfpError
from ...kubeflow_roles import Goal
from ...models import Run, state_word
from .runs import FILTERS, filters
from .table import EVERYWHERE, NAMESPACE, RUNS, YES, Session, Verb, warn, where
from .values import BulkChange

MOST_AT_ONCE = 1000


class Change(msgspec.Struct, frozen=True):
    """An action on a run. `refusal` says why it is impossible for a given run, or nothing."""

    verb: str
    past: str
    call: Callable[[Client, Run], Any]
    refusal: Callable[[Run], str] = lambda run: ""
    archived: bool | None = False  # whether it applies to archived runs
    always_asks: bool = False


def change(change: Change, session: Session, arguments: Namespace) -> Run | BulkChange:
    wanted = {**filters(session, arguments)}
    if arguments.runs and (wanted or arguments.all_namespaces):
        raise BadRequest("Give either names of runs or filters, not both.")
    if not arguments.runs and not wanted:
        raise BadRequest(
            f"Which runs? %kfp {change.verb} takes their names or ids, or filters.",
            cure=f"For example: %kfp {change.verb} latest",
        )
    if arguments.runs:
        found = [_named(session, change, text, arguments.namespace) for text in arguments.runs]
        found = [*{run.run_id: run for run in found}.values()]
    else:
        found = _fitting(session, change, arguments, wanted)
    if len(found) == 1 and arguments.runs and not change.always_asks:
        return _one(session, change, found[0])
    if not (arguments.yes and found):
        return BulkChange(items=found, verb=change.verb, past=change.past, done=False)
    return _several(session, change, found)


def _named(session: Session, change: Change, text: str, namespace: str) -> Run:
    """The run of that name. Raises `BadRequest` if its state rules the change out."""
    goal = Goal(f"{change.verb} a run", change.verb, "runs")
    with attempting(f"{change.verb} run {text}", goal):
        run = session.client.find_run(text, namespace)
    if refusal := change.refusal(run):
        raise BadRequest(f"Run {run.display_name} {refusal}")
    return run


def _fitting(
    session: Session, change: Change, arguments: Namespace, wanted: dict[str, str]
) -> list[Run]:
    """Return the runs that match the filters and that can be changed so."""
    listed = session.client.runs(
        where(session, arguments), archived=change.archived, limit=MOST_AT_ONCE, **wanted
    )
    return [run for run in listed if not change.refusal(run)]


def _one(session: Session, change: Change, run: Run) -> Run:
    made = change.call(session.client, run)
    warn(session)
    session.last_run = made.run_id if isinstance(made, Run) else run.run_id
    return made if isinstance(made, Run) else session.client.run(run.run_id)


def _several(session: Session, change: Change, runs: list[Run]) -> BulkChange:
    """Change all, even if some fail. Raises the first error if none could be changed."""
    failed: list[tuple[Run, KfpError]] = []
    for run in runs:
        try:
            change.call(session.client, run)
        except KfpError as error:
            failed.append((run, error))
    warn(session)
    if failed and len(failed) == len(runs):
        raise failed[0][1]
    done = [run for run in runs if run.run_id not in {run.run_id for run, _ in failed}]
    return BulkChange(items=done, verb=change.verb, past=change.past, done=True, failed=failed)


def _stoppable(run: Run) -> str:
    if run.finished:
        return f"has finished already: {state_word(run.state)}."
    return "is being terminated already." if run.state == "CANCELING" else ""


def _retriable(run: Run) -> str:
    if run.state in ("FAILED", "CANCELED"):
        return ""
    state = state_word(run.state)
    return f"is {state}: only a failed or terminated run can be retried."


def _archivable(run: Run) -> str:
    return "is archived already." if run.archived else ""


def _restorable(run: Run) -> str:
    return "" if run.archived else "is not archived."


CHANGES = {
    "terminate": Change(
        "terminate",
        "terminated",
        lambda client, run: client.terminate(run.run_id),
        _stoppable,
    ),
    "retry": Change("retry", "retried", lambda client, run: client.retry(run.run_id), _retriable),
    "clone": Change("clone", "cloned", lambda client, run: client.clone(run.run_id)),
    "archive": Change(
        "archive", "archived", lambda client, run: client.archive(run.run_id), _archivable
    ),
    "restore": Change(
        *("restore", "restored", lambda client, run: client.restore(run.run_id)),
        *(_restorable, True),
    ),
    "delete": Change(
        "delete",
        "deleted",
        lambda client, run: client.delete(run.run_id),
        archived=None,
        always_asks=True,
    ),
}

_HELP = {
    "terminate": "Terminate runs; KFP reports them as FAILED, as it has no state for it.",
    "retry": "Retry the failed or terminated tasks of runs.",
    "archive": "Archive runs.",
    "restore": "Restore runs from the archive.",
    "delete": "Delete runs for good; those still running are stopped.",
}


def _verb(name: str) -> Verb:
    call = partial(change, CHANGES[name])
    call.__doc__ = _HELP[name]
    return Verb(
        name,
        call,
        (RUNS, *FILTERS, YES, NAMESPACE, EVERYWHERE),
        aliases=(f"runs {name}", f"run {name}"),
        examples=(
            (f"{name} latest", ""),
            (f"{name} --state failed --since 2d", "only says how many there are"),
            (f"{name} --state failed --since 2d --yes", "does it"),
        ),
    )


VERBS = tuple(map(_verb, _HELP))
