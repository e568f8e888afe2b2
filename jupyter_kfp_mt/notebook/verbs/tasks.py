"""`%%kfp task`: the rest of a cell as a task, with the notebook's variables."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...errors import BadRequest
from ...models import Run
from ...near_names import did_you_mean
from .table import NAMESPACE, Option, Session, Verb, option
from .waiting import wait_for_run


def task(session: Session, arguments: Namespace) -> Run:
    """Run the rest of the cell as a task in the namespace, and fetch its outputs.

    Inputs are variables of the notebook: numbers, texts, lists and dicts, DataFrames, arrays and
    models. Outputs become variables once the task has succeeded.
    """
    from .cell_task import CellTask, assigned_names, collected, missing_inputs

    code, client = arguments.cell, session.client
    if not code or not code.strip():
        raise BadRequest("There is no code to run: write it below %%kfp task, in the same cell.")
    _check_names(session, arguments.inputs)
    missing = missing_inputs(code, arguments.inputs, session.variables)
    if missing:
        names = " ".join(missing)
        raise BadRequest(
            f"The cell reads {', '.join(missing)} of this notebook, which its task does not have.",
            cure=f"Add -i {names}; import modules and define functions and classes in the cell.",
        )
    lost = [name for name in arguments.outputs if name not in assigned_names(code)]
    if lost:
        raise BadRequest(f"The cell never assigns {lost[0]}, which is an output.")
    made = CellTask(
        code=code,
        inputs={name: session.variables[name] for name in arguments.inputs},
        outputs=arguments.outputs,
        packages=arguments.packages,
        image=arguments.image,
        secrets=[_secret(text) for text in arguments.secret],
        is_local=client.health().local,
    )
    started = client.start_run(
        made.source(), {}, arguments.experiment, arguments.name, arguments.namespace
    )
    session.last_run = started.run_id
    run = wait_for_run(session, started, arguments.namespace)
    if run.state == "SUCCEEDED":  # not if the wait was interrupted
        session.variables.update(collected(client, run, arguments.outputs))
    return run


def _check_names(session: Session, names: list[str]) -> None:
    for name in names:
        if name not in session.variables:
            near = did_you_mean(name, [each for each in session.variables if each[:1] != "_"])
            raise BadRequest(f"There is no variable {name} in this notebook.{near}")


def _secret(text: str) -> tuple[str, str, str]:
    secret, colon, rest = text.partition(":")
    key, equals, variable = rest.partition("=")
    if not (secret and colon and key):
        raise BadRequest(
            f"--secret {text} is not of the form SECRET:KEY, or SECRET:KEY=VARIABLE.",
            cure="For example: --secret registry:password=REGISTRY_PASSWORD",
        )
    return secret, key, variable if equals else key


def _several(*flags: str, **settings: Any) -> Option:
    """An option that takes several words and may be repeated."""
    return option(*flags, nargs="+", action="extend", default=[], **settings)


VERBS = (
    Verb(
        "task",
        task,
        (
            _several(
                *("-i", "--inputs"),
                completes="variable",
                metavar="NAME",
                help="variables that the cell reads",
            ),
            _several(
                *("-o", "--outputs"),
                completes="variable",
                metavar="NAME",
                help="variables that it assigns",
            ),
            _several("--packages", metavar="PACKAGE", help="packages to install with pip first"),
            option("--image", default="", help="image (default: this Python's)"),
            option(
                "--secret",
                action="append",
                default=[],
                metavar="SECRET:KEY[=VARIABLE]",
                help="a key of a Kubernetes secret, as an environment variable",
            ),
            option(
                *("-e", "--experiment"),
                completes="experiment",
                default="Default",
                help="experiment; created if new",
            ),
            option("--name", default="", help="name of the run"),
            NAMESPACE,
        ),
        examples=(
            ("%%kfp task -i rate rows -o model --packages scikit-learn", "the cell below it"),
        ),
        takes_cell=True,
    ),
)
