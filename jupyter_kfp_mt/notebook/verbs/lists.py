"""Verbs about experiments and pipelines: list, show, create, archive and delete."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from ...client.listings import Listing
from ...errors import BadRequest
from ...models import Experiment, Pipeline, PipelineVersion
from .table import (
    LISTED,
    NAMED,
    NAMESPACE,
    YES,
    Option,
    Session,
    Verb,
    check_no_function,
    limit,
    option,
    own_pipeline,
    warn,
    where,
)
from .values import Notice


def experiments(session: Session, arguments: Namespace) -> Listing[Experiment]:
    """List experiments, newest first."""
    return session.client.experiments(
        where(session, arguments),
        name=arguments.name,
        sort=arguments.sort,
        limit=limit(arguments),
        archived=arguments.archived,
    ).begun()


def create_experiment(session: Session, arguments: Namespace) -> Experiment:
    """Create an experiment."""
    return session.client.create_experiment(
        arguments.experiment, arguments.namespace, arguments.description
    )


def experiment(session: Session, arguments: Namespace) -> Experiment:
    """Show an experiment."""
    return session.client.find_experiment(arguments.experiment, arguments.namespace)


def archive_experiment(session: Session, arguments: Namespace) -> Notice:
    """Archive an experiment and all its runs; its recurring runs are disabled."""
    found = experiment(session, arguments)
    session.client.archive_experiment(found.experiment_id)
    return Notice(f"Archived experiment {found.display_name}, and all its runs.")


def restore_experiment(session: Session, arguments: Namespace) -> Notice:
    """Restore an experiment from the archive; its runs stay archived."""
    found = experiment(session, arguments)
    session.client.restore_experiment(found.experiment_id)
    return Notice(f"Restored experiment {found.display_name}; its runs are still archived.")


def delete_experiment(session: Session, arguments: Namespace) -> Notice:
    """Delete an experiment for good; its runs are kept."""
    found = experiment(session, arguments)
    told = f"experiment {found.display_name} ({found.experiment_id})"
    return _deleted(arguments, told, lambda: session.client.delete_experiment(found.experiment_id))


def pipelines(session: Session, arguments: Namespace) -> Listing[Pipeline]:
    """List pipelines, newest first: the namespace's own, and those shared with everyone."""
    if arguments.shared and arguments.private:
        raise BadRequest("--shared and --private exclude each other: use one of them.")
    return session.client.pipelines(
        where(session, arguments),
        name=arguments.name,
        sort=arguments.sort,
        limit=limit(arguments),
        shared=True if arguments.shared else False if arguments.private else None,
    ).begun()


def pipeline(session: Session, arguments: Namespace) -> Pipeline:
    """Show a pipeline."""
    return session.client.find_pipeline(arguments.pipeline, arguments.namespace)


def versions(session: Session, arguments: Namespace) -> Listing[PipelineVersion]:
    """List the versions of a pipeline, newest first."""
    found = pipeline(session, arguments)
    return session.client.versions(found.pipeline_id, limit=limit(arguments)).begun()


def upload(session: Session, arguments: Namespace) -> PipelineVersion:
    """Upload a pipeline, from a compiled file or from this notebook; if one of that name exists,
    as its next version.

    A pipeline identical to the newest version is not uploaded again.
    """
    own = own_pipeline(session, arguments.file)
    if own is None and not Path(str(arguments.file)).exists():
        check_no_function(session, arguments.file)
    uploaded = session.client.upload_pipeline(
        *(own or arguments.file, arguments.name, arguments.namespace, arguments.description),
        again=arguments.again,
        shared=arguments.shared,
    )
    warn(session)
    return uploaded


def delete_pipeline(session: Session, arguments: Namespace) -> Notice:
    """Delete a pipeline and all its versions for good; its runs are kept."""
    found = pipeline(session, arguments)
    count = len(session.client.versions(found.pipeline_id))
    shared = "" if found.namespace else ", which is shared with everyone"
    several = "its only version" if count == 1 else f"its {count} versions"
    told = f"pipeline {found.name}{shared}, and {several}"
    return _deleted(arguments, told, lambda: session.client.delete_pipeline(found.pipeline_id))


def _deleted(arguments: Namespace, told: str, delete: Callable[[], None]) -> Notice:
    if not arguments.yes:
        return Notice(f"This would delete {told}. Nothing is done yet: add --yes to do it.")
    delete()
    return Notice(f"Deleted {told}.")


_EXPERIMENT = option("experiment", completes="experiment", metavar="EXPERIMENT", help="name or id")
_PIPELINE = option("pipeline", completes="pipeline", metavar="PIPELINE", help="name or id")
_DESCRIPTION = option("--description", default="", help="what it is for")


def _about_experiment(
    action: str, call: Callable[[Session, Namespace], object], *more: Option, example: str = ""
) -> Verb:
    return Verb(
        f"experiment {action}",
        call,
        (_EXPERIMENT, *more, NAMESPACE),
        examples=((f"experiment {action} churn", example),) if example else (),
    )


_UPLOAD = (
    option(
        *("file",),
        completes="source",
        metavar="PIPELINE-OR-FILE",
        help="a compiled file, or a @dsl.pipeline of this notebook",
    ),
    option("--name", default="", help="its name, instead of the compiled one"),
    _DESCRIPTION,
    option("--shared", action="store_true", help="share it with everyone, not only the namespace"),
    option("--again", action="store_true", help="even if the newest version is identical"),
    NAMESPACE,
)

VERBS = (
    Verb(
        "experiments",
        experiments,
        (
            *LISTED,
            NAMED,
            option("--archived", action="store_true", help="archived ones"),
        ),
        aliases=("experiment list",),
        examples=(("experiments -A", "of every namespace that you may read"),),
    ),
    _about_experiment("create", create_experiment, _DESCRIPTION, example="a new one"),
    _about_experiment("get", experiment),
    _about_experiment("archive", archive_experiment, example="archive it and all its runs"),
    _about_experiment("restore", restore_experiment),
    _about_experiment("delete", delete_experiment, YES),
    Verb(
        "pipelines",
        pipelines,
        (
            *LISTED,
            NAMED,
            option("--shared", action="store_true", help="only those shared with everyone"),
            option("--private", action="store_true", help="only the namespace's own"),
        ),
        aliases=("pipeline list",),
        examples=(("pipelines --shared", "those shared with everyone"),),
    ),
    Verb("pipeline get", pipeline, (_PIPELINE, NAMESPACE)),
    Verb(
        "upload",
        upload,
        _UPLOAD,
        aliases=("pipeline upload", "pipeline create"),
        examples=(
            ("upload churn.yaml", "a new pipeline, or its next version"),
            ("upload my_pipeline", "a @dsl.pipeline of this notebook"),
        ),
    ),
    Verb("pipeline delete", delete_pipeline, (_PIPELINE, YES, NAMESPACE)),
    Verb(
        "versions",
        versions,
        (_PIPELINE, option("-l", "--limit", type=int, default=None, metavar="COUNT"), NAMESPACE),
        aliases=("version", "pipeline versions"),
        examples=(("versions churn", "newest first"),),
    ),
)
