"""All recorded calls made again, and what of the answers differs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from .answers import comparable, differences
from .calls import Caller, Scenario, scenarios

_HELD_WITHIN = 90


class Outcome(NamedTuple):
    """A call that was made again: its place, what it was, and what differs."""

    scenario: str
    step: int
    request: dict[str, Any]
    differs: list[str]


def outcomes(
    endpoint: str,
    token: Callable[[str], str],
    *,
    only: str = "",
    hold: bool = False,
    pauses: bool = True,
) -> Iterator[Outcome]:
    """Yield the outcome of each call. `hold`: keep a KFP busy that executes one run at a time,
    where runs are to wait as they did when this was recorded.
    """
    with closing(Caller(endpoint, token)) as caller:
        unique = f"{int(time.time()) % 10**7:07}"
        for name, recorded in scenarios(only):
            if hold and not recorded["executes"]:
                _hold(caller, unique)
                hold = False
            scenario = Scenario(caller, recorded, unique, pauses=pauses)
            for call, answer in scenario.played():
                now = comparable(call, answer, scenario.names, caller.host)
                differs = [*differences(call["answer"], now)]
                yield Outcome(name, call["step"], call["request"], differs)


def _hold(caller: Caller, unique: str) -> None:
    api = "/apis/v2beta1"
    body = {"display_name": f"hold {unique}", "namespace": "carol"}
    run = {
        "display_name": "hold",
        "experiment_id": "{{e}}",
        "pipeline_spec": {"$pipeline": "sleeps"},
    }
    who = "carol/default-editor"
    posted = [("experiments", body, {"e": "/experiment_id"}), ("runs", run, {"r": "/run_id"})]
    calls = [
        {
            "as": who,
            "save": save,
            "request": {"method": "POST", "path": f"{api}/{path}", "json": json},
        }
        for path, json, save in posted
    ]
    running = {"at": "/state", "in": ["RUNNING"], "seconds": _HELD_WITHIN}
    read = {"method": "GET", "path": f"{api}/runs/{{{{r}}}}"}
    calls.append({"as": who, "until": running, "request": read})
    *_, (_, answer) = Scenario(
        caller, {"order": 999, "calls": calls}, unique, pauses=False
    ).played()
    if answer[2].get("state") != "RUNNING":
        raise RuntimeError(f"the run that is to keep the place busy does not run: {answer[2]}")
