"""Filters for runs: as KFP's API accepts them, and in words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .. import near_names
from ..errors import BadRequest
from ..models import EPOCH, FINISHED, STATES, UNSPECIFIED, Run, state_word
from . import provenance, spans
from .listings import Order

# A run that has not started may have no state yet, for which KFP stores another name.
WAITING = ["PENDING", UNSPECIFIED]
ACTIVE = "ACTIVE"  # states of runs that may still change
UNFINISHED = [UNSPECIFIED, *(state for state in STATES if state not in FINISHED)]
_COLUMNS = {
    "created": "created_at",
    "started": "created_at",
    "finished": "finished_at",
    "name": "display_name",
    "state": "state",
}
Predicate = dict[str, Any]


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filters for runs; an empty field does not filter.

    `since`: a moment, or how long ago, as `2d`. `archived`: only those, only others, or both.
    """

    experiment: str = ""
    state: str = ""
    since: str | timedelta | datetime = ""
    pipeline: str = ""
    by: str = ""
    notebook: str = ""
    name: str = ""
    archived: bool | None = False

    @property
    def predicates(self) -> list[Predicate]:
        """Return the filters that KFP applies, except experiment and pipeline, which take ids."""
        found = [archived_or_not(self.archived)] if self.archived is not None else []
        if self.state:
            found.append(_state(self.state))
        if self.since:
            moment = spans.since(self.since).isoformat().replace("+00:00", "Z")
            found.append(
                {"operation": "GREATER_THAN_EQUALS", "key": "created_at", "timestamp_value": moment}
            )
        found += [_contains("display_name", self.name)] if self.name else []
        found += [_contains("description", f"Notebook: {self.notebook}")] if self.notebook else []
        return found + ([_contains("description", f"Started by: {self.by}")] if self.by else [])

    @property
    def words(self) -> list[str]:
        """The filters in words."""
        wanted = {
            "experiment": self.experiment,
            "state": state_word(self.state),
            "since": str(self.since),
            "pipeline": self.pipeline,
            "by": self.by,
            "notebook": self.notebook,
            "name": self.name,
        }
        return [f"{word} {text}" for word, text in wanted.items() if text] + (
            ["archived"] if self.archived else []
        )

    def kept(self, pipelines: Collection[str]) -> Callable[[Run], bool] | None:
        """Return the filters that KFP does not have: a pipeline's ids or name, and lines of a
        description.
        """
        if not (self.pipeline or self.notebook or self.by):
            return None

        def keep(run: Run) -> bool:
            told = provenance.read(run.description)
            return (
                (not self.pipeline or _runs(run, self.pipeline, pipelines))
                and self.notebook in ("", told.notebook)
                and self.by in ("", told.by)
            )

        return keep


def order(sort: str, columns: dict[str, str] | None = None) -> Order:
    """The order that `name`, `-created` or `finished desc` stands for. Raises `BadRequest`."""
    if not sort:
        return Order()
    columns = columns or _COLUMNS
    word, _, direction = sort.removeprefix("-").partition(" ")
    column = columns.get(word.lower(), word if word in columns.values() else "")
    if not column or direction not in ("", "asc", "desc"):
        known = ", ".join(columns)
        near = near_names.meant(word, columns)
        raise BadRequest(
            f"Cannot sort by {sort}." + (f" Did you mean {near}?" if near else ""),
            cure=f"A list is sorted by {known}, or the other way round: -{[*columns][0]}.",
        )
    backwards = sort.startswith("-") or direction == "desc"
    return Order(f"{column} {'desc' if backwards else 'asc'}", lambda item: _key(item, column))


def archived_or_not(archived: bool) -> Predicate:
    """Keep the runs that are archived, or all others."""
    operation = "EQUALS" if archived else "NOT_EQUALS"
    return {"operation": operation, "key": "storage_state", "string_value": "ARCHIVED"}


def _state(state: str) -> Predicate:
    if state.upper() == "TERMINATED":
        raise BadRequest(
            "KFP has no state for terminated runs: it reports them as failed.",
            cure="List the failed ones, among which terminated ones are marked.",
        )
    if state.upper() not in (*STATES, ACTIVE):
        raise BadRequest(f"There is no state {state}: it is one of {', '.join(STATES)}, or active.")
    if state.upper() == ACTIVE:
        return {"operation": "IN", "key": "state", "string_values": {"values": UNFINISHED}}
    if state.upper() == "PENDING":
        return {"operation": "IN", "key": "state", "string_values": {"values": WAITING}}
    return {"operation": "EQUALS", "key": "state", "string_value": state.upper()}


def _contains(key: str, text: str) -> Predicate:
    return {"operation": "IS_SUBSTRING", "key": key, "string_value": text}


def _key(item: Any, column: str) -> Any:
    value = getattr(item, column)
    return value.casefold() if isinstance(value, str) else value or EPOCH


def _runs(run: Run, name: str, pipelines: Collection[str]) -> bool:
    """Tell if a run executes a pipeline with one of these ids, or a file of that name."""
    reference = run.pipeline_version_reference
    if reference:
        return reference.pipeline_id in pipelines
    spec = run.pipeline_spec or {}
    info = spec.get("pipeline_spec", spec).get("pipelineInfo", {})
    return bool(info.get("name") == name)
