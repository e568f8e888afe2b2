"""Which endpoint, credentials and namespace, and why: with a trace of each decision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from .. import refusal_causes
from ..client.client import Client
from ..client.transport import checked_endpoint
from ..cluster import own_pod
from ..cluster.kubernetes_api import Cluster
from ..cluster.kubernetes_api import of_settings as cluster_of
from ..credentials import (
    KINDS,
    Claims,
    Credentials,
    Key,
    Kubeconfig,
    Tls,
    TokenFile,
    shown,
    warnings,
)
from ..credentials.kubeconfig import anonymous, namespace_of
from ..errors import KfpError, Misconfigured
from ..models import Health
from ..resource_names import short_name
from ..settings import CREDENTIALS, LOCAL, Kfp
from . import local_kfp
from .choose_credentials import AskedKind, asked_for, choose, place
from .door_client import Door
from .local_kfp import LocalKfp
from .status import ConnectionStatus, Identity, Problem, Step, Trace

# kfp SDK, client.py: where a pod of Kubeflow finds the API server.
IN_CLUSTER_ENDPOINT = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
# The file in which the kfp SDK keeps what `Client.set_user_namespace` is told.
CONTEXT_FILE = Path("~/.config/kfp/context.json")


class Connection(msgspec.Struct, frozen=True):
    """The connection that was decided on."""

    endpoint: str
    credentials: Credentials
    namespace: str
    trace: list[Step]
    local: LocalKfp | None = None
    door: Door | None = None  # the one it leads through, if it does
    health: Health | None = None  # where that is known already
    own_namespace: str = ""  # the one asked for here, where a door has another
    read_only: bool = False
    tls: Tls | None = None  # what the credentials said of it: they may come to say something else
    cluster: Callable[[], Cluster | None] = lambda: None  # the one that KFP runs in

    def client(self) -> Client:
        session = self.door.session() if self.door else None
        return Client(
            self.endpoint,
            self.credentials,
            self.namespace,
            health=self.health,
            session=session,
            read_only=self.read_only,
            cluster=self.cluster,
            logs=f"{self.door.address}/logs" if self.door else "",
        )

    def is_same(self, other: Connection) -> bool:
        """Tell whether it leads to the same place as the same identity, in the same namespace."""
        return self._what_counts == other._what_counts

    @property
    def _what_counts(self) -> tuple[object, ...]:
        return self.endpoint, self.tls, self.credentials.source, self.namespace, self.trace

    def status(self) -> ConnectionStatus:
        """Look at it: one request, which takes a few seconds at most."""
        if self.door:
            status = self.door.status()
            return msgspec.structs.replace(status, namespace=self.namespace, trace=self.trace)
        try:
            token, health = self.credentials.claims(), self._health()
        except KfpError as error:
            return self._status(error=Problem.of(error))
        if health.multi_user and not self.credentials.identifies:
            lost = anonymous().with_(attempt=f"use {self.endpoint}")
            return self._status(token, health, error=Problem.of(lost))
        return self._status(token, health, warnings=list(self._doubts(token, health)))

    def _doubts(self, token: Claims, health: Health) -> Iterator[Problem]:
        if health.multi_user and not self.credentials.headers():
            looked_at = [step for step in self.trace if step.step == "credentials"]
            yield Problem(
                "Nothing is sent that says who we are, and this KFP serves several users.",
                cause="\n".join(f"{step.looked_at}: {step.found}" for step in looked_at),
                cure=refusal_causes.GET_TOKEN,
            )
        for text in warnings(token, self.credentials.audience, datetime.now(timezone.utc)):
            yield Problem(text, cure=refusal_causes.GET_TOKEN)

    def _health(self) -> Health:
        client = self.client()
        try:
            return client.health()
        finally:
            client.close()

    def _status(
        self,
        token: Claims | None = None,
        health: Health | None = None,
        error: Problem | None = None,
        warnings: list[Problem] | None = None,
    ) -> ConnectionStatus:
        token, known = token or Claims(), health or Health(multi_user=True)
        return ConnectionStatus(
            version=version("jupyter-kfp-mt"),
            endpoint=self.endpoint,
            local=known.local,
            namespace=self.namespace,
            identity=Identity(token.sub or token.email, token.expires_at, self.credentials.source),
            multi_user=known.multi_user,
            server_version=known.tag_name,
            trace=self.trace,
            error=error,
            warnings=warnings or [],
            tokens=self.local.tokens if self.local else "",
        )


Candidate = tuple[str, Callable[[], str]]


def resolve(
    settings: Kfp, local: Callable[[], LocalKfp] | None = None, identity: str = ""
) -> Connection:
    """Decide on endpoint, namespace and credentials.

    `local` finds the local KFP if it comes to that; `identity` is which of its identities to be.
    Raises `Misconfigured`.
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
    return Connection(
        endpoint=address,
        credentials=choose(settings, asked, place(address, namespace), trace),
        namespace=namespace,
        trace=trace.steps,
        cluster=partial(cluster_of, settings),
    )


def _resolve_kubeconfig(settings: Kfp, trace: Trace, asked: AskedKind) -> Connection:
    if settings.value("endpoint"):
        raise Misconfigured(
            "Credentials of kind kubeconfig lead to the Kubernetes API, and not to the configured "
            "endpoint.",
            cure="Leave out c.Kfp.endpoint and KFP_MT_ENDPOINT, or choose another kind in "
            "c.Kfp.auth.",
        )
    namespace = _choose(trace, "namespace", _namespaces(settings))
    credentials = choose(settings, asked, place("", namespace), trace)
    assert isinstance(credentials, Kubeconfig)
    endpoint = credentials.endpoint
    trace.add("endpoint", "the kubeconfig's service proxy", endpoint, chosen=True)
    return Connection(
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
            f"{asked.because} asks for credentials of kind {asked.kind}, and no cluster's KFP is "
            "configured.",
            cure="Name it in c.Kfp.endpoint or KF_PIPELINES_ENDPOINT.",
        )


