"""The contributors of a namespace: listed, added and removed as Kubeflow's dashboard does it.

Kubeflow's access management (kfam) changes nothing for a service account, only for a namespace's
owner; and it believes whoever is named. A pod knows who its owner is, but everybody who may use the
pod would then speak as the owner. So a change is made only in the name of the person whom the
cluster's gateway has signed in and named in the request that asks for the change; where there is
none, what an administrator is to apply is given instead.
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

# An address, or a service account.
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
        """Return those that kfam lists, or else those in the namespace's role bindings."""
        try:
            found = self._kfam.bindings(self.namespace)
        except (Unreachable, Refused) as error:
            return self._bound(error)
        return sorted((_contributor(binding.user, binding.role) for binding in found), key=_order)

    def add(self, user: str, role: str, sender: str = "") -> None:
        """Give `user` a role, in the name of `sender`, whom the gateway has signed in.

        Raises `Forbidden` with the command that does the same.
        """
        _check(user, role)
        objects = access_manifests.contributor(user, self.namespace, role)

        def add() -> None:
            self._kfam.add(Binding.of(user, self.namespace, role), sender)

        with attempting(f"add {user} to {self.namespace}"):
            self._change(add, sender, access_manifests.applied(*objects))

    def remove(self, user: str, role: str = "", sender: str = "") -> None:
        """Take a role from `user`; without one, every role but the owner's."""
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
        """Return the roles that can be taken from somebody. Raises `NotFound` for none."""
        found = [binding.role for binding in self._kfam.bindings(self.namespace, user)]
        roles = [role for role in found if role in access_manifests.ROLES]
        if not roles:
            raise NotFound(reason=f"{user} does not contribute to it.")
        return roles

    def _change(self, change: Callable[[], None], sender: str, command: str) -> None:
        """Change them; `command` does the same if that is not possible from here."""
        cure = (
            "The owner can do it in the Kubeflow dashboard, under Manage Contributors; or an "
            f"administrator with:\n{command}"
        )
        if not sender:
            raise Forbidden(
                reason="no person is signed in here, and a notebook speaks for none.",
                cause="Kubeflow lets a namespace's owner change its contributors. Who sits in this "
                "browser would be known from the header that Kubeflow's gateway adds, and that is "
                "believed with c.Kfp.behind_kubeflow_gateway alone.",
                cure=cure,
            )
        try:
            change()
        except NotFound:
            raise
        except (Unreachable, Refused) as error:
            raise error.with_(cure=cure) from None

    def _bound(self, error: KfpError) -> list[Contributor]:
        """Return the contributors of the role bindings that kfam makes.

        Raises its error where none can be read.
        """
        try:
            cluster = self._cluster()
            bindings = cluster.role_bindings(self.namespace) if cluster else None
        except KfpError as other:
            raise error.with_(
                cause=f"{error.cause}\nNor does Kubernetes tell: {other.message}",
                cure=other.cure or error.cure,
            ) from None
        if bindings is None:
            raise error
        return sorted(filter(None, map(_of_role_binding, bindings)), key=_order)


class LocalContributors(Contributors):
    """The contributors of a namespace of the local KFP, where its profiles file alone can change
    them.
    """

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
            f"Whoever runs it takes {user} out of the contributors of {self.namespace} there, and "
            "starts it again."
        )


def _in_file(cure: str) -> BadRequest:
    words = "The contributors of the local KFP are lines in its profiles file."
    return BadRequest(words, cure=cure)


def _check(user: str, role: str) -> None:
    if role not in access_manifests.ROLES:
        raise BadRequest(f"A contributor's role is edit or view, not {role!r}.")
    check_user(user)


def check_user(user: str) -> None:
    """Raises `BadRequest` for what is no name of one."""
    if not _USER.fullmatch(user):
        raise BadRequest(
            f"{user!r} is not the name of a user.",
            cure="It is an e-mail address as Kubeflow knows it, or a service account such as "
            "system:serviceaccount:NAMESPACE:default-editor.",
        )


def _of_role_binding(binding: RoleBinding) -> Contributor | None:
    noted = binding.metadata.annotations
    user, role = noted.get("user"), noted.get("role")
    return _contributor(user, role) if user and role else None


def _contributor(user: str, role: str) -> Contributor:
    return Contributor(user, "owner" if role == "admin" else role)


def _order(contributor: Contributor) -> tuple[bool, str, str]:
    return contributor.role != "owner", contributor.user, contributor.role
