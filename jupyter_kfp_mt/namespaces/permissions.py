"""Permissions of this identity in each namespace: asked of Kubernetes, or learned from KFP."""

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
_TOLD = ("experiments", "runs", "jobs", "pipelines")
VIEW = {resource: kubeflow_roles.VIEW[resource] for resource in _TOLD}
EDIT_ADDS = {resource: kubeflow_roles.EDIT_ADDS[resource] for resource in _TOLD}
VERBS = {resource: verbs + EDIT_ADDS[resource] for resource, verbs in VIEW.items()}
# Their names in the API.
COLLECTIONS = {
    "experiments": "experiments",
    "runs": "runs",
    "jobs": "recurringruns",
    "pipelines": "pipelines",
}
REMEMBERED_SECONDS = intervals.PERMISSIONS_SECONDS
# KFP asks Kubernetes twice for each list, and may ask five times a second for everybody: so few
# namespaces are tried at once.
TRIES = 8
# A person may see hundreds of profiles: of the others only whether they can be used is asked.
ASKED_WHOLE = 20

# For each resource each verb: allowed, not allowed, or not known yet.
Table = dict[str, dict[str, bool | None]]
# A namespace, a verb and a resource.
_Key = tuple[str, str, str]


class Permitted(msgspec.Struct, frozen=True):
    """The actions that are allowed in each namespace, and why some of it is not known."""

    tables: dict[str, Table]
    reason: str = ""


class Permissions:
    """The permissions of the identity `subject()`, each answer remembered for a minute.

    Access reviews answer for the identity that `cluster` is asked as, which in a pod is that of its
    service account. KFP's token usually is of the same; where it is not, they count for nothing.
    KFP's own answers count for more: it asks Kubernetes about the user alone, whereas a review
    counts the groups as well. `try_list(namespace, resource)` asks KFP for one item; it serves
    where there are no reviews.
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
        asked = list(dict.fromkeys(namespaces))
        keys = [
            (name, verb, resource) for name in asked[:ASKED_WHOLE] for resource, verb in _verbs()
        ]
        keys += [(name, "list", "runs") for name in asked[ASKED_WHOLE:]]
        reason = self._why_no_reviews(patience)
        found = {} if reason else self._answered(self._reviews, keys, deadline)
        if not reason and any(found.get(key) is None for key in keys):
            reason = "Kubernetes did not answer every access review of this identity."
        if not reason and len(asked) > ASKED_WHOLE:
            reason = (
                f"of {len(asked) - ASKED_WHOLE:,} of these namespaces it was only asked whether "
                "their runs may be listed. %kfp namespaces NAME tells all of one."
            )
        found |= self._known(asked)
        dark = [name for name in asked if found.get((name, "list", "runs")) is None]
        if self._try_list and dark:
            tried = [(name, "list", "runs") for name in dark[:TRIES]]
            found |= self._answered(self._tries, tried, deadline)
        return Permitted({name: _table(name, found) for name in asked}, reason)

    def may(self, namespace: str, verb: str, resource: str) -> bool | None:
        """Tell whether that is allowed; None where it is not known yet."""
        return self.of([namespace]).tables[namespace].get(resource, {}).get(verb)

    def learn(self, namespace: str, verb: str, resource: str, allowed: bool) -> None:
        """Remember for a minute that KFP has allowed or refused this."""
        with self._lock:
            self._learned[namespace, verb, resource] = self._clock(), allowed

    def _known(self, namespaces: Iterable[str]) -> dict[_Key, bool | None]:
        since, wanted = self._clock() - REMEMBERED_SECONDS, set(namespaces)
        with self._lock:
            self._learned = {key: told for key, told in self._learned.items() if told[0] > since}
            return {key: told[1] for key, told in self._learned.items() if key[0] in wanted}

    def _why_no_reviews(self, patience: float) -> str:
        """Say why access reviews do not show what KFP allows; empty if they do."""
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
            known = subject or "somebody whose name is not known here"
            return f"Kubernetes can be asked about {who} only; KFP is used as {known}."
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
        return {key: _told(answer) for key, answer in answers.to(keys, patience).items()}


def role(table: Table) -> str:
    """Return what is allowed, as Kubeflow's roles are called: edit, view, "some" of that, or
    none.
    """
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


def _told(answer: Future[bool | None]) -> bool | None:
    """Return what was answered; None for no answer yet, or none that can be had."""
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
