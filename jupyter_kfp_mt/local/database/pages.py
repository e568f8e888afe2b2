"""One page of a list, as SQL: conditions, order, position, and how many there are in all."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from ..listing import (
    EXPERIMENTS,
    METRIC,
    PIPELINE_VERSIONS,
    PIPELINES,
    RECURRING_RUNS,
    RUNS,
    TAG,
    ListOptions,
    Noun,
    Position,
    Predicate,
)

_FROM = {
    EXPERIMENTS.name: "experiments",
    PIPELINES.name: "pipelines",
    PIPELINE_VERSIONS.name: "pipeline_versions JOIN specifications USING (digest)",
    RUNS.name: "runs",
    RECURRING_RUNS.name: "recurring_runs",
}

_CONDITIONS = {
    "EQUALS": "{} = ?",
    "NOT_EQUALS": "{} <> ?",
    "GREATER_THAN": "{} > ?",
    "GREATER_THAN_EQUALS": "{} >= ?",
    "LESS_THAN": "{} < ?",
    "LESS_THAN_EQUALS": "{} <= ?",
    "IN": "{} IN (SELECT value FROM json_each(?))",
    "IS_SUBSTRING": "{} LIKE ?",
}

# What `run_counts` tells apart: filters by these alone need no counting.
_COUNTED = frozenset({"state", "storage_state", "status"})
_TAGGED = "EXISTS (SELECT 1 FROM json_each(tags) WHERE key = ? AND value = ?)"
# Runs without the metric come after those with it when the greatest are first.
_METRIC = """coalesce((
    SELECT max(number_value) FROM run_metrics
    WHERE run_metrics.run_id = runs.run_id AND name = ?), -1e308)"""


class Page(msgspec.Struct, frozen=True):
    """The rows of one page, how many rows there are on all pages, and where the next one starts."""

    rows: list[sqlite3.Row]
    total_size: int
    next: Position | None


def page(db: sqlite3.Connection, scope: Mapping[str, str], options: ListOptions) -> Page:
    """The rows whose columns have the values in `scope`, as far as the options ask for them."""
    noun = options.noun
    where, values = _where(scope, noun, options.predicates)
    sort, sort_values = _sort(options)
    direction, comparison = ("DESC", "<=") if options.order.descending else ("ASC", ">=")
    after, start = "", []
    if options.start:
        after = f"AND ({sort}, {noun.key}) {comparison} (?, ?)"
        start = [*sort_values, options.start.value, options.start.key]
    rows = db.execute(
        f"SELECT *, {sort} AS sorted_by FROM {_FROM[noun.name]} WHERE {where} {after} "
        f"ORDER BY {sort} {direction}, {noun.key} {direction} LIMIT ?",
        [*sort_values, *values, *start, *sort_values, options.page_size + 1],
    ).fetchall()
    following = rows[options.page_size :]
    if not following and not options.start:
        return Page(rows, len(rows), None)
    return Page(
        rows[: options.page_size],
        _total(db, scope, options),
        Position(following[0]["sorted_by"], following[0][noun.key]) if following else None,
    )


def _total(db: sqlite3.Connection, scope: Mapping[str, str], options: ListOptions) -> int:
    noun, predicates = options.noun, options.predicates
    columns = {noun.column(predicate.key) for predicate in predicates}
    if noun is RUNS and len(scope) == 1 and columns <= _COUNTED:
        (kind, value), *_ = scope.items()
        where, values = _where({"scope": kind, "scope_id": value}, noun, predicates)
        query = f"SELECT coalesce(sum(runs), 0) FROM run_counts WHERE {where}"
    else:
        where, values = _where(scope, noun, predicates)
        query = f"SELECT count(*) FROM {_FROM[noun.name]} WHERE {where}"
    (total,) = db.execute(query, values).fetchone()
    return int(total)


def _sort(options: ListOptions) -> tuple[str, list[object]]:
    """What is sorted by, and the values in it."""
    field = options.order.field
    if options.noun is RUNS and (metric := METRIC.fullmatch(field)):
        return _METRIC, [metric["name"]]
    return options.noun.columns[field], []


def _where(
    scope: Mapping[str, str], noun: Noun, predicates: Sequence[Predicate]
) -> tuple[str, list[object]]:
    conditions = [f"{column} = ?" for column in scope]
    values: list[object] = list(scope.values())
    for predicate in predicates:
        condition, operands = _condition(noun, predicate)
        conditions.append(condition)
        values += operands
    return " AND ".join(conditions), values


def _condition(noun: Noun, predicate: Predicate) -> tuple[str, list[object]]:
    if tag := TAG.fullmatch(predicate.key):
        return _TAGGED, [tag["name"], predicate.value]
    column = noun.columns[predicate.key]
    if (column, predicate.operation) == ("storage_state", "NOT_EQUALS"):
        return _other_storage_state(predicate.value)
    return _CONDITIONS[predicate.operation].format(column), [_operand(predicate)]


def _other_storage_state(value: object) -> tuple[str, list[object]]:
    """There are two of them; that it is the other one is what an index can find."""
    others = {"AVAILABLE", "ARCHIVED"} - {str(value).upper()}
    if len(others) == 1:
        return "storage_state = ?", [*others]
    return "storage_state <> ?", [value]


def _operand(predicate: Predicate) -> object:
    if predicate.operation == "IN":
        return msgspec.json.encode(predicate.value).decode()
    # As in the API server, % and _ in the value are wildcards too.
    return f"%{predicate.value}%" if predicate.operation == "IS_SUBSTRING" else predicate.value
