"""How a value looks in a cell: one description of it, as HTML and as plain text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import cache, singledispatch
from typing import Any

import msgspec
from jinja2 import Environment, Template

from ..client.written_tasks import written
from ..doctor.check_results import FAILED, PASSED, CheckReport, Finding
from ..errors import KfpError
from ..models import Experiment, Page, Pipeline, PipelineVersion, Run, Task, never
from ..namespaces.list_namespaces import Namespace
from ..namespaces.permissions import role
from .verbs import Chosen, Known, Log, Looked, Overview, Sharing

# A sign and a word: a state is never told by its colour alone.
_SIGNS = {
    "PENDING": "○",
    "RUNNING": "▶",
    "SUCCEEDED": "✓",
    "FAILED": "✗",
    "SKIPPED": "–",
    "CANCELING": "■",
    "CANCELED": "■",
    "PAUSED": "‖",
}
_COLOURS = {
    "RUNNING": "var(--jp-brand-color1, #1976d2)",
    "SUCCEEDED": "var(--jp-success-color1, #2e7d32)",
    "FAILED": "var(--jp-error-color1, #c62828)",
}


_FAINT = "var(--jp-ui-font-color2, #616161)"
# Of so many namespaces it is told at once why they may not be used.
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
        return f"{_SIGNS.get(self.word, '?')} {self.word}"

    @property
    def colour(self) -> str:
        return _COLOURS.get(self.word, "inherit")


class Mark(msgspec.Struct, frozen=True):
    """Whether something works, as a sign, a word and a colour."""

    works: bool

    def __str__(self) -> str:
        return "✓ yes" if self.works else "✗ no"

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED" if self.works else "FAILED"]


class Allowed(msgspec.Struct, frozen=True):
    """Whether something is allowed, or not known to be. That it is not is no fault."""

    answer: bool | None

    def __str__(self) -> str:
        return {True: "✓ yes", False: "✗ no", None: "? not known yet"}[self.answer]

    @property
    def colour(self) -> str:
        return _COLOURS["SUCCEEDED"] if self.answer else _FAINT


class Verdict(msgspec.Struct, frozen=True):
    """What a check came to, as a sign, a word and a colour."""

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
    """Rows under headings, with a summary for when they are folded away.

    `faint`: how many of the last rows matter less.
    """

    headings: list[str]
    rows: list[list[Any]]
    folded: str = ""
    faint: int = 0


class Remedy(msgspec.Struct, frozen=True):
    """What is wrong, and its cure: a sentence, and on the lines below it what is to be pasted."""

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
    """What there is to see of a value, from top to bottom; what is empty is not shown."""

    title: str = ""
    state: ShownState | None = None
    facts: list[tuple[str, Any]] = []
    problem: str = ""
    tables: list[Table] = []
    texts: list[tuple[str, str]] = []
    folded_texts: list[tuple[str, str]] = []  # shown where they can be folded away
    remedies: list[Remedy] = []
    folded: str = ""  # what the remedies are, where they are folded away
    note: str = ""


@singledispatch
def view(value: Any) -> View:
    """What there is to see of a value."""
    return View(title=str(value))


@view.register
def _page(page: Page) -> View:  # type: ignore[type-arg]
    noun, headings, row = _LISTS[page.kind]
    where = f" in namespace {page.namespace}" if page.namespace else ""
    if not page.items:
        return View(note=f"No {noun}s found{where}.")
    length = _id_length(page)
    rows = [[*row(item), _short(_identifier(item), length)] for item in page.items]
    count = f"{len(rows):,} of {page.total_size:,}" if page.next_page_token else f"{len(rows):,}"
    return View(
        tables=[Table(headings, rows)],
        note=f"{count} {_plural(noun, page.total_size)}{where}, newest first",
    )


@view.register
def _run(run: Run) -> View:
    parameters = run.runtime_config.parameters if run.runtime_config else {}
    facts = [("Run ID", Code(run.run_id)), ("Started", ago(run.created_at))]
    facts += [("Archived", "yes")] if run.archived else []
    facts += [("Duration", lasting(run.duration))] if run.state != "PENDING" else []
    facts += [("Parameters", _values(parameters))] if parameters else []
    found = written(run, is_local=lambda: True)  # one out of a list has parts of the workflow
    tasks = [[ShownState(task.state), task.display_name, lasted(task)] for task in found]
    return View(
        title=run.display_name,
        state=ShownState(run.state),
        facts=facts,
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
            ("Created", ago(experiment.created_at)),
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
            ("Created", ago(pipeline.created_at)),
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
            ("Uploaded", ago(version.created_at)),
        ],
        note=version.description,
    )


@view.register
def _overview(overview: Overview) -> View:
    status = overview.status
    checks = [[check.what, Mark(check.works), check.detail] for check in overview.checks]
    works = [Table(["What", "Allowed", "There are"], checks)] if checks else []
    trace = [
        [step.step, step.looked_at, step.found, "chosen" if step.chosen else ""]
        for step in status.trace
    ]
    why = Table(["Decision", "Looked at", "Found", ""], trace, folded="Why these")
    problems = [status.error] if status.error else status.warnings
    return View(
        title="Kubeflow Pipelines",
        facts=_who_and_where(overview),
        problem="\n".join(str(problem.to_error()) for problem in problems),
        tables=[*works, why] if trace else works,
    )


def _who_and_where(overview: Overview) -> list[tuple[str, Any]]:
    status = overview.status
    identity = status.identity
    endpoint = f"{status.endpoint} (local KFP)" if status.local else status.endpoint
    facts = [
        ("Endpoint", endpoint),
        ("Identity", identity.subject or "none"),
        ("Credentials", identity.source),
        ("Namespace", overview.namespace if status.multi_user else SINGLE_USER),
    ]
    if identity.expires_at:
        left = identity.expires_at - datetime.now(timezone.utc)
        facts.append(("Token", f"valid for {lasting(left)}" if left > timedelta() else "expired"))
    return [(label, value) for label, value in facts if value]


@view.register
def _chosen(chosen: Chosen) -> View:
    return View(facts=[("Namespace", chosen.namespace or "none"), ("Because of", chosen.reason)])


@view.register
def _known(known: Known) -> View:
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
        folded="Why, and what mends it",
        note=_known_note(known, len(refused)),
    )


def _namespace_row(found: Namespace, in_use: str) -> list[Any]:
    name = f"{_cut(found.name)} (in use)" if found.name == in_use else _cut(found.name)
    learned = ", ".join(found.sources) or "no source"
    return [name, Allowed(found.usable), role(found.permissions), _cut(found.owner), learned]


def _known_note(known: Known, refused: int) -> str:
    if not known.items:
        return known.unknown or "No source names a namespace."
    count = f"{len(known):,} {_plural('namespace', len(known))}"
    more = refused - MOST_TOLD
    why = f"%kfp namespaces NAME says why of each of the other {more:,}." if more > 0 else ""
    texts = [f"{count}, {refused:,} of them not usable." if refused else f"{count}.", why]
    return " ".join(filter(None, [*texts, _unknown(known.unknown)]))


def _unknown(reason: str) -> str:
    return f"Not everything that is allowed is known: {reason}" if reason else ""


@view.register
def _looked(looked: Looked) -> View:
    found = looked.namespace
    name, usable, held, owner, learned = _namespace_row(found, found.name * looked.in_use)
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
        note=_unknown(looked.unknown),
    )


_RESOURCES = {
    "experiments": "Experiments",
    "runs": "Runs",
    "jobs": "Recurring runs (jobs)",
    "pipelines": "Pipelines",
}


@view.register
def _sharing(sharing: Sharing) -> View:
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
    texts = [(f"{ShownState(task.state)}  {task.display_name}", text) for task, text in log.tasks]
    return View(
        title=log.run.display_name,
        state=ShownState(log.run.state),
        texts=texts,
        problem=log.run.error.message if log.run.error and not texts else "",
        note="" if texts else "None of these tasks has started.",
    )


@view.register
def _report(report: CheckReport) -> View:
    rows = [[Verdict(finding), finding.check, finding.found] for finding in report.findings]
    return View(
        title=report.title,
        tables=[Table(["Result", "Looked at", "Found"], rows)],
        texts=report.remedies,
        note=report.conclusion,
    )


def _run_row(run: Run) -> list[Any]:
    duration = lasting(run.duration) if run.state != "PENDING" else ""
    name = f"{_cut(run.display_name)} (archived)" if run.archived else _cut(run.display_name)
    return [ShownState(run.state), name, ago(run.created_at), duration]


def _experiment_row(experiment: Experiment) -> list[Any]:
    return [
        _cut(experiment.display_name),
        _cut(experiment.description),
        ago(experiment.created_at),
        ago(experiment.last_run_created_at),
    ]


def _pipeline_row(pipeline: Pipeline) -> list[Any]:
    return [
        _cut(pipeline.display_name or pipeline.name),
        _cut(pipeline.description),
        ago(pipeline.created_at),
    ]


_LISTS: dict[type, tuple[str, list[str], Any]] = {
    Run: ("run", ["State", "Name", "Started", "Duration", "ID"], _run_row),
    Experiment: (
        "experiment",
        ["Name", "Description", "Created", "Last run", "ID"],
        _experiment_row,
    ),
    Pipeline: ("pipeline", ["Name", "Description", "Created", "ID"], _pipeline_row),
}


def ago(moment: datetime) -> str:
    """How long ago, in the largest unit that fits; empty for a moment that never was."""
    if never(moment):
        return ""
    passed = datetime.now(timezone.utc) - moment
    return "just now" if passed < timedelta(seconds=5) else f"{_largest(passed)} ago"


def lasting(span: timedelta) -> str:
    """A duration in its two largest units, such as `2 min 5 s`: KFP tells times to the second."""
    seconds = max(int(span.total_seconds()), 0)
    if not seconds:
        return "under 1 s"
    return " ".join(f"{count} {unit}" for count, unit in _parts(seconds)[:2] if count)


def _largest(span: timedelta) -> str:
    count, unit = _parts(max(int(span.total_seconds()), 0))[0]
    return f"{count} {unit}"


def _parts(seconds: int) -> list[tuple[int, str]]:
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    found: list[tuple[int, str]] = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count or found or size == 1:
            found.append((count, unit))
    return found


def html(value: Any) -> str:
    """A value as HTML, everything in it escaped."""
    return printable(_template().render(view=view(value)))


def text(value: Any) -> str:
    """A value as plain text, its tables aligned."""
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
    """A text without what would move or colour a terminal, or turn the direction of writing."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _cut(text: str) -> str:
    """As much of a name as fits into a row."""
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


