"""A measured figure beside its limit."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """A figure that was measured; more than the limit, if there is one, is too much."""

    what: str
    value: float
    limit: float | None = None

    @property
    def kept(self) -> bool:
        return self.limit is None or self.value <= self.limit

    def __str__(self) -> str:
        value = f"{self.value:.3g}" if self.value < 1000 else f"{self.value:,.0f}"
        if self.limit is None:
            return f"    {self.what}: {value}"
        mark = "ok " if self.kept else "BAD"
        return f"{mark} {self.what}: {value} (at most {self.limit:g})"
