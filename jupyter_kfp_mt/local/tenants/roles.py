"""Rights of each role, as Kubeflow's cluster roles have it, and the one check."""

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
    """An action that someone wants to take; prints as Kubernetes prints the question."""

    namespace: str
    verb: str
    resource: str
    name: str = ""
    group: str = PIPELINES_GROUP
    # Whether the name is that of something there is, and not just what the caller has sent.
    existing: bool = False

    def __str__(self) -> str:
        return (
            f"&ResourceAttributes{{Namespace:{self.namespace},Verb:{self.verb},Group:{self.group},"
            f"Version:v1beta1,Resource:{self.resource},Subresource:,Name:{self.name},"
            "FieldSelector:nil,LabelSelector:nil,}"
        )


class Roles:
    """The roles that somebody has in each namespace."""

    def __init__(self, bindings: Mapping[tuple[str, str], str]):
        self._bindings = bindings

    def allows(self, user: str, access: ResourceAttributes) -> bool:
        role = self._bindings.get((user, access.namespace))
        return role is not None and access.verb in ROLES[role].get(access.resource, ())

    def role(self, user: str, namespace: str) -> str:
        """The role of a user in a namespace; empty for none."""
        return self._bindings.get((user, namespace), "")

    def check(self, user: str, access: ResourceAttributes, reason: str = "") -> None:
        """Refuses who may not. Without a reason, as Kubernetes' own mostly is, are two spaces."""
        if not self.allows(user, access):
            if access.existing and not self.allows(user, replace(access, verb="get")):
                access = replace(access, name="")
            raise permission_denied(
                f"User '{user}' is not authorized with reason: {reason} (request: {access})"
            )
