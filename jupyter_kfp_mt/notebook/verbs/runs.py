"""Verbs about runs: list, show, compare, and their artifacts."""

from __future__ import annotations

from argparse import Namespace

from ...client.listings import Listing
from ...client.results import Artifacts, Comparison
from ...errors import BadRequest
from ...models import STATES, Run
from .table import (
    EVERYWHERE,
    LIMIT,
    NAMED,
    NAMESPACE,
    RUN,
    SORT,
    Session,
    Verb,
    chosen_run,
    limit,
    option,
    where,
)
from .waiting import show_live, wait_for_run


def runs(session: Session, arguments: Namespace) -> Listing[Run]:
    """List runs, newest first."""
    return session.client.runs(
        where(session, arguments),
        sort=arguments.sort,
        limit=limit(arguments),
        archived=arguments.archived,
        **filters(session, arguments),
    ).begun()


def filters(session: Session, arguments: Namespace) -> dict[str, str]:
    """Return the filters of a line, as keyword arguments of the client."""
    told = ("experiment", "state", "since", "pipeline", "name")
    wanted = {name: getattr(arguments, name) for name in told if getattr(arguments, name)}
    if arguments.mine or arguments.notebook is not None:
        origin = session.provenance()
        if arguments.mine:
            wanted["by"] = _known(origin.by, "who you are", "-n and --since narrow a list as well.")
        if arguments.notebook is not None:
            cure = "Name it: --notebook PATH, as %kfp show prints it for a run."
            wanted["notebook"] = arguments.notebook or _known(
                origin.notebook, "which notebook this is", cure
            )
    return wanted


def _known(text: str, what: str, cure: str) -> str:
    if not text:
        raise BadRequest(f"It is unknown here {what}.", cure=cure)
    return text


def show(session: Session, arguments: Namespace) -> Run:
    """Show a run, live: its tasks, their values and logs. Without a name: the last one here."""
    run = chosen_run(session, arguments)
    session.last_run = run.run_id
    if arguments.wait:
        return wait_for_run(session, run, arguments.namespace, arguments.keep)
    return show_live(session, run, arguments.namespace) if arguments.watch else run


def artifacts(session: Session, arguments: Namespace) -> Artifacts:
    """List the artifacts of a run; without a name, those of the last one here."""
    return session.client.artifacts(chosen_run(session, arguments))


def compare(session: Session, arguments: Namespace) -> Comparison:
    """Show parameters and metrics of runs side by side, differences first."""
    client = session.client
    if len(arguments.runs) < 2:
        raise BadRequest("Name at least two runs: %kfp compare RUN RUN.")
    found = [client.find_run(text, arguments.namespace) for text in arguments.runs]
    return client.compare(found)


FILTERS = (
    option(
        *("-e", "--experiment"), completes="experiment", default="", help="only of this experiment"
    ),
    option(
        "--state",
        completes="state",
        type=str.upper,
        default="",
        choices=(*STATES, "ACTIVE"),
        metavar="STATE",
        help=f"{', '.join(STATES)}, or active for all that have not finished",
    ),
    option(
        "--since", default="", metavar="2d", help="only those started since 90min, 2d, or a date"
    ),
    option("--pipeline", completes="pipeline", default="", help="only of this pipeline"),
    option("--mine", action="store_true", help="only those that you started"),
    option(
        "--notebook",
        nargs="?",
        const="",
        default=None,
        metavar="PATH",
        help="only those started from this notebook, or from the one at PATH",
    ),
    NAMED,
)
ARCHIVED = option("--archived", action="store_true", help="archived ones")
WAIT = (
    option("--wait", action="store_true", help="wait until it has finished"),
    option("--watch", action="store_true", help="show it live without blocking the next cell"),
    option(
        "--keep", action="store_true", help="with --wait: return a failed run instead of raising"
    ),
)

VERBS = (
    Verb(
        "runs",
        runs,
        (*FILTERS, ARCHIVED, SORT, LIMIT, NAMESPACE, EVERYWHERE),
        aliases=("runs list",),
        examples=(
            ("runs --state failed --since 2d", "recent failures"),
            ("runs -e churn --mine --sort -name", "your own runs of an experiment"),
            ("runs --notebook", "those started from this notebook"),
        ),
    ),
    Verb(
        "show",
        show,
        (
            RUN,
            *WAIT,
            NAMESPACE,
        ),
        aliases=("runs get", "runs show", "watch"),
        examples=(("show", "show the last run here"), ("show latest --wait", "")),
    ),
    Verb(
        "compare",
        compare,
        (
            option(
                *("runs",),
                completes="run",
                nargs="*",
                metavar="RUN",
                help="id, name, the beginning of one, or latest",
            ),
            NAMESPACE,
        ),
        aliases=("runs compare",),
        examples=(("compare latest train-2", "differences first"),),
    ),
    Verb(
        "artifacts",
        artifacts,
        (RUN, NAMESPACE),
        aliases=("artifact", "runs artifacts"),
        examples=(("artifacts latest", ""),),
    ),
)
