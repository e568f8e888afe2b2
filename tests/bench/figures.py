"""A measured figure beside its limit."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """What was measured; more than the limit is too much."""

    what: str
    value: float
    limit: float

    @property
    def kept(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        mark = "ok " if self.kept else "BAD"
        return f"{mark} {self.what}: {self.value:.3g} (at most {self.limit:g})"
