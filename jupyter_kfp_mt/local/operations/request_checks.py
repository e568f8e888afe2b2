"""Checks that several operations share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TypeVar

from ..tenants.profiles import SERVICE_ACCOUNTS
from ..wire.api_errors import invalid_input, not_found

DEFAULT_SERVICE_ACCOUNT = "default-editor"

_LONGEST = {"Experiment": 128, "Pipeline": 128, "PipelineVersion": 127, "Namespace": 63}
# The default limit for names and descriptions, in characters.
LONGEST_TEXT = 255
LONGEST_PIPELINE_DESCRIPTION = 100_000
_MOST_TAGS = 20
_LONGEST_TAG = 63

T = TypeVar("T")


def found(value: T | None, kind: str, name: str) -> T:
    if value is None:
        raise not_found(kind, name)
    return value


def is_empty(namespace: str) -> bool:
    return namespace in ("", "-")


def check_length(kind: str, field: str, text: str) -> None:
    longest = _LONGEST["Namespace" if field == "Namespace" else kind]
    if len(text.encode()) > longest:
        raise invalid_input(f"{kind}.{field} length cannot exceed {longest}")


def check_text(field: str, text: str, longest: int = LONGEST_TEXT) -> None:
    """Refuse what exceeds the API server's database columns, which answers that with a 500."""
    if len(text) > longest:
        raise invalid_input(f"{field} length cannot exceed {longest} characters")


def check_service_account(name: str) -> None:
    if name and name not in SERVICE_ACCOUNTS:
        raise invalid_input(
            f"There is no service account {name!r} in the run's namespace, "
            f"only {' and '.join(SERVICE_ACCOUNTS)}"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise invalid_input(
            f"number of tags ({len(tags)}) exceeds maximum of {_MOST_TAGS} per entity"
        )
    for key, value in tags.items():
        if not key:
            raise invalid_input("tag key cannot be empty")
        if "." in key:
            raise invalid_input(f"tag key \"{key}\" must not contain '.' character")
        if len(key) > _LONGEST_TAG:
            raise invalid_input(
                f'tag key "{key}" exceeds maximum length of {_LONGEST_TAG} characters'
            )
        if len(value) > _LONGEST_TAG:
            raise invalid_input(
                f'tag value "{value}" for key "{key}" exceeds maximum length of {_LONGEST_TAG} '
                "characters"
            )


def now() -> datetime:
    """Cut a time to seconds, as the API server stores it."""
    return datetime.now(timezone.utc).replace(microsecond=0)
