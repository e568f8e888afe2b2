"""The releases of kfp with which the local KFP was tested (`make compatibility`)."""

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
    """Return a warning for a kfp newer than all that were tested; empty for others."""
    if _release(kfp) <= NEWEST:
        return ""
    return (
        f"kfp {kfp} is newer than the versions with which this local KFP was tested "
        f"({_words(OLDEST)} to {_words(NEWEST)}). If pipelines fail here for no "
        "apparent reason: pip install --upgrade jupyter-kfp-mt, or "
        f"pip install 'kfp[kubernetes]=={_words(NEWEST)}.*'"
    )


def _release(kfp: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", kfp)
    return tuple(map(int, found.groups())) if found else NEWEST


def _words(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
