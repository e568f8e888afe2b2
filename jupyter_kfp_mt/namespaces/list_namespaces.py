"""All namespaces that this identity may use, with their sources and its permissions there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

import msgspec

from .. import intervals, refusal_causes
from ..answer_cache import AnswerCache
from ..cluster.kfam import Kfam
from ..cluster.kubernetes_api import Cluster
from ..connection.status import Problem
from ..errors import KfpError
from .permissions import Permissions, Table

SINGLE_USER = "This KFP serves a single user, and has no namespaces."
PATIENCE = intervals.SOURCE_SECONDS

# Sources by name; each returns namespaces with their owners, as far as known.
Sources = Mapping[str, Callable[[], Mapping[str, str]]]


class Namespace(msgspec.Struct, frozen=True):
    """A namespace. It is `usable` if its runs may be listed; None if that is not known yet.

    If it is not usable, `reason` and `cure` say why and how to fix it.
    """

    name: str
    sources: list[str]
    owner: str = ""
    usable: bool | None = None
    reason: str = ""
    cure: str = ""
    permissions: Table = {}


class SourceLookup(msgspec.Struct, frozen=True):
    """A source, the number of namespaces that it knows, or its error."""

    name: str
    found: int = 0
    problem: Problem | None = None


class Found(msgspec.Struct, frozen=True):
    """All namespaces, usable ones first. `unknown` says why permissions are not known."""

    namespaces: list[Namespace]
    sources: list[SourceLookup]
    unknown: str = ""


class Namespaces:
    """The namespaces of all `sources`, which are queried in parallel, with their permissions."""

    def __init__(self, sources: Sources, permissions: Permissions, patience: float = PATIENCE):
        self._sources = sources
        self._permissions = permissions
        self._patience = patience
        self._asked = AnswerCache(self._ask, threads=len(sources))

    def close(self) -> None:
        self._asked.close()

    def found(self, subject: str = "", local: bool = False, wanted: str = "") -> Found:
        """Return all namespaces, and the one `wanted` even if no source knows it.

        `subject` is the name of this identity.
        """
        answers = self._asked.to(self._sources, self._patience)
        known = {name: _result(answer) for name, answer in answers.items()}
        every = [name for found in known.values() for name in found]
        # The one `wanted` is the first, as permissions are only looked up for the first of many.
        names = list(dict.fromkeys([*([wanted] if wanted else []), *every]))
        permitted = self._permissions.of(names, self._patience)
        namespaces = [
            _namespace(name, known, permitted.tables[name], subject, local) for name in names
        ]
        return Found(
            sorted(namespaces, key=lambda each: (each.usable is False, each.usable is None)),
            [self._source(name, answer) for name, answer in answers.items()],
            permitted.reason,
        )

    def _ask(self, source: str) -> Mapping[str, str]:
        return self._sources[source]()

    def _source(self, name: str, answer: Future[Mapping[str, str]]) -> SourceLookup:
        if not answer.done():
            return SourceLookup(name, problem=Problem(f"No answer in {self._patience:g} s."))
        error = answer.exception()
        if isinstance(error, KfpError):
            return SourceLookup(name, problem=Problem.of(error))
        return SourceLookup(name, len(answer.result()))


def _result(answer: Future[Mapping[str, str]]) -> Mapping[str, str]:
    if not answer.done() or answer.exception():
        return {}
    return answer.result()


def _namespace(
    name: str,
    known: Mapping[str, Mapping[str, str]],
    table: Table,
    subject: str,
    local: bool,
) -> Namespace:
    sources = [source for source, found in known.items() if name in found]
    owner = next((known[source][name] for source in sources if known[source][name]), "")
    usable = table["runs"]["list"]
    reason = cure = ""
    if usable is False:
        reason = f"{subject or 'This identity'} may not list runs in {name}; role view is needed."
        cure = _cure(name, owner, subject, local) if subject else ""
    return Namespace(name, sources, owner, usable, reason, cure, table)


def _cure(name: str, owner: str, subject: str, local: bool) -> str:
    if local:
        return refusal_causes.grant_locally(subject, name, "view")
    who = f"{owner}, its owner, or an administrator" if owner else f"An administrator of {name}"
    return f"{who} can allow it:\n{refusal_causes.grant_role(subject, name, 'view')}"


def of_profiles(cluster: Cluster) -> dict[str, str]:
    """Return the namespaces of Kubeflow's profiles, with their owners."""
    return {profile.name: profile.owner for profile in cluster.profiles()}


def of_role_bindings(cluster: Cluster, subject: str) -> dict[str, str]:
    """Return the namespaces in which a role is bound to `subject`."""
    bindings = cluster.role_bindings()
    return {binding.namespace: "" for binding in bindings if subject in binding.users}


def of_kfam(kfam: Kfam, own: str, subject: str) -> dict[str, str]:
    """Return the namespaces of `subject`'s contributions, and of those of its `own` one's owner."""
    owner = kfam.owner(own) if own else ""
    people = [person for person in (subject, owner) if person]
    bindings = [binding for person in people for binding in kfam.bindings(user=person)]
    found = {own: owner} if owner else {}
    for binding in bindings:
        is_owner = binding.role == "admin"
        found[binding.namespace] = binding.user if is_owner else found.get(binding.namespace, "")
    return found


def named(names: Iterable[str]) -> dict[str, str]:
    """Return namespaces of which only the names are known."""
    return {name: "" for name in names if name}
