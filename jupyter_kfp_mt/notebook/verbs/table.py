"""The definition of a verb, the options that several share, and the session that they use."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ... import near_names
from ...client.pipeline_source import PipelineSource
from ...errors import BadRequest
from ...models import Run

if TYPE_CHECKING:
    from ...client.client import Client
    from ...client.provenance import Provenance
    from ...connection.connections import Connection
    from ...connection.kernel_namespace import KernelNamespace
    from ...doctor.check_results import CheckReport
    from ...namespaces.namespace_source import NamespaceSource


class Session(Protocol):
    """The state that a kernel's `%kfp` keeps between cells."""

    @property
    def connection(self) -> Connection: ...

    @property
    def client(self) -> Client: ...

    @property
    def last_run(self) -> str:
        """The id of the run last started or shown here."""

    @last_run.setter
    def last_run(self, run_id: str) -> None: ...

    @property
    def is_terminal(self) -> bool:
        """True if no front end renders the output."""

    def connect(self, settings: dict[str, str], identity: str) -> None:
        """Use another connection from now on; without settings and identity, the default."""

    @property
    def namespace_in_use(self) -> KernelNamespace:
        """The namespace of this kernel, and that of the other kernels of its Jupyter server."""

    def use_namespace(self, namespace: str, everywhere: bool = False) -> None:
        """Use another namespace in this kernel, or in its whole server; '' for the default."""

    def examine(self, isolation: bool, others: tuple[str, ...]) -> CheckReport:
        """Examine the connection, even if it cannot be made."""

    def tenants(self) -> NamespaceSource:
        """Return a source of namespaces and contributors; the caller closes it."""

    def provenance(self) -> Provenance:
        """The current notebook and cell, and their user."""

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of the notebook, to read and change."""

    def show(self, run: Run) -> None:
        """Show the current state of a run, in the same place as before."""

    def picture(self, run: Run) -> None:
        """Show a run in an output of its own, which a front end keeps up to date."""

    def form(self, source: PipelineSource, namespace: str, experiment: str) -> Any:
        """A form that starts a pipeline."""

    def say(self, text: str) -> None:
        """Print a notice in addition to the value."""


class Option(msgspec.Struct, frozen=True):
    """An argument of a verb, as argparse takes it.

    `completes`: the kind of its values, if they can be completed.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any]
    completes: str = ""

    @property
    def is_positional(self) -> bool:
        return not self.flags[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        return self.settings.get("action") in (None, "append", "extend")


class Verb(msgspec.Struct, frozen=True):
    """A verb of `%kfp`; its name may be two words, as in `pipeline upload`.

    `takes_cell`: True if it reads the rest of a cell, as `%%kfp`.
    """

    name: str
    call: Callable[[Session, Namespace], Any]
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    group: str = ""
    takes_cell: bool = False

    @property
    def help(self) -> str:
        return (self.call.__doc__ or "").strip()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


def option(*flags: str, completes: str = "", **settings: Any) -> Option:
    return Option(flags, settings, completes)


NAMESPACE = option(
    *("-n", "--namespace"),
    completes="namespace",
    default="",
    help="namespace, instead of the one in use",
)
EVERYWHERE = option(
    *("-A", "--all-namespaces"), action="store_true", help="every namespace that you may read"
)
LIMIT = option(
    "-l", "--limit", type=int, default=None, metavar="COUNT", help="the most to show (default: 20)"
)
SORT = option(
    "--sort",
    completes="column",
    default="",
    metavar="COLUMN",
    help="by created, name and so on; -name reverses the order",
)
NAMED = option("--name", default="", metavar="TEXT", help="only those whose names contain this")
YES = option("--yes", action="store_true", help="do it, instead of saying what would be done")
RUN = option(
    *("run",),
    completes="run",
    nargs="?",
    default="",
    metavar="RUN",
    help="id, name, the beginning of one, or latest (default: the last one here)",
)
RUNS = option(
    "runs",
    completes="run",
    nargs="*",
    metavar="RUN",
    help="id, name, the beginning of one, or latest",
)
LISTED = (NAMESPACE, EVERYWHERE, SORT, LIMIT)


def chosen_run(session: Session, arguments: Namespace) -> Run:
    """Return the named run; without a name the one last started or shown here, or the latest."""
    named = arguments.run or session.last_run or "latest"
    return session.client.find_run(named, arguments.namespace)


def where(session: Session, arguments: Namespace) -> str | list[str]:
    """Return the requested namespace, or every readable one."""
    if not getattr(arguments, "all_namespaces", False):
        return str(arguments.namespace)
    if arguments.namespace:
        raise BadRequest("-n names one namespace and -A means every one: leave out one of them.")
    return readable(session)


def readable(session: Session) -> str | list[str]:
    """Every namespace whose runs may be listed; for a single-user KFP the only one."""
    if not session.client.health().multi_user:
        return ""
    with closing(session.tenants()) as tenants:
        found = tenants.found(session.client.namespace)
    names = [each.name for each in found.namespaces if each.usable]
    if not names:
        raise BadRequest(
            "No namespace is known in which you may read.",
            cause=found.unknown,
            cure="%kfp namespaces lists them, and says why each is refused.",
        )
    return names


def limit(arguments: Namespace) -> int:
    """Return the most items to list; 0 for all. Raises `BadRequest` below 1."""
    count: int | None = arguments.limit
    if count is not None and count < 1:
        raise BadRequest(f"Cannot list {count}: -l takes a number from 1 on.")
    return count or 0


def own_pipeline(session: Session, named: Any) -> Any:
    """The notebook's own `@dsl.pipeline` or `@dsl.component` of that name, or None."""
    own = _own(session, named)
    return own if PipelineSource.can_be(own) else None


def check_no_function(session: Session, named: Any) -> None:
    """Raises `BadRequest` for a plain function of the notebook, which lacks a decorator."""
    if callable(_own(session, named)):
        raise BadRequest(
            f"{named} is a function of this notebook, not a pipeline.",
            cure="Put @dsl.pipeline or @dsl.component above it, and run that cell again.",
        )


def own_pipeline_like(session: Session, name: str) -> str:
    """The name of the notebook's own pipeline or component that is most like it; empty for none."""
    known = [each for each, value in session.variables.items() if PipelineSource.can_be(value)]
    return near_names.meant(name, known)


def _own(session: Session, named: Any) -> Any:
    is_name = isinstance(named, str) and named.isidentifier()
    return session.variables.get(named) if is_name else named


def pairs(texts: list[str]) -> dict[str, str]:
    """Parse `-p name=value` options into a dict of texts."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BadRequest(f"-p {text} is not of the form name=value.")
        if name in found:
            raise BadRequest(f"Parameter {name} is given twice.")
        found[name] = value
    return found


def warn(session: Session) -> None:
    """Print each of KFP's warnings once."""
    warnings = session.client.warnings
    while warnings:
        session.say(f"Warning: {warnings.popleft()}")
