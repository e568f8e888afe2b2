"""A run as a self-contained output of a cell, for JupyterLab, GitHub and a terminal.

A MIME bundle holds it as our own MIME type, which the labextension draws and keeps up to date (its
data are described in `labextension/src/run/run_data.ts`), as HTML, and as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from ..client.client import Client
from ..client.tracebacks import Traceback, found, own_lines
from ..errors import KfpError
from ..models import Artifact, Run, StateChange, Task, TaskIO, TaskValues, never
from .formats import duration_text, printable, run_state, task_duration, task_state
from .front_end import draws_widgets
from .render import html, text
from .run_graph import Line, lines, pipeline_spec
from .view_parts import Code, ShownState, Table, View
from .views import origin_facts, view

if TYPE_CHECKING:
    from .run_widget import RunWidget

MIME_TYPE = "application/vnd.kfp-mt.run+json"
# A saved notebook has to stay small: longer values are cut here, and complete in KFP.
LONGEST_VALUE = 500
# How many failed tasks have their logs kept, and how many lines of each.
MOST_LOGS, LOG_LINES = 3, 50
_OWN_METADATA = ("display_name", "store_session_info")
# The type of a variable that a cell's task has assigned, beside its value if that is short.
PYTHON_TYPE = "python_type"

T = TypeVar("T")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown of a run, as of one moment."""

    run: Run
    namespace: str
    link: str = ""
    specification: Mapping[str, Any] = {}
    values: dict[str, TaskIO] = {}
    logs: dict[str, str] = {}
    seen_at: datetime

    @property
    def traceback(self) -> Traceback | None:
        """The traceback of the task that failed first."""
        return next(filter(None, map(found, self.logs.values())), None)


class Cards:
    """Makes cards of runs; the immutable parts of a run are fetched only once."""

    def __init__(self, client: Client, pages: str = "") -> None:
        self._client = client
        self._pages = pages
        self._namespaces: dict[str, str] = {}

    def shown(self, run: Run) -> dict[str, Any]:
        """A run by MIME type, including the widget's if one can be made."""
        card = self.of(run)
        widget = self.widget(card)
        return {**bundle(card), **(widget_view(widget) if widget else {})}

    def widget(self, card: Card) -> RunWidget | None:
        """A widget with the card; None where nobody sees it, or a part of it is not installed."""
        if not draws_widgets():
            return None
        try:
            from .run_widget import RunWidget
        except ImportError:
            return None
        return RunWidget(card, self._client, self)

    def of(self, run: Run, thorough: bool = True) -> Card:
        """The card of a run; `thorough`: with values and logs, which take further requests.

        A part that KFP refuses is left out: the run itself is shown in any case.
        """
        client = self._client
        run = _known(lambda: client.as_written(run), run)
        namespace = self._namespace(run)
        no_values: dict[str, TaskIO] = {}
        unknown: Mapping[str, Any] = {}
        return Card(
            run=run,
            namespace=namespace,
            link=_link(self._pages, namespace, run.run_id),
            specification=_known(lambda: client.specification(run) or unknown, unknown),
            values=_known(lambda: client.task_values(run.run_id), no_values)
            if thorough
            else no_values,
            logs=self._logs(run) if thorough else {},
            seen_at=datetime.now(timezone.utc),
        )

    def _namespace(self, run: Run) -> str:
        key = run.experiment_id
        if key not in self._namespaces:
            asked = _known(lambda: self._client.experiment(key).namespace, None)
            if asked is None:
                return self._client.namespace
            self._namespaces[key] = asked
        return self._namespaces[key]

    def _logs(self, run: Run) -> dict[str, str]:
        failed = [task for task in run.tasks if task.state == "FAILED" and not run.stopped(task)]
        first = sorted(failed, key=lambda task: task.end_time)[:MOST_LOGS]
        logs = {
            task.task_id: _known(
                lambda task_id=task.task_id: self._client.log(  # type: ignore[misc]
                    run.run_id, task_id, 4 * LOG_LINES, recent=True
                ),
                "",
            )
            for task in first
        }
        return {task_id: printable(_end_of(log)) for task_id, log in logs.items() if log}


