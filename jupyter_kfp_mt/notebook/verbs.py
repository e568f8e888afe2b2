"""What `%kfp` can do: one small function per verb, and the table of them all.

A verb takes the session and its parsed arguments and returns a value; how that looks is not its
business. The table is the parser, the help and the completion.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..connection.status import ConnectionStatus, Step
from ..errors import BadRequest, KfpError, NotFound, Refused
from ..kubeflow_roles import Goal
from ..models import STATES, Experiment, Page, Pipeline, PipelineVersion, Rows, Run, Task

if TYPE_CHECKING:
    from ..client.client import Client
    from ..connection.choose_connection import Connection
    from ..doctor.check_results import CheckReport
    from ..namespaces import list_namespaces as there
    from ..namespaces.contributors import Contributor
    from ..namespaces.namespace_source import NamespaceSource


class Session(Protocol):
    """What a kernel's `%kfp` remembers between cells."""

    @property
    def connection(self) -> Connection: ...

    @property
    def client(self) -> Client: ...

    def connect(self, endpoint: str, token_file: str, namespace: str, identity: str) -> None:
        """Use another connection from now on; with nothing given, the usual one."""

    def examine(self, isolation: bool, others: tuple[str, ...]) -> CheckReport:
        """Look for what is wrong with the connection, also where there is none."""

    def tenants(self) -> NamespaceSource:
        """Who knows of namespaces and contributors: to be closed."""

    def show(self, run: Run) -> None:
        """Show a run as it is now, in the place where it was shown before."""

    def say(self, text: str) -> None:
        """Tell the person something beside the value."""


class Option(msgspec.Struct, frozen=True):
    """An argument of a verb, as argparse takes it."""

    flags: tuple[str, ...]
    settings: dict[str, Any]


class Verb(msgspec.Struct, frozen=True):
    """One thing that `%kfp` can do."""

    name: str
    call: Callable[[Session, Namespace], Any]
    options: tuple[Option, ...]
    aliases: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        return (self.call.__doc__ or "").strip()


class OverviewCheck(msgspec.Struct, frozen=True):
    """Whether something works, and what was said about it."""

    what: str
    works: bool
    detail: str = ""


class Overview(msgspec.Struct, frozen=True):
    """The answer to `%kfp`: who am I, where, why, and what works."""

    status: ConnectionStatus
    namespace: str
    checks: list[OverviewCheck]


class Chosen(msgspec.Struct, frozen=True):
    """The namespace in use, and why it is that one."""

    namespace: str
    reason: str


class Known(Rows[Any], frozen=True, kw_only=True):
    """Every namespace there is to show, the one in use, and what is not known, and why."""

    items: list[there.Namespace]
    in_use: str
    sources: list[there.SourceLookup]
    unknown: str


class Looked(msgspec.Struct, frozen=True):
    """What is known of one namespace."""

    namespace: there.Namespace
    in_use: bool
    unknown: str


class Sharing(Rows[Any], frozen=True, kw_only=True):
    """Who shares a namespace."""

    items: list[Contributor]
    namespace: str


class Log(msgspec.Struct, frozen=True):
    """What the tasks of a run have written."""

    run: Run
    tasks: list[tuple[Task, str]]

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.tasks)


def _option(*flags: str, **settings: Any) -> Option:
    return Option(flags, settings)


TAIL = 1000

_NAMESPACE = _option("-n", "--namespace", default="", help="namespace, instead of the one in use")
_LIMIT = _option("-l", "--limit", type=int, default=20, help="how many to list, 200 at most")


def overview(session: Session, arguments: Namespace) -> Overview:
    """Who am I, where, why, and what works."""
    status = session.connection.status()
    if session.client.namespace != session.connection.namespace:
        here = Step("namespace", "%kfp ns", session.client.namespace, True)
        others = [step for step in status.trace if step.step != "namespace"]
        status = msgspec.structs.replace(status, trace=[*others, here])
    checks = [] if status.error else _checks(session.client)
    return Overview(status, session.client.namespace, checks)


def _checks(client: Client) -> list[OverviewCheck]:
    pages: dict[str, Callable[[], Any]] = {
        "list experiments": lambda: client.experiment_page(page_size=1),
        "list pipelines": lambda: client.pipeline_page(page_size=1),
        "list runs": lambda: client.run_page(page_size=1),
    }
    return [_check(what, page) for what, page in pages.items()]


def _check(what: str, page: Callable[[], Page[Any]]) -> OverviewCheck:
    try:
        return OverviewCheck(what, True, f"{page().total_size:,}")
    except KfpError as error:
        return OverviewCheck(what, False, error.message)


