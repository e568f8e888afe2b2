"""Queries of KFP's lists, and the words of errors about them."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import msgspec

from ..errors import NotFound
from .listings import Order
from .run_filters import Predicate, archived_or_not


def list_query(page_size: int, page_token: str, filter: str = "") -> dict[str, str]:
    # A page token includes the order and the filter.
    query = {"page_size": str(page_size)}
    if page_token:
        return {**query, "page_token": page_token}
    query["sort_by"] = "created_at desc"
    return {**query, "filter": filter} if filter else query


def sorted_query(size: int, token: str, predicates: list[Predicate], by: Order) -> dict[str, str]:
    query = list_query(size, token, filter=filter_of(*predicates) if predicates else "")
    return query if token else {**query, "sort_by": by.sort_by}


def predicates_of(name: str, archived: bool | None) -> list[Predicate]:
    found = [having("display_name", name)] if name else []
    return found + ([] if archived is None else [archived_or_not(archived)])


def having(key: str, text: str) -> Predicate:
    return {"operation": "IS_SUBSTRING", "key": key, "string_value": text}


def equals(key: str, value: str) -> str:
    return filter_of({"operation": "EQUALS", "key": key, "string_value": value})


def one_of(key: str, values: list[str]) -> str:
    return filter_of({"operation": "IN", "key": key, "string_values": {"values": values}})


def filter_of(*predicates: Predicate) -> str:
    # The server unescapes the filter once more than HTTP does (list_request_util.go).
    return quote(msgspec.json.encode({"predicates": predicates}))


def filter_words(**filters: Any) -> list[str]:
    """Put filters into words."""
    told = {True: "", None: None, False: None, "": None}
    found = {word: told.get(value, value) for word, value in filters.items()}
    return [f"{word} {value}".strip() for word, value in found.items() if value is not None]


def within(namespace: str, word: str = "in") -> str:
    """Name a namespace within a sentence; a single-user KFP has none."""
    return f" {word} {namespace}" if namespace else ""


def part(identifier: str) -> str:
    """Return an id as a segment of a path.

    Raises `NotFound` for one with a slash: the API server redirects `%2F..%2F` to another path.
    """
    if "/" in identifier:
        raise NotFound(reason="an id has no slash.")
    return quote(identifier, safe="")


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