def _end_of(log: str) -> str:
    """Return the last lines of a log without the executor's messages, whose frames are kept."""
    return "\n".join(list(own_lines(log.splitlines()))[-LOG_LINES:])


def _known(ask: Callable[[], T], otherwise: T) -> T:
    try:
        return ask()
    except KfpError:
        return otherwise


def _link(pages: str, namespace: str, run_id: str) -> str:
    where = pages.replace("{namespace}", quote(namespace, safe=""))
    return f"{where}#/runs/details/{quote(run_id, safe='')}" if pages else ""


def bundle(card: Card) -> dict[str, Any]:
    """The card by MIME type."""
    return {MIME_TYPE: data(card), "text/html": html(card), "text/plain": text(card)}


def widget_view(widget: RunWidget) -> dict[str, Any]:
    """The widget's own MIME type, to be added to the others."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}


def data(card: Card) -> dict[str, Any]:
    """The card as the labextension reads it, without empty fields."""
    run = card.run
    told = {
        "namespace": card.namespace,
        "seen_at": _time(card.seen_at),
        "link": card.link,
        "run": {
            "run_id": run.run_id,
            "display_name": run.display_name,
            "state": run.state,
            "created_at": _time(run.created_at),
            "finished_at": _time(run.finished_at) if run.finished_at else "",
            "error": run.error.message if run.error else "",
            "experiment_id": run.experiment_id,
            "description": run.description,
            "state_history": [_change(each) for each in run.state_history],
            "parameters": _shorter(run.runtime_config.parameters if run.runtime_config else {}),
        },
        "spec": _trimmed(pipeline_spec(card.specification)),
        "tasks": [_task(task) for task in run.tasks],
        "values": {task_id: _values(each) for task_id, each in card.values.items()},
        "logs": card.logs,
    }
    return {name: value for name, value in told.items() if value}


def _change(change: StateChange) -> dict[str, Any]:
    told = {
        "state": change.state,
        "update_time": _time(change.update_time),
        "error": change.error.message if change.error else "",
    }
    return {name: value for name, value in told.items() if value}


def _task(task: Task) -> dict[str, Any]:
    told = {
        "task_id": task.task_id,
        "display_name": task.display_name,
        "state": task.state,
        "start_time": _time(task.start_time),
        "end_time": _time(task.end_time),
        "error": task.error.message if task.error else "",
    }
    return {name: value for name, value in told.items() if value}


def _values(values: TaskIO) -> dict[str, Any]:
    told = {
        "inputs": _side(values.inputs),
        "outputs": _side(values.outputs),
        "reused_from": values.outputs.reused_from,
    }
    return {name: value for name, value in told.items() if value}


def _side(values: TaskValues) -> dict[str, Any]:
    artifacts = {name: [_artifact(one) for one in each] for name, each in values.artifacts.items()}
    told = {"parameters": _shorter(values.parameters), "artifacts": artifacts}
    return {name: value for name, value in told.items() if value}


def _artifact(artifact: Artifact) -> dict[str, Any]:
    metadata = {
        name: value for name, value in artifact.metadata.items() if name not in _OWN_METADATA
    }
    told = {"type": artifact.type, "uri": artifact.uri, "metadata": _shorter(metadata)}
    return {name: value for name, value in told.items() if value}


def _shorter(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _cut(value) for name, value in values.items()}


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _trimmed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts from which the graph is drawn, without images and code."""
    components = {
        name: _component(each, definitions=True)
        for name, each in (spec.get("components") or {}).items()
    }
    root = _component(spec.get("root") or {}, definitions=False)
    return {"root": root, "components": components} if root else {}


