"""Permissions of this identity in each namespace, from Kubernetes or from KFP's own answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future

import msgspec

from .. import intervals, kubeflow_roles
from ..answer_cache import AnswerCache
from ..cluster.kubernetes_api import Cluster
from ..errors import KfpError
from ..kubeflow_roles import GROUP

# The resources of Kubeflow's roles that are shown for a namespace.
_SHOWN = ("experiments", "runs", "jobs", "pipelines")
VIEW = {resource: kubeflow_roles.VIEW[resource] for resource in _SHOWN}
EDIT_ADDS = {resource: kubeflow_roles.EDIT_ADDS[resource] for resource in _SHOWN}
VERBS = {resource: verbs + EDIT_ADDS[resource] for resource, verbs in VIEW.items()}
# Their names in the API.
COLLECTIONS = {
    "experiments": "experiments",
    "runs": "runs",
    "jobs": "recurringruns",
    "pipelines": "pipelines",
}
REMEMBERED_SECONDS = intervals.PERMISSIONS_SECONDS
# At most this many namespaces are tried at once: KFP asks Kubernetes twice for each list, and may
# ask only five times a second for all its users.
TRIES = 8
# A user may see hundreds of profiles. All permissions are looked up for so many namespaces; for the
# others only the permission to list runs.
FULLY_REVIEWED = 20

# For each resource each verb: allowed, not allowed, or not known yet.
Table = dict[str, dict[str, bool | None]]
# A namespace, a verb and a resource.
_Key = tuple[str, str, str]


class Permitted(msgspec.Struct, frozen=True):
    """The permissions in each namespace, and the reason if some are not known."""

    tables: dict[str, Table]
    reason: str = ""


class Permissions:
    """The permissions of the identity `subject()`, each answer remembered for a minute.

    Access reviews are about the identity of `cluster`, in a pod its service account, and are
    ignored if KFP's token has another identity. KFP's own answers take precedence: it asks
    Kubernetes only about the user, whereas a review also counts the user's groups.
    `try_list(namespace, resource)` requests one item from KFP, if there are no reviews.
    """

    def __init__(
        self,
        cluster: Callable[[], Cluster | None],
        subject: Callable[[], str],
        try_list: Callable[[str, str], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._subject = subject
        self._try_list = try_list
        self._clock = clock
        self._who = AnswerCache(self._ask_who, REMEMBERED_SECONDS, 1, clock)
        self._reviews = AnswerCache(self._review, REMEMBERED_SECONDS, clock=clock)
        self._tries = AnswerCache(self._try, REMEMBERED_SECONDS, TRIES, clock)
        self._lock = threading.Lock()
        self._learned: dict[_Key, tuple[float, bool]] = {}

    def close(self) -> None:
        for answers in (self._who, self._reviews, self._tries):
            answers.close()

    def of(self, namespaces: Iterable[str], patience: float = 2.5) -> Permitted:
        """Return the permissions in each, as far as they are known after `patience` seconds."""
        deadline = time.monotonic() + patience
        names = list(dict.fromkeys(namespaces))
        keys = [
            (name, verb, resource) for name in names[:FULLY_REVIEWED] for resource, verb in _verbs()
        ]
        keys += [(name, "list", "runs") for name in names[FULLY_REVIEWED:]]
        reason = self._why_no_reviews(patience)
        found = {} if reason else self._answered(self._reviews, keys, deadline)
        if not reason and any(found.get(key) is None for key in keys):
            reason = "Kubernetes did not answer every access review of this identity."
        if not reason and len(names) > FULLY_REVIEWED:
            reason = (
                f"for {len(names) - FULLY_REVIEWED:,} of these namespaces only the right to list "
                "runs was looked up. %kfp namespaces NAME shows all rights in one."
            )
        found |= self._known(names)
        unknown = [name for name in names if found.get((name, "list", "runs")) is None]
        if self._try_list and unknown:
            tried = [(name, "list", "runs") for name in unknown[:TRIES]]
            found |= self._answered(self._tries, tried, deadline)
        return Permitted({name: _table(name, found) for name in names}, reason)

    def may(self, namespace: str, verb: str, resource: str) -> bool | None:
        """Tell whether that is allowed; None if it is not known yet."""
        return self.of([namespace]).tables[namespace].get(resource, {}).get(verb)

    def learn(self, namespace: str, verb: str, resource: str, allowed: bool) -> None:
        """Remember for a minute that KFP has allowed or refused this."""
        with self._lock:
            self._learned[namespace, verb, resource] = self._clock(), allowed

    def _known(self, namespaces: Iterable[str]) -> dict[_Key, bool | None]:
        since, wanted = self._clock() - REMEMBERED_SECONDS, set(namespaces)
        with self._lock:
            self._learned = {key: entry for key, entry in self._learned.items() if entry[0] > since}
            return {key: entry[1] for key, entry in self._learned.items() if key[0] in wanted}

    def _why_no_reviews(self, patience: float) -> str:
        """Say why access reviews are not available; empty if they are."""
        answer = self._who.to([""], patience)[""]
        if not answer.done():
            return f"Kubernetes did not answer in {patience:g} s."
        error = answer.exception()
        if isinstance(error, KfpError):
            return error.message
        who, subject = answer.result(), self._subject()
        if not who:
            return "There is no Kubernetes API to ask from here."
        if who != subject:
            known = subject or "an identity whose name is not known here"
            return f"Kubernetes only answers about {who}, and KFP is used as {known}."
        return ""

    def _ask_who(self, _: str) -> str:
        cluster = self._cluster()
        return cluster.who() if cluster else ""

    def _review(self, key: _Key) -> bool | None:
        namespace, verb, resource = key
        cluster = self._cluster()
        return cluster.may(namespace, verb, resource, GROUP) if cluster else None

    def _try(self, key: _Key) -> bool | None:
        assert self._try_list is not None
        return self._try_list(key[0], key[2])

    @staticmethod
    def _answered(
        answers: AnswerCache[_Key, bool | None], keys: list[_Key], deadline: float
    ) -> dict[_Key, bool | None]:
        patience = max(0.0, deadline - time.monotonic())
        return {key: _result(answer) for key, answer in answers.to(keys, patience).items()}


def role(table: Table) -> str:
    """Return the role that the permissions amount to: edit, view, "some" rights, or none."""
    view = [table[resource][verb] for resource, verbs in VIEW.items() for verb in verbs]
    adds = [table[resource][verb] for resource, verbs in EDIT_ADDS.items() for verb in verbs]
    known = {answer for answer in view + adds if answer is not None}
    if not known:
        return "not known yet"
    name = "some"
    if True not in known:
        name = "none"
    elif False not in known:
        name = "edit" if True in adds else "view"
    elif False not in view and True not in adds:
        name = "view"
    return f"{name}, as far as is known" if None in view + adds else name


def _result(answer: Future[bool | None]) -> bool | None:
    """Return an answer; None if there is none yet, or if it failed."""
    if not answer.done() or answer.exception():
        return None
    return answer.result()


def _verbs() -> Iterable[tuple[str, str]]:
    return ((resource, verb) for resource, verbs in VERBS.items() for verb in verbs)


def _table(namespace: str, found: Mapping[_Key, bool | None]) -> Table:
    return {
        resource: {verb: found.get((namespace, verb, resource)) for verb in verbs}
        for resource, verbs in VERBS.items()
    }
