"""The rights of each role, as in Kubeflow's cluster roles, and the authorization check."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from ..wire.api_errors import permission_denied

PIPELINES_GROUP = "pipelines.kubeflow.org"

Role = Mapping[str, frozenset[str]]

VIEW: Role = {
    "experiments": frozenset({"get", "list"}),
    "jobs": frozenset({"get", "list"}),
    "pipelines": frozenset({"get", "list"}),
    "pipelineversions": frozenset({"get", "list"}),
    "runs": frozenset({"get", "list", "readArtifact"}),
    "viewers": frozenset({"create", "get", "delete"}),
    "visualizations": frozenset({"create"}),
}

_EDIT_ADDS: Role = {
    "experiments": frozenset({"archive", "create", "delete", "unarchive"}),
    "jobs": frozenset({"create", "delete", "disable", "enable"}),
    "pipelines": frozenset({"create", "delete", "update"}),
    "pipelineversions": frozenset({"create", "delete", "update"}),
    "runs": frozenset(
        {"archive", "create", "delete", "reportMetrics", "retry", "terminate", "unarchive"}
    ),
}

EDIT: Role = {kind: verbs | _EDIT_ADDS.get(kind, frozenset()) for kind, verbs in VIEW.items()}

ROLES: Mapping[str, Role] = {"view": VIEW, "edit": EDIT}


class ResourceAttributes(msgspec.Struct, frozen=True):
    """An attempted action; prints like Kubernetes' resource attributes."""

    namespace: str
    verb: str
    resource: str
    name: str = ""
    group: str = PIPELINES_GROUP
    # Whether the name is of an existing object, and not only sent by the caller.
    existing: bool = False

    def __str__(self) -> str:
        return (
            f"&ResourceAttributes{{Namespace:{self.namespace},Verb:{self.verb},Group:{self.group},"
            f"Version:v1beta1,Resource:{self.resource},Subresource:,Name:{self.name},"
            "FieldSelector:nil,LabelSelector:nil,}"
        )


class Roles:
    """The roles of users in each namespace."""

    def __init__(self, bindings: Mapping[tuple[str, str], str]):
        self._bindings = bindings

    def allows(self, user: str, access: ResourceAttributes) -> bool:
        role = self._bindings.get((user, access.namespace))
        return role is not None and access.verb in ROLES[role].get(access.resource, ())

    def role(self, user: str, namespace: str) -> str:
        """The role of a user in a namespace, or empty."""
        return self._bindings.get((user, namespace), "")

    def check(self, user: str, access: ResourceAttributes, reason: str = "") -> None:
        """Authorize an action. An empty reason leaves two spaces, as in Kubernetes' refusals."""
        if not self.allows(user, access):
            if access.existing and not self.allows(user, replace(access, verb="get")):
                access = replace(access, name="")
            raise permission_denied(
                f"User '{user}' is not authorized with reason: {reason} (request: {access})"
            )
