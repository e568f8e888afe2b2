"""Choose the endpoint, the credentials and the namespace, with a trace of each decision."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

import msgspec

from ..client.transport import checked_endpoint
from ..cluster import own_pod
from ..cluster.kubernetes_api import of_settings as cluster_of
from ..credentials import (
    KINDS,
    Credentials,
    Key,
    Kubeconfig,
    TokenFile,
    shown,
)
from ..credentials.kubeconfig import namespace_of
from ..errors import KfpError, Misconfigured
from ..models import Health
from ..release import mismatch
from ..resource_names import service_account, short_name
from ..settings import CREDENTIALS, LOCAL, Kfp
from . import local_kfp
from .choose_credentials import AskedKind, asked_for, choose, place
from .connections import Connection, DirectConnection, DoorConnection
from .door_client import Door
from .local_kfp import LocalKfp
from .status import Step, Trace

# The address of the API server in a Kubeflow pod, as in client.py of the kfp SDK.
IN_CLUSTER_ENDPOINT = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
# The file in which the kfp SDK's `Client.set_user_namespace` stores the namespace.
CONTEXT_FILE = Path("~/.config/kfp/context.json")


Candidate = tuple[str, Callable[[], str]]


def resolve(
    settings: Kfp, local: Callable[[], LocalKfp] | None = None, identity: str = ""
) -> DirectConnection:
    """Return the direct connection that the settings lead to.

    `local` finds the local KFP if needed; `identity` is one of its identities. Raises
    `Misconfigured`.
    """
    trace, asked = Trace(), asked_for(settings)
    if asked and asked.kind == "kubeconfig" and not identity:
        return _resolve_kubeconfig(settings, trace, asked)
    lent = [("an identity of the local KFP", lambda: LOCAL)] if identity else []
    endpoint = _choose(trace, "endpoint", [*lent, *_endpoints(settings)])
    if endpoint == LOCAL:
        _check_local(asked)
        found = local() if local else find_local(settings)
        return _resolve_local(settings, trace, found, identity, asked)
    address = checked_endpoint(endpoint)
    namespace = _choose(trace, "namespace", _namespaces(settings))
    credentials = choose(settings, asked, place(address, namespace), trace)
    if not namespace and isinstance(credentials, TokenFile):
        of_token = ("the token's service account", partial(_namespace_of_token, credentials))
        namespace = _choose(trace, "namespace", [of_token])
    return DirectConnection(
        endpoint=address,
        credentials=credentials,
        namespace=namespace,
        trace=trace.steps,
        cluster=partial(cluster_of, settings),
    )


def _resolve_kubeconfig(settings: Kfp, trace: Trace, asked: AskedKind) -> DirectConnection:
    if settings.value("endpoint"):
        raise Misconfigured(
            "Credentials of kind kubeconfig are for the Kubernetes API, and an endpoint is "
            "configured.",
            cure="Leave out c.Kfp.endpoint and KFP_MT_ENDPOINT, or choose another kind in "
            "c.Kfp.auth.",
        )
    namespace = _choose(trace, "namespace", _namespaces(settings))
    credentials = choose(settings, asked, place("", namespace), trace)
    assert isinstance(credentials, Kubeconfig)
    endpoint = credentials.endpoint
    trace.add("endpoint", "the kubeconfig's service proxy", endpoint, chosen=True)
    return DirectConnection(
        endpoint=endpoint,
        credentials=credentials,
        namespace=namespace,
        trace=trace.steps,
        tls=credentials.tls,
        cluster=partial(cluster_of, settings),
    )


def _check_local(asked: AskedKind | None) -> None:
    if asked and KINDS[asked.kind].kind.of_clusters:
        raise Misconfigured(
            f"{asked.because} selects credentials of kind {asked.kind}, which need a KFP on a "
            "cluster, and none is configured.",
            cure="Set c.Kfp.endpoint or KF_PIPELINES_ENDPOINT to its address, or use --endpoint.",
        )


def decide(
    settings: Kfp, identity: str = "", local: Callable[[], LocalKfp] | None = None
) -> Connection:
    """Return a connection from this process: through the Jupyter server's door if there is one,
    else directly.

    The connection is direct if an endpoint or credentials are configured in this process, or for an
    identity of the local KFP, such as `bob/default-editor`. `local` finds or starts the local KFP
    if that is the configured endpoint. Raises `KfpError`.
    """
    found = _decided(settings, identity, local if settings.endpoint == LOCAL else None)
    return msgspec.structs.replace(found, read_only=settings.is_read_only())


def door_of(settings: Kfp, made: Connection | None = None) -> Door | None:
    """Return the door of an existing connection, or the one that the settings lead to."""
    if made:
        return made.door if isinstance(made, DoorConnection) else None
    own = settings.endpoint or settings.asks_for_credentials()
    return None if own else Door.of_this_process()


def _decided(settings: Kfp, identity: str, local: Callable[[], LocalKfp] | None) -> Connection:
    door = Door.of_this_process()
    if identity and settings.endpoint not in ("", LOCAL):
        raise Misconfigured(
            f"Cannot use the identity {identity} at {checked_endpoint(settings.endpoint)}: "
            "only the local KFP offers identities."
        )
    if identity and door:
        return resolve(settings, lambda: _local_kfp_behind(door), identity)
    if identity or not door or settings.endpoint:
        return resolve(settings, local, identity)
    if settings.asks_for_credentials():
        given = {name: getattr(settings, name) for name in CREDENTIALS if getattr(settings, name)}
        # The door's KFP with another identity; a kubeconfig has an address of its own.
        endpoint = "" if settings.auth == "kubeconfig" else door.status().endpoint
        return resolve(Kfp(endpoint=endpoint, namespace=settings.namespace, **given))
    return _through_door(settings, door)


def find_local(settings: Kfp) -> LocalKfp:
    """The running local KFP. Raises `Misconfigured` if there is none."""
    folder = settings.data_folder()
    found = local_kfp.running(folder)
    if found is None:
        raise _nothing_found(settings, folder)
    return found


def _nothing_found(settings: Kfp, folder: Path) -> Misconfigured:
    """Return the error for a missing KFP. Jupyter sets JPY_SESSION_NAME for a server's kernels."""
    selecting = [source for source, find in _endpoints(settings)[:3] if find() == LOCAL]
    where = f"no local KFP runs in {shown(folder)}."
    if os.environ.get("JPY_SESSION_NAME") and not selecting:
        return Misconfigured(
            f"No KFP is configured, and {where}",
            cause="The Jupyter server of this notebook would find or start one, but has not loaded "
            "this extension: it may have been started before the installation.",
            cure="Restart the Jupyter server and this kernel, or start one:\njupyter kfp-mt local",
        )
    return Misconfigured(
        f"{selecting[0]} selects the local KFP, and {where}"
        if selecting
        else f"No KFP is configured, and {where}",
        cause="In a session of IPython, %kfp connect --endpoint local starts one.",
        cure="Set KF_PIPELINES_ENDPOINT, or start a local KFP:\njupyter kfp-mt local",
    )


