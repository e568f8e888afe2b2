"""`%kfp clone`: start runs again, with the same parameters or with others."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ...errors import BadRequest
from ...models import Run
from .changes import CHANGES, change
from .runs import FILTERS, WAIT
from .starts import PARAMETERS, given_parameters
from .table import EVERYWHERE, NAMED, NAMESPACE, RUNS, YES, Session, Verb, option
from .values import BulkChange
from .waiting import show_live, wait_for_run

if TYPE_CHECKING:
    from ...client.client import Client


def clone(session: Session, arguments: Namespace) -> Run | BulkChange:
    """Start new runs of the same pipelines, with the same parameters or with others.

    With %%kfp the rest of the cell is YAML with the parameters that change.
    """
    _check_for_one(arguments)
    start = partial(_started, arguments, _name_of(arguments))
    cloning = msgspec.structs.replace(CHANGES["clone"], call=start)
    made = change(cloning, session, _without_name(arguments))
    if isinstance(made, BulkChange):
        return made
    if arguments.wait:
        return wait_for_run(session, made, arguments.namespace, arguments.keep)
    return show_live(session, made, arguments.namespace) if arguments.watch else made


def _name_of(arguments: Namespace) -> str:
    """Return the name of the new run: with filters in place of runs, `--name` is one of them."""
    return str(arguments.name) if arguments.runs else ""


def _without_name(arguments: Namespace) -> Namespace:
    return Namespace(**{**vars(arguments), "name": "" if arguments.runs else arguments.name})


def _check_for_one(arguments: Namespace) -> None:
    """Raises `BadRequest` for several runs and options that are about one."""
    about_one = {
        "--name": _name_of(arguments),
        "--wait": arguments.wait,
        "--watch": arguments.watch,
    }
    given = [flag for flag, value in about_one.items() if value]
    if given and len(arguments.runs) != 1:
        raise BadRequest(
            f"{' and '.join(given)} cannot be used for several runs.",
            cure=f"Clone one: %kfp clone RUN {given[0]}, or leave {given[0]} out.",
        )


def _started(arguments: Namespace, name: str, client: Client, run: Run) -> Run:
    if not (arguments.parameters or arguments.params is not None or arguments.cell):
        return client.clone(run.run_id, name)
    given = given_parameters(client.source_of(client.run(run.run_id)), arguments)
    return client.clone(run.run_id, name, given)


_NAME = option(
    *NAMED.flags,
    default="",
    metavar="TEXT",
    help="name of the new run; without RUN, a part of the names of those to clone",
)
_CHANGED = (msgspec.structs.replace(PARAMETERS[0], completes="run parameter"), *PARAMETERS[1:])

VERBS = (
    Verb(
        "clone",
        clone,
        (
            *(RUNS, *_CHANGED, *WAIT, *(each for each in FILTERS if each is not NAMED), _NAME),
            *(YES, NAMESPACE, EVERYWHERE),
        ),
        aliases=("runs clone", "run clone"),
        examples=(
            ("clone latest", "the same again"),
            ("clone latest -p rate=0.2 --watch", "with another parameter"),
            ("clone --state failed --since 2d", "only says how many there are"),
            ("clone --state failed --since 2d --yes", "does it"),
        ),
        takes_cell=True,
    ),
)
