"""Values in the form of columns: times as seconds, structures as JSON."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TypeVar

import msgspec

T = TypeVar("T")


def to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def from_json(text: str, kind: type[T]) -> T:
    return msgspec.json.decode(text, type=kind)


def to_seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def from_seconds(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
