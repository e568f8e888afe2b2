"""Which endpoint, credentials and namespace, and why: with a trace of each decision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec

from . import explain, local_kfp
from .client import Client, checked_endpoint
from .credentials import (
    PROJECTED_TOKEN,
    Claims,
    Credentials,
    Key,
    TokenFile,
    claims,
    shown,
    warnings,
)
from .door import Door
from .errors import KfpError, Misconfigured
from .local_kfp import LocalKfp
from .models import Health
from .settings import LOCAL, Kfp
from .status import Identity, Problem, Status, Step

# kfp SDK, client.py: where a pod of Kubeflow finds the API server.
IN_CLUSTER_ENDPOINT = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# The file in which the kfp SDK keeps what `Client.set_user_namespace` is told.
CONTEXT_FILE = Path("~/.config/kfp/context.json")


class Connection(msgspec.Struct, frozen=True):
    """What was decided."""

    endpoint: str
    credentials: Credentials
    namespace: str
    trace: list[Step]
    local: LocalKfp | None = None
    door: Door | None = None  # the one it leads through, if it does
    health: Health | None = None  # where that is known already
    read_only: bool = False

    def client(self) -> Client:
        session = self.door.session() if self.door else None
        return Client(
            *(self.endpoint, self.credentials, self.namespace, self.health, session),
            read_only=self.read_only,
        )

    def is_same(self, other: Connection) -> bool:
        """Whether it leads to the same place as the same identity, in the same namespace."""
        own = (self.endpoint, self.credentials.source, self.namespace, self.trace)
        return own == (other.endpoint, other.credentials.source, other.namespace, other.trace)

    def status(self) -> Status:
        """Look at it: one request, which takes three seconds at most."""
        if self.door:
            status = self.door.status()
            return msgspec.structs.replace(status, namespace=self.namespace, trace=self.trace)
        try:
            token, health = claims(self.credentials.token()), self._health()
        except KfpError as error:
            return self._status(error=Problem.of(error))
        now = datetime.now(timezone.utc)
        doubts = [Problem(text, cure=explain.GET_TOKEN) for text in warnings(token, now)]
        return self._status(token, health, warnings=doubts)

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
    ) -> Status:
        token, known = token or Claims(), health or Health(multi_user=True)
        return Status(
            version=version("jupyter-kfp-mt"),
            endpoint=self.endpoint,
            local=known.local,
            namespace=self.namespace,
            identity=Identity(token.sub, token.expires_at, self.credentials.source),
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
    trace = _Trace()
    asked_for = [("an identity of the local KFP", lambda: LOCAL)] if identity else []
    endpoint = trace.choose("endpoint", [*asked_for, *_endpoints(settings)])
    if endpoint == LOCAL:
        found = local() if local else find_local(settings)
        return _resolve_local(settings, trace, found, identity)
    endpoint = checked_endpoint(endpoint)
    namespace = trace.choose("namespace", _namespaces(settings))
    path = trace.choose("credentials", _token_files(settings))
    credentials = TokenFile(path) if path else Credentials()
    return Connection(endpoint, credentials, namespace, trace.steps)


def decide(settings: Kfp, identity: str = "") -> Connection:
    """A connection from here: through the Jupyter server's door if there is one, else directly.

    A configured endpoint or token file, or one of the local KFP's identities (such as
    `bob/default-editor`), asks for a direct connection. Raises `KfpError`.
    """
    found = _decided(settings, identity)
    return msgspec.structs.replace(found, read_only=settings.is_read_only())


def _decided(settings: Kfp, identity: str) -> Connection:
    door = Door.of_this_process()
    if identity and settings.endpoint not in ("", LOCAL):
        raise Misconfigured(
            f"Cannot be {identity} at {settings.endpoint}: only the local KFP lends its identities."
        )
    if identity and door:
        return resolve(settings, lambda: _local_kfp_behind(door), identity)
    if identity or not door or settings.endpoint:
        return resolve(settings, identity=identity)
    if settings.token_file:
        # The same KFP, with another token.
        given = {"token_file": settings.token_file, "namespace": settings.namespace}
        return resolve(Kfp(endpoint=door.status().endpoint, **given))
    return _through_door(settings, door)


def find_local(settings: Kfp) -> LocalKfp:
    """The local KFP that runs already. Raises `Misconfigured` for none."""
    folder = settings.data_folder()
    found = local_kfp.running(folder)
    if found is None:
        raise Misconfigured(
            f"No KFP is configured, and no local KFP runs in {shown(folder)}.",
            cure="Name one in KF_PIPELINES_ENDPOINT, or start one:\njupyter kfp-mt local",
        )
    return found


def _resolve_local(settings: Kfp, trace: _Trace, local: LocalKfp, identity: str) -> Connection:
    configured = settings.token_file or os.environ.get("KFP_MT_TOKEN_FILE", "")
    own = identity.removeprefix("system:serviceaccount:").replace(":", "/").rpartition("/")[0]
    configured_namespace, *others = _namespaces(settings, local)
    asked_for = [("the identity's own", lambda: own)] if own else []
    namespace = trace.choose("namespace", [configured_namespace, *asked_for, *others])
    lent = [("the identity asked for", lambda: str(local.token_file(identity)))]
    own_files = [
        ("c.Kfp.token_file or KFP_MT_TOKEN_FILE", lambda: configured),
        ("the namespace's default-editor", lambda: _editor(local, namespace)),
    ]
    path = trace.choose("credentials", lent if identity else own_files)
    return Connection(local.endpoint, TokenFile(path), namespace, trace.steps, local)


def _endpoints(settings: Kfp) -> list[Candidate]:
    return [
        ("given, or c.Kfp.endpoint", lambda: settings.endpoint),
        _variable("KFP_MT_ENDPOINT"),
        _variable("KF_PIPELINES_ENDPOINT"),
        (
            "a Kubernetes pod (KUBERNETES_SERVICE_HOST)",
            lambda: IN_CLUSTER_ENDPOINT if "KUBERNETES_SERVICE_HOST" in os.environ else "",
        ),
        ("the local KFP", lambda: LOCAL),
    ]


def _token_files(settings: Kfp) -> list[Candidate]:
    return [
        ("given, or c.Kfp.token_file", lambda: settings.token_file),
        _variable("KFP_MT_TOKEN_FILE"),
        _variable("KF_PIPELINES_SA_TOKEN_PATH"),
        (str(PROJECTED_TOKEN), lambda: str(PROJECTED_TOKEN) if PROJECTED_TOKEN.exists() else ""),
    ]


def _namespaces(settings: Kfp, local: LocalKfp | None = None) -> list[Candidate]:
    return [
        ("given, or c.Kfp.namespace", lambda: settings.namespace),
        _variable("KFP_MT_NAMESPACE"),
        (str(CONTEXT_FILE), lambda: _context_namespace(local)),
        ("the first of the profiles", lambda: next(iter(local.namespaces), ""))
        if local
        else (str(POD_NAMESPACE), lambda: _text(POD_NAMESPACE)),
    ]


class _Trace:
    """The decisions, as they are made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def choose(self, step: str, candidates: Iterable[Candidate]) -> str:
        """The first candidate that is something; each one looked at leaves a line."""
        for looked_at, find in candidates:
            found = find()
            words = shown(Path(found)) if found.startswith("/") else found or "nothing"
            self.steps.append(Step(step, looked_at, words, bool(found)))
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
        Key(door.key, "the Jupyter server's key for its kernels"),
        own or status.namespace,
        trace,
        door=door,
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
    except (OSError, msgspec.DecodeError):
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
    except OSError:
        return ""
