"""Names of runs that are started without one."""

from __future__ import annotations

import re
from datetime import datetime

LONGEST = 255  # characters, as the API server stores them
_CLONE = re.compile(r"Clone(?: \((\d+)\))? of (.+)", re.DOTALL)


def of_start(pipeline: str) -> str:
    """Return the name of a run that starts now, in local time: `churn-20260131-093000`."""
    return f"{pipeline}-{datetime.now():%Y%m%d-%H%M%S}"


def of_clone(name: str) -> str:
    """Return the name of a clone, as KFP's own UI has it: `Clone of x`, then `Clone (2) of x`."""
    again = _CLONE.fullmatch(name)
    told = f"Clone ({int(again[1] or 1) + 1}) of {again[2]}" if again else f"Clone of {name}"
    return told[:LONGEST]