def _resolve_local(
    settings: Kfp, trace: Trace, local: LocalKfp, identity: str, asked: AskedKind | None
) -> DirectConnection:
    own = short_name(identity).rpartition("/")[0]
    configured_namespace, *others = _namespaces(settings, local)
    lent = [("the identity's own", lambda: own)] if own else []
    namespace = _choose(trace, "namespace", [configured_namespace, *lent, *others])
    if asked and not identity:
        credentials = choose(settings, asked, place(local.endpoint, namespace), trace)
    else:
        credentials = _lent(trace, local, namespace, identity)
    return DirectConnection(local.endpoint, credentials, namespace, trace.steps, local=local)


def _lent(trace: Trace, local: LocalKfp, namespace: str, identity: str) -> Credentials:
    """Return the credentials of an identity of the local KFP."""
    path = str(local.token_file(identity)) if identity else _editor(local, namespace)
    because = "the requested identity" if identity else "the namespace's default-editor"
    trace.add("credentials", because, shown(Path(path)), chosen=True)
    return TokenFile(path)


def _endpoints(settings: Kfp) -> list[Candidate]:
    return [
        ("given, or c.Kfp.endpoint", lambda: settings.endpoint),
        _variable("KFP_MT_ENDPOINT"),
        _variable("KF_PIPELINES_ENDPOINT"),
        (
            "a Kubernetes pod (KUBERNETES_SERVICE_HOST)",
            lambda: IN_CLUSTER_ENDPOINT if own_pod.is_here() else "",
        ),
        ("the local KFP", lambda: LOCAL),
    ]


