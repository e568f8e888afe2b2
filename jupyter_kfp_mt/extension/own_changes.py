"""Runs changed through this door, known from KFP's responses until its next list has them."""

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
    """A change made by KFP: a new run, a deleted one, or the new fields of one."""

    run_id: str
    made: Run | None = None
    gone: bool = False
    state: str = ""
    storage_state: str = ""

    @classmethod
    def of(cls, method: str, path: str, body: bytes) -> OwnChange | None:
        """Return the change that a response shows; None if it does not show it completely."""
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
        """Apply the change to a run."""
        is_stopped = self.state and not run.finished
        return msgspec.structs.replace(
            run,
            state=self.state if is_stopped else run.state,
            storage_state=self.storage_state or run.storage_state,
        )


class OwnChanges:
    """The changes of one namespace, each with the time at which it became known."""

    def __init__(self) -> None:
        self._changes: list[tuple[float, OwnChange]] = []

    def add(self, change: OwnChange, now: float) -> None:
        self._changes.append((now, change))

    def settle(self, begun: float) -> None:
        """Drop the changes made before KFP's list of this time, which includes them."""
        self._changes = [each for each in self._changes if each[0] >= begun]

    def over(self, state: NamespaceState) -> NamespaceState:
        """Apply the changes to a state reported by KFP."""
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
