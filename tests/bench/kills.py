"""A hundred `kill -9` under load, at random moments, and what is there when it starts again."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.killing import Checked, kill_under_load
from harness.local_kfp import PROFILES

from . import pipelines
from .figures import Figure

KILLS = 100


def figures() -> Iterator[Figure]:
    # Before there is any load, whose clients draw random numbers too.
    moments = [random.uniform(0.05, 1.0) for _ in range(KILLS)]
    with TemporaryDirectory(prefix="kfp-mt-bench-") as folder:
        specification = pipelines.specification(Path(folder), "short")
        profiles = Path(folder, "profiles.yaml")
        profiles.write_text(PROFILES)
        found = [
            _found(Path(folder, f"data-{number}"), profiles, specification, seconds)
            for number, seconds in enumerate(moments)
        ]
    held = [each for each in found if each]
    yield Figure(f"of {KILLS} kills, those that lost something", KILLS - len(held), 0)
    for what in ("creates", "archives", "deletes"):
        checked = sum(getattr(each, what) for each in held)
        yield Figure(f"acknowledged {what} that were looked for", checked)
    worst = max((each.restart_seconds for each in held), default=0)
    yield Figure("the longest start after a kill, s", worst)


def _found(data: Path, profiles: Path, specification: Any, seconds: float) -> Checked | None:
    """Return the checks after a kill; None, after saying why, if one of them failed."""
    try:
        return kill_under_load(data, profiles, specification, seconds)
    except Exception:  # A server that does not start again has lost everything.
        print(f"killed after {seconds} s:")
        traceback.print_exc()
        return None
