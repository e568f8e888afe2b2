"""`%kfp run`: start a pipeline, by any of its names, with parameters from several places."""

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
    own_pipeline_like,
    pairs,
    warn,
)
from .values import RunPlan
from .waiting import show_live, wait_for_run


def run(session: Session, arguments: Namespace) -> Run | RunPlan | Any:
    """Start a pipeline: an uploaded one, a compiled file, or one of this notebook.

    With %%kfp the rest of the cell is YAML with the parameters.
    """
    if arguments.form:
        return _form(session, arguments)
    planned = plan(session, arguments)
    if arguments.dry_run:
        return planned
    asked = planned.request, planned.experiment, planned.namespace, planned.source.name
    started = session.client.start(*asked)
    session.last_run = started.run_id
    if arguments.wait:
        return wait_for_run(session, started, arguments.namespace, arguments.keep)
    warn(session)
    return show_live(session, started, arguments.namespace) if arguments.watch else started


def _form(session: Session, arguments: Namespace) -> Any:
    """The form of a line, filled in with what is given. Raises `BadRequest` for what it lacks."""
    for lacking in ("--service-account", "--description", "--no-cache"):
        if getattr(arguments, lacking.strip("-").replace("-", "_")):
            cure = f"Leave out {lacking}, or start it without --form."
            raise BadRequest(f"A form has no {lacking}.", cure=cure)
    source = pipeline_source(session, arguments)
    values = given_parameters(source, arguments)
    form = session.form(source, arguments.namespace, arguments.experiment)
    form.fill(values, arguments.name)
    return form


def plan(session: Session, arguments: Namespace) -> RunPlan:
    """Plan the run of a line. Raises a `KfpError` if it could not be started."""
    client = session.client
    source = pipeline_source(session, arguments)
    request = source.request(
        parameters(source, arguments),
        name=arguments.name,
        description=arguments.description,
        service_account=arguments.service_account,
        cache=not arguments.no_cache,
    )
    where = client.namespace_of(arguments.namespace)
    return RunPlan(source, where, arguments.experiment, request)


def pipeline_source(session: Session, arguments: Namespace) -> PipelineSource:
    """Find the pipeline: one of the notebook's own, else a file, else an uploaded one."""
    text, version = arguments.pipeline, arguments.version
    if not version and (own := own_pipeline(session, text)):
        return PipelineSource.from_component(own)
    try:
        return session.client.pipeline_source(str(text), arguments.namespace, version)
    except NotFound as error:
        check_no_function(session, text)
        if near := own_pipeline_like(session, str(text)):
            raise error.with_(cause=f"This notebook has {near}: did you mean that?") from None
        raise


def parameters(source: PipelineSource, arguments: Namespace) -> dict[str, Any]:
    """Merge the parameters of `-p`, `--params` and the cell, and check them."""
    return source.fitting(given_parameters(source, arguments))


def given_parameters(source: PipelineSource, arguments: Namespace) -> dict[str, Any]:
    """Merge the parameters of `-p`, `--params` and the cell; each may be given once."""
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
    return values


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
            f"{option} takes a dict of parameters by name.",
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
        at = f", line {mark.line + 1} below %%kfp" if mark else ""
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


PARAMETERS = (
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
    option("--params", default=None, metavar="$dict", help="parameters from a dict, or as YAML"),
)
START = (
    *PARAMETERS,
    option(
        *("-e", "--experiment"),
        completes="experiment",
        default="Default",
        help="experiment; created if new",
    ),
    option("--version", default="", help="name or id of a version (default: the newest)"),
    option("--description", default="", help="description of the run"),
    option("--service-account", default="", metavar="NAME", help="service account of its tasks"),
    option("--no-cache", action="store_true", help="reuse no outputs of earlier runs"),
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
            option("--form", action="store_true", help="enter the parameters in a form"),
            option(
                "--dry-run",
                action="store_true",
                help="check everything, and show what would be sent",
            ),
            *WAIT,
            NAMESPACE,
        ),
        aliases=("run create", "runs create"),
        examples=(
            ("run churn -p rate=0.1 --wait", "an uploaded pipeline, watched to its end"),
            ("run churn.yaml --params $best", "a file, with parameters from a dict"),
            ("run my_pipeline --watch", "a @dsl.pipeline of this notebook"),
            ("run churn --dry-run", "only check it"),
            ("run churn --form", "enter its parameters in a form"),
        ),
        takes_cell=True,
    ),
)