def _namespaces(settings: Kfp, local: LocalKfp | None = None) -> list[Candidate]:
    file, context = settings.value("kubeconfig"), settings.value("kube_context")
    kinds = ("kubeconfig",) if own_pod.is_here() else ("kubeconfig", "kubernetes")
    asks = bool(file or context) or settings.value("auth") in kinds
    kubeconfig = ("the kubeconfig's context", lambda: namespace_of(file, context))
    return [
        ("given, or c.Kfp.namespace", lambda: settings.namespace),
        _variable("KFP_MT_NAMESPACE"),
        (str(CONTEXT_FILE), lambda: _context_namespace(local)),
        *([kubeconfig] if asks and local is None else []),
        ("the first of the profiles", lambda: next(iter(local.namespaces), ""))
        if local
        else (str(own_pod.namespace_file()), lambda: _text(own_pod.namespace_file())),
    ]


def _choose(trace: Trace, step: str, candidates: Iterable[Candidate]) -> str:
    """Return the first value that is not empty; each candidate adds a line to the trace."""
    for looked_at, find in candidates:
        found = find()
        words = shown(Path(found)) if found.startswith("/") else found or "nothing"
        trace.add(step, looked_at, words, bool(found))
        if found:
            return found
    return ""


def _local_kfp_behind(door: Door) -> LocalKfp:
    """The local KFP that a door leads to. Raises `Misconfigured` if it leads to a cluster."""
    status = door.status()
    if status.error:
        raise status.error.to_error()
    if not status.tokens:
        raise Misconfigured(
            "Only a local KFP that belongs to this Jupyter server offers other identities; the "
            f"server is connected to {status.endpoint}.",
            cure="On a cluster, open a notebook in the other namespace; or use --token-file.",
        )
    return LocalKfp(status.endpoint, status.tokens)


def _through_door(settings: Kfp, door: Door) -> DoorConnection:
    status = door.status()
    _warn_once(mismatch(status.version))
    trace = status.trace
    if own := settings.namespace:
        chosen = Step("namespace", "given, or c.Kfp.namespace of this kernel", own, True)
        trace = [*(step for step in trace if step.step != "namespace"), chosen]
    known = not status.error and status.ready
    return DoorConnection(
        f"{door.address}/api",
        Key(lambda: door.key, "the Jupyter server's key for its kernels"),
        own or status.namespace,
        trace,
        door=door,
        own_namespace=own,
        health=Health(multi_user=status.multi_user, tag_name=status.server_version)
        if known
        else None,
    )


@cache
def _warn_once(text: str) -> None:
    """Warn, unless the text is empty or this process has already given the same warning."""
    if text:
        warnings.warn(text, stacklevel=2)


def _variable(name: str) -> Candidate:
    return name, lambda: os.environ.get(name, "")


def _namespace_of_token(credentials: TokenFile) -> str:
    """Return the namespace of the token's service account; empty if that is not known."""
    try:
        account = service_account(credentials.claims().sub)
    except KfpError:
        return ""  # it cannot be read, as the error of the first request will say
    return account[0] if account else ""


def _context_namespace(kfp: LocalKfp | None) -> str:
    """Return the namespace in the SDK's context file; empty if a local KFP does not have it."""
    try:
        content = msgspec.json.decode(CONTEXT_FILE.expanduser().read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    namespace = content.get("namespace", "")
    return namespace if kfp is None or namespace in kfp.namespaces else ""


def _editor(kfp: LocalKfp, namespace: str) -> str:
    if namespace not in kfp.namespaces:
        raise Misconfigured(
            f"The local KFP has no namespace {namespace}; it has {', '.join(kfp.namespaces)}.",
            cure="Choose one of them with c.Kfp.namespace or KFP_MT_NAMESPACE.",
        )
    return str(kfp.token_file(f"{namespace}/default-editor"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
