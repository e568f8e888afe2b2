"""One page of a list, as SQL: conditions, order, position, and the total number."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from ..wire.list_options import (
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
from .collation import WRITTEN, collation_key, folded

_FROM = {
    EXPERIMENTS.name: "experiments",
    PIPELINES.name: "pipelines",
    PIPELINE_VERSIONS.name: "pipeline_versions JOIN specifications USING (digest)",
    RUNS.name: "runs",
    RECURRING_RUNS.name: "recurring_runs",
}

# The columns of a page's rows, if not all.
_COLUMNS = {PIPELINE_VERSIONS.name: "pipeline_versions.*"}

# Columns with possibly long texts.
_LONG = {
    EXPERIMENTS.name: ("description",),
    PIPELINES.name: ("description",),
    PIPELINE_VERSIONS.name: ("description",),
    RUNS.name: ("runtime_config", "state_history"),
    RECURRING_RUNS.name: ("runtime_config", "trigger"),
}

_CONDITIONS = {
    "EQUALS": "{} = ?",
    "NOT_EQUALS": "{} <> ?",
    "GREATER_THAN": "{} > ?",
    "GREATER_THAN_EQUALS": "{} >= ?",
    "LESS_THAN": "{} < ?",
    "LESS_THAN_EQUALS": "{} <= ?",
    "IN": "{} IN (SELECT value FROM json_each(?))",
    "IS_SUBSTRING": r"{} LIKE ? ESCAPE '\'",
}

# Python folds a text only if SQLite's own LIKE, which knows only ASCII, does not suffice: for a
# million texts that takes seconds.
_CONTAINS = r"""CASE WHEN length({0}) = length(CAST({0} AS BLOB)) THEN {0} LIKE ? ESCAPE '\'
    ELSE folded({0}) LIKE ? ESCAPE '\' END"""

# Columns with times, in seconds.
_NUMBERS = frozenset(
    {"created_at", "updated_at", "scheduled_at", "finished_at", "last_run_created_at"}
)
# The columns of `run_counts`: filters by only these need no counting.
_COUNTED = frozenset({"state", "storage_state", "status"})
_TAGGED = (
    "EXISTS (SELECT 1 FROM json_each(tags) "
    "WHERE collation_key(key) = ? AND collation_key(value) = ?)"
)
# In descending order, runs without the metric come after those with it.
_METRIC = """coalesce((
    SELECT max(number_value) FROM run_metrics
    WHERE run_metrics.run_id = runs.run_id AND name = ?), -1e308)"""


class PageQuery(msgspec.Struct, frozen=True):
    """The rows of one page, the number of rows on all pages, and the start of the next one."""

    rows: list[sqlite3.Row]
    total_size: int
    next: Position | None


class PageTooLong(Exception):
    """A page exceeds its limit."""


class PageLimit(msgspec.Struct, frozen=True):
    """The limit of a page in bytes of text, where it ends, or raises PageTooLong."""

    most_bytes: int = 8 << 20
    ends: bool = True

    def fitting(self, lengths: Iterable[int]) -> int:
        """Return how many items of these lengths fit; the first one always does."""
        left, count = self.most_bytes, 0
        for length in lengths:
            left -= length
            if left < 0 and not self.ends:
                raise PageTooLong
            if left < 0 and count:
                break
            count += 1
        return count


PAGE_LIMIT = PageLimit()


def shortened(found: PageQuery, noun: Noun, limit: PageLimit, lengths: Iterable[int]) -> PageQuery:
    """Shorten the page to what fits, given the lengths of what belongs to its rows."""
    fit = limit.fitting(lengths)
    if fit >= len(found.rows):
        return found
    return msgspec.structs.replace(
        found, rows=found.rows[:fit], next=_position(noun, found.rows[fit])
    )


def _position(noun: Noun, row: sqlite3.Row) -> Position:
    return Position(row["sorted_by"], row[noun.key])


def page(
    db: sqlite3.Connection,
    scope: Mapping[str, str],
    options: ListOptions,
    limit: PageLimit = PAGE_LIMIT,
) -> PageQuery:
    """The page of rows with the values in `scope` that the options select, within the limit."""
    noun = options.noun
    where, values = _where(scope, noun, options.predicates)
    sort, sort_values = _sort(options)
    direction, comparison = ("DESC", "<=") if options.order.descending else ("ASC", ">=")
    after, start = "", []
    if options.start:
        after = f"AND ({sort}, {noun.key}) {comparison} (?, ?)"
        start = [*sort_values, options.start.value, options.start.key]
    cursor = db.execute(
        f"SELECT {_COLUMNS.get(noun.name, '*')}, {sort} AS sorted_by FROM {_FROM[noun.name]} "
        f"WHERE {where} {after} "
        f"ORDER BY {sort} {direction}, {noun.key} {direction} LIMIT ?",
        [*sort_values, *values, *start, *sort_values, options.page_size + 1],
    )
    rows, following = _fitting(cursor, options.page_size, limit, _LONG[noun.name])
    if following is None and not options.start:
        return PageQuery(rows, len(rows), None)
    return PageQuery(
        rows,
        _total(db, scope, options),
        _position(noun, following) if following is not None else None,
    )


