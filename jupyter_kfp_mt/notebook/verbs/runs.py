"""Verbs about runs: listed, shown, compared, and what came of them."""

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
    limit,
    option,
    where,
)
from .waiting import waited, watched


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
    """The filters of a line, as the client takes them."""
    told = ("experiment", "state", "since", "pipeline", "name")
    wanted = {name: getattr(arguments, name) for name in told if getattr(arguments, name)}
    if arguments.mine or arguments.notebook is not None:
        origin = session.provenance()
        if arguments.mine:
            wanted["by"] = _known(origin.by, "who you are", "-n and --since narrow a list as well.")
        if arguments.notebook is not None:
            cure = "Name it: --notebook PATH, as %kfp show tells it of a run."
            wanted["notebook"] = arguments.notebook or _known(
                origin.notebook, "which notebook this is", cure
            )
    return wanted


def _known(text: str, what: str, cure: str) -> str:
    if not text:
        raise BadRequest(f"It is not known here {what}.", cure=cure)
    return text


def show(session: Session, arguments: Namespace) -> Run:
    """Show a run, live: its tasks, their values and logs. Without a name the last one here."""
    client = session.client
    run = client.find_run(arguments.run or session.last_run or "latest", arguments.namespace)
    session.last_run = run.run_id
    if arguments.wait:
        return waited(session, run, arguments.namespace, arguments.keep)
    return watched(session, run, arguments.namespace) if arguments.watch else run


def artifacts(session: Session, arguments: Namespace) -> Artifacts:
    """List what the tasks of a run have made."""
    client = session.client
    return client.artifacts(client.find_run(arguments.run, arguments.namespace))


def compare(session: Session, arguments: Namespace) -> Comparison:
    """Show parameters and metrics of runs side by side, what differs first."""
    client = session.client
    if len(arguments.runs) < 2:
        raise BadRequest("Name two runs at least: %kfp compare RUN RUN.")
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
        help=f"{', '.join(STATES)}, or active for all that go on",
    ),
    option("--since", default="", metavar="2d", help="only those started since: 90min, 2d, a date"),
    option("--pipeline", completes="pipeline", default="", help="only of this pipeline"),
    option("--mine", action="store_true", help="only those that you have started"),
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
ARCHIVED = option("--archived", action="store_true", help="those that were put away")
WAIT = (
    option("--wait", action="store_true", help="watch until it has finished"),
    option("--watch", action="store_true", help="show it live, and go on with the next cell"),
    option("--keep", action="store_true", help="with --wait, return a run that fails: no error"),
)

VERBS = (
    Verb(
        "runs",
        runs,
        (*FILTERS, ARCHIVED, SORT, LIMIT, NAMESPACE, EVERYWHERE),
        aliases=("runs list",),
        examples=(
            ("runs --state failed --since 2d", "what went wrong of late"),
            ("runs -e churn --mine --sort -name", "my own ones of an experiment"),
            ("runs --notebook", "what this notebook has started"),
        ),
    ),
    Verb(
        "show",
        show,
        (
            option(
                "run",
                completes="run",
                nargs="?",
                default="",
                metavar="RUN",
                help="id, name, the beginning of one, or latest (default: the last one here)",
            ),
            *WAIT,
            NAMESPACE,
        ),
        aliases=("runs get", "runs show", "watch"),
        examples=(("show", "the last run, also if it failed"), ("show latest --wait", "")),
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
        examples=(("compare 01a2 01a3", "what differs first"),),
    ),
    Verb(
        "artifacts",
        artifacts,
        (RUN, NAMESPACE),
        aliases=("artifact", "runs artifacts"),
        examples=(("artifacts latest", ""),),
    ),
)
