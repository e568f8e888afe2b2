"""Macros in text parameters, which each run fills in: its id, and its times.

`[[RunUUID]]`, `[[CurrentTime]]`, and in runs of a recurring run `[[ScheduledTime]]`; a time also
with a layout, in Go's form (`[[CurrentTime.2006-01-02]]`) or in strftime's
(`{{$.currentTime.strftime('%Y-%m-%d')}}`). Times are in UTC. The rule is the API server's, which
has the same macros; and also `[[Index]]`, which it fills in only for some recurring runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

# A layout cannot contain the beginning of a macro, so each letter is scanned once or twice.
_MACRO = re.compile(
    r"\[\[RunUUID\]\]"
    r"|\[\[(?P<time>ScheduledTime|CurrentTime)(?:\.(?P<layout>[^\[\]]*))?\]\]"
    r"|\{\{\$\.(?P<when>scheduledTime|currentTime)\.strftime\('(?P<format>[^{}']*)'\)\}\}"
)

# The parts of Go's reference time, longer ones before their prefixes.
_GO_LAYOUT = {
    "2006": "%Y",
    "January": "%B",
    "Jan": "%b",
    "Monday": "%A",
    "Mon": "%a",
    "MST": "%Z",
    "-07:00": "+00:00",
    "Z07:00": "Z",
    "-0700": "+0000",
    "Z0700": "Z",
    "002": "%j",
    "01": "%m",
    "02": "%d",
    "03": "%I",
    "04": "%M",
    "05": "%S",
    "06": "%y",
    "15": "%H",
    "PM": "%p",
    "_2": "%e",
    "1": "%-m",
    "2": "%-d",
    "3": "%-I",
    "4": "%-M",
    "5": "%-S",
}
_GO_PART = re.compile("|".join(map(re.escape, _GO_LAYOUT)) + "|%")


def expanded(
    parameters: Mapping[str, Any],
    run_id: str,
    scheduled_at: datetime | None,
    created_at: datetime,
) -> dict[str, Any]:
    """Fill in the macros in text parameters."""

    def value_of(macro: re.Match[str]) -> str:
        kind = (macro["time"] or macro["when"] or "").lower()
        if not kind:
            return run_id
        moment = scheduled_at if kind == "scheduledtime" else created_at
        if moment is None:
            return macro[0]
        moment = moment.astimezone(timezone.utc)
        if macro["when"]:
            seconds = str(int(moment.timestamp()))
            return moment.strftime(macro["format"].replace("%s", seconds))
        return moment.strftime(_from_go(macro["layout"] or "20060102150405"))

    return {
        name: _MACRO.sub(value_of, value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _from_go(layout: str) -> str:
    return _GO_PART.sub(lambda part: _GO_LAYOUT.get(part[0], "%%"), layout)
