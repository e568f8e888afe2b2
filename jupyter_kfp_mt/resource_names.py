"""The names of users, service accounts and namespaces, as Kubernetes and kubectl write them."""

from __future__ import annotations

import re

from .errors import BadRequest

# As Kubernetes has it: a label of DNS (RFC 1123).
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PREFIX = "system:serviceaccount:"
_SERVICE_ACCOUNT = re.compile(rf"{_PREFIX}([^:]+):([^:]+)")


def service_account(user: str) -> tuple[str, str] | None:
    """Namespace and name of a service account, given its user name; None for other users."""
    found = _SERVICE_ACCOUNT.fullmatch(user)
    return (found[1], found[2]) if found else None


def short_name(user: str) -> str:
    """`NAMESPACE/NAME` for a service account; another user's name unchanged."""
    return user.removeprefix(_PREFIX).replace(":", "/")


def kubectl_option(user: str) -> str:
    """Return the option with which `kubectl create rolebinding` names a user or service account."""
    account = service_account(user)
    return f"--serviceaccount={account[0]}:{account[1]}" if account else f"--user={user}"


def as_name(user: str) -> str:
    """A user's name in the form that can be part of an object's name."""
    return re.sub(r"[^a-z0-9]+", "-", user.lower()).strip("-")


def is_namespace(text: str) -> bool:
    """Tell whether it is a valid name of a namespace."""
    return _NAMESPACE.fullmatch(text) is not None


def check_namespace(namespace: str) -> None:
    """Raises `BadRequest` for a name that no namespace can have."""
    if not is_namespace(namespace):
        raise BadRequest(
            f"{namespace[:100]!r} is not the name of a namespace.",
            cure="It can have up to 63 lower-case letters, digits and hyphens.",
        )