def namespace(session: Session, arguments: Namespace) -> Chosen:
    """Show the namespace in use, or use another one in this session."""
    client = session.client
    if not arguments.name:
        chosen = [step for step in session.connection.trace if step.step == "namespace"]
        reasons = [step.looked_at for step in chosen if step.chosen]
        if client.namespace != session.connection.namespace:
            return Chosen(client.namespace, "%kfp ns")
        return Chosen(client.namespace, reasons[0] if reasons else "nothing names one")
    if not client.health().multi_user:
        raise BadRequest("This KFP is for a single user: it has no namespaces to choose from.")
    try:
        client.run_page(arguments.name, page_size=1)
    except Refused as error:
        stay = f"Still in {client.namespace}." if client.namespace else ""
        raise type(error)(
            f"{error.message} {stay}".strip(),
            cause=error.cause,
            cure=error.cure,
            server_text=error.server_text,
        ) from None
    client.namespace = arguments.name
    return Chosen(arguments.name, "%kfp ns")


def namespaces(session: Session, arguments: Namespace) -> Known | Looked:
    """List every namespace there is to see, and what you may do there; or all of one of them."""
    name, in_use = arguments.name, session.client.namespace
    with closing(session.tenants()) as tenants:
        found = tenants.found(name or in_use)
    if not name:
        return Known(
            items=found.namespaces, in_use=in_use, sources=found.sources, unknown=found.unknown
        )
    if not found.namespaces:
        raise BadRequest(found.unknown)
    (one,) = [each for each in found.namespaces if each.name == name]
    return Looked(one, name == in_use, found.unknown)


def contributors(session: Session, arguments: Namespace) -> Sharing:
    """List who shares the namespace; add or remove somebody, or say who can."""
    namespace = arguments.namespace or session.client.namespace
    if arguments.role and not arguments.add:
        raise BadRequest("--role goes with --add: it is the role that somebody gets.")
    with closing(session.tenants()) as tenants:
        those = tenants.contributors(namespace)
        if arguments.add is not None:
            those.add(arguments.add, arguments.role or "edit")
        if arguments.remove is not None:
            those.remove(arguments.remove)
        return Sharing(items=those.all(), namespace=namespace)


def connect(session: Session, arguments: Namespace) -> Overview:
    """Use another endpoint, token or identity in this session; without options the usual one."""
    session.connect(
        arguments.endpoint, arguments.token_file, arguments.namespace, arguments.identity
    )
    return overview(session, arguments)


def doctor(session: Session, arguments: Namespace) -> CheckReport:
    """Look at the connection from outside in: what is wrong, and what mends it."""
    others = tuple(arguments.namespace_of_others)
    return session.examine(arguments.isolation or bool(others), others)


def experiments(session: Session, arguments: Namespace) -> Page[Experiment]:
    """List experiments, newest first."""
    return session.client.experiment_page(arguments.namespace, _limit(arguments))


def pipelines(session: Session, arguments: Namespace) -> Page[Pipeline]:
    """List the namespace's own pipelines, newest first."""
    return session.client.pipeline_page(arguments.namespace, _limit(arguments))


def upload(session: Session, arguments: Namespace) -> PipelineVersion:
    """Upload a compiled pipeline; the next version of it where there is one of that name."""
    uploaded = session.client.upload_pipeline(
        arguments.file, arguments.name, arguments.namespace, arguments.description
    )
    _warn(session)
    return uploaded


def run(session: Session, arguments: Namespace) -> Run:
    """Start a pipeline: a compiled file, or one of the namespace's by name or id."""
    client = session.client
    source = client.pipeline_source(arguments.pipeline, arguments.namespace)
    parameters = source.parse(_pairs(arguments.parameters))
    started = client.start_run(
        source, parameters, arguments.experiment, arguments.name, arguments.namespace
    )
    if arguments.wait:
        return _watched(session, started, arguments.namespace)
    _warn(session)
    return started


def _warn(session: Session) -> None:
    """Say what KFP has warned of, once."""
    warnings = session.client.warnings
    while warnings:
        session.say(f"Warning: {warnings.popleft()}")


def _watched(session: Session, started: Run, namespace: str) -> Run:
    client, run = session.client, started
    try:
        from ..connection.event_reader import follow  # it takes long enough to be interrupted

        for run in follow(client, session.connection.door, started, namespace):
            session.show(run)
            _warn(session)  # below what is shown
    except KeyboardInterrupt:
        session.say(_goes_on(run))
        return run
    except NotFound:  # it was deleted meanwhile
        raise
    except KfpError:
        session.say(_is_not_known(run))
        raise
    client.raise_for_failure(run)
    return run


