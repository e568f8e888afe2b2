"""Verbs about the connection: identity, endpoint, namespace, and faults."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from ... import near_names
from ...connection.status import Step
from ...errors import BadRequest, KfpError, Refused
from ...models import Page, Run
from ...namespaces.chosen_namespaces import CHOSEN
from ...settings import CREDENTIALS, Kfp
from .table import NAMESPACE, Option, Session, Verb, option
from .values import (
    ContributorList,
    NamespaceChoice,
    NamespaceDetails,
    NamespaceListing,
    Overview,
    OverviewCheck,
)

if TYPE_CHECKING:
    from ...client.client import Client
    from ...doctor.check_results import CheckReport

MOST_SHOWN = 5  # how many running and failed runs are shown
OWN = "%kfp ns"


def overview(session: Session, arguments: Namespace) -> Overview:
    """Show who and where you are, why, and what works."""
    status = session.connection.status()
    if session.client.namespace != session.connection.namespace:
        here = Step("namespace", _why(session), session.client.namespace, True)
        others = [step for step in status.trace if step.step != "namespace"]
        status = msgspec.structs.replace(status, trace=[*others, here])
    if status.error:
        return Overview(status, session.client.namespace, [])
    usual = _usual(session)
    checks = _checks(session.client)
    active, in_all, failed = _recent_runs(session.client)
    return Overview(
        *(status, session.client.namespace, checks, active, in_all, failed, usual),
        _next(session, active, failed),
    )


def _recent_runs(client: Client) -> tuple[list[Run], int, list[Run]]:
    """The running runs, their total number, and the runs that failed recently."""
    try:
        active = client.runs(state="active", limit=MOST_SHOWN)
        failed = client.runs(state="FAILED", since="1d", limit=MOST_SHOWN)
        return [*active], active.total_size, [*failed]
    except KfpError:
        return [], 0, []  # one of the checks reports the reason


def _next(session: Session, active: list[Run], failed: list[Run]) -> list[tuple[str, str]]:
    """Commands that are useful now."""
    found = []
    if failed:
        found.append((f"%kfp logs {failed[0].run_id[:8]}", f"why {failed[0].display_name} failed"))
    if active:
        found.append((f"%kfp show {active[0].run_id[:8]}", f"{active[0].display_name}, live"))
    found += [
        ("%kfp runs", "the runs of this namespace"),
        ("%kfp pipelines", "the pipelines that you can run"),
    ]
    return [*found, ("%kfp help", "all that %kfp can do")]


def _checks(client: Client) -> list[OverviewCheck]:
    pages: dict[str, Callable[[], Any]] = {
        "list experiments": lambda: client.experiment_page(page_size=1),
        "list pipelines": lambda: client.pipeline_page(page_size=1),
        "list runs": lambda: client.run_page(page_size=1),
    }
    return [_checked(what, page) for what, page in pages.items()]


def _checked(what: str, page: Callable[[], Page[Any]]) -> OverviewCheck:
    try:
        return OverviewCheck(what, True, f"{page().total_size:,}")
    except KfpError as error:
        return OverviewCheck(what, False, error.message)


def namespace(session: Session, arguments: Namespace) -> NamespaceChoice:
    """Show or change the namespace in use: here, or in the panel and all notebooks."""
    name = arguments.name
    if name:
        _check(session, name)
    if name or arguments.server:
        session.use_namespace(name, everywhere=bool(name) and arguments.server)
    return NamespaceChoice(session.client.namespace, _why(session), _usual(session))


def _why(session: Session) -> str:
    """Say why this namespace is in use."""
    in_use, connection = session.namespace_in_use, session.connection
    if in_use.own or session.client.namespace != in_use.usual:
        return f"{OWN}, for this kernel alone" if in_use.is_shared else OWN
    if in_use.usual != connection.namespace:
        return CHOSEN
    chosen = [step for step in connection.trace if step.step == "namespace" and step.chosen]
    return chosen[0].looked_at if chosen else "nothing names one"


def _usual(session: Session) -> str:
    in_use = session.namespace_in_use
    is_other = in_use.is_shared and in_use.usual != session.client.namespace
    return in_use.usual if is_other else ""


def _check(session: Session, name: str) -> None:
    """Raises a `KfpError` if runs of that namespace may not be listed."""
    client = session.client
    if not client.health().multi_user:
        raise BadRequest("This KFP is for a single user: it has no namespaces to choose from.")
    try:
        client.run_page(name, page_size=1)
    except Refused as error:
        near = near_namespace(session, name)
        stay = f"Still in {client.namespace}." if client.namespace else ""
        told = error.with_(sentence=f"{error.message} {stay}".strip())
        raise (
            told.with_(cause="", cure=f"Did you mean %kfp ns {near}?") if near else told
        ) from None


def near_namespace(session: Session, name: str) -> str:
    """Return the usable namespace with a similar name, if there is one."""
    try:
        with closing(session.tenants()) as tenants:
            found = tenants.found(session.client.namespace).namespaces
    except KfpError:
        return ""
    names = [each.name for each in found]
    if name in names:
        return ""  # it exists, and is refused
    usable = [each.name for each in found if each.usable is not False]
    return near_names.meant(name, usable)


def namespaces(session: Session, arguments: Namespace) -> NamespaceListing | NamespaceDetails:
    """List all known namespaces and your permissions there; or show one in full."""
    name, in_use = arguments.name, session.client.namespace
    with closing(session.tenants()) as tenants:
        found = tenants.found(name or in_use)
    if not name:
        return NamespaceListing(
            items=found.namespaces, in_use=in_use, sources=found.sources, unknown=found.unknown
        )
    if not found.namespaces:
        raise BadRequest(found.unknown)
    (one,) = [each for each in found.namespaces if each.name == name]
    return NamespaceDetails(one, name == in_use, found.unknown)


def contributors(session: Session, arguments: Namespace) -> ContributorList:
    """List who shares the namespace; add or remove contributors, or say who can."""
    namespace = arguments.namespace or session.client.namespace
    if arguments.role and not arguments.add:
        raise BadRequest("--role needs --add: it is the role of the new contributor.")
    with closing(session.tenants()) as tenants:
        those = tenants.contributors(namespace)
        if arguments.add is not None:
            those.add(arguments.add, arguments.role or "edit")
        if arguments.remove is not None:
            those.remove(arguments.remove)
        return ContributorList(items=those.all(), namespace=namespace)


def connect(session: Session, arguments: Namespace) -> Overview:
    """Use another endpoint, token or identity in this session; without options, the default."""
    names = ("endpoint", "namespace", *CREDENTIALS)
    settings = {name: given for name in names if (given := getattr(arguments, name))}
    session.connect(settings, arguments.identity)
    found = overview(session, arguments)
    is_other = settings or arguments.identity
    back = [("%kfp connect", "the default connection again")] if is_other else []
    return msgspec.structs.replace(found, next=[*found.next[:-1], *back, *found.next[-1:]])


def doctor(session: Session, arguments: Namespace) -> CheckReport:
    """Check the connection step by step: what is wrong, and how to fix it."""
    others = tuple(arguments.namespace_of_others)
    return session.examine(arguments.isolation or bool(others), others)


def _setting(name: str) -> Option:
    """Return the option that gives a setting for this session."""
    told = " ".join(str(Kfp.class_traits()[name].help).split())
    flag, first = f"--{name.replace('_', '-')}", re.split(r"\. |; ", told)[0].removesuffix(".")
    return option(flag, default="", metavar=_METAVARS.get(name, "NAME"), help=_lower(first))


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


_METAVARS = {
    **dict.fromkeys(("token_file", "cookie_file", "login_file", "kubeconfig"), "FILE"),
    **dict.fromkeys(("auth",), "KIND"),
    **dict.fromkeys(("token_command",), "COMMAND"),
    **dict.fromkeys(("login_hosts",), "HOSTS"),
    **dict.fromkeys(("iap_client_id",), "ID"),
}

VERBS = (
    Verb(
        "ns",
        namespace,
        (
            option(
                "name",
                completes="namespace",
                nargs="?",
                default="",
                metavar="NAME",
                help="the namespace to use",
            ),
            option(
                "--server",
                action="store_true",
                help="with NAME: use it in the panel and all notebooks of this Jupyter server; "
                "without: use theirs here",
            ),
        ),
        aliases=("namespace",),
        examples=(
            ("ns", "the one in use, and why"),
            ("ns team-b", "use another in this notebook from now on"),
            ("ns team-b --server", "in the panel and other notebooks, too"),
            ("ns --server", "use the same as they do"),
        ),
    ),
    Verb(
        "namespaces",
        namespaces,
        (
            option(
                "name",
                completes="namespace",
                nargs="?",
                default="",
                metavar="NAME",
                help="only this one, in full",
            ),
        ),
        examples=(("namespaces", "all of them, and your role in each"),),
    ),
    Verb(
        "contributors",
        contributors,
        (
            option("--add", metavar="USER", help="an e-mail address, or a service account"),
            option(
                "--role",
                default="",
                metavar="edit|view",
                help="of the new contributor (default: edit)",
            ),
            option(
                "--remove",
                metavar="USER",
                help="remove every role but the owner's from a contributor",
            ),
            NAMESPACE,
        ),
        aliases=("contributor",),
        examples=(("contributors --add ann@example.com --role view", "give Ann read access"),),
    ),
    Verb(
        "connect",
        connect,
        (
            option("--endpoint", default="", help="address of KFP's API, or 'local'"),
            *map(_setting, CREDENTIALS),
            option(
                "--as",
                dest="identity",
                default="",
                help="an identity of the local KFP, such as bob/default-editor",
            ),
            NAMESPACE,
        ),
        examples=(
            ("connect --as bob/default-editor", "use another identity on the local KFP"),
            ("connect --endpoint https://kfp.example.com --cookie-file cookie", "signed in there"),
            ("connect", "the default connection again"),
        ),
    ),
    Verb(
        "doctor",
        doctor,
        (
            option(
                "--isolation",
                action="store_true",
                help="check, by reading only, whether the deployment isolates tenants",
            ),
            option(
                "--namespace-of-others",
                action="append",
                default=[],
                metavar="NAME",
                help="for --isolation: a namespace that belongs to somebody else",
            ),
        ),
        examples=(("doctor", "what is wrong, and how to fix it"),),
    ),
)
