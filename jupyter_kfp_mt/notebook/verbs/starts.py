"""`%kfp run`: a pipeline by any of its names, with parameters from anywhere, started."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ...client.pipeline_source import PipelineSource
from ...errors import BadRequest, NotFound
from ...models import Run
from .runs import WAIT
from .table import (
    NAMESPACE,
    Session,
    Verb,
    check_no_function,
    option,
    own_pipeline,
    pairs,
    warn,
)
from .values import Planned
from .waiting import waited, watched


def run(session: Session, arguments: Namespace) -> Run | Planned | Any:
    """Start a pipeline: a compiled file, an uploaded one, or one of this notebook's own.

    With %%kfp the rest of the cell is YAML with its parameters.
    """
    if arguments.form:
        return session.form(found(session, arguments), arguments.namespace, arguments.experiment)
    planned = plan(session, arguments)
    if arguments.dry_run:
        return planned
    asked = planned.request, planned.experiment, planned.namespace, planned.source.name
    started = session.client.start(*asked)
    session.last_run = started.run_id
    if arguments.wait:
        return waited(session, started, arguments.namespace, arguments.keep)
    warn(session)
    return watched(session, started, arguments.namespace) if arguments.watch else started


def plan(session: Session, arguments: Namespace) -> Planned:
    """The run that a line asks for. Raises for what could not be started."""
    client = session.client
    source = found(session, arguments)
    request = source.request(
        parameters(source, arguments),
        name=arguments.name,
        description=arguments.description,
        service_account=arguments.service_account,
        cache=not arguments.no_cache,
    )
    where = client.namespace_of(arguments.namespace)
    return Planned(source, where, arguments.experiment, request)


def found(session: Session, arguments: Namespace) -> PipelineSource:
    """Return what is to be run: what the notebook calls so, else a file, else an uploaded
    pipeline.
    """
    text, version = arguments.pipeline, arguments.version
    if not version and (own := own_pipeline(session, text)):
        return PipelineSource.from_component(own)
    try:
        return session.client.pipeline_source(str(text), arguments.namespace, version)
    except NotFound:
        check_no_function(session, text)
        raise


def parameters(source: PipelineSource, arguments: Namespace) -> dict[str, Any]:
    """The values of `-p`, `--params` and the cell, each given once."""
    parts = [
        _mapping(arguments.params, "--params"),
        _yaml(arguments.cell),
        source.parse(pairs(arguments.parameters)),
    ]
    values: dict[str, Any] = {}
    for part in parts:
        for name in part:
            if name in values:
                raise BadRequest(f"Parameter {name} is given twice.")
        values.update(part)
    return source.fitting(values)


def _mapping(given: Any, option: str) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, str):
        import yaml

        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError:
            given = None
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise BadRequest(
            f"{option} takes a dict with the names of parameters.",
            cure="Write it as --params $name, with a dict called name in this notebook.",
        )
    return given


def _yaml(cell: str | None) -> dict[str, Any]:
    """The parameters in the body of a cell."""
    if not cell or not cell.strip():
        return {}
    import yaml

    try:
        read = yaml.safe_load(cell)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1} of what is below %%kfp" if mark else ""
        raise BadRequest(
            f"The cell is not YAML: {getattr(error, 'problem', None) or error}{at}.",
            cure="Write each parameter on a line of its own, as name: value.",
        ) from None
    if read is not None and not isinstance(read, dict):
        raise BadRequest(
            "The cell holds no parameters.",
            cure="Write each parameter on a line of its own, as name: value.",
        )
    return _mapping(read, "The cell") if read else {}


START = (
    option(
        "-p",
        "--parameter",
        dest="parameters",
        completes="parameter",
        action="append",
        default=[],
        metavar="name=value",
        help="a parameter; lists and objects as JSON",
    ),
    option("--params", default=None, metavar="$dict", help="parameters out of a dict, or as YAML"),
    option(
        *("-e", "--experiment"),
        completes="experiment",
        default="Default",
        help="experiment; created if new",
    ),
    option("--version", default="", help="name or id of a version (default: the newest)"),
    option("--description", default="", help="what it is for"),
    option("--service-account", default="", metavar="NAME", help="as whom its tasks run"),
    option("--no-cache", action="store_true", help="take nothing over from earlier runs"),
)
PIPELINE = option(
    "pipeline",
    completes="runnable",
    metavar="PIPELINE-OR-FILE",
    help="a name or id, a compiled file, or a @dsl.pipeline of this notebook",
)

VERBS = (
    Verb(
        "run",
        run,
        (
            PIPELINE,
            *START,
            option("--name", default="", help="name of the run"),
            option("--form", action="store_true", help="fill in the parameters in a form"),
            option("--dry-run", action="store_true", help="check all, and show what would be sent"),
            *WAIT,
            NAMESPACE,
        ),
        aliases=("run create", "runs create"),
        examples=(
            ("run churn -p rate=0.1 --wait", "an uploaded pipeline, watched to its end"),
            ("run churn.yaml --params $best", "a file, with parameters out of a dict"),
            ("run my_pipeline --watch", "a @dsl.pipeline of this notebook"),
            ("run churn --dry-run", "only check it"),
            ("run churn --form", "with a form for its parameters"),
        ),
        takes_cell=True,
    ),
)
