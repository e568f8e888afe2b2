"""Views of values in a cell: one description of each, rendered as HTML and as plain text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache, singledispatch
from typing import Any

import msgspec
from jinja2 import Environment, Template
from markupsafe import Markup

from .. import cron_words
from ..client import provenance
from ..client.listings import SHOWN, Listing
from ..client.results import MISSING, Artifacts, Comparison, shown_metadata
from ..client.written_tasks import written
from ..doctor.check_results import FAILED, PASSED, CheckReport, Finding
from ..errors import KfpError
from ..models import (
    Experiment,
    Page,
    Pipeline,
    PipelineVersion,
    RecurringRun,
    Run,
    Task,
    never,
    state_word,
)
from ..namespaces.list_namespaces import Namespace
from ..namespaces.permissions import role
from .pictures import pictures
from .verbs.values import (
    BulkChange,
    ContributorList,
    Log,
    NamespaceChoice,
    NamespaceDetails,
    NamespaceListing,
    Notice,
    Overview,
    RunPlan,
)

# A sign beside the word: a state is never distinguished by its colour alone.
_SIGNS = {
    "PENDING": "○",
    "RUNNING": "▶",
    "SUCCEEDED": "✓",
    "FAILED": "✗",
    "SKIPPED": "–",
    "CANCELING": "■",
    "CANCELED": "■",
    "TERMINATED": "■",
    "PAUSED": "‖",
}
_COLOURS = {
    "RUNNING": "var(--jp-brand-color1, #1976d2)",
    "SUCCEEDED": "var(--jp-success-color1, #2e7d32)",
    "FAILED": "var(--jp-error-color1, #c62828)",
}


_FAINT = "var(--jp-ui-font-color2, #616161)"
# For how many namespaces a list explains at once why they cannot be used.
MOST_TOLD = 10
LONGEST_NAME = 100
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

SINGLE_USER = "not used: this KFP is for a single user, and everybody here shares everything"


class ShownState(msgspec.Struct, frozen=True):
    """A state, as a sign, a word and a colour."""

    word: str

    def __str__(self) -> str:
        return f"{_SIGNS.get(self.word, '?')} {state_word(self.word)}"

    @property
    def colour(self) -> str:
        return _COLOURS.get(self.word, "inherit")


class Mark(msgspec.Struct, frozen=True):
    """A mark that something works or does not, as a sign, a word and a colour."""

    works: bool

    def __str__(self) -> str:
        return "✓ yes" if self.works else "✗ no"

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED" if self.works else "FAILED"]


class Allowed(msgspec.Struct, frozen=True):
    """A mark that something is allowed, forbidden or unknown; forbidden is not an error."""

    answer: bool | None

    def __str__(self) -> str:
        return {True: "✓ yes", False: "✗ no", None: "? not known yet"}[self.answer]

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED"] if self.answer else _FAINT


class Verdict(msgspec.Struct, frozen=True):
    """The result of a check, as a sign, a word and a colour."""

    finding: Finding

    def __str__(self) -> str:
        return self.finding.verdict

    @property
    def colour(self) -> str:
        states = {PASSED: "SUCCEEDED", FAILED: "FAILED"}
        return _COLOURS.get(states.get(self.finding.result, ""), "inherit")


class Code(msgspec.Struct, frozen=True):
    """Something to copy: an id, an address."""

    text: str
    whole: str = ""

    def __str__(self) -> str:
        return self.text


class Table(msgspec.Struct, frozen=True):
    """Rows under headings; `folded` is the summary of a collapsed table.

    `faint`: how many of the last rows are less important, and shown so.
    """

    headings: list[str]
    rows: list[list[Any]]
    folded: str = ""
    faint: int = 0


class Remedy(msgspec.Struct, frozen=True):
    """A fault and its cure: a sentence, and below it lines to be copied and pasted."""

    wrong: str
    cure: str

    @property
    def sentence(self) -> str:
        return self.cure.partition("\n")[0]

    @property
    def paste(self) -> str:
        return self.cure.partition("\n")[2].rstrip()

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.wrong, self.cure.rstrip()]))


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The visible parts of a value, from top to bottom; empty ones are not shown."""

    title: str = ""
    state: ShownState | None = None
    facts: list[tuple[str, Any]] = []
    problem: str = ""
    tables: list[Table] = []
    texts: list[tuple[str, str]] = []
    folded_texts: list[tuple[str, str]] = []  # shown where they can be collapsed
    remedies: list[Remedy] = []
    folded: str = ""  # the summary of the remedies, if collapsed
    pictures: list[Markup] = []
    note: str = ""


