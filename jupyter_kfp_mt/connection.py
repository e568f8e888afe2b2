"""Which endpoint, credentials and namespace, and why: with a trace of each decision."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec
import requests

from . import explain, local_kfp
from .client import Client, unreachable
from .credentials import (
    PROJECTED_TOKEN,
    Credentials,
    Key,
    TokenFile,
    claims,
    shown,
    warnings,
)
from .errors import KfpError, Misconfigured
from .local_kfp import LocalKfp
from .models import Health
from .settings import LOCAL, Kfp

# kfp SDK, client.py: where a pod of Kubeflow finds the API server.
IN_CLUSTER_ENDPOINT = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# The file in which the kfp SDK keeps what `Client.set_user_namespace` is told.
CONTEXT_FILE = Path("~/.config/kfp/context.json")
# How a Jupyter server tells its kernels where its door is, and the key to it.
DOOR, DOOR_KEY = "KFP_MT_DOOR", "KFP_MT_DOOR_KEY"


class Step(msgspec.Struct, frozen=True):
    """One line of the trace: what was looked at, what was found, and whether it was chosen."""

    step: str
    looked_at: str
    found: str
    chosen: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Who we are, as the token says; nothing of it is verified here."""

    subject: str = ""
    expires_at: datetime | None = None
    source: str = ""


class Problem(msgspec.Struct, frozen=True):
    """An error as JSON."""

    message: str
    cause: str = ""
    cure: str = ""
    server_text: str = ""

    @classmethod
    def of(cls, error: KfpError) -> Problem:
        return cls(**error.to_dict())


class Status(msgspec.Struct, frozen=True):
    """Who am I, where, in which namespace, why, and what is wrong."""

    version: str
    endpoint: str = ""
    local: bool = False
    namespace: str = ""
    identity: Identity = Identity()
    multi_user: bool = True
    server_version: str = ""
    ready: bool = True
    trace: list[Step] = []
    error: Problem | None = None
    tokens: str = ""  # the folder of the local KFP's token files


