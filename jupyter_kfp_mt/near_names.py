"""Known names that are similar to an unknown one, for suggestions."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> list[str]:
    """Return the known names that are similar to a word, the most similar first.

    `alike` is the least similarity, from 0 to 1, as `difflib` computes it. The same letters in
    another order, which is the commonest mistake, count as equal.
    """
    letters = sorted(word.lower())

    def likeness(name: str) -> float:
        same = sorted(name.lower()) == letters
        return 1.0 if same else difflib.SequenceMatcher(a=name.lower(), b=word.lower()).ratio()

    found = {name: likeness(name) for name in known}
    return sorted((name for name in found if found[name] >= alike), key=lambda name: -found[name])


def meant_whole(word: str, known: Iterable[str]) -> str:
    """Return the likeliest, or the first that begins like the word; empty where none is near."""
    names = [*known]
    starts: dict[str, str] = {}
    for name in names:
        starts.setdefault(name[: len(word)], name)
    return meant(word, names) or (starts.get(meant(word, starts, 0.75), "") if word else "")


def meant(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """Return the most similar known name; empty if none is similar enough."""
    return next(iter(nearest(word, known, alike)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" with the name that `meant_whole` finds; empty for none."""
    close = meant_whole(word, known)
    return f" Did you mean {shlex.quote(close)}?" if close else ""