@singledispatch
def view(value: Any) -> View:
    """Return the visible parts of a value."""
    return View(title=str(value))


@view.register
def _page(page: Page) -> View:  # type: ignore[type-arg]
    return _listed(page.kind, page.items, page.total_size, [page.namespace], [], "")


@view.register
def _listing(listing: Listing) -> View:  # type: ignore[type-arg]
    shown = listing.shown()
    found = page_of(listing, shown)
    refused = [f"Not in {namespace}: {error.message}" for namespace, error in listing.refused]
    notes = [found.note + _more(listing, len(shown)), *refused]
    notes += [_without(listing) if not shown else ""]
    return msgspec.structs.replace(found, note="\n".join(filter(None, notes)))


def page_of(listing: Listing, items: Sequence[Any]) -> View:  # type: ignore[type-arg]
    """Some of a list's items as a table, with how many there are in all."""
    return _listed(
        *(listing.kind, items, listing.total, listing.namespaces, listing.filters),
        listing.order.words,
        [listing.namespace_of(item) for item in items],
    )


def _listed(
    kind: type,
    items: Sequence[Any],
    total: int | None,
    namespaces: Sequence[str],
    filters: Sequence[str],
    order: str = "",
    places: Sequence[str] = (),
) -> View:
    noun, headings, row = _LISTS[kind]
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
            _short(_identifier(item), length),
        ]
        for item, place in zip(items, places or [""] * len(items), strict=True)
    ]
    count = f"{len(rows):,}" if total == len(rows) else f"{len(rows):,} of {_number(total)}"
    plural = _plural(noun, total or 2)
    return View(
        tables=[Table([*(["Namespace"] if many else []), *headings, "ID"], rows)],
        note=f"{count} {plural}{where}{fitting}, {order or 'newest first'}",
    )


def _more(listing: Listing, shown: int) -> str:  # type: ignore[type-arg]
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


def _without(listing: Listing) -> str:  # type: ignore[type-arg]
    """Say how many items a list would have without its filters."""
    try:
        count = listing.without_filters()
    except KfpError:
        return ""
    return (
        f"Without these filters there {'is' if count == 1 else 'are'} {count:,}." if count else ""
    )


@view.register
def _run(run: Run) -> View:
    parameters = run.runtime_config.parameters if run.runtime_config else {}
    facts = [("Run ID", Code(run.run_id)), ("Started", timestamp(run.created_at))]
    facts += [("Archived", "yes")] if run.archived else []
    facts += [("Duration", duration_text(run.duration))] if run.state != "PENDING" else []
    facts += [*origin_facts(run), ("Parameters", _values(parameters))]
    found = written(run, is_local=lambda: True)  # a run from a list has the workflow's own tasks
    tasks = [[task_state(run, task), task.display_name, task_duration(task)] for task in found]
    return View(
        title=run.display_name,
        state=run_state(run),
        facts=[(label, value) for label, value in facts if value],
        problem=run.error.message if run.error else "",
        tables=[Table(["State", "Task", "Duration"], tasks)] if tasks else [],
    )


@view.register
def _experiment(experiment: Experiment) -> View:
    return View(
        title=experiment.display_name,
        facts=[
            ("Experiment ID", Code(experiment.experiment_id)),
            ("Namespace", experiment.namespace),
            ("Created", timestamp(experiment.created_at)),
        ],
        note=experiment.description,
    )


@view.register
def _pipeline(pipeline: Pipeline) -> View:
    return View(
        title=pipeline.display_name or pipeline.name,
        facts=[
            ("Pipeline ID", Code(pipeline.pipeline_id)),
            ("Namespace", pipeline.namespace or "shared with everyone"),
            ("Created", timestamp(pipeline.created_at)),
        ],
        note=pipeline.description,
    )


