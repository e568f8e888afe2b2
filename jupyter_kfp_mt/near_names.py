"""The name that was most likely meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> list[str]:
    """Return the names that are at least so much alike, the likeliest first.

    `alike` is from 0 to 1, as `difflib` counts it. The same letters in another order are the
    likeliest of all mistakes.
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
    """Return the likeliest; empty where none is near."""
    return next(iter(nearest(word, known, alike)), "")
