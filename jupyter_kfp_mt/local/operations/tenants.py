"""Profiles as they may be told of: to each caller what is theirs, and no more."""

from __future__ import annotations

from collections.abc import Iterator

from ..tenants.identity import Caller
from ..tenants.profiles import Profile, Profiles
from ..tenants.roles import PIPELINES_GROUP, ResourceAttributes, Roles
from ..wire.api_errors import permission_denied

RBAC_GROUP = "rbac.authorization.k8s.io"
# Kubeflow's groups, and what in each of them the roles are about.
_ELSEWHERE = {"viewers": "kubeflow.org"}


class Tenants:
    """Whoever asks learns of the namespaces in which they have a role, and of no others."""

    def __init__(self, profiles: Profiles, roles: Roles):
        self._profiles = profiles
        self._roles = roles

    def may(self, caller: Caller, access: ResourceAttributes) -> bool:
        """Tell whether the caller may do that: in a namespace of others no more than "no" is
        told.
        """
        group = _ELSEWHERE.get(access.resource, PIPELINES_GROUP)
        return self._roles.allows(caller.identity(), access) and access.group in (group, "*")

    def profiles(self, caller: Caller) -> list[Profile]:
        """Return the profiles of the namespaces in which the caller has a role."""
        user = caller.identity()
        return [each for each in self._profiles if self._roles.role(user, each.namespace)]

    def contributors(self, caller: Caller, namespace: str) -> Iterator[tuple[str, str]]:
        """Each of a namespace with their role; the owner's is admin. Refuses who has none there."""
        for profile in self.profiles(caller):
            if profile.namespace == namespace:
                yield profile.owner, "admin"
                yield from profile.contributors.items()
                return
        access = ResourceAttributes(namespace, "list", "rolebindings", group=RBAC_GROUP)
        raise permission_denied(
            f"User '{caller.identity()}' is not authorized with reason:  (request: {access})"
        )