def _fitting(
    cursor: sqlite3.Cursor, most: int, limit: PageLimit, long: Sequence[str]
) -> tuple[list[sqlite3.Row], sqlite3.Row | None]:
    """Read as many rows as the limit allows and the one after them, but no more."""
    rows: list[sqlite3.Row] = []
    columns = [place for place, (name, *_) in enumerate(cursor.description) if name in long]

    def lengths() -> Iterator[int]:
        for row in islice(cursor, most):
            rows.append(row)
            yield sum([len(row[place]) for place in columns])

    fit = limit.fitting(lengths())
    return rows[:fit], rows[fit] if fit < len(rows) else next(cursor, None)


def _total(db: sqlite3.Connection, scope: Mapping[str, str], options: ListOptions) -> int:
    """Return the number of rows; a negated name is counted as all rows except those with it."""
    noun, predicates = options.noun, options.predicates
    for predicate in predicates:
        if predicate.operation == "NOT_EQUALS" and noun.column(predicate.key) in WRITTEN:
            others = [each for each in predicates if each is not predicate]
            so = msgspec.structs.replace(predicate, operation="EQUALS")
            with_others = msgspec.structs.replace(options, predicates=others)
            return _total(db, scope, with_others) - _count(db, scope, noun, [*others, so])
    return _count(db, scope, noun, predicates)


def _count(
    db: sqlite3.Connection, scope: Mapping[str, str], noun: Noun, predicates: Sequence[Predicate]
) -> int:
    columns = {noun.column(predicate.key) for predicate in predicates}
    if noun is RUNS and len(scope) == 1 and columns <= _COUNTED:
        (kind, value), *_ = scope.items()
        where, values = _where({"scope": kind, "scope_id": value}, noun, predicates)
        query = f"SELECT coalesce(sum(runs), 0) FROM run_counts WHERE {where}"
    else:
        where, values = _where(scope, noun, predicates)
        query = f"SELECT count(*) FROM {_counted_in(scope, noun, predicates)} WHERE {where}"
    (total,) = db.execute(query, values).fetchone()
    return int(total)


def _counted_in(scope: Mapping[str, str], noun: Noun, predicates: Sequence[Predicate]) -> str:
    """The table to count in: for runs of a name, the index of names.

    SQLite would otherwise prefer to scan a covering index completely.
    """
    named = {noun.column(each.key) for each in predicates if each.operation in ("EQUALS", "IN")}
    if noun is RUNS and scope.keys() == {"namespace"} and "display_name" in named:
        return "runs INDEXED BY runs_by_name"
    return _FROM[noun.name]


def _sort(options: ListOptions) -> tuple[str, list[object]]:
    """Return the expression to sort by, and its arguments."""
    field = options.order.field
    if options.noun is RUNS and (metric := METRIC.fullmatch(field)):
        return _METRIC, [metric["name"]]
    column = options.noun.columns[field]
    return (f"collation_key({column})" if column in WRITTEN else column), []


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
        return _TAGGED, [collation_key(tag["name"]), collation_key(str(predicate.value))]
    column = noun.columns[predicate.key]
    if (column, predicate.operation) == ("storage_state", "NOT_EQUALS"):
        return _other_storage_state(predicate.value)
    condition = _CONDITIONS[predicate.operation]
    if column in _NUMBERS and predicate.operation != "IS_SUBSTRING":
        given = predicate.value
        number = [*map(_number, given)] if isinstance(given, list) else _number(given)
        return condition.format(column), [_operand(predicate.operation, number)]
    if column not in WRITTEN:
        return condition.format(column), [_operand(predicate.operation, predicate.value)]
    given = predicate.value
    if predicate.operation == "IS_SUBSTRING":
        operand = _operand(predicate.operation, folded(str(given)))
        return _CONTAINS.format(column), [operand, operand]
    value = (
        [*map(collation_key, map(str, given))]
        if isinstance(given, list)
        else collation_key(str(given))
    )
    condition = condition.format(f"collation_key({column})")
    return condition, [_operand(predicate.operation, value)]


def _other_storage_state(value: object) -> tuple[str, list[object]]:
    """Turn "not this one of two values" into "the other one", which an index can find."""
    others = {"AVAILABLE", "ARCHIVED"} - {str(value).upper()}
    if len(others) == 1:
        return "storage_state = ?", [*others]
    return "storage_state <> ?", [value]


def _number(value: object) -> object:
    """Return the number that MySQL compares with: that at the beginning of a text, or 0."""
    if not isinstance(value, str):
        return value
    found = re.match(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)", value)
    return float(found[1]) if found else 0


def _operand(operation: str, value: object) -> object:
    if operation == "IN":
        return msgspec.json.encode(value).decode()
    if operation != "IS_SUBSTRING":
        return value
    # As in the API server, % and _ in the value are wildcards, too, unless escaped by a
    # backslash, which is dropped before any other character.
    return "%" + re.sub(r"\\(?![%_\\])(.?)", r"\1", str(value), flags=re.DOTALL) + "%"