@view.register
def _version(version: PipelineVersion) -> View:
    return View(
        title=version.display_name or version.name,
        facts=[
            ("Pipeline ID", Code(version.pipeline_id)),
            ("Version ID", Code(version.pipeline_version_id)),
            ("Uploaded", timestamp(version.created_at)),
        ],
        note=version.description,
    )


@view.register
def _recurring(recurring: RecurringRun) -> View:
    now = datetime.now(timezone.utc)
    due = cron_words.upcoming(recurring.trigger, now, recurring.created_at)
    parameters = recurring.runtime_config.parameters if recurring.runtime_config else {}
    facts: list[tuple[str, Any]] = [
        ("Recurring run ID", Code(recurring.recurring_run_id)),
        ("Enabled", Allowed(recurring.enabled)),
        ("Due", cron_words.described(recurring.trigger)),
        ("Parameters", _values(parameters)),
        ("At once", recurring.max_concurrency),
        ("Created", timestamp(recurring.created_at)),
    ]
    rows = [[f"{moment:%a %Y-%m-%d %H:%M:%S} UTC"] for moment in due]
    note = "A cluster may interpret cron expressions in a different time zone." if rows else ""
    return View(
        title=recurring.display_name,
        facts=[(label, value) for label, value in facts if value],
        problem=recurring.error.message if recurring.error else "",
        tables=[Table(["Next times" if recurring.enabled else "Times, once enabled"], rows)]
        if rows
        else [],
        note=note if recurring.trigger and recurring.trigger.cron_schedule else "",
    )


@view.register
def _artifacts(found: Artifacts) -> View:
    rows = [
        [made.task, made.output, made.artifact.type, _values(shown_metadata(made.artifact))]
        + [Code(made.artifact.uri)]
        for made in found
    ]
    told = "has no artifacts" if found.is_known else "made is not told by this KFP"
    return View(
        title=f"Artifacts of {found.run.display_name}",
        tables=[Table(["Task", "Output", "Type", "Metadata", "URI"], rows)] if rows else [],
        note="" if rows else f"What this run {told}." if not found.is_known else f"It {told}.",
    )


@view.register
def _comparison(found: Comparison) -> View:
    names = [_cut(run.display_name) for run in found.runs]
    same = sum(not row.differs for row in found)
    rows: list[list[Any]] = [["state", "", *(run_state(run) for run in found.runs)]]
    rows += [["duration", "", *(duration_text(run.duration) for run in found.runs)]]
    rows += [
        [row.name, {"param": "parameter"}.get(row.kind, row.kind), *map(_compared, row.values)]
        for row in found
    ]
    return View(
        tables=[Table(["", "", *names], rows, faint=same)],
        pictures=pictures(found),
        note=_same(same, len(found)),
    )


def _same(same: int, count: int) -> str:
    """Say that the last rows, which are faint, do not differ."""
    if not same:
        return ""
    if same == count:
        return "In all of this the runs are the same."
    last = "last row is" if same == 1 else f"last {same:,} rows are"
    return f"The {last} the same in all runs."


