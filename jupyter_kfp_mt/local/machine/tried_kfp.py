"""The releases of kfp that the local KFP was tried with, as `make compatibility` does."""

from __future__ import annotations

import re

from ...errors import Misconfigured

OLDEST, NEWEST = (2, 14), (2, 17)
WHICH = "2.14 or newer"


def check(kfp: str) -> None:
    """Raise `Misconfigured` for a version of kfp that is too old."""
    if _release(kfp) < OLDEST:
        raise Misconfigured(
            f"The local KFP needs kfp {WHICH}, and kfp {kfp} is installed.",
            cure=f"pip install 'kfp[kubernetes]>={_words(OLDEST)}'",
        )


def warning(kfp: str) -> str:
    """Return a warning of a version of kfp that is newer than all that were tried, or nothing."""
    if _release(kfp) <= NEWEST:
        return ""
    return (
        f"kfp {kfp} is newer than those that this release of the local KFP was tried with "
        f"({_words(OLDEST)} to {_words(NEWEST)}). If pipelines fail here for no reason of their "
        "own: pip install --upgrade jupyter-kfp-mt, or "
        f"pip install 'kfp[kubernetes]=={_words(NEWEST)}.*'"
    )


def _release(kfp: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", kfp)
    return tuple(map(int, found.groups())) if found else NEWEST


def _words(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
