"""The parts of a view: what a value shows in a cell, before it is HTML or text."""

from __future__ import annotations

from typing import Any

import msgspec
from markupsafe import Markup

from ..doctor.check_results import FAILED, PASSED, Finding
from ..models import state_word

# A sign beside the word: a state is never distinguished by its colour alone.
_SIGNS = {
    "PENDING": "○",
    "RUNNING": "▶",
    "SUCCEEDED": "✓",
    "FAILED": "✗",
    "SKIPPED": "–",
    "CANCELING": "■",
    "CANCELED": "■",
    "TERMINATED": "■",
    "PAUSED": "‖",
}
_COLOURS = {
    "RUNNING": "var(--jp-brand-color1, #1976d2)",
    "SUCCEEDED": "var(--jp-success-color1, #2e7d32)",
    "FAILED": "var(--jp-error-color1, #c62828)",
}
_FAINT = "var(--jp-ui-font-color2, #616161)"


class ShownState(msgspec.Struct, frozen=True):
    """A state, as a sign, a word and a colour."""

    word: str

    def __str__(self) -> str:
        return f"{_SIGNS.get(self.word, '?')} {state_word(self.word)}"

    @property
    def colour(self) -> str:
        return _COLOURS.get(self.word, "inherit")


class Mark(msgspec.Struct, frozen=True):
    """A mark that something works or does not, as a sign, a word and a colour."""

    works: bool

    def __str__(self) -> str:
        return "✓ yes" if self.works else "✗ no"

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED" if self.works else "FAILED"]


class Allowed(msgspec.Struct, frozen=True):
    """A mark that something is allowed, forbidden or unknown; forbidden is not an error."""

    answer: bool | None

    def __str__(self) -> str:
        return {True: "✓ yes", False: "✗ no", None: "? not known yet"}[self.answer]

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED"] if self.answer else _FAINT


class Verdict(msgspec.Struct, frozen=True):
    """The result of a check, as a sign, a word and a colour."""

    finding: Finding

    def __str__(self) -> str:
        return self.finding.verdict

    @property
    def colour(self) -> str:
        states = {PASSED: "SUCCEEDED", FAILED: "FAILED"}
        return _COLOURS.get(states.get(self.finding.result, ""), "inherit")


class Code(msgspec.Struct, frozen=True):
    """Something to copy: an id, an address."""

    text: str
    whole: str = ""

    def __str__(self) -> str:
        return self.text


class Table(msgspec.Struct, frozen=True):
    """Rows under headings; `folded` is the summary of a collapsed table.

    `faint`: how many of the last rows are less important, and shown so.
    """

    headings: list[str]
    rows: list[list[Any]]
    folded: str = ""
    faint: int = 0


class Remedy(msgspec.Struct, frozen=True):
    """A fault and its cure: a sentence, and below it lines to be copied and pasted."""

    wrong: str
    cure: str

    @property
    def sentence(self) -> str:
        return self.cure.partition("\n")[0]

    @property
    def paste(self) -> str:
        return self.cure.partition("\n")[2].rstrip()

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.wrong, self.cure.rstrip()]))


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The visible parts of a value, from top to bottom; empty ones are not shown."""

    title: str = ""
    state: ShownState | None = None
    facts: list[tuple[str, Any]] = []
    problem: str = ""
    tables: list[Table] = []
    texts: list[tuple[str, str]] = []
    folded_texts: list[tuple[str, str]] = []  # shown where they can be collapsed
    remedies: list[Remedy] = []
    folded: str = ""  # the summary of the remedies, if collapsed
    pictures: list[Markup] = []
    note: str = ""