def _component(component: Mapping[str, Any], definitions: bool) -> dict[str, Any]:
    tasks = ((component.get("dag") or {}).get("tasks")) or {}
    told: dict[str, Any] = {}
    if tasks:
        told["dag"] = {"tasks": {key: _task_spec(key, task) for key, task in tasks.items()}}
    elif definitions and "outputDefinitions" in component:
        told["outputDefinitions"] = component["outputDefinitions"]
    return told


def _task_spec(key: str, task: Mapping[str, Any]) -> dict[str, Any]:
    kept = (
        *("componentRef", "dependentTasks", "inputs", "triggerPolicy"),
        *("parameterIterator", "artifactIterator"),
    )
    named = (task.get("taskInfo") or {}).get("name") not in (None, key)
    told = {name: task[name] for name in kept if task.get(name)}
    return {**told, "taskInfo": task["taskInfo"]} if named else told


def _time(moment: datetime) -> str:
    return "" if never(moment) else moment.isoformat(timespec="milliseconds")


@view.register
def _card(card: Card) -> View:
    run, traceback = card.run, card.traceback
    told = run.error.message if run.error else ""
    facts: list[tuple[str, Any]] = [("Run ID", Code(run.run_id)), ("Namespace", card.namespace)]
    facts += [("Started", f"{run.created_at:%Y-%m-%d %H:%M:%S} UTC")]
    facts += [("Duration", duration_text(_duration(card)))] if run.state != "PENDING" else []
    parameters = run.runtime_config.parameters if run.runtime_config else {}
    facts += origin_facts(run)
    facts += [(f"Parameter {name}", _shown(value)) for name, value in parameters.items()]
    facts += [] if run.finished else [("Seen", f"{card.seen_at:%Y-%m-%d %H:%M:%S} UTC")]
    rows = [_row(line, card) for line in lines(card.specification, run.tasks)]
    return View(
        title=run.display_name,
        state=run_state(run),
        facts=[(name, value) for name, value in facts if value],
        problem="\n".join(filter(None, [told, traceback.own if traceback else ""])),
        folded_texts=[(f"{traceback.hidden} lines of the executor", traceback.whole)]
        if traceback and traceback.hidden
        else [],
        tables=[Table(["Task", "State", "Duration", "Outputs"], rows)] if rows else [],
    )


def _row(line: Line, card: Card) -> list[Any]:
    name = "\N{NO-BREAK SPACE}" * 4 * line.depth + line.name
    task = line.task
    if task is None:
        left_out = ShownState("SKIPPED" if card.run.finished else "PENDING")
        return [name, "" if line.group else left_out, "", ""]
    values = card.values.get(task.task_id, TaskIO())
    reused = " (reused)" if values.outputs.reused_from else ""
    return [
        name,
        task_state(card.run, task),
        task_duration(task) + reused,
        _outputs(values.outputs),
    ]


def _outputs(values: TaskValues) -> str:
    found = {**values.parameters}
    for name, listed in values.artifacts.items():
        for artifact in listed:
            found |= _told(name, artifact)
    return ", ".join(f"{name} = {_shown(_short(value), 60)}" for name, value in found.items())


def _told(name: str, artifact: Artifact) -> dict[str, Any]:
    """Return the metadata of an artifact, such as metrics; of a cell's task its value."""
    metadata = artifact.metadata
    if PYTHON_TYPE in metadata:
        variable = name.removeprefix("output_")
        return {variable: metadata.get("value", metadata[PYTHON_TYPE])}
    return {key: value for key, value in metadata.items() if key not in _OWN_METADATA}


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _shown(value: Any, length: int = LONGEST_VALUE) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = text or '""'
    return text if len(text) <= length else f"{text[:length]}…"


def _duration(card: Card) -> Any:
    run = card.run
    end = run.finished_at if run.finished_at and not never(run.finished_at) else card.seen_at
    return end - run.created_at - run.idle
