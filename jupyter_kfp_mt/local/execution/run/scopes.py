"""The scopes of a run: each walk through a group of tasks, its inputs, and what its tasks put out.

Rule: `resolveUpstreamParameters`, `resolveUpstreamArtifacts`, `CollectInputs` and `GetProducerTask`
in KFP's backend/src/v2/driver/resolve.go. What a group puts out is looked up in it by whoever asks.
Unlike there, a loop in a loop gives a list of lists of parameters, which pipelines count on that
were compiled from `dsl.Collected`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from ....errors import KfpError

# In which states a task ends, in the words of `PipelineTaskFinalStatus.state` on a cluster.
COMPLETE = "COMPLETE"
CACHED = "CACHED"
FAILED = "FAILED"
CANCELED = "CANCELED"  # its condition was false
DONE = (COMPLETE, CACHED)

# What the compiler puts before the names of inputs that it adds to groups and tasks.
CHANNEL = "pipelinechannel--"
# The groups that it makes of `with dsl.If`, `dsl.ParallelFor` and so on, or iterations of those.
# Their names say nothing to the person who wrote that.
COMPILERS_GROUP = re.compile(
    r"(condition|condition-branches|for-loop|exit-handler)-\d+(-iteration-\d+)?"
)

Kind = Literal["parameters", "artifacts"]


class RuntimeArtifact(msgspec.Struct, frozen=True):
    """An artifact as tasks pass it on; `type` is a schema title: `system.Model`."""

    name: str = ""
    type: str = "system.Artifact"
    uri: str = ""
    metadata: dict[str, Any] = {}
    # Where tasks find it, if that is not where its URI says.
    path: str = ""


class Values(msgspec.Struct, frozen=True):
    """The inputs or the outputs of a task, by their names."""

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[RuntimeArtifact]] = {}


class Outcome(msgspec.Struct, frozen=True):
    """The end of a task, and where to find what it put out.

    A group's values are in its scope, a loop's in those of its iterations.
    """

    state: str
    values: Values = Values()
    group: Scope | None = None
    iterations: list[Scope] | None = None


class NotThere(KfpError):
    """A value that is not there, though it should be; the message says which, and why."""


class Undeclared(NotThere):
    """An output that its producer does not have by its definition."""


class Scope:
    """One walk through a pipeline, a condition's branch or a loop's iteration.

    Tasks see the inputs of their own pipeline alone. What the compiler left out of the inputs of a
    group within it is found in the group around.
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
        raise NotThere(f"the pipeline around it has no value for '{name.removeprefix(CHANNEL)}'")

    def output_parameter(self, task: str, key: str) -> Any:
        """Return what a task has put out, or the list of what its iterations have."""
        return self._found("parameters", task, key)

    def output_artifacts(self, task: str, key: str) -> list[RuntimeArtifact]:
        """Return the artifacts that a task has put out, those of all its iterations in a list."""
        found: list[RuntimeArtifact] = self._found("artifacts", task, key)
        return found

    def state(self, task: str) -> str:
        """Return how a task has ended; what never ran has failed."""
        return self.outcomes[task].state if task in self.outcomes else FAILED

    def _found(self, kind: Kind, task: str, key: str) -> Any:
        outcome = self.outcomes.get(task)
        if outcome is None or outcome.state not in DONE:
            within = f" in '{self._name}'" if self._name else ""
            raise NotThere(f"'{task}'{within} did not run to its end")
        if outcome.iterations is not None:
            each = [scope._selected(kind, key) for scope in outcome.iterations]
            return each if kind == "parameters" else [one for listed in each for one in listed]
        if outcome.group is not None:
            return outcome.group._selected(kind, key)
        values = getattr(outcome.values, kind)
        if key not in values:
            raise Undeclared(f"'{task}' puts out no '{key}'")
        return values[key]

    def _selected(self, kind: Kind, key: str) -> Any:
        """Return the output of this scope that has the key."""
        if key not in getattr(self._outputs, kind):
            raise Undeclared(f"'{self._name}' puts out no '{key}'")
        spec = getattr(self._outputs, kind)[key]
        sources = _parameter_sources(spec) if kind == "parameters" else _artifact_sources(spec)
        if len(sources) > 1:
            sources = [source for source in sources if self.state(source[0]) in DONE][:1]
        if not sources:
            raise NotThere(f"none of the branches of dsl.OneOf in '{self._name}' ran to its end")
        return self._found(kind, *sources[0])


def is_of_compiler(name: str, component: Any) -> bool:
    """Return whether a group is one that the compiler has made of a part of a pipeline."""
    declared = component.input_definitions
    inputs = (*declared.parameters, *declared.artifacts)
    return bool(COMPILERS_GROUP.fullmatch(name)) and all(one.startswith(CHANNEL) for one in inputs)


def _parameter_sources(spec: Any) -> list[tuple[str, str]]:
    """The tasks, with keys of theirs, from which a group's output comes."""
    if spec.WhichOneof("kind") == "value_from_oneof":
        selectors = spec.value_from_oneof.parameter_selectors
    else:
        selectors = [spec.value_from_parameter]
    return [(one.producer_subtask, one.output_parameter_key) for one in selectors]


def _artifact_sources(spec: Any) -> list[tuple[str, str]]:
    return [(one.producer_subtask, one.output_artifact_key) for one in spec.artifact_selectors]
