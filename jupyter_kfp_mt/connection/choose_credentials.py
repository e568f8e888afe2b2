"""Which credentials, and why: what is configured, else the first that fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from ..cluster import own_pod
from ..cluster.kubernetes_api import Cluster
from ..credentials.base import Credentials, claims
from ..credentials.google_iap import GoogleIap
from ..credentials.kubeconfig import Kubeconfig
from ..credentials.kubernetes_token_request import KubernetesTokenRequest
from ..credentials.none_yet import NoneYet
from ..credentials.password_login import PASSWORD, USER, Login
from ..credentials.session_cookie import VARIABLE as COOKIE
from ..credentials.session_cookie import SessionCookie
from ..credentials.token_command import TokenCommand
from ..credentials.token_file import TokenFile
from ..errors import KfpError, Misconfigured
from ..resource_names import short_name
from ..settings import BESIDE, CREDENTIALS, IMPLIED, KUBERNETES, Kfp, variable
from .status import Trace

STANDARD = "KF_PIPELINES_SA_TOKEN_PATH"  # the kfp SDK's own

# Variables that hold what is sent, and so are no settings.
_HELD = {COOKIE: "cookie", PASSWORD: "login"}


class AskedKind(msgspec.Struct, frozen=True):
    """The kind that was asked for, and by what."""

    kind: str
    because: str


class Place(msgspec.Struct, frozen=True):
    """Where they are for: the endpoint, and the namespace that is worked in."""

    endpoint: str
    namespace: str


def asked_for(settings: Kfp) -> AskedKind | None:
    """What the settings ask for, else their variables. Raises `Misconfigured`."""
    given = {name: getattr(settings, name) for name in CREDENTIALS if getattr(settings, name)}
    words = {name: f"c.Kfp.{name}" for name in given}
    found = _asked_for({name: _kind(name, value) for name, value in given.items()}, words)
    if found is None:
        found = _asked_by_variables()
    leads_to_logs = found is not None or (
        bool(settings.value("kubeconfig")) and (settings.names_kfp() or own_pod.is_here())
    )
    for name, kinds in BESIDE.items():
        if name in KUBERNETES and leads_to_logs:
            continue
        if settings.value(name) and (found is None or found.kind not in kinds):
            here = words.get(name) or variable(name)
            fitting = " or ".join(f"'{kind}'" for kind in kinds)
            raise Misconfigured(
                f"{here} is set, and nothing that it belongs to.",
                cure=f"Set c.Kfp.auth (KFP_MT_AUTH) to {fitting}, or leave {here} out.",
            )
    return found


def choose(settings: Kfp, asked: AskedKind | None, place: Place, trace: Trace) -> Credentials:
    """The credentials, with a line in the trace for each that was looked at."""
    if asked:
        found = KINDS[asked.kind](settings, place)
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
    """The one kind that settings of the same rank ask for."""
    asking = {name: kind for name, kind in kinds.items() if kind}
    if len(set(asking.values())) > 1:
        named = ", ".join(f"{words[name]} asks for {kind}" for name, kind in asking.items())
        raise Misconfigured(
            f"The settings contradict each other: {named}.", cure="Leave all out but one kind."
        )
    if not asking:
        return None
    return AskedKind(next(iter(asking.values())), ", ".join(words[name] for name in asking))


def _kind(name: str, value: str) -> str:
    if name != "auth":
        return IMPLIED.get(name, "")
    if value not in KINDS:
        raise Misconfigured(
            f"There are no credentials of kind {value!r}.",
            cure=f"c.Kfp.auth and KFP_MT_AUTH take one of {', '.join(KINDS)}.",
        )
    return value


Candidate = tuple[str, Callable[[], "Credentials | str"]]


def _fitting(settings: Kfp, place: Place) -> Iterator[Candidate]:
    """Where nothing is configured: each of these is credentials, or the reason why it is not."""
    path = os.environ.get(STANDARD, "")
    yield STANDARD, lambda: TokenFile(path) if path else "nothing"
    projected = own_pod.projected_token()
    yield str(projected), lambda: TokenFile(projected) if projected.exists() else "no such file"
    yield "a token request to Kubernetes", lambda: _allowed_request(settings, place)


def _allowed_request(settings: Kfp, place: Place) -> Credentials | str:
    if not own_pod.is_here():
        return "not in a pod"
    try:
        found = _kubernetes(settings, place)
        found.headers()
        return found
    except KfpError as error:
        return error.message


def _none(settings: Kfp, place: Place) -> Credentials:
    return Credentials()


def _token_file(settings: Kfp, place: Place) -> Credentials:
    path = settings.value("token_file") or os.environ.get(STANDARD, "")
    projected = own_pod.projected_token()
    if not path and not projected.exists():
        raise _lacking("token-file", f"c.Kfp.token_file, KFP_MT_TOKEN_FILE or {STANDARD}")
    return TokenFile(path or projected)


def _token_command(settings: Kfp, place: Place) -> Credentials:
    return TokenCommand(_needed(settings, "token-command", "token_command"))


def _cookie(settings: Kfp, place: Place) -> Credentials:
    file = settings.value("cookie_file")
    if not file and not os.environ.get(COOKIE):
        raise _lacking("cookie", f"c.Kfp.cookie_file, KFP_MT_COOKIE_FILE or {COOKIE}")
    return SessionCookie(file, settings.value("cookie_name"))


def _google_iap(settings: Kfp, place: Place) -> Credentials:
    return GoogleIap(_needed(settings, "google-iap", "iap_client_id"))


def _login(settings: Kfp, place: Place) -> Credentials:
    file = settings.value("login_file")
    if not file and not (os.environ.get(USER) and os.environ.get(PASSWORD)):
        raise _lacking("login", f"c.Kfp.login_file, KFP_MT_LOGIN_FILE, or {USER} and {PASSWORD}")
    hosts = (host.strip() for host in settings.value("login_hosts").split(","))
    return Login(place.endpoint, file, filter(None, hosts))


def _kubeconfig(settings: Kfp, place: Place) -> Kubeconfig:
    return _one_kubeconfig(*_kubeconfig_now(settings))


@lru_cache(maxsize=4)
def _one_kubeconfig(file: str, context: str, state: object) -> Kubeconfig:
    """The one for a context: to read it may run a plugin, however often this is decided."""
    return Kubeconfig(file, context)


def _kubeconfig_now(settings: Kfp) -> tuple[str, str, object]:
    """A file and a context, with what changes when the file does."""
    file, context = settings.value("kubeconfig"), settings.value("kube_context")
    searched = file or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(path).expanduser() for path in searched.split(os.pathsep)]
    return file, context, tuple((path, _changed_at(path)) for path in paths)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _kubernetes(settings: Kfp, place: Place) -> Credentials:
    named = settings.value("service_account") or _own_account()
    namespace, _, name = named.rpartition("/")
    namespace = namespace or place.namespace
    if not namespace:
        raise _lacking("kubernetes", "c.Kfp.service_account as NAMESPACE/NAME, or c.Kfp.namespace")
    where = _kubeconfig_now(settings)
    # What a kubeconfig names comes before the pod itself.
    folder = (
        "" if any(where[:2]) or not own_pod.is_here() else str(own_pod.service_account_folder())
    )
    host = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT")
    return _token_request(folder, host, where, namespace, name or "default-editor")


@lru_cache(maxsize=16)
def _token_request(
    folder: str, host: object, where: tuple[str, str, object], namespace: str, name: str
) -> KubernetesTokenRequest:
    """The one for a service account, which keeps its token however often this is decided."""
    cluster = Cluster.of_pod(Path(folder)) if folder else Cluster.of_kubeconfig(*where[:2])
    return KubernetesTokenRequest(cluster, namespace, name)


def _own_account() -> str:
    """The pod's own service account, as NAMESPACE/NAME: its ordinary token says whose it is."""
    try:
        token = (own_pod.service_account_folder() / "token").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return short_name(claims(token).sub)


KINDS: dict[str, Callable[[Kfp, Place], Credentials]] = {
    "none": _none,
    "token-file": _token_file,
    "token-command": _token_command,
    "kubernetes": _kubernetes,
    "cookie": _cookie,
    "google-iap": _google_iap,
    "login": _login,
    "kubeconfig": _kubeconfig,
}


def _needed(settings: Kfp, kind: str, name: str) -> str:
    value = settings.value(name)
    if not value:
        raise _lacking(kind, f"c.Kfp.{name} or {variable(name)}")
    return value


def _lacking(kind: str, what: str) -> Misconfigured:
    return Misconfigured(
        f"Credentials of kind {kind} need more than their name.", cure=f"Set {what}."
    )
