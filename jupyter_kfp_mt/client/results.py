"""Results of runs: their metrics and artifacts, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..models import Artifact, Rows, Run, TaskIO, Viewed, frame

METRICS = "system.Metrics"
# Metadata that the SDK itself writes next to the metrics.
_OWN_METADATA = ("display_name", "store_session_info")
# The SDK's name for what a component returns without naming it.
_RETURNED = "Output"
MISSING = "–"


class Made(msgspec.Struct, frozen=True):
    """One artifact, with the task and the output that it belongs to."""

    task: str
    output: str
    artifact: Artifact


class Artifacts(Rows[Made], frozen=True, kw_only=True):
    """The artifacts of a run. `is_known`: whether this KFP lists them."""

    run: Run
    is_known: bool

    def records(self) -> list[dict[str, Any]]:
        """One row for each."""
        return [
            {
                "task": made.task,
                "output": made.output,
                "type": made.artifact.type,
                "uri": made.artifact.uri,
                "metadata": shown_metadata(made.artifact),
            }
            for made in self
        ]


class Difference(msgspec.Struct, frozen=True):
    """A parameter, an output of a task or a metric, and its value in each run; None without one.

    `kind`: param, output or metric.
    """

    kind: str
    name: str
    values: list[Any]

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values)


class Comparison(Viewed, msgspec.Struct, frozen=True):
    """Runs side by side, with the rows that differ first."""

    runs: list[Run]
    rows: list[Difference]
    # ROC curves by the names of runs: false and true positive rates, ascending.
    curves: dict[str, list[tuple[float, float]]] = {}

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Difference:
        return self.rows[index]

    def to_pandas(self) -> Any:
        """One row for each run, with a column for each parameter, output and metric."""
        return frame(
            [
                {
                    "name": run.display_name,
                    "state": run.state,
                    "duration": run.duration,
                    **{f"{row.kind}s.{row.name}": row.values[at] for row in self.rows},
                    "run_id": run.run_id,
                }
                for at, run in enumerate(self.runs)
            ]
        )


def artifacts(run: Run, values: Mapping[str, TaskIO]) -> Artifacts:
    """Return the artifacts that the tasks of a run produced, in the order of the tasks."""
    found = [
        Made(task.display_name, output, artifact)
        for task in run.tasks
        if task.task_id in values
        for output, those in values[task.task_id].outputs.artifacts.items()
        for artifact in those
    ]
    return Artifacts(items=found, run=run, is_known=bool(values) or not run.tasks)


def metrics(run: Run, values: Mapping[str, TaskIO]) -> dict[str, float]:
    """Return a run's metrics by name; `task.name` if several tasks use the same name."""
    found = [
        (made.task, name, value)
        for made in artifacts(run, values)
        if made.artifact.type == METRICS
        for name, value in made.artifact.metadata.items()
        if name not in _OWN_METADATA and _is_number(value)
    ]
    names = [name for _, name, _ in found]
    return {
        name if names.count(name) == 1 else f"{task}.{name}": float(value)
        for task, name, value in found
    }


def outputs(run: Run, values: Mapping[str, TaskIO]) -> dict[str, Any]:
    """Return the values that a run's tasks returned: by task, or by `task.output` where the output
    has a name. Iterations of a loop, whose tasks share a name, are left out.
    """
    names = [task.display_name for task in run.tasks]
    return {
        task.display_name if output == _RETURNED else f"{task.display_name}.{output}": value
        for task in run.tasks
        if task.task_id in values and names.count(task.display_name) == 1
        for output, value in values[task.task_id].outputs.parameters.items()
    }


def curve(run: Run, values: Mapping[str, TaskIO]) -> list[tuple[float, float]]:
    """The first ROC curve that a run's tasks logged, as `log_roc_curve` of the SDK keeps it."""
    for made in artifacts(run, values):
        listed = made.artifact.metadata.get("confidenceMetrics")
        if isinstance(listed, list) and listed:
            points = [(each.get("falsePositiveRate"), each.get("recall")) for each in listed]
            return sorted((x, y) for x, y in points if _is_number(x) and _is_number(y))
    return []


def comparison(found: Sequence[tuple[Run, Mapping[str, TaskIO]]]) -> Comparison:
    """Compare runs with the inputs and outputs of their tasks side by side, differences first."""
    runs = [run for run, _ in found]
    parameters = [run.runtime_config.parameters if run.runtime_config else {} for run in runs]
    rows = [
        *_rows("param", parameters),
        *_rows("output", [outputs(run, values) for run, values in found]),
        *_rows("metric", [metrics(run, values) for run, values in found]),
    ]
    curves = {run.display_name: curve(run, values) for run, values in found}
    drawn = {name: points for name, points in curves.items() if points}
    return Comparison(runs, sorted(rows, key=lambda row: not row.differs), drawn)


def shown_metadata(artifact: Artifact) -> dict[str, Any]:
    """An artifact's metadata without the entries of the SDK itself."""
    return {name: value for name, value in artifact.metadata.items() if name not in _OWN_METADATA}


def _rows(kind: str, values: Sequence[Mapping[str, Any]]) -> list[Difference]:
    names = dict.fromkeys(name for each in values for name in each)
    return [Difference(kind, name, [each.get(name) for each in values]) for name in names]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
