"""The contributors of a namespace: listed, added and removed as Kubeflow's dashboard does it.

Kubeflow's access management (kfam) makes changes only for a namespace's owner, not for a service
account, and does not verify the name that a request gives. A pod knows its owner, but everybody who
can use the pod would then act as the owner. So a change is made only in the name of the user whom
the cluster's gateway has signed in and named in a header of the request. Without one, the error has
the objects that an administrator can apply.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import msgspec

from .. import refusal_causes
from ..attempts import attempting
from ..cluster import access_manifests
from ..cluster.kfam import Binding, Kfam
from ..cluster.kubernetes_api import Cluster
from ..cluster.kubernetes_objects import RoleBinding
from ..errors import BadRequest, Forbidden, KfpError, NotFound, Refused, Unreachable
from ..resource_names import check_namespace

# An e-mail address, or a service account.
_USER = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~:@-]{1,253}")


class Contributor(msgspec.Struct, frozen=True):
    """`role` is owner, edit or view."""

    user: str
    role: str


class Contributors:
    """The contributors of one namespace."""

    def __init__(self, namespace: str, kfam: Kfam, cluster: Callable[[], Cluster | None]) -> None:
        check_namespace(namespace)
        self.namespace = namespace
        self._kfam = kfam
        self._cluster = cluster

    def all(self) -> list[Contributor]:
        """Return the contributors that kfam lists, or else those in the role bindings."""
        try:
            found = self._kfam.bindings(self.namespace)
        except (Unreachable, Refused) as error:
            return self._bound(error)
        return sorted((_contributor(binding.user, binding.role) for binding in found), key=_order)

    def add(self, user: str, role: str, sender: str = "") -> None:
        """Give `user` a role, in the name of `sender`, the user whom the gateway has signed in.

        Raises `Forbidden` with the equivalent command if there is no sender.
        """
        _check(user, role)
        objects = access_manifests.contributor(user, self.namespace, role)

        def add() -> None:
            self._kfam.add(Binding.of(user, self.namespace, role), sender)

        with attempting(f"add {user} to {self.namespace}"):
            self._change(add, sender, access_manifests.applied(*objects))

    def remove(self, user: str, role: str = "", sender: str = "") -> None:
        """Remove a role from `user`; by default all roles except the owner's."""
        if role:
            _check(user, role)
        check_user(user)
        roles = [role] if role else list(access_manifests.ROLES)
        names = [shlex.quote(access_manifests.binding_name(user, each)) for each in roles]
        kinds = "rolebinding,authorizationpolicies.security.istio.io"
        command = ["kubectl delete", kinds, *names, "-n", self.namespace, "--ignore-not-found"]

        def remove() -> None:
            for each in [role] if role else self._roles(user):
                self._kfam.remove(Binding.of(user, self.namespace, each), sender)

        with attempting(f"remove {user} from {self.namespace}"):
            self._change(remove, sender, " ".join(command))

    def _roles(self, user: str) -> list[str]:
        """Return the roles of a user that can be removed. Raises `NotFound` if there are none."""
        found = [binding.role for binding in self._kfam.bindings(self.namespace, user)]
        roles = [role for role in found if role in access_manifests.ROLES]
        if not roles:
            raise NotFound(reason=f"{user} is not a contributor of it.")
        return roles

    def _change(self, change: Callable[[], None], sender: str, command: str) -> None:
        """Make a change; `command` is the equivalent for the error."""
        cure = (
            "The owner can do it in the Kubeflow dashboard, under Manage Contributors; or an "
            f"administrator with:\n{command}"
        )
        if not sender:
            raise Forbidden(
                reason="it is not known which user is signed in here.",
                cause="Only a namespace's owner can change its contributors. Kubeflow's gateway "
                "names the signed-in user in a header, which is trusted only if "
                "c.Kfp.behind_kubeflow_gateway is set, and a notebook's requests do not have it.",
                cure=cure,
            )
        try:
            change()
        except NotFound:
            raise
        except (Unreachable, Refused) as error:
            raise error.with_(cure=cure) from None

    def _bound(self, error: KfpError) -> list[Contributor]:
        """Return the contributors in the role bindings that kfam makes.

        Raises kfam's `error` if they cannot be read.
        """
        try:
            cluster = self._cluster()
            bindings = cluster.role_bindings(self.namespace) if cluster else None
        except KfpError as other:
            raise error.with_(
                cause=f"{error.cause}\nKubernetes does not list them either: {other.message}",
                cure=other.cure or error.cure,
            ) from None
        if bindings is None:
            raise error
        return sorted(filter(None, map(_of_role_binding, bindings)), key=_order)


class LocalContributors(Contributors):
    """The contributors of a namespace of the local KFP, which only its profiles file can change."""

    def __init__(self, namespace: str, cluster: Callable[[], Cluster | None]) -> None:
        check_namespace(namespace)
        self.namespace = namespace
        self._cluster = cluster

    def all(self) -> list[Contributor]:
        cluster = self._cluster()
        bindings = cluster.role_bindings(self.namespace) if cluster else []
        return sorted(filter(None, map(_of_role_binding, bindings)), key=_order)

    def add(self, user: str, role: str, sender: str = "") -> None:
        _check(user, role)
        raise _in_file(refusal_causes.grant_locally(user, self.namespace, role))

    def remove(self, user: str, role: str = "", sender: str = "") -> None:
        check_user(user)
        raise _in_file(
            f"Whoever runs it can remove {user} from the contributors of {self.namespace} in that "
            "file, and restart it."
        )


def _in_file(cure: str) -> BadRequest:
    message = "The contributors of the local KFP can only be changed in its profiles file."
    return BadRequest(message, cure=cure)


def _check(user: str, role: str) -> None:
    if role not in access_manifests.ROLES:
        raise BadRequest(f"A contributor's role is edit or view, not {role!r}.")
    check_user(user)


def check_user(user: str) -> None:
    """Raises `BadRequest` for a text that cannot be the name of a user or service account."""
    if not _USER.fullmatch(user):
        raise BadRequest(
            f"{user!r} is not the name of a user.",
            cure="It is an e-mail address as Kubeflow knows it, or a service account such as "
            "system:serviceaccount:NAMESPACE:default-editor.",
        )


def _of_role_binding(binding: RoleBinding) -> Contributor | None:
    annotations = binding.metadata.annotations
    user, role = annotations.get("user"), annotations.get("role")
    return _contributor(user, role) if user and role else None


def _contributor(user: str, role: str) -> Contributor:
    return Contributor(user, "owner" if role == "admin" else role)


def _order(contributor: Contributor) -> tuple[bool, str, str]:
    return contributor.role != "owner", contributor.user, contributor.role
