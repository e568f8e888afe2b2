"""Runs that were changed through this door: what its answers told, until KFP's next list does."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from ..models import Run
from .watched_namespace import NamespaceState, light

_RUNS = "/apis/v2beta1/runs"
_ONE = re.compile(_RUNS + r"/([^/:]+)(?::(terminate|archive|unarchive))?")
_STORED = {"archive": "ARCHIVED", "unarchive": "AVAILABLE"}


class OwnChange(msgspec.Struct, frozen=True):
    """A change that KFP has made: a new run, one that is gone, or what is new of one."""

    run_id: str
    made: Run | None = None
    gone: bool = False
    state: str = ""
    storage_state: str = ""

    @classmethod
    def of(cls, method: str, path: str, body: bytes) -> OwnChange | None:
        """Return what the answer to a request tells; None where it does not tell all of it."""
        if method == "POST" and path == _RUNS:
            return _made(body)
        found = _ONE.fullmatch(path)
        if not found or (method, found[2] is None) not in (("POST", False), ("DELETE", True)):
            return None
        run_id, verb = unquote(found[1]), found[2]
        if verb is None:
            return cls(run_id, gone=True)
        state = "CANCELING" if verb == "terminate" else ""
        return cls(run_id, state=state, storage_state=_STORED.get(verb, ""))

    def over(self, run: Run) -> Run:
        """The run, with what was changed of it."""
        is_stopped = self.state and not run.finished
        return msgspec.structs.replace(
            run,
            state=self.state if is_stopped else run.state,
            storage_state=self.storage_state or run.storage_state,
        )


class OwnChanges:
    """The changes of one namespace, each with the time at which it was heard of."""

    def __init__(self) -> None:
        self._changes: list[tuple[float, OwnChange]] = []

    def add(self, change: OwnChange, now: float) -> None:
        self._changes.append((now, change))

    def settle(self, begun: float) -> None:
        """KFP has told of all that there was at this time: of what came before it knows more."""
        self._changes = [each for each in self._changes if each[0] >= begun]

    def over(self, state: NamespaceState) -> NamespaceState:
        """Return what KFP told, with what was changed since."""
        for _, change in self._changes:
            state = _changed(state, change)
        return state


def _made(body: bytes) -> OwnChange | None:
    try:
        run = msgspec.json.decode(body, type=Run)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    made = msgspec.structs.replace(light(run), run_details=None)
    return OwnChange(run.run_id, made=made) if run.run_id else None


def _changed(state: NamespaceState, change: OwnChange) -> NamespaceState:
    run_id, runs, total = change.run_id, {**state.runs}, state.total_runs
    if change.made:
        total += run_id not in runs
        runs = {run_id: change.made} | runs
    elif change.gone:
        total -= runs.pop(run_id, None) is not None
    if run_id in runs:
        runs[run_id] = change.over(runs[run_id])
    seen = state.watched.get(run_id)
    watched = {run_id: change.over(seen)} if isinstance(seen, Run) else {}
    return msgspec.structs.replace(
        state, runs=runs, watched=state.watched | watched, total_runs=total
    )