class Connection(msgspec.Struct, frozen=True):
    """What was decided."""

    endpoint: str
    credentials: Credentials
    namespace: str
    trace: list[Step]
    local: LocalKfp | None = None
    health: Health | None = None
    door: str = ""  # the address of the Jupyter server's door, if it leads through one

    def client(self) -> Client:
        return Client(self.endpoint, self.credentials, self.namespace, self.health)

    def status(self) -> Status:
        """Look at it: one request, which takes three seconds at most."""
        if self.door:
            return door_status(self.door, self.credentials.token())
        health, error = None, None
        identity = Identity(source=self.credentials.source)
        try:
            token = claims(self.credentials.token())
            identity = Identity(token.sub, token.expires_at, self.credentials.source)
            client = self.client()
            try:
                health = client.health()
            finally:
                client.close()
            wrong = list(warnings(token, datetime.now(timezone.utc)))
            if wrong:
                error = Problem(wrong[0], cure=explain.GET_TOKEN)
        except KfpError as failure:
            error = Problem.of(failure)
        return Status(
            version=version("jupyter-kfp-mt"),
            endpoint=self.endpoint,
            local=bool(health and health.local),
            namespace=self.namespace,
            identity=identity,
            multi_user=health.multi_user if health else True,
            server_version=health.tag_name if health else "",
            trace=self.trace,
            error=error,
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
    namespace = trace.choose("namespace", _namespaces(settings))
    path = trace.choose("credentials", _token_files(settings))
    credentials = TokenFile(path) if path else Credentials()
    return Connection(endpoint, credentials, namespace, trace.steps)


def decide(settings: Kfp, identity: str = "") -> Connection:
    """A connection from here: through the Jupyter server's door if there is one, else directly.

    A configured endpoint or token file, or one of the local KFP's identities (such as
    `bob/default-editor`), asks for a direct connection. Raises `KfpError`.
    """
    door, key = os.environ.get(DOOR, ""), os.environ.get(DOOR_KEY, "")
    if identity and settings.endpoint not in ("", LOCAL):
        raise Misconfigured(
            f"Cannot be {identity} at {settings.endpoint}: only the local KFP lends its identities."
        )
    if identity and door:
        return resolve(settings, lambda: local_kfp_behind(door, key), identity)
    if identity or not door or settings.endpoint or settings.token_file:
        return resolve(settings, identity=identity)
    return _through_door(door, key, settings.namespace)


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
    asked_for = [("the identity's own", lambda: own)] if own else []
    namespace = trace.choose("namespace", [*asked_for, *_namespaces(settings, local)])
    lent = [("the identity asked for", lambda: str(local.token_file(identity)))]
    own_files = [
        ("c.Kfp.token_file or KFP_MT_TOKEN_FILE", lambda: configured),
        ("the namespace's default-editor", lambda: _editor(local, namespace)),
    ]
    path = trace.choose("credentials", lent if identity else own_files)
    return Connection(local.endpoint, TokenFile(path), namespace, trace.steps, local)


def _endpoints(settings: Kfp) -> list[Candidate]:
    return [
        ("c.Kfp.endpoint", lambda: settings.endpoint),
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
        ("c.Kfp.token_file", lambda: settings.token_file),
        _variable("KFP_MT_TOKEN_FILE"),
        _variable("KF_PIPELINES_SA_TOKEN_PATH"),
        (str(PROJECTED_TOKEN), lambda: str(PROJECTED_TOKEN) if PROJECTED_TOKEN.exists() else ""),
    ]


def _namespaces(settings: Kfp, local: LocalKfp | None = None) -> list[Candidate]:
    return [
        ("c.Kfp.namespace", lambda: settings.namespace),
        _variable("KFP_MT_NAMESPACE"),
        (str(CONTEXT_FILE), lambda: _context_namespace(local)),
        ("the only profile", lambda: _only(local.namespaces))
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
            self.steps.append(Step(step, looked_at, found or "nothing", bool(found)))
            if found:
                return found
        return ""


def local_kfp_behind(address: str, key: str) -> LocalKfp:
    """The local KFP that a door leads to. Raises `Misconfigured` where it leads to a cluster."""
    status = door_status(address, key)
    if not status.tokens:
        raise Misconfigured(
            f"Another identity can be chosen on the local KFP only, and this is {status.endpoint}.",
            cure="On a cluster, open a notebook in the other namespace.",
        )
    return LocalKfp(status.endpoint, status.tokens)


def _through_door(address: str, key: str, namespace: str) -> Connection:
    status = door_status(address, key)
    if status.error:
        raise KfpError(**msgspec.structs.asdict(status.error))
    health = Health(multi_user=status.multi_user, tag_name=status.server_version)
    credentials = Key(key, "the Jupyter server's key for its kernels")
    return Connection(
        f"{address}/api",
        credentials,
        namespace or status.namespace,
        status.trace,
        health=health,
        door=address,
    )


def door_status(address: str, key: str) -> Status:
    """What a Jupyter server's door says of its connection, once that is made."""
    deadline = time.monotonic() + local_kfp.START_SECONDS
    while True:
        status = _door_status(address, key)
        if status.ready or time.monotonic() > deadline:
            return status


def _door_status(address: str, key: str) -> Status:
    try:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Authorization": f"Bearer {key}"}
            answer = session.get(f"{address}/status", headers=headers, timeout=(2.5, 10))
        if answer.status_code == 200:
            return msgspec.json.decode(answer.content, type=Status)
        raise explain.refusal(answer.status_code, answer.content, "ask the Jupyter server")
    except requests.RequestException as error:
        raise unreachable(address, "ask the Jupyter server", error) from None


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
    if not namespace:
        raise Misconfigured(
            f"The local KFP has several namespaces: {', '.join(kfp.namespaces)}.",
            cure="Choose yours with c.Kfp.namespace or KFP_MT_NAMESPACE.",
        )
    if namespace not in kfp.namespaces:
        raise Misconfigured(
            f"The local KFP has no namespace {namespace}; it has {', '.join(kfp.namespaces)}.",
            cure="Choose one of them with c.Kfp.namespace or KFP_MT_NAMESPACE.",
        )
    return str(kfp.token_file(f"{namespace}/default-editor"))


def _only(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
