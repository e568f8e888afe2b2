"""The values of the Kubernetes API that are used here."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

from ..errors import BadRequest

# Kubernetes is stricter; this is enough to keep a name from changing the path.
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]{0,251}[A-Za-z0-9])?")


class Metadata(msgspec.Struct, frozen=True):
    """The metadata of a Kubernetes object."""

    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] = {}


class Subject(msgspec.Struct, frozen=True):
    """A user or group that a role is bound to."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def user(self) -> str:
        """The user name with which its requests are made."""
        if self.kind == "ServiceAccount":
            return f"system:serviceaccount:{self.namespace}:{self.name}"
        return self.name


class RoleReference(msgspec.Struct, frozen=True):
    name: str
    kind: str = ""


class RoleBinding(msgspec.Struct, frozen=True, rename="camel"):
    metadata: Metadata
    role_ref: RoleReference
    subjects: list[Subject] = []

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def role(self) -> str:
        return self.role_ref.name

    @property
    def users(self) -> set[str]:
        return {subject.user for subject in self.subjects}


class ProfileSpec(msgspec.Struct, frozen=True):
    owner: Subject = Subject("", "")


class Profile(msgspec.Struct, frozen=True):
    """A Kubeflow profile: a namespace and its owner."""

    metadata: Metadata
    spec: ProfileSpec = ProfileSpec()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def owner(self) -> str:
        return self.spec.owner.name


class Container(msgspec.Struct, frozen=True):
    name: str
    image: str = ""


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """`state` has one of the keys waiting, running and terminated."""

    name: str
    state: dict[str, dict[str, Any]] = {}


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    containers: list[Container] = []
    init_containers: list[Container] = []


class Condition(msgspec.Struct, frozen=True):
    """A condition: `status` is "True", "False" or "Unknown", with a reason."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []


class Pod(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace

    @property
    def phase(self) -> str:
        return self.status.phase


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """An event that Kubernetes reports about a pod."""

    type: str = ""
    reason: str = ""
    message: str = ""


class ResourceAccess(msgspec.Struct, frozen=True):
    """An action that someone wants to take; without a namespace, in the whole cluster."""

    verb: str
    resource: str  # with its subresource, as "pods/log"
    namespace: str = ""
    group: str = ""
    name: str = ""
    version: str = "v1"

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource} {self.name}".rstrip()
        return f"{what} in namespace {self.namespace}" if self.namespace else what

    @property
    def path(self) -> str:
        """The path of its requests. Raises `BadRequest` for an impossible name."""
        for name in (self.namespace, self.name):
            if name and not _NAME.fullmatch(name):
                raise BadRequest(f"Cannot {self}: {name!r} is not a valid name in Kubernetes.")
        root = f"/apis/{self.group}" if self.group else "/api"
        namespace = f"/namespaces/{self.namespace}" if self.namespace else ""
        resource, _, subresource = self.resource.partition("/")
        parts = [resource, self.name, subresource]
        return f"{root}/{self.version}{namespace}" + "".join(f"/{part}" for part in parts if part)


class KubernetesFailure(msgspec.Struct, frozen=True):
    """An error of Kubernetes."""

    kind: str
    message: str = ""


class ObjectList(msgspec.Struct, frozen=True):
    items: list[Any]
    metadata: dict[str, Any] = {}


class TokenRequestStatus(msgspec.Struct, frozen=True, rename="camel"):
    token: str
    expiration_timestamp: datetime

    def __repr__(self) -> str:
        return "Token()"


class TokenRequest(msgspec.Struct, frozen=True):
    status: TokenRequestStatus


class AccessReviewStatus(msgspec.Struct, frozen=True, rename="camel"):
    allowed: bool = False
    evaluation_error: str = ""


class AccessReview(msgspec.Struct, frozen=True):
    status: AccessReviewStatus


class UserInfo(msgspec.Struct, frozen=True):
    username: str


class SubjectStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: UserInfo


class SubjectReview(msgspec.Struct, frozen=True):
    status: SubjectStatus
