"""The profiles: the namespaces, their owners, and their contributors."""

from __future__ import annotations

import getpass
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ...errors import Misconfigured
from .roles import ROLES

SERVICE_ACCOUNTS = {"default-editor": "edit", "default-viewer": "view"}

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One namespace: its owner, its contributors with their roles, its secrets and config maps."""

    namespace: str
    owner: str
    contributors: dict[str, str] = {}
    secrets: dict[str, dict[str, str]] = {}
    # Kubernetes' spelling.
    config_maps: dict[str, dict[str, str]] = msgspec.field(default_factory=dict, name="configMaps")

    def __repr__(self) -> str:
        return f"Profile({self.namespace!r})"


class ProfilesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the profiles file."""

    profiles: list[Profile]


class Profiles:
    """All profiles, and the users, service accounts and roles that follow from them."""

    def __init__(self, profiles: Iterable[Profile]):
        self._profiles = {profile.namespace: profile for profile in profiles}

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles.values())

    def secrets(self, namespace: str) -> dict[str, dict[str, str]]:
        profile = self._profiles.get(namespace)
        return profile.secrets if profile else {}

    def config_maps(self, namespace: str) -> dict[str, dict[str, str]]:
        profile = self._profiles.get(namespace)
        return profile.config_maps if profile else {}

    def service_accounts(self) -> Iterator[tuple[str, str]]:
        """The (namespace, name) of every service account."""
        return ((namespace, name) for namespace in self._profiles for name in SERVICE_ACCOUNTS)

    def users(self) -> set[str]:
        """Every person named as an owner or a contributor."""
        named = {user for user, _namespace in self.bindings()}
        return {user for user in named if not user.startswith(_SERVICE_ACCOUNT_PREFIX)}

    def subjects(self) -> set[str]:
        """Everyone who can call the API."""
        return self.users() | {subject_of(*account) for account in self.service_accounts()}

    def bindings(self) -> dict[tuple[str, str], str]:
        """The role of each (user or service account, namespace)."""
        bindings = {}
        for namespace, profile in self._profiles.items():
            for user, role in profile.contributors.items():
                bindings[user, namespace] = role
            for name, role in SERVICE_ACCOUNTS.items():
                bindings[subject_of(namespace, name), namespace] = role
            bindings[profile.owner, namespace] = "edit"
        return bindings


def subject_of(namespace: str, service_account: str) -> str:
    """Return Kubernetes' user name of a service account."""
    return f"{_SERVICE_ACCOUNT_PREFIX}{namespace}:{service_account}"


def single_profile() -> Profiles:
    """The default profile: a namespace with the user's own name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        user = ""
    namespace = re.sub(r"[^a-z0-9]+", "-", user.lower())[:63].strip("-") or "default"
    return Profiles([Profile(namespace, f"{namespace}@localhost")])


def read_profiles(path: Path) -> Profiles:
    """Read profiles from a YAML file. Raises `Misconfigured` with the fault and its place."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        _check_quotes(document)
        file = msgspec.convert(document, ProfilesFile)
        _check(file.profiles)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except yaml.YAMLError as error:
        # Only the place: the text may be a secret.
        place = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = f" (line {place.line + 1}, column {place.column + 1})" if place else ""
        raise _unusable(path, f"it is not YAML{where}") from None
    except UnicodeDecodeError:
        raise _unusable(path, "it is not UTF-8 text") from None
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    return Profiles(file.profiles)


def _unusable(path: Path, reason: str) -> Misconfigured:
    return Misconfigured(
        f"The profiles file {path} cannot be used: {reason}.",
        cure="It holds `profiles:` and a list of entries like "
        "`- {namespace: alice, owner: alice@example.com}`, "
        "which may also have `contributors:`, `secrets:` and `configMaps:`.",
    )


def _check_quotes(document: Any) -> None:
    """Refuse values such as `3` and `yes`, which are not text in YAML, without quoting them."""
    for place, key, value in _values(document):
        if isinstance(value, int | float | date) or value is None:
            raise ValueError(
                f"{place}: the value of {key!r} is a {_kind(value)} instead of a text; "
                f"write it in quotes, {key}: '...'"
            )


def _kind(value: Any) -> str:
    return {bool: "truth value", date: "date", datetime: "date", type(None): "null"}.get(
        type(value), "number"
    )


def _values(document: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the place, key and value of each secret, skipping malformed parts."""
    listed = _mapping(document).get("profiles")
    for number, profile in enumerate(listed if isinstance(listed, list) else [], start=1):
        place = f"profile {number} ({_mapping(profile).get('namespace')!r})"
        for field, what in (("secrets", "secret"), ("configMaps", "config map")):
            for name, values in _mapping(_mapping(profile).get(field)).items():
                for key, value in _mapping(values).items():
                    yield f"{place}: {what} {name!r}", key, value


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _check(profiles: list[Profile]) -> None:
    if not profiles:
        raise ValueError("it contains no profile")
    counts = Counter(profile.namespace for profile in profiles)
    for number, profile in enumerate(profiles, start=1):
        try:
            if counts[profile.namespace] > 1:
                raise ValueError("another profile has the same namespace")
            _check_profile(profile, set(counts))
        except ValueError as error:
            raise ValueError(f"profile {number} ({profile.namespace!r}): {error}") from None


def _check_profile(profile: Profile, namespaces: set[str]) -> None:
    if not _DNS_LABEL.fullmatch(profile.namespace):
        raise ValueError("a namespace has at most 63 lower-case letters, digits and inner hyphens")
    if profile.namespace == "users":
        raise ValueError("the name `users` is taken: the tokens of people are kept under it")
    if profile.owner.startswith(_SERVICE_ACCOUNT_PREFIX):
        raise ValueError(f"the owner is a person, not a service account ({profile.owner!r})")
    for user in [profile.owner, *profile.contributors]:
        _check_user(user, namespaces)
    for user, role in profile.contributors.items():
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r} of contributor {user!r}; there are edit, view")


def _check_user(user: str, namespaces: set[str]) -> None:
    if user.startswith(_SERVICE_ACCOUNT_PREFIX):
        namespace, _, name = user.removeprefix(_SERVICE_ACCOUNT_PREFIX).partition(":")
        if namespace not in namespaces or name not in SERVICE_ACCOUNTS:
            known = ", ".join(SERVICE_ACCOUNTS)
            raise ValueError(
                f"there is no service account {user!r}; each profile's namespace has {known}"
            )
    # The folder of a user's token has that name.
    elif not user.isprintable() or not user.strip(". ") or "/" in user or len(user) > 200:
        raise ValueError(f"{user!r} cannot be the name of a user")