def decide(
    settings: Kfp, identity: str = "", local: Callable[[], LocalKfp] | None = None
) -> Connection:
    """A connection from here: through the Jupyter server's door if there is one, else directly.

    A configured endpoint or credentials, or one of the local KFP's identities (such as
    `bob/default-editor`), ask for a direct connection. `local` finds the local KFP if that is the
    configured endpoint, be it that it starts one. Raises `KfpError`.
    """
    found = _decided(settings, identity, local if settings.endpoint == LOCAL else None)
    return msgspec.structs.replace(found, read_only=settings.is_read_only())


def door_of(settings: Kfp) -> Door | None:
    """The door that these settings lead through, if they do."""
    own = settings.endpoint or settings.asks_for_credentials()
    return None if own else Door.of_this_process()


def _decided(settings: Kfp, identity: str, local: Callable[[], LocalKfp] | None) -> Connection:
    door = Door.of_this_process()
    if identity and settings.endpoint not in ("", LOCAL):
        raise Misconfigured(
            f"Cannot be {identity} at {checked_endpoint(settings.endpoint)}: only the local KFP "
            "lends its identities."
        )
    if identity and door:
        return resolve(settings, lambda: _local_kfp_behind(door), identity)
    if identity or not door or settings.endpoint:
        return resolve(settings, local, identity)
    if settings.asks_for_credentials():
        given = {name: getattr(settings, name) for name in CREDENTIALS if getattr(settings, name)}
        # The same KFP, as somebody else; a kubeconfig knows the way itself.
        endpoint = "" if settings.auth == "kubeconfig" else door.status().endpoint
        return resolve(Kfp(endpoint=endpoint, namespace=settings.namespace, **given))
    return _through_door(settings, door)


def find_local(settings: Kfp) -> LocalKfp:
    """The local KFP that runs already. Raises `Misconfigured` for none."""
    folder = settings.data_folder()
    found = local_kfp.running(folder)
    if found is None:
        raise _nothing_found(folder)
    return found


def _nothing_found(folder: Path) -> Misconfigured:
    """Return the error for no KFP. Jupyter servers set JPY_SESSION_NAME for their kernels."""
    message = f"No KFP is configured, and no local KFP runs in {shown(folder)}."
    if os.environ.get("JPY_SESSION_NAME"):
        return Misconfigured(
            message,
            cause="The Jupyter server of this notebook, which would find or start one, has not "
            "loaded this extension, as when it was started before the installation.",
            cure="Restart the Jupyter server and this kernel, or start one:\njupyter kfp-mt local",
        )
    return Misconfigured(
        message,
        cause="%kfp connect --endpoint local starts one for a session of IPython.",
        cure="Name one in KF_PIPELINES_ENDPOINT, or start one:\njupyter kfp-mt local",
    )


def _resolve_local(
    settings: Kfp, trace: Trace, local: LocalKfp, identity: str, asked: AskedKind | None
) -> Connection:
    own = short_name(identity).rpartition("/")[0]
    configured_namespace, *others = _namespaces(settings, local)
    lent = [("the identity's own", lambda: own)] if own else []
    namespace = _choose(trace, "namespace", [configured_namespace, *lent, *others])
    if asked and not identity:
        credentials = choose(settings, asked, place(local.endpoint, namespace), trace)
    else:
        credentials = _lent(trace, local, namespace, identity)
    return Connection(local.endpoint, credentials, namespace, trace.steps, local)


def _lent(trace: Trace, local: LocalKfp, namespace: str, identity: str) -> Credentials:
    """Return the credentials of one of the local KFP's own identities."""
    path = str(local.token_file(identity)) if identity else _editor(local, namespace)
    because = "the identity asked for" if identity else "the namespace's default-editor"
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
    """The first candidate that is something; each one looked at leaves a line."""
    for looked_at, find in candidates:
        found = find()
        words = shown(Path(found)) if found.startswith("/") else found or "nothing"
        trace.add(step, looked_at, words, bool(found))
        if found:
            return found
    return ""


def _local_kfp_behind(door: Door) -> LocalKfp:
    """The local KFP that a door leads to. Raises `Misconfigured` where it leads to a cluster."""
    status = door.status()
    if status.error:
        raise status.error.to_error()
    if not status.tokens:
        raise Misconfigured(
            "Another identity can be had only of a local KFP that this Jupyter server looks after; "
            f"it is connected to {status.endpoint}.",
            cure="On a cluster, open a notebook in the other namespace; else use --token-file.",
        )
    return LocalKfp(status.endpoint, status.tokens)


def _through_door(settings: Kfp, door: Door) -> Connection:
    status = door.status()
    trace = status.trace
    if own := settings.namespace:
        chosen = Step("namespace", "given, or c.Kfp.namespace of this kernel", own, True)
        trace = [*(step for step in trace if step.step != "namespace"), chosen]
    known = not status.error and status.ready
    return Connection(
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


def _variable(name: str) -> Candidate:
    return name, lambda: os.environ.get(name, "")


def _context_namespace(kfp: LocalKfp | None) -> str:
    """The namespace of the SDK's context file, if it is one that is known here."""
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
