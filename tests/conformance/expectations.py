"""The table in expectations.yaml: how each pipeline is meant to end, and what it is given."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec
import yaml

SUCCEEDED, FAILED = "succeeded", "failed"


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one pipeline: its end, a part of the reason if it fails, and what it is given."""

    end: str = SUCCEEDED
    reason: str = ""
    parameters: dict[str, Any] = {}
    needs: list[str] = []
    # Why it is meant to end so, where nothing else says it.
    because: str = ""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By the end of the file's path; and what the namespace has."""

    pipelines: dict[str, Expectation]
    secrets: dict[str, dict[str, str]] = {}

    def of(self, file: Path) -> Expectation:
        for pattern, expectation in self.pipelines.items():
            if fnmatch(str(file), f"*/{pattern}"):
                return expectation
        return Expectation()


def table() -> Table:
    text = Path(__file__).with_name("expectations.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(text), Table)