def _is_not_known(run: Run) -> str:
    return (
        f"The wait has ended, and not the run: it was {run.state} when it was last seen, and needs "
        "no kernel to go on. %kfp runs shows it once KFP answers again."
    )


def _goes_on(run: Run) -> str:
    return f"The run goes on. %kfp runs shows it, %kfp terminate {run.run_id} stops it."


def runs(session: Session, arguments: Namespace) -> Page[Run]:
    """List runs, newest first."""
    client = session.client
    name = arguments.experiment
    experiment = client.experiment_named(name, arguments.namespace) if name else Experiment()
    return client.run_page(
        arguments.namespace, experiment.experiment_id, arguments.state, _limit(arguments)
    )


def logs(session: Session, arguments: Namespace) -> Log | Run:
    """Show what the tasks of a run have written: of one task, else of the failed, else of all."""
    client = session.client
    if arguments.tail < 1:
        raise BadRequest(f"Cannot show {arguments.tail} lines: --tail takes a number from 1.")
    run = client.find_run(arguments.run, arguments.namespace)
    tasks = _tasks(client, run, arguments.task)
    if arguments.follow:
        return _followed(session, run, _one_of(run, tasks), arguments.tail)
    if not arguments.task:
        failed = [task for task in tasks if task.state == "FAILED"]
        tasks = sorted(failed, key=lambda task: task.end_time) or tasks
    started = [task for task in tasks if task.state not in ("PENDING", "SKIPPED")]
    if arguments.task and tasks and not started:
        raise BadRequest(_no_log(tasks[0]))
    alone = len(started) == 1
    return Log(run, [(task, _text(client, task, arguments.tail, alone)) for task in started])


def _tasks(client: Client, run: Run, wanted: str) -> list[Task]:
    """Those of that name, or all."""
    if not wanted:
        return client.tasks(run)
    found = [task for task in client.tasks(run) if wanted in _names(task)]
    if not found:  # it may be a part of the workflow that executes them, such as a driver
        parts = client.run_as_told(run.run_id).tasks
        found = [task for task in parts if wanted in (task.display_name, task.task_id)]
    if not found:
        names = ", ".join(task.display_name for task in client.tasks(run)) or "none yet"
        raise BadRequest(f"Run {run.display_name} has no task {wanted}.", cure=f"It has {names}.")
    return [msgspec.structs.replace(task, run_id=run.run_id) for task in found]


def _names(task: Task) -> tuple[str, ...]:
    """All that a person may call it: its name, with or without the iteration, or its id."""
    return task.display_name, task.display_name.partition("[")[0], task.task_id


def _text(client: Client, task: Task, count: int, alone: bool) -> str:
    """Its last lines. Where it is one of several, why there are none is told in their place."""
    asked = None if count == TAIL else count  # how many there are is told
    try:
        return _tail(client.log(task.run_id, task.task_id, asked, recent=not alone), count)
    except NotFound as error:
        if alone:
            raise
        return f"[{error.message}]"


def _no_log(task: Task) -> str:
    if task.state == "SKIPPED":
        return f"Task {task.display_name} was skipped, so it has no log."
    return f"Task {task.display_name} has not started, so it has no log yet."


def _tail(text: str, count: int) -> str:
    lines = text.rstrip().splitlines()
    cut = f"[{len(lines) - count:,} lines before these: --tail LINES shows more]"
    hidden = len(lines) > count and count == TAIL
    return "\n".join([*([cut] if hidden else []), *lines[-count:]])


def _one_of(run: Run, tasks: list[Task]) -> Task:
    """The one to follow: the only one that goes on."""
    running = [task for task in tasks if not task.finished]
    if len(running) == 1 or len(tasks) == 1:
        return (running or tasks)[0]
    if not tasks:
        raise BadRequest(f"Run {run.display_name} has no task yet.", cure="Ask again in a while.")
    names = ", ".join(f"{task.display_name} ({task.task_id})" for task in running or tasks)
    raise BadRequest(
        f"Cannot follow {len(running or tasks)} tasks of run {run.display_name} at once.",
        cure=f"Name one: {names}.",
    )


def _followed(session: Session, run: Run, task: Task, tail: int) -> Run:
    client = session.client
    log = client.task_log(run.run_id, task.task_id, follow=True, tail=tail)
    try:
        for line in log:
            session.say(line.decode("utf-8", "replace").rstrip("\r\n"))
    except KeyboardInterrupt:
        session.say(_goes_on(run))
    finally:
        log.close()
    return client.run(run.run_id)


