"""Views of values in a cell: one description of each, rendered as HTML and as plain text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import singledispatch
from typing import Any

import msgspec

from .. import cron_words
from ..client import provenance
from ..client.listings import SHOWN, Listing
from ..client.results import MISSING, Artifacts, Comparison, shown_metadata
from ..client.written_tasks import written
from ..doctor.check_results import CheckReport
from ..errors import KfpError
from ..models import Experiment, Page, Pipeline, PipelineVersion, RecurringRun, Run
from ..namespaces.list_namespaces import Namespace
from ..namespaces.permissions import role
from .formats import (
    cut,
    duration_text,
    one_line,
    plural_of,
    run_state,
    task_duration,
    task_state,
    timestamp,
    values_text,
)
from .list_views import LISTS, listed, more_note, page_of, run_row, short_id, unfiltered_note
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
from .view_parts import Allowed, Code, Mark, Remedy, Table, Verdict, View

# For how many namespaces a list explains at once why they cannot be used.
MOST_TOLD = 10
SINGLE_USER = "not used: this KFP is for a single user, and everybody here shares everything"


@singledispatch
def view(value: Any) -> View:
    """Return the visible parts of a value."""
    return View(title=str(value))


@view.register
def _page(page: Page) -> View:  # type: ignore[type-arg]
    return listed(page.kind, page.items, page.total_size, [page.namespace], [], "")


@view.register
def _listing(listing: Listing) -> View:  # type: ignore[type-arg]
    shown = listing.shown()
    found = page_of(listing, shown)
    refused = [f"Not in {namespace}: {error.message}" for namespace, error in listing.refused]
    notes = [found.note + more_note(listing, len(shown)), *refused]
    notes += [unfiltered_note(listing) if not shown else ""]
    return msgspec.structs.replace(found, note="\n".join(filter(None, notes)))


@view.register
def _run(run: Run) -> View:
    parameters = run.runtime_config.parameters if run.runtime_config else {}
    facts = [("Run ID", Code(run.run_id)), ("Started", timestamp(run.created_at))]
    facts += [("Archived", "yes")] if run.archived else []
    facts += [("Duration", duration_text(run.duration))] if run.state != "PENDING" else []
    facts += [*origin_facts(run), ("Parameters", values_text(parameters))]
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
        ("Parameters", values_text(parameters)),
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
        [made.task, made.output, made.artifact.type, values_text(shown_metadata(made.artifact))]
        + [Code(made.artifact.uri)]
        for made in found
    ]
    note = "It has no artifacts." if found.is_known else "This KFP does not list artifacts of runs."
    return View(
        title=f"Artifacts of {found.run.display_name}",
        tables=[Table(["Task", "Output", "Type", "Metadata", "URI"], rows)] if rows else [],
        note="" if rows else note,
    )


@view.register
def _comparison(found: Comparison) -> View:
    names = [cut(run.display_name) for run in found.runs]
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
        return "The runs do not differ in any row."
    last = "last row is" if same == 1 else f"last {same:,} rows are"
    return f"The {last} the same in all runs."


def _compared(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.6g}" if isinstance(value, float) else cut(one_line(value))


@view.register
def _run_plan(plan: RunPlan) -> View:
    request = plan.request
    given = request["runtime_config"]["parameters"]
    rows = [
        [name, one_line(value), "" if name in given else "default"]
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
    count = f"{len(change):,} {plural_of('run', len(change))}"
    rows = [[*run_row(run), short_id(run.run_id, 8)] for run in change.items[:SHOWN]]
    rows += [[f"and {len(change) - SHOWN:,} more", "", "", "", ""]] * (len(change) > SHOWN)
    failed = [f"Not {run.display_name}: {error.message}" for run, error in change.failed]
    would = f"This would {change.verb} {count}. Nothing is done yet: add --yes to do it."
    done = f"{change.past.capitalize()} {count}."
    if not change.items and not change.done:
        would = f"There is no run that this would {change.verb}."
    return View(
        tables=[Table([*LISTS[Run][1], "ID"], rows)] if rows and not change.done else [],
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
    rows = [run_row(run) for run in overview.active]
    more = overview.active_in_all - len(rows)
    rows += [[f"and {more:,} more", "", "", ""]] if more > 0 else []
    rows += [run_row(run) for run in overview.failed]
    return [Table(["Running, and failed recently", *LISTS[Run][1][1:]], rows)] if rows else []


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
    name = f"{cut(found.name)} (in use)" if found.name == in_use else cut(found.name)
    learned = ", ".join(found.sources) or "no source"
    return [name, Allowed(found.usable), role(found.permissions), cut(found.owner), learned]


def _known_note(known: NamespaceListing, refused: int) -> str:
    if not known.items:
        return known.unknown or "No source names a namespace."
    count = f"{len(known):,} {plural_of('namespace', len(known))}"
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
