"""Choose the credentials: those that are configured, else the first that fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..cluster import own_pod
from ..cluster.kubernetes_api import Cluster
from ..credentials import (
    KINDS,
    Credentials,
    KeptCredentials,
    KubernetesTokenRequest,
    Place,
    TokenFile,
)
from ..credentials.kinds import STANDARD
from ..credentials.none_yet import NoneYet
from ..errors import KfpError, Misconfigured
from ..settings import CREDENTIALS, KUBERNETES, Kfp, variable
from .status import Trace

# The kind that each setting selects, the kinds that it refines, and the kind whose secret a
# variable contains: secrets are not settings.
_IMPLIED = {setting: name for name, one in KINDS.items() for setting in one.kind.asked_by}
_BESIDE = {
    setting: tuple(sorted(name for name, each in KINDS.items() if setting in each.kind.beside))
    for one in KINDS.values()
    for setting in one.kind.beside
}
_HELD = {held: name for name, one in KINDS.items() for held in one.kind.held_in}

# Credentials that this process has made, which are chosen again with each connection.
KEPT = KeptCredentials()


class AskedKind(msgspec.Struct, frozen=True):
    """The configured kind of credentials, and the setting that selects it."""

    kind: str
    because: str


def place(endpoint: str, namespace: str, kept: KeptCredentials = KEPT) -> Place:
    """Describe this machine as the place where credentials will be used."""
    return Place(endpoint, namespace, own_pod, _issuer, kept)


def _issuer(folder: str, file: str, context: str) -> Cluster:
    return Cluster.of_pod(Path(folder)) if folder else Cluster.of_kubeconfig(file, context)


def asked_for(settings: Kfp) -> AskedKind | None:
    """Return the kind that the settings select, or else their variables. Raises `Misconfigured`."""
    given = {name: getattr(settings, name) for name in CREDENTIALS if getattr(settings, name)}
    words = {name: f"c.Kfp.{name}" for name in given}
    found = _asked_for({name: _kind(name, value) for name, value in given.items()}, words)
    if found is None:
        found = _asked_by_variables()
    leads_to_logs = found is not None or (
        bool(settings.value("kubeconfig")) and (settings.names_kfp() or own_pod.is_here())
    )
    for name, kinds in _BESIDE.items():
        if name in KUBERNETES and leads_to_logs:
            continue
        if settings.value(name) and (found is None or found.kind not in kinds):
            here = words.get(name) or variable(name)
            fitting = " or ".join(f"'{kind}'" for kind in kinds)
            raise Misconfigured(
                f"{here} is set, but no kind of credentials that uses it is selected.",
                cure=f"Set c.Kfp.auth (KFP_MT_AUTH) to {fitting}, or leave {here} out.",
            )
    return found


def choose(settings: Kfp, asked: AskedKind | None, place: Place, trace: Trace) -> Credentials:
    """Return the credentials, and add a line to the trace for each kind that was considered."""
    if asked:
        found = KINDS[asked.kind].chosen(settings, place)
        trace.add("credentials", asked.because, found.source, chosen=True)
        return found
    trace.add("credentials", "given, c.Kfp.auth, and the settings of each kind", "nothing")
    trace.add("credentials", "KFP_MT_AUTH, and the variables of each kind", "nothing")
    if fitting := _first_fitting(settings, place, trace):
        return fitting
    trace.add("credentials", "nothing else fits", "none", chosen=True)
    return NoneYet(lambda: _first_fitting(settings, place, Trace()))


def _first_fitting(settings: Kfp, place: Place, trace: Trace) -> Credentials | None:
    for looked_at, find in _fitting(settings, place):
        one = find()
        if isinstance(one, Credentials):
            trace.add("credentials", looked_at, one.source, chosen=True)
            return one
        trace.add("credentials", looked_at, one)
    return None


def _asked_by_variables() -> AskedKind | None:
    names = {name: variable(name) for name in CREDENTIALS if os.environ.get(variable(name))}
    kinds = {name: _kind(name, os.environ[variable_]) for name, variable_ in names.items()}
    held = {name: kind for name, kind in _HELD.items() if os.environ.get(name)}
    return _asked_for({**kinds, **held}, {**names, **{name: name for name in held}})


def _asked_for(kinds: dict[str, str], words: dict[str, str]) -> AskedKind | None:
    """The one kind that settings of the same rank select. Raises `Misconfigured` for several."""
    selected = {name: kind for name, kind in kinds.items() if kind}
    if len(set(selected.values())) > 1:
        named = ", ".join(f"{words[name]} selects {kind}" for name, kind in selected.items())
        raise Misconfigured(
            f"The settings contradict each other: {named}.", cure="Keep those of one kind."
        )
    if not selected:
        return None
    return AskedKind(next(iter(selected.values())), ", ".join(words[name] for name in selected))


def _kind(name: str, value: str) -> str:
    if name != "auth":
        return _IMPLIED.get(name, "")
    if value not in KINDS:
        raise Misconfigured(
            f"There are no credentials of kind {value!r}.",
            cure=f"Set c.Kfp.auth or KFP_MT_AUTH to one of {', '.join(KINDS)}.",
        )
    return value


Candidate = tuple[str, Callable[[], "Credentials | str"]]


def _fitting(settings: Kfp, place: Place) -> Iterator[Candidate]:
    """Yield the candidates if nothing is configured: each finds credentials, or says why not."""
    path = os.environ.get(STANDARD, "")
    yield STANDARD, lambda: TokenFile(path) if path else "nothing"
    projected = own_pod.projected_token()
    yield str(projected), lambda: TokenFile(projected) if projected.exists() else "no such file"
    yield "a token request to Kubernetes", lambda: _allowed_request(settings, place)


def _allowed_request(settings: Kfp, place: Place) -> Credentials | str:
    if not own_pod.is_here():
        return "not in a pod"
    try:
        found = KubernetesTokenRequest.chosen(settings, place)
        found.headers()
        return found
    except KfpError as error:
        return error.message