def _compared(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else _cut(_one_line(value))


def _one_line(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@view.register
def _run_plan(plan: RunPlan) -> View:
    request = plan.request
    given = request["runtime_config"]["parameters"]
    rows = [
        [name, _one_line(value), "" if name in given else "default"]
        for name, value in plan.parameters.items()
    ]
    facts = [
        ("Pipeline", plan.source.name),
        ("Namespace", plan.namespace),
        ("Experiment", plan.experiment),
        ("Service account", request.get("service_account", "")),
        ("Description", request.get("description", "")),
    ]
    return View(
        title=str(request["display_name"]),
        facts=[(label, value) for label, value in facts if value],
        tables=[Table(["Parameter", "Value", ""], rows)] if rows else [],
        note="Dry run: nothing was started. Without --dry-run this run starts.",
    )


@view.register
def _bulk_change(change: BulkChange) -> View:
    count = f"{len(change):,} {_plural('run', len(change))}"
    rows = [[*_run_row(run), _short(run.run_id, 8)] for run in change.items[:SHOWN]]
    rows += [[f"and {len(change) - SHOWN:,} more", "", "", "", ""]] * (len(change) > SHOWN)
    failed = [f"Not {run.display_name}: {error.message}" for run, error in change.failed]
    would = f"This would {change.verb} {count}. Nothing is done yet: add --yes to do it."
    done = f"{change.past.capitalize()} {count}."
    if not change.items and not change.done:
        would = f"There is no run that this would {change.verb}."
    return View(
        tables=[Table([*_LISTS[Run][1], "ID"], rows)] if rows and not change.done else [],
        problem="\n".join(failed),
        note=done if change.done else would,
    )


@view.register
def _notice(notice: Notice) -> View:
    return View(note=notice.text)


@view.register
def _overview(overview: Overview) -> View:
    status = overview.status
    checks = [[check.what, Mark(check.works), check.detail] for check in overview.checks]
    works = [Table(["What", "Allowed", "Count"], checks)] if checks else []
    trace = [
        [step.step, step.looked_at, step.found, "chosen" if step.chosen else ""]
        for step in status.trace
    ]
    why = Table(["Decision", "Source", "Found", ""], trace, folded="How these were chosen")
    problems = [status.error] if status.error else status.warnings
    useful = [[Code(line), what] for line, what in overview.next]
    tables = [*_going_on(overview), *works]
    tables += [Table(["Useful now", ""], useful)] if useful else []
    return View(
        title="Kubeflow Pipelines",
        facts=_who_and_where(overview),
        problem="\n".join(str(problem.to_error()) for problem in problems),
        tables=[*tables, why] if trace else tables,
    )


def _going_on(overview: Overview) -> list[Table]:
    """The running runs, and those that failed recently."""
    rows = [_run_row(run) for run in overview.active]
    more = overview.active_in_all - len(rows)
    rows += [[f"and {more:,} more", "", "", ""]] if more > 0 else []
    rows += [_run_row(run) for run in overview.failed]
    return [Table(["Running, and failed recently", *_LISTS[Run][1][1:]], rows)] if rows else []


def _who_and_where(overview: Overview) -> list[tuple[str, Any]]:
    status = overview.status
    identity = status.identity
    kind = "the local KFP" if status.local else "a cluster"
    server = f"KFP {status.server_version}" if status.server_version else ""
    facts = [
        ("Endpoint", status.endpoint),
        ("Server", ", ".join(filter(None, [kind, server])) if not status.error else ""),
        ("Version", f"jupyter-kfp-mt {status.version}"),
        ("Identity", identity.subject or "none"),
        ("Credentials", identity.source),
        ("Namespace", overview.namespace if status.multi_user else SINGLE_USER),
        *_elsewhere(overview),
    ]
    if identity.expires_at:
        left = identity.expires_at - datetime.now(timezone.utc)
        facts.append(
            ("Token", f"valid for {duration_text(left)}" if left > timedelta() else "expired")
        )
    return [(label, value) for label, value in facts if value]


@view.register
def _namespace_choice(choice: NamespaceChoice) -> View:
    facts = [("Namespace", choice.namespace or "none"), ("Reason", choice.reason)]
    return View(facts=[*facts, *_elsewhere(choice)])


def _elsewhere(of: NamespaceChoice | Overview) -> list[tuple[str, Any]]:
    """The namespace of the panel and other notebooks, where this kernel has one of its own."""
    if not of.usual:
        return []
    here = f"%kfp ns --server uses {of.usual} here, too"
    there = f"%kfp ns {of.namespace} --server uses {of.namespace} there, too"
    return [("Panel and other notebooks", f"{of.usual}: {here}; {there}")]


@view.register
def _namespace_listing(known: NamespaceListing) -> View:
    refused = [each for each in known if each.usable is False]
    silent = [(source.name, source.problem) for source in known.sources if source.problem]
    rows = [_namespace_row(each, known.in_use) for each in known]
    reasons = [[name, f"{problem.message} {problem.cause}"] for name, problem in silent]
    tables = [
        Table(["Namespace", "Usable", "Role", "Owner", "Learned from"], rows, faint=len(refused)),
        Table(["No answer from", "Because"], reasons),
    ]
    mended = [Remedy(each.reason, each.cure) for each in refused[:MOST_TOLD]]
    mended += [Remedy(problem.message, problem.cure) for _, problem in silent if problem.cure]
    return View(
        tables=[table for table in tables if table.rows],
        remedies=mended,
        folded="Why, and how to fix it",
        note=_known_note(known, len(refused)),
    )


def _namespace_row(found: Namespace, in_use: str) -> list[Any]:
    name = f"{_cut(found.name)} (in use)" if found.name == in_use else _cut(found.name)
    learned = ", ".join(found.sources) or "no source"
    return [name, Allowed(found.usable), role(found.permissions), _cut(found.owner), learned]


def _known_note(known: NamespaceListing, refused: int) -> str:
    if not known.items:
        return known.unknown or "No source names a namespace."
    count = f"{len(known):,} {_plural('namespace', len(known))}"
    more = refused - MOST_TOLD
    why = f"%kfp namespaces NAME says why of each of the other {more:,}." if more > 0 else ""
    texts = [f"{count}, {refused:,} of them not usable." if refused else f"{count}.", why]
    return " ".join(filter(None, [*texts, _unknown(known.unknown)]))


def _unknown(reason: str) -> str:
    return f"Not all permissions are known: {reason}" if reason else ""


@view.register
def _namespace_details(details: NamespaceDetails) -> View:
    found = details.namespace
    name, usable, held, owner, learned = _namespace_row(found, found.name * details.in_use)
    facts = [("Namespace", name), ("Usable", usable), ("Role", held), ("Owner", owner)]
    table = found.permissions
    verbs = dict.fromkeys(verb for answers in table.values() for verb in answers)
    rows = [
        [verb, *(Allowed(table[each][verb]) if verb in table[each] else "" for each in table)]
        for verb in verbs
    ]
    return View(
        facts=[(label, value) for label, value in facts if value] + [("Learned from", learned)],
        tables=[Table(["May", *(_RESOURCES[each] for each in table)], rows)],
        remedies=[Remedy(found.reason, found.cure)] if found.reason else [],
        note=_unknown(details.unknown),
    )


_RESOURCES = {
    "experiments": "Experiments",
    "runs": "Runs",
    "jobs": "Recurring runs (jobs)",
    "pipelines": "Pipelines",
}


@view.register
def _contributor_list(sharing: ContributorList) -> View:
    rows = [[each.user, each.role] for each in sharing]
    if not rows:
        return View(note=f"Nobody is known to share namespace {sharing.namespace}.")
    return View(
        tables=[Table(["Who", "Role"], rows)],
        note=f"{len(rows):,} in namespace {sharing.namespace}",
    )


@view.register
def _error(error: KfpError) -> View:
    problem = "\n".join(filter(None, [error.message, error.cause]))
    return View(problem=problem, remedies=[Remedy("", error.cure)])


@view.register
def _log(log: Log) -> View:
    texts = [
        (f"{task.display_name}\N{EN SPACE}{task_state(log.run, task)}", text)
        for task, text in log.tasks
    ]
    return View(
        title=log.run.display_name,
        state=run_state(log.run),
        texts=texts,
        problem=log.run.error.message if log.run.error and not texts else "",
        note="" if texts else "None of these tasks has started.",
    )


@view.register
def _report(report: CheckReport) -> View:
    rows = [[Verdict(finding), finding.check, finding.found] for finding in report.rows]
    return View(
        title=report.title,
        tables=[Table(["Result", "Check", "Found"], rows)],
        texts=report.remedies,
        note=report.conclusion,
    )


def origin_facts(run: Run) -> list[tuple[str, Any]]:
    """The origin of a run, and the rest of its description."""
    origin = provenance.read(run.description)
    place = f"{origin.notebook}, cell {origin.cell}" if origin.cell else origin.notebook
    return [
        ("Description", provenance.without(run.description)),
        ("Started from", place if origin.notebook else ""),
        ("Git commit", origin.commit),
        ("Started by", origin.by),
    ]


def run_state(run: Run) -> ShownState:
    """The state of a run; a terminated one is not shown as failed."""
    return ShownState("TERMINATED" if run.terminated and run.state == "FAILED" else run.state)


def task_state(run: Run, task: Task) -> ShownState:
    """The state of a task; one terminated with its run is not shown as failed."""
    return ShownState("TERMINATED" if run.stopped(task) else task.state)


def _run_row(run: Run) -> list[Any]:
    duration = duration_text(run.duration) if run.state != "PENDING" else ""
    name = f"{_cut(run.display_name)} (archived)" if run.archived else _cut(run.display_name)
    return [run_state(run), name, timestamp(run.created_at), duration]


def _experiment_row(experiment: Experiment) -> list[Any]:
    return [
        _cut(experiment.display_name),
        _cut(experiment.description),
        timestamp(experiment.created_at),
        timestamp(experiment.last_run_created_at),
    ]


def _pipeline_row(pipeline: Pipeline) -> list[Any]:
    return [
        _cut(pipeline.display_name or pipeline.name),
        _cut(pipeline.description),
        timestamp(pipeline.created_at),
        "" if pipeline.namespace else "with everyone",
    ]


def _version_row(version: PipelineVersion) -> list[Any]:
    name = version.display_name or version.name
    return [_cut(name), _cut(version.description), timestamp(version.created_at)]


def _recurring_row(recurring: RecurringRun) -> list[Any]:
    word = "enabled" if recurring.enabled else "disabled"
    due = cron_words.described(recurring.trigger)
    return [_cut(recurring.display_name), word, due, timestamp(recurring.created_at)]


_LISTS: dict[type, tuple[str, list[str], Any]] = {
    Run: ("run", ["State", "Name", "Started", "Duration"], _run_row),
    Experiment: ("experiment", ["Name", "Description", "Created", "Last run"], _experiment_row),
    Pipeline: ("pipeline", ["Name", "Description", "Created", "Shared"], _pipeline_row),
    PipelineVersion: ("version", ["Name", "Description", "Uploaded"], _version_row),
    RecurringRun: ("recurring run", ["Name", "Enabled", "Due", "Created"], _recurring_row),
}


def timestamp(moment: datetime) -> str:
    """A time with this machine's time zone; empty if it is not set."""
    if never(moment):
        return ""
    local = moment.astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def duration_text(span: timedelta) -> str:
    """A duration in its two largest units, such as `2 min 5 s`: KFP's times are in seconds."""
    seconds = max(int(span.total_seconds()), 0)
    if not seconds:
        return "under 1 s"
    return " ".join(f"{count} {unit}" for count, unit in _parts(seconds)[:2] if count)


def _parts(seconds: int) -> list[tuple[int, str]]:
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    found: list[tuple[int, str]] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or found or size == 1:
            found.append((count, unit))
    return found


def html(value: Any) -> str:
    """A value as HTML, with everything in it escaped."""
    return printable(_template().render(view=view(value)))


def text(value: Any) -> str:
    """A value as plain text with aligned tables."""
    return printable(str(value) if isinstance(value, CheckReport) else _text(value))


def _text(value: Any) -> str:
    shown = view(value)
    state = f"  {shown.state}" if shown.state else ""
    blocks = [f"{shown.title}{state}".strip(), _aligned([list(fact) for fact in shown.facts])]
    blocks += [shown.problem]
    blocks += [_aligned([table.headings, *table.rows]) for table in shown.tables]
    blocks += [f"{title}\n{content.rstrip()}" for title, content in shown.texts]
    blocks += [f"\n{remedy}" for remedy in shown.remedies]
    blocks += [f"\n{shown.note}" if shown.remedies else shown.note]
    return "\n".join(block for block in blocks if block.strip())


def printable(text: str) -> str:
    """A text without the characters that control a terminal or change the writing direction."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _cut(text: str) -> str:
    """Shorten a name to fit into a row."""
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _aligned(rows: list[list[Any]]) -> str:
    cells = [[str(cell).replace("\n", " ") for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def task_duration(task: Task) -> str:
    """The duration of a task, and its number of attempts if it was retried."""
    if never(task.start_time):
        return ""
    attempts = f" in {task.tries} attempts" if task.tries > 1 else ""
    return duration_text(task.duration) + attempts


def _values(parameters: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {msgspec.json.encode(value).decode()}" for name, value in parameters.items()
    )


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


def _short(identifier: str, length: int) -> Code:
    return Code(identifier[:length], identifier)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


@cache
def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_HTML)


_HTML = """\
{% macro cell(value) -%}
{% if value.colour is defined -%}
<span style="color: {{ value.colour }}; white-space: nowrap">{{ value }}</span>
{%- elif value.whole is defined -%}
<code title="{{ value.whole or value.text }}">{{ value.text }}</code>
{%- else -%}
{{ value }}
{%- endif %}
{%- endmacro %}
{% macro rows(table) %}
<table style="margin: 4px 0 4px 0; border-collapse: collapse">
<thead><tr>
{% for heading in table.headings %}
<th style="text-align: left; white-space: nowrap; padding: 2px 16px 2px 0">{{ heading }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
{% set style = "color: var(--jp-ui-font-color2, #616161)" %}
<tr{% if loop.revindex <= table.faint %} style="{{ style }}"{% endif %}>
{% for value in row %}
<td style="text-align: left; vertical-align: top; padding: 2px 16px 2px 0">{{ cell(value) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}
{% set code = "font-family: var(--jp-code-font-family, monospace)" %}
{% macro remedies(found) %}
{% for remedy in found %}
<p style="margin: 8px 0 2px 0">{{ remedy.wrong }}
{% if remedy.wrong and remedy.sentence %}<br>{% endif %}{{ remedy.sentence }}</p>
{% if remedy.paste %}
<pre title="A click selects it" style="margin: 0; padding: 4px 8px; max-height: 30em;
 overflow: auto; user-select: all; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ remedy.paste }}</pre>
{% endif %}
{% endfor %}
{% endmacro %}
<div class="jp-KfpMt-value">
{% if view.title %}
<p style="margin: 4px 0"><strong>{{ view.title }}</strong>
{% if view.state %}&ensp;{{ cell(view.state) }}{% endif %}</p>
{% endif %}
{% if view.facts %}
<table style="margin: 4px 0; border-collapse: collapse"><tbody>
{% for label, value in view.facts %}
<tr style="background: none">
<th scope="row" style="text-align: left; padding: 2px 16px 2px 0; font-weight: normal;
 color: var(--jp-ui-font-color2, #616161)">{{ label }}</th>
<td style="text-align: left; padding: 2px 0">{{ cell(value) }}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% if view.problem %}
<pre role="alert" style="margin: 4px 0; padding: 4px 8px; white-space: pre-wrap; {{ code }};
 word-break: normal; overflow-wrap: anywhere;
 border-left: 3px solid var(--jp-error-color1, #c62828)">{{ view.problem }}</pre>
{% endif %}
{% for title, content in view.folded_texts %}
<details><summary>{{ title }}</summary><pre style="margin: 0; padding: 4px 8px; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ content }}</pre></details>
{% endfor %}
{% for table in view.tables %}
{% if table.folded %}
<details><summary>{{ table.folded }}</summary>{{ rows(table) }}</details>
{% else %}
{{ rows(table) }}
{% endif %}
{% endfor %}
{% for picture in view.pictures %}
<div>{{ picture }}</div>
{% endfor %}
{% for title, content in view.texts %}
<p style="margin: 8px 0 2px 0">{{ title }}</p>
<pre style="margin: 0; padding: 4px 8px; max-height: 30em; overflow: auto; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ content }}</pre>
{% endfor %}
{% if view.remedies and view.folded %}
<details><summary>{{ view.folded }}</summary>{{ remedies(view.remedies) }}</details>
{% else %}
{{ remedies(view.remedies) }}
{% endif %}
{% if view.note %}
<p style="margin: 4px 0; color: var(--jp-ui-font-color2, #616161)">{{ view.note }}</p>
{% endif %}
</div>
"""
