"""The scopes of a run: each walk through a group of tasks, with its inputs and outputs.

Rule: `resolveUpstreamParameters`, `resolveUpstreamArtifacts`, `CollectInputs` and `GetProducerTask`
in KFP's backend/src/v2/driver/resolve.go. The outputs of a group are looked up in its scope when
needed. Unlike there, nested loops yield nested lists of parameters, on which pipelines with
`dsl.Collected` rely.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from ....errors import KfpError

# The final states of a task, as in `PipelineTaskFinalStatus.state` on a cluster.
COMPLETE = "COMPLETE"
CACHED = "CACHED"
FAILED = "FAILED"
CANCELED = "CANCELED"  # its condition was false
DONE = (COMPLETE, CACHED)

# The compiler's prefix for inputs that it adds to groups and tasks.
CHANNEL = "pipelinechannel--"
# The compiler's groups for `with dsl.If`, `dsl.ParallelFor` and so on, or their iterations. Their
# names mean nothing to the pipeline's author.
COMPILERS_GROUP = re.compile(
    r"(condition|condition-branches|for-loop|exit-handler)-\d+(-iteration-\d+)?"
)

Kind = Literal["parameters", "artifacts"]


class RuntimeArtifact(msgspec.Struct, frozen=True):
    """An artifact as passed between tasks; `type` is a schema title: `system.Model`."""

    name: str = ""
    type: str = "system.Artifact"
    uri: str = ""
    metadata: dict[str, Any] = {}
    # The path for tasks, if it differs from the URI.
    path: str = ""


class Values(msgspec.Struct, frozen=True):
    """The inputs or outputs of a task, by name."""

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[RuntimeArtifact]] = {}


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a task, with its outputs.

    A group's values are in its scope, a loop's in the scopes of its iterations.
    """

    state: str
    values: Values = Values()
    group: Scope | None = None
    iterations: list[Scope] | None = None


class NotThere(KfpError):
    """A missing value; the message says which, and why."""


class Undeclared(NotThere):
    """An output that the definition of its producer does not have."""


class Scope:
    """One walk through a pipeline, a condition's branch or a loop's iteration.

    Tasks see only the inputs of their own pipeline. Inputs that the compiler omitted from a group
    are found in the enclosing group.
    """

    def __init__(self, name: str, inputs: Values, outputs: Any, around: Scope | None) -> None:
        self.inputs = inputs
        self.outcomes: dict[str, Outcome] = {}
        self._name = name
        # DagOutputsSpec
        self._outputs = outputs
        self._around = around

    def parameter(self, name: str) -> Any:
        """Return the value of an input parameter. Raises NotThere."""
        return self._input("parameters", name)

    def artifacts(self, name: str) -> list[RuntimeArtifact]:
        """Return the artifacts of an input. Raises NotThere."""
        found: list[RuntimeArtifact] = self._input("artifacts", name)
        return found

    def _input(self, kind: Kind, name: str) -> Any:
        values = getattr(self.inputs, kind)
        if name in values:
            return values[name]
        if self._around and name.startswith(CHANNEL):
            return self._around._input(kind, name)
        raise NotThere(f"the enclosing pipeline has no value for '{name.removeprefix(CHANNEL)}'")

    def output_parameter(self, task: str, key: str) -> Any:
        """Return an output of a task, or the list of those of its iterations."""
        return self._found("parameters", task, key)

    def output_artifacts(self, task: str, key: str) -> list[RuntimeArtifact]:
        """Return the artifacts of an output of a task, or of all its iterations."""
        found: list[RuntimeArtifact] = self._found("artifacts", task, key)
        return found

    def state(self, task: str) -> str:
        """Return the outcome of a task; one that never ran has failed."""
        return self.outcomes[task].state if task in self.outcomes else FAILED

    def _found(self, kind: Kind, task: str, key: str) -> Any:
        outcome = self.outcomes.get(task)
        if outcome is None or outcome.state not in DONE:
            within = f" in '{self._name}'" if self._name else ""
            raise NotThere(f"'{task}'{within} did not complete")
        if outcome.iterations is not None:
            each = [scope._selected(kind, key) for scope in outcome.iterations]
            return each if kind == "parameters" else [one for listed in each for one in listed]
        if outcome.group is not None:
            return outcome.group._selected(kind, key)
        values = getattr(outcome.values, kind)
        if key not in values:
            raise Undeclared(f"'{task}' has no output '{key}'")
        return values[key]

    def _selected(self, kind: Kind, key: str) -> Any:
        """Return the output of this scope with the key."""
        if key not in getattr(self._outputs, kind):
            raise Undeclared(f"'{self._name}' has no output '{key}'")
        spec = getattr(self._outputs, kind)[key]
        sources = _parameter_sources(spec) if kind == "parameters" else _artifact_sources(spec)
        if len(sources) > 1:
            sources = [source for source in sources if self.state(source[0]) in DONE][:1]
        if not sources:
            raise NotThere(f"none of the branches of dsl.OneOf in '{self._name}' completed")
        return self._found(kind, *sources[0])


def is_of_compiler(name: str, component: Any) -> bool:
    """Return whether the compiler made a group from a part of a pipeline."""
    declared = component.input_definitions
    inputs = (*declared.parameters, *declared.artifacts)
    return bool(COMPILERS_GROUP.fullmatch(name)) and all(one.startswith(CHANNEL) for one in inputs)


def _parameter_sources(spec: Any) -> list[tuple[str, str]]:
    """The tasks, with their output keys, that produce a group's output."""
    if spec.WhichOneof("kind") == "value_from_oneof":
        selectors = spec.value_from_oneof.parameter_selectors
    else:
        selectors = [spec.value_from_parameter]
    return [(one.producer_subtask, one.output_parameter_key) for one in selectors]


def _artifact_sources(spec: Any) -> list[tuple[str, str]]:
    return [(one.producer_subtask, one.output_artifact_key) for one in spec.artifact_selectors]
