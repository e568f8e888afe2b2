"""Lists as views: a table of rows, and a note with their number and filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import cron_words
from ..client.listings import Listing
from ..errors import KfpError
from ..models import Experiment, Pipeline, PipelineVersion, RecurringRun, Run
from .formats import cut, duration_text, plural_of, run_state, timestamp
from .view_parts import Code, Table, View


def page_of(listing: Listing, items: Sequence[Any]) -> View:  # type: ignore[type-arg]
    """Some of a list's items as a table, with how many there are in all."""
    return listed(
        *(listing.kind, items, listing.total, listing.namespaces, listing.filters),
        listing.order.words,
        [listing.namespace_of(item) for item in items],
    )


def listed(
    kind: type,
    items: Sequence[Any],
    total: int | None,
    namespaces: Sequence[str],
    filters: Sequence[str],
    order: str = "",
    places: Sequence[str] = (),
) -> View:
    """Return a table of `items`, and a note with their number, place, filters and order."""
    noun, headings, row = LISTS[kind]
    many = len(namespaces) > 1
    where = _where(namespaces)
    fitting = f" that fit {', '.join(filters)}" if filters else ""
    if not items:
        return View(note=f"No {noun}s found{where}{fitting}.")
    length = _id_length(items)
    rows = [
        [
            *([place or "everyone's"] if many else []),
            *row(item),
            short_id(_identifier(item), length),
        ]
        for item, place in zip(items, places or [""] * len(items), strict=True)
    ]
    count = f"{len(rows):,}" if total == len(rows) else f"{len(rows):,} of {_number(total)}"
    plural = plural_of(noun, total or 2)
    return View(
        tables=[Table([*(["Namespace"] if many else []), *headings, "ID"], rows)],
        note=f"{count} {plural}{where}{fitting}, {order or 'newest first'}",
    )


def more_note(listing: Listing, shown: int) -> str:  # type: ignore[type-arg]
    """Say how to see the rest of a list that is cut only because a display is short."""
    is_cut = shown and not listing.limit and (listing.total is None or shown < listing.total)
    return "; --limit COUNT shows more" if is_cut else ""


def _number(total: int | None) -> str:
    return "more" if total is None else f"{total:,}"


def _where(namespaces: Sequence[str]) -> str:
    if len(namespaces) == 2 and not namespaces[1]:
        return f" in namespace {namespaces[0]} or shared with everyone"
    if len(namespaces) > 1:
        return f" in {len(namespaces)} namespaces"
    return f" in namespace {namespaces[0]}" if namespaces and namespaces[0] else ""


def unfiltered_note(listing: Listing) -> str:  # type: ignore[type-arg]
    """Say how many items a list would have without its filters."""
    try:
        count = listing.without_filters()
    except KfpError:
        return ""
    return (
        f"Without these filters there {'is' if count == 1 else 'are'} {count:,}." if count else ""
    )


def run_row(run: Run) -> list[Any]:
    """Return the cells of a run: state, name, start, duration."""
    duration = duration_text(run.duration) if run.state != "PENDING" else ""
    name = f"{cut(run.display_name)} (archived)" if run.archived else cut(run.display_name)
    return [run_state(run), name, timestamp(run.created_at), duration]


def _experiment_row(experiment: Experiment) -> list[Any]:
    return [
        cut(experiment.display_name),
        cut(experiment.description),
        timestamp(experiment.created_at),
        timestamp(experiment.last_run_created_at),
    ]


def _pipeline_row(pipeline: Pipeline) -> list[Any]:
    return [
        cut(pipeline.display_name or pipeline.name),
        cut(pipeline.description),
        timestamp(pipeline.created_at),
        "" if pipeline.namespace else "with everyone",
    ]


def _version_row(version: PipelineVersion) -> list[Any]:
    name = version.display_name or version.name
    return [cut(name), cut(version.description), timestamp(version.created_at)]


def _recurring_row(recurring: RecurringRun) -> list[Any]:
    word = "enabled" if recurring.enabled else "disabled"
    due = cron_words.described(recurring.trigger)
    return [cut(recurring.display_name), word, due, timestamp(recurring.created_at)]


LISTS: dict[type, tuple[str, list[str], Any]] = {
    Run: ("run", ["State", "Name", "Started", "Duration"], run_row),
    Experiment: ("experiment", ["Name", "Description", "Created", "Last run"], _experiment_row),
    Pipeline: ("pipeline", ["Name", "Description", "Created", "Shared"], _pipeline_row),
    PipelineVersion: ("version", ["Name", "Description", "Uploaded"], _version_row),
    RecurringRun: ("recurring run", ["Name", "Enabled", "Due", "Created"], _recurring_row),
}


_IDS: dict[type, str] = {
    Run: "run_id",
    Experiment: "experiment_id",
    Pipeline: "pipeline_id",
    PipelineVersion: "pipeline_version_id",
    RecurringRun: "recurring_run_id",
}


def _identifier(item: Any) -> str:
    return str(getattr(item, _IDS[type(item)]))


def _id_length(items: Sequence[Any]) -> int:
    """The number of characters that distinguish the ids of a list; at least eight."""
    ids = [_identifier(item) for item in items]
    return next((n for n in range(8, 36) if len({i[:n] for i in ids}) == len(ids)), 36)


def short_id(identifier: str, length: int) -> Code:
    """Return the first `length` characters of an id, with the whole id to copy."""
    return Code(identifier[:length], identifier)
