"""The Kubernetes API for roles and owners, as far as clients of KFP use it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ..operations.tenants import RBAC_GROUP
from ..tenants.profiles import Profile
from ..tenants.roles import ResourceAttributes
from ..wire.api_errors import invalid_input, wrapped
from .handlers import Handler

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"
_PROFILES = "kubeflow.org"

T = TypeVar("T")


class _Attributes(msgspec.Struct, frozen=True):
    namespace: str = ""
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


class _ReviewSpec(msgspec.Struct, frozen=True, rename="camel"):
    resource_attributes: _Attributes


class _AccessReview(msgspec.Struct, frozen=True):
    spec: _ReviewSpec


class _Question(Handler):
    """A request that changes nothing, even with POST."""

    changes = False
    is_reviewed = False

    def object(self, kind: str, group: str, **fields: Any) -> None:
        """Send an object of Kubernetes."""
        self.answer({"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, **fields})

    def read(self, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self.request.body, type=kind)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise invalid_input(f"The body is no object of its kind: {error}") from None


class SelfSubjectAccessReviews(_Question):
    """SelfSubjectAccessReview: whether the caller has a permission."""

    def post(self) -> None:
        spec = self.read(_AccessReview).spec
        asked = spec.resource_attributes
        access = ResourceAttributes(
            asked.namespace,
            asked.verb,
            "/".join(filter(None, [asked.resource, asked.subresource])),
            asked.name,
            asked.group,
        )
        with wrapped("Failed to review the access"):
            allowed = self.operations.tenants.may(self.caller, access)
        self.set_status(201)
        attributes = {key: text for key, text in msgspec.structs.asdict(asked).items() if text}
        self.object(
            "SelfSubjectAccessReview",
            _AUTHORIZATION,
            spec={"resourceAttributes": attributes},
            status={"allowed": allowed},
        )


class SelfSubjectReviews(_Question):
    """SelfSubjectReview: the identity of the caller."""

    def post(self) -> None:
        with wrapped("Failed to review the subject"):
            username = self.caller.identity()
        self.set_status(201)
        status = {"userInfo": {"username": username}}
        self.object("SelfSubjectReview", _AUTHENTICATION, status=status)


class Profiles(_Question):
    """The profiles of the namespaces in which the caller has a role, with their owners."""

    def get(self) -> None:
        with wrapped("Failed to list profiles"):
            found = self.operations.tenants.profiles(self.caller)
        self.object("ProfileList", _PROFILES, items=[_profile(each) for each in found])


class RoleBindings(_Question):
    """The contributors of a namespace, as role bindings of Kubeflow's access management."""

    def get(self, namespace: str) -> None:
        with wrapped(f"Failed to list the role bindings of {namespace}"):
            found = [*self.operations.tenants.contributors(self.caller, namespace)]
        items = [_role_binding(namespace, user, role) for user, role in found]
        self.object("RoleBindingList", RBAC_GROUP, items=items)


def _profile(profile: Profile) -> dict[str, Any]:
    owner = {"kind": "User", "name": profile.owner}
    return {"metadata": {"name": profile.namespace}, "spec": {"owner": owner}}


def _role_binding(namespace: str, user: str, role: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "namespaceAdmin" if role == "admin" else f"{user}-{role}",
            "namespace": namespace,
            "annotations": {"user": user, "role": role},
        },
        "roleRef": {"kind": "ClusterRole", "name": f"kubeflow-{role}"},
        "subjects": [{"kind": "User", "name": user}],
    }


ROUTES: list[Any] = [
    (rf"/apis/{_AUTHORIZATION}/v1/selfsubjectaccessreviews", SelfSubjectAccessReviews),
    (rf"/apis/{_AUTHENTICATION}/v1/selfsubjectreviews", SelfSubjectReviews),
    (rf"/apis/{_PROFILES}/v1/profiles", Profiles),
    (rf"/apis/{RBAC_GROUP}/v1/namespaces/([^/]+)/rolebindings", RoleBindings),
]
