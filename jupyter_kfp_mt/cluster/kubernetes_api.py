"""The Kubernetes API as this process's identity: tokens, permissions, profiles, pods, their logs.

The official client, which takes 0.8 s and 65 MB to load, is only needed to read a kubeconfig, and
not in a pod.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .. import intervals
from ..credentials.base import claims, shown
from ..credentials.kubeconfig import Kubeconfig
from ..errors import (
    BadRequest,
    Conflict,
    Forbidden,
    KfpError,
    Misconfigured,
    NotFound,
    Refused,
    Unauthenticated,
    Unreachable,
)
from ..network import certificates
from ..network.bodies import beginning, whole
from ..network.line_stream import LineStream
from ..network.tls import Tls
from ..resource_names import as_name, kubectl_option
from ..scrubbing import Scrubber
from ..settings import Kfp
from . import own_pod
from .api_server import ApiServer
from .kubernetes_objects import (
    AccessReview,
    Event,
    KubernetesFailure,
    ObjectList,
    Pod,
    Profile,
    ResourceAccess,
    RoleBinding,
    SubjectReview,
    TokenRequest,
)
from .workflows import GOING_ON, GROUP, RESOURCE, VERSION, Workflow

T = TypeVar("T")

CONNECT_SECONDS = intervals.KUBERNETES_CONNECT_SECONDS
READ_SECONDS = intervals.KUBERNETES_READ_SECONDS
LONGEST_PAGE = 500
MOST_OBJECTS = 100_000
# Long lists are requested as metadata only.
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" '
    r'in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]*)")?'
)


class Cluster:
    """The API server of one cluster. Every method blocks, may be called from any thread, and raises
    a `KfpError`; nothing is retried.

    Made by `of_pod`, `of_kubeconfig` or `of_this_process`.
    """

    # Seconds without a byte of an answer after which a request fails.
    patience = READ_SECONDS

    def __init__(self, api: ApiServer, source: str) -> None:
        self.source = source
        self._api = api

    def __repr__(self) -> str:
        return f"Cluster({self.server!r}, {self.source})"

    @classmethod
    def of_this_process(cls, kubeconfig: str = "", context: str = "") -> Cluster:
        """The cluster of a configured kubeconfig, else the pod's, else that of kubectl."""
        if _is_of_pod(kubeconfig, context):
            return cls.of_pod()
        return cls.of_kubeconfig(kubeconfig, context)

    @classmethod
    def of_pod(cls, files: Path | None = None) -> Cluster:
        """The cluster that this pod runs in, as the pod's service account."""
        files = files or own_pod.service_account_folder()
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        if not host or not (files / "token").exists():
            missing = shown(files / "token") if host else "KUBERNETES_SERVICE_HOST"
            raise Misconfigured(
                f"This is not a pod with a service account: there is no {missing}.",
                cure="Outside a pod, name a kubeconfig.",
            )
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        address = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        # No proxy, as the API server is in this cluster.
        tls = Tls(authorities=str(files / "ca.crt"))
        api = ApiServer(address, tls, lambda: _as_holder_of(files / "token"))
        return cls(api, f"the pod's service account ({shown(files)})")

    @classmethod
    def of_kubeconfig(cls, path: str = "", context: str = "") -> Cluster:
        """The cluster of a kubeconfig's context; by default of those that kubectl would use."""
        found = Kubeconfig(path, context)
        api = ApiServer(
            found.server, found.tls or Tls(), lambda: found.headers().get("Authorization", "")
        )
        return cls(api, f"the {found.source}")

    def close(self) -> None:
        """Close all connections."""
        self._api.close()

    @property
    def server(self) -> str:
        return self._api.address

    # --- identity and permission ------------------------------------------------------------

    def request_token(
        self, namespace: str, service_account: str, audience: str, seconds: float
    ) -> tuple[str, datetime]:
        """Return a new token of a service account for one audience, and when it expires.

        Kubernetes may choose another lifetime than `seconds`; its minimum is ten minutes.
        """
        access = ResourceAccess("create", "serviceaccounts/token", namespace, name=service_account)
        spec = {"audiences": [audience], "expirationSeconds": int(seconds)}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status = self._ask(access, TokenRequest, body).status
        return status.token, status.expiration_timestamp

    def may(
        self, namespace: str, verb: str, resource: str, group: str, name: str = ""
    ) -> bool | None:
        """Tell whether this identity has a right; None if Kubernetes does not say."""
        access = ResourceAccess("create", "selfsubjectaccessreviews", group="authorization.k8s.io")
        resource, _, subresource = resource.partition("/")
        attributes = {
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "name": name,
        }
        body = _review("SelfSubjectAccessReview", access, {"resourceAttributes": attributes})
        try:
            status = self._ask(access, AccessReview, body).status
        except (Forbidden, NotFound):
            return None
        return None if status.evaluation_error and not status.allowed else status.allowed

    def who(self) -> str:
        """Return the name of this identity in Kubernetes; empty if that is not known."""
        access = ResourceAccess("create", "selfsubjectreviews", group="authentication.k8s.io")
        try:
            found = self._ask(access, SubjectReview, _review("SelfSubjectReview", access))
            return found.status.user_info.username
        except (Forbidden, NotFound):  # new in Kubernetes 1.28
            return claims(self._api.authorization().rpartition(" ")[2]).sub

    # --- objects ------------------------------------------------------------------------------

    def profiles(self) -> list[Profile]:
        return self._list(ResourceAccess("list", "profiles", group="kubeflow.org"), Profile)

    def role_bindings(self, namespace: str = "") -> list[RoleBinding]:
        """Return the role bindings of a namespace, or of all."""
        group = "rbac.authorization.k8s.io"
        return self._list(ResourceAccess("list", "rolebindings", namespace, group), RoleBinding)

    def pod(self, namespace: str, name: str) -> Pod:
        return self._ask(ResourceAccess("get", "pods", namespace, name=name), Pod)

    def pods(self, namespace: str, label_selector: str = "") -> list[Pod]:
        return self._list(
            ResourceAccess("list", "pods", namespace), Pod, labelSelector=label_selector
        )

    def pod_events(self, namespace: str, name: str) -> list[Event]:
        """Return the recent events of a pod."""
        field = f"involvedObject.name={name}"
        return self._list(ResourceAccess("list", "events", namespace), Event, fieldSelector=field)

    def pod_log(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
        since: datetime | None = None,
        timestamps: bool = False,
    ) -> LineStream:
        """The lines of a container's log; with `follow` also new ones, until it ends; with
        `timestamps` each line begins with its time.
        """
        query: dict[str, str] = {"container": container}
        if follow:
            query["follow"] = "true"
        if timestamps:
            query["timestamps"] = "true"
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        if since is not None:
            query["sinceTime"] = since.astimezone(timezone.utc).isoformat()
        access = ResourceAccess("get", "pods/log", namespace, name=pod)
        # A container may write nothing for hours: TCP keep-alive detects a lost connection.
        answer = self._request(access, query=query, endless=follow)
        return LineStream(answer, lambda error: self._no_answer(access, error))

    # --- runs, as Argo's Workflows ------------------------------------------------------------

    def may_watch_workflows(self, namespace: str) -> bool:
        """Tell whether that is allowed; also True if that is not known, and has to be tried."""
        return self.may(namespace, "watch", RESOURCE, GROUP) is not False

    def workflow(self, namespace: str, name: str) -> Workflow:
        """A Workflow with its nodes."""
        access = ResourceAccess("get", RESOURCE, namespace, GROUP, name, VERSION)
        return self._ask(access, Workflow)

    def workflows_going_on(self, namespace: str) -> tuple[list[Workflow], str]:
        """Return the metadata of workflows of unfinished runs, and the version of the list."""
        access = ResourceAccess("list", RESOURCE, namespace, GROUP, version=VERSION)
        found: list[Workflow] = []
        following = version = ""
        while True:
            query = {"labelSelector": GOING_ON, "limit": str(LONGEST_PAGE), "continue": following}
            answer = self._request(access, query=query, accept=_METADATA_LIST)
            page = self._decoded(access, answer, ObjectList)
            found += (self._converted(access, item, Workflow) for item in page.items)
            following = page.metadata.get("continue") or ""
            version = version or str(page.metadata.get("resourceVersion") or "")
            if not following or len(found) > MOST_OBJECTS:
                return found, version

    def watch_workflows(self, namespace: str, version: str, seconds: float) -> LineStream:
        """Watch workflows of unfinished runs, from a version of their list on, for `seconds`.

        Each line is a `WatchEvent`; a workflow that ends is reported as deleted.
        """
        access = ResourceAccess("watch", RESOURCE, namespace, GROUP, version=VERSION)
        query = {
            "watch": "true",
            "labelSelector": GOING_ON,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
        }
        read = seconds + READ_SECONDS
        answer = self._request(access, query=query, read=read, accept=_METADATA)
        return LineStream(answer, lambda error: self._no_answer(access, error))

    # --- requests -----------------------------------------------------------------------------

    def _list(self, access: ResourceAccess, kind: type[T], **query: str) -> list[T]:
        """Return all objects, requested page by page."""
        found: list[T] = []
        following = ""
        while True:
            paged = {**query, "limit": str(LONGEST_PAGE), "continue": following}
            answer = self._decoded(access, self._request(access, query=paged), ObjectList)
            found += (self._converted(access, item, kind) for item in answer.items)
            following = answer.metadata.get("continue") or ""
            if not following:
                return found
            if len(found) > MOST_OBJECTS or not answer.items:
                raise Unreachable(f"Cannot {access}: the list of {self.server} does not end.")

    def _ask(self, access: ResourceAccess, kind: type[T], body: Any = None) -> T:
        return self._decoded(access, self._request(access, body), kind)

    def _decoded(self, access: ResourceAccess, answer: Any, kind: type[T]) -> T:
        from urllib3.exceptions import HTTPError

        try:
            return msgspec.json.decode(whole(answer, self.patience), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._not_kubernetes(access) from None
        except (HTTPError, OSError) as error:
            raise self._no_answer(access, error) from None

    def _converted(self, access: ResourceAccess, item: Any, kind: type[T]) -> T:
        try:
            return msgspec.convert(item, kind)
        except msgspec.ValidationError:
            raise self._not_kubernetes(access) from None

    def _request(
        self,
        access: ResourceAccess,
        body: Any = None,
        query: dict[str, str] | None = None,
        endless: bool = False,
        read: float | None = None,
        accept: str = "application/json, */*",
    ) -> Any:
        """Send a request; every failure becomes a `KfpError`."""
        from urllib3.exceptions import HTTPError

        read = None if endless else read or self.patience
        try:
            answer = self._api.request(access.path, query or {}, body, accept, read)
            if 200 <= answer.status < 300:
                return answer
            refused = beginning(answer, self.patience)
        except (HTTPError, OSError) as error:
            raise self._no_answer(access, error) from None
        except ValueError:  # whose text may contain the token
            raise Misconfigured(
                f"Cannot {access}: the credentials of {self.source} cannot be sent."
            ) from None
        raise self._refusal(access, answer.status, refused)

    def _refusal(self, access: ResourceAccess, status: int, body: bytes) -> KfpError:
        if status == 404 and b"page not found" in body:
            return NotFound(
                f"Cannot {access}: this cluster's API has no {access.resource} in group "
                f"{access.group or 'core'}.",
                cause="The software that adds them is not installed there, or has another version.",
            )
        try:
            text = msgspec.json.decode(body, type=KubernetesFailure).message
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._not_kubernetes(access, status)
        text = Scrubber.of({"Authorization": self._api.authorization()}).text(text)
        return refusal(status, text, access, self.source)

    def _no_answer(self, access: ResourceAccess, error: Exception) -> Unreachable:
        reason = getattr(error, "reason", None) or error
        if wrong := certificates.fault(reason):
            return Unreachable(
                f"Cannot {access}: no answer from Kubernetes at {self.server} ({wrong.reason}).",
                cure=certificates.in_cluster(wrong.cure),
            )
        return Unreachable(
            f"Cannot {access}: no answer from Kubernetes at {self.server}.",
            cause=_cause(error, self.patience),
            cure="Check whether this machine can reach it: `kubectl get --raw /version`.",
        )

    def _not_kubernetes(self, access: ResourceAccess, status: int = 200) -> Unreachable:
        return Unreachable(
            f"Cannot {access}: the server at {self.server} is not Kubernetes (HTTP {status})."
        )


def is_reached(settings: Kfp) -> bool:
    """Tell whether the settings, or this pod, lead to KFP's own cluster: a kubeconfig that kubectl
    uses may be another's.
    """
    chosen = (settings.value(name) for name in ("kubeconfig", "kube_context"))
    kinds = ("kubernetes", "kubeconfig")
    return own_pod.is_here() or any(chosen) or settings.value("auth") in kinds


def of_settings(settings: Kfp) -> Cluster | None:
    """Return KFP's own cluster; None without access to it."""
    if not is_reached(settings):
        return None
    return Cluster.of_this_process(*_kubeconfig(settings))


def prepare(settings: Kfp) -> None:
    """Load the official client if `of_settings` will need it: that takes a second, once."""
    if is_reached(settings) and not _is_of_pod(*_kubeconfig(settings)):
        importlib.import_module("kubernetes.client")


def _kubeconfig(settings: Kfp) -> tuple[str, str]:
    return settings.value("kubeconfig"), settings.value("kube_context")


def _is_of_pod(kubeconfig: str, context: str) -> bool:
    """Tell whether to use the pod's service account, and not a kubeconfig."""
    in_pod = own_pod.is_here() and (own_pod.service_account_folder() / "token").exists()
    return in_pod and not (kubeconfig or context)


def refusal(status: int, text: str, access: ResourceAccess, source: str) -> KfpError:
    """Return the error for a refusal by the API server; `text` is its message."""
    if status == 401:
        return Unauthenticated(
            f"Cannot {access}: Kubernetes does not know who is asking.",
            cause=f"It does not accept the credentials of {source}: they have expired, or belong "
            "to another cluster.",
            cure="Outside a pod, log in to the cluster again, and check it with `kubectl get --raw "
            "/version`; in a pod, restart it.",
            server_text=text,
        )
    denied = _FORBIDDEN.search(text)
    if status == 403 and denied:
        user = denied["user"]
        where = f"namespace {access.namespace}" if access.namespace else "the whole cluster"
        return Forbidden(
            f"Cannot {access}: {user} may not {access.verb} {access.resource} in {where}.",
            cause="It has no role there that allows it.",
            cure=f"An administrator can allow it:\n{grant(user, access)}",
            server_text=text,
        )
    classes = {400: BadRequest, 403: Forbidden, 404: NotFound, 409: Conflict, 422: BadRequest}
    return classes.get(status, Refused)(f"Cannot {access}: {text}", server_text=text)


def grant(user: str, access: ResourceAccess) -> str:
    """Return the commands that grant an access: a role with just that right, and its binding."""
    kind, scope = ("role", ["-n", access.namespace]) if access.namespace else ("clusterrole", [])
    resource, slash, subresource = access.resource.partition("/")
    resource = f"{resource}.{access.group}" if access.group else resource
    role = f"kfp-mt-{access.verb}-{access.resource.replace('/', '-')}".lower()
    what = [f"--verb={access.verb}", f"--resource={resource}{slash}{subresource}"]
    commands = [
        ["kubectl", "create", kind, role, *scope, *what],
        [
            *("kubectl", "create", f"{kind}binding", f"{role}-{as_name(user)}"),
            *(*scope, f"--{kind}={role}", kubectl_option(user)),
        ],
    ]
    return "\n".join(map(shlex.join, commands))


def _review(
    kind: str, access: ResourceAccess, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"apiVersion": f"{access.group}/v1", "kind": kind, **({"spec": spec} if spec else {})}


def _as_holder_of(path: Path) -> str:
    """The header with the token in a file, read for each request, as the kubelet replaces it."""
    try:
        return f"Bearer {path.read_text(encoding='ascii').strip()}"
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(f"The token file {shown(path)} cannot be read.") from None


def _cause(error: Exception, patience: float) -> str:
    kinds = {
        "ConnectTimeoutError": f"It did not accept a connection in {CONNECT_SECONDS:g} s.",
        "BodyTooLong": f"It answered, but {error}.",
        "ReadTimeout": f"It did not answer in {patience:g} s.",
        "ReadTimeoutError": f"It did not answer in {patience:g} s.",
        "NameResolutionError": "Its host name cannot be resolved.",
        "NewConnectionError": "Nothing listens there, or the connection was refused.",
        "ProtocolError": "The connection was dropped.",
    }
    return kinds.get(type(error).__name__, type(error).__name__)
