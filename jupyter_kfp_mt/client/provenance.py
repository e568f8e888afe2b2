"""The origin of a run, which is written into its description: KFP keeps, shows and searches that.

Runs have no labels in KFP 2.17, and no other field that people see.
"""

from __future__ import annotations

import re

import msgspec

# Each on a line of its own, as `Notebook: work/train.ipynb`.
_LINE = re.compile(r"^(Notebook|Cell|Git commit|Started by): (.*)$", re.MULTILINE)


class Provenance(msgspec.Struct, frozen=True):
    """The notebook, cell and commit that started a run, and the person who did."""

    notebook: str = ""
    cell: str = ""
    commit: str = ""
    by: str = ""

    @property
    def lines(self) -> str:
        """Return it as it is written into a description."""
        facts = zip(_LABELS, msgspec.structs.astuple(self), strict=True)
        return "\n".join(f"{label}: {_one_line(text)}" for label, text in facts if text)

    def added_to(self, description: str) -> str:
        """A description with this at its end."""
        return "\n\n".join(filter(None, [description.rstrip(), self.lines]))


_LABELS = ("Notebook", "Cell", "Git commit", "Started by")


def read(description: str) -> Provenance:
    """Read the origin from a description, as far as it is there."""
    found = dict(_LINE.findall(description))
    return Provenance(*(found.get(label, "").strip() for label in _LABELS))


def without(description: str) -> str:
    """Return a description without the origin: the part that a person wrote."""
    return _LINE.sub("", description).rstrip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