def lasted(task: Task) -> str:
    """How long a task took, and in how many attempts where it was tried again."""
    if never(task.start_time):
        return ""
    attempts = f" in {task.tries} attempts" if task.tries > 1 else ""
    return lasting(task.duration) + attempts


def _values(parameters: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {msgspec.json.encode(value).decode()}" for name, value in parameters.items()
    )


def _identifier(item: Run | Experiment | Pipeline) -> str:
    kinds = {Run: "run_id", Experiment: "experiment_id", Pipeline: "pipeline_id"}
    return str(getattr(item, kinds[type(item)]))


def _id_length(page: Page) -> int:  # type: ignore[type-arg]
    """How much of the ids it takes to tell those of a page apart; eight characters at least."""
    ids = [_identifier(item) for item in page]
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
{% macro remedies(found) %}
{% for remedy in found %}
<p style="margin: 8px 0 2px 0">{{ remedy.wrong }}
{% if remedy.wrong and remedy.sentence %}<br>{% endif %}{{ remedy.sentence }}</p>
{% if remedy.paste %}
<pre title="A click selects it" style="margin: 0; padding: 4px 8px; max-height: 30em;
 overflow: auto; user-select: all; font-family: var(--jp-code-font-family, monospace);
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
<pre role="alert" style="margin: 4px 0; padding: 4px 8px; white-space: pre-wrap;
 word-break: normal; overflow-wrap: anywhere;
 border-left: 3px solid var(--jp-error-color1, #c62828)">{{ view.problem }}</pre>
{% endif %}
{% for title, content in view.folded_texts %}
<details><summary>{{ title }}</summary><pre style="margin: 0; padding: 4px 8px;
 background: var(--jp-layout-color2, #f5f5f5)">{{ content }}</pre></details>
{% endfor %}
{% for table in view.tables %}
{% if table.folded %}
<details><summary>{{ table.folded }}</summary>{{ rows(table) }}</details>
{% else %}
{{ rows(table) }}
{% endif %}
{% endfor %}
{% for title, content in view.texts %}
<p style="margin: 8px 0 2px 0">{{ title }}</p>
<pre style="margin: 0; padding: 4px 8px; max-height: 30em; overflow: auto;
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