def terminate(session: Session, arguments: Namespace) -> Run:
    """Stop a run. It ends FAILED."""
    asked = Goal(f"terminate run {arguments.run}", "terminate a run", "terminate", "runs")
    run = session.client.find_run(arguments.run, arguments.namespace, asked)
    if run.finished:
        raise BadRequest(f"Run {run.display_name} has finished already: {run.state}.")
    if run.state == "CANCELING":
        raise BadRequest(f"Run {run.display_name} is being terminated already.")
    session.client.terminate(run.run_id)
    return session.client.run(run.run_id)


def _limit(arguments: Namespace) -> int:
    limit: int = arguments.limit
    if not 1 <= limit <= 200:
        raise BadRequest(f"Cannot list {limit}: KFP lists 1 to 200 at a time.")
    return limit


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadRequest(f"-p {text} is not of the form name=value.")
        if name in pairs:
            raise BadRequest(f"Parameter {name} is given twice.")
        pairs[name] = value
    return pairs


OVERVIEW = Verb("", overview, ())

VERBS = (
    Verb(
        "ns",
        namespace,
        (_option("name", nargs="?", default="", metavar="NAME", help="the namespace to use"),),
        aliases=("namespace",),
    ),
    Verb(
        "namespaces",
        namespaces,
        (_option("name", nargs="?", default="", metavar="NAME", help="only this one, whole"),),
    ),
    Verb(
        "contributors",
        contributors,
        (
            _option("--add", metavar="USER", help="an e-mail address, or a service account"),
            _option(
                "--role", default="", metavar="edit|view", help="of whom is added (default: edit)"
            ),
            _option(
                "--remove", metavar="USER", help="take every role but the owner's from somebody"
            ),
            _NAMESPACE,
        ),
        aliases=("contributor",),
    ),
    Verb(
        "connect",
        connect,
        (
            _option("--endpoint", default="", help="address of KFP, or 'local'"),
            _option("--token-file", default="", help="file with the token to send"),
            _option(
                "--as",
                dest="identity",
                default="",
                help="an identity of the local KFP, such as bob/default-editor",
            ),
            _NAMESPACE,
        ),
    ),
    Verb(
        "doctor",
        doctor,
        (
            _option(
                "--isolation",
                action="store_true",
                help="try, by reading only, whether the deployment keeps tenants apart",
            ),
            _option(
                "--namespace-of-others",
                action="append",
                default=[],
                metavar="NAME",
                help="for --isolation: a namespace that is somebody else's",
            ),
        ),
    ),
    Verb("experiments", experiments, (_NAMESPACE, _LIMIT), aliases=("experiment",)),
    Verb("pipelines", pipelines, (_NAMESPACE, _LIMIT), aliases=("pipeline",)),
    Verb(
        "upload",
        upload,
        (
            _option("file", metavar="FILE", help="a compiled pipeline"),
            _option("--name", default="", help="its name, instead of the one it was compiled with"),
            _option("--description", default="", help="what it is for"),
            _NAMESPACE,
        ),
    ),
    Verb(
        "run",
        run,
        (
            _option("pipeline", metavar="PIPELINE-OR-FILE", help="compiled file, name or id"),
            _option(
                "-p",
                "--parameter",
                dest="parameters",
                action="append",
                default=[],
                metavar="name=value",
                help="a parameter; lists and objects as JSON",
            ),
            _option("-e", "--experiment", default="Default", help="experiment; created if new"),
            _option("--name", default="", help="name of the run"),
            _option("--wait", action="store_true", help="watch until it has finished"),
            _NAMESPACE,
        ),
    ),
    Verb(
        "runs",
        runs,
        (
            _option("-e", "--experiment", default="", help="only those of this experiment"),
            _option(
                "--state",
                type=str.upper,
                default="",
                choices=STATES,
                help="only those in this state",
            ),
            _NAMESPACE,
            _LIMIT,
        ),
    ),
    Verb(
        "logs",
        logs,
        (
            _option("run", metavar="RUN", help="id, start of an id, or name"),
            _option("task", nargs="?", default="", metavar="TASK", help="only this task"),
            _option("--follow", action="store_true", help="show what it writes while it does"),
            _option(
                "--tail",
                type=int,
                default=TAIL,
                metavar="LINES",
                help=f"how many of the last lines of each (default: {TAIL})",
            ),
            _NAMESPACE,
        ),
        aliases=("log",),
    ),
    Verb(
        "terminate",
        terminate,
        (_option("run", metavar="RUN", help="id, start of an id, or name"), _NAMESPACE),
    ),
)
