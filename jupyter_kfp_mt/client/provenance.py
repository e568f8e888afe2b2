"""The origin of a run, which is written into its description: KFP stores, shows and searches that.

Runs in KFP 2.17 have no labels, and no other visible field.
"""

from __future__ import annotations

import re

import msgspec

# Each on a line of its own, as `Notebook: work/train.ipynb`.
_LINE = re.compile(r"^(Notebook|Cell|Git commit|Started by): (.*)$", re.MULTILINE)


class Provenance(msgspec.Struct, frozen=True):
    """The notebook, cell and commit that a run was started from, and by which user."""

    notebook: str = ""
    cell: str = ""
    commit: str = ""
    by: str = ""

    @property
    def lines(self) -> str:
        """Return the lines for a description."""
        facts = zip(_LABELS, msgspec.structs.astuple(self), strict=True)
        return "\n".join(f"{label}: {_one_line(text)}" for label, text in facts if text)

    def added_to(self, description: str) -> str:
        """Append the origin to a description."""
        return "\n\n".join(filter(None, [description.rstrip(), self.lines]))


_LABELS = ("Notebook", "Cell", "Git commit", "Started by")


def read(description: str) -> Provenance:
    """Read the origin from a description; what is missing is empty."""
    found = dict(_LINE.findall(description))
    return Provenance(*(found.get(label, "").strip() for label in _LABELS))


def without(description: str) -> str:
    """Return a description without the origin: the user's own text."""
    return _LINE.sub("", description).rstrip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
