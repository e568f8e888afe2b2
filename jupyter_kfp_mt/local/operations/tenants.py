"""Profiles, each visible only to callers with a role in it."""

from __future__ import annotations

from collections.abc import Iterator

from ..tenants.identity import Caller
from ..tenants.profiles import Profile, Profiles
from ..tenants.roles import PIPELINES_GROUP, ResourceAttributes, Roles
from ..wire.api_errors import permission_denied

RBAC_GROUP = "rbac.authorization.k8s.io"
# The API groups of Kubeflow, and the resources in each that roles cover.
_ELSEWHERE = {"viewers": "kubeflow.org"}


class Tenants:
    """Operations on profiles: a caller learns only of namespaces in which they have a role."""

    def __init__(self, profiles: Profiles, roles: Roles):
        self._profiles = profiles
        self._roles = roles

    def may(self, caller: Caller, access: ResourceAttributes) -> bool:
        """Return whether the caller has a permission; in others' namespaces, always False."""
        group = _ELSEWHERE.get(access.resource, PIPELINES_GROUP)
        return self._roles.allows(caller.identity(), access) and access.group in (group, "*")

    def profiles(self, caller: Caller) -> list[Profile]:
        """Return the profiles of the namespaces in which the caller has a role."""
        user = caller.identity()
        return [each for each in self._profiles if self._roles.role(user, each.namespace)]

    def contributors(self, caller: Caller, namespace: str) -> Iterator[tuple[str, str]]:
        """List the users of a namespace with their roles; the owner's is admin. Authorized."""
        for profile in self.profiles(caller):
            if profile.namespace == namespace:
                yield profile.owner, "admin"
                yield from profile.contributors.items()
                return
        access = ResourceAttributes(namespace, "list", "rolebindings", group=RBAC_GROUP)
        raise permission_denied(
            f"User '{caller.identity()}' is not authorized with reason:  (request: {access})"
        )
