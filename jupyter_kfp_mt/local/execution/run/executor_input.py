"""The executor input: the inputs of a task's program, and the paths for its outputs."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from .artifact_metadata import as_stored
from .scopes import RuntimeArtifact, Values
from .task_inputs import python_value, with_defaults

_FILE_NAME = re.compile(r"[\w-][\w.-]{0,127}", re.ASCII)
_OUTPUT_FILE = "executor_output.json"


def executor_input(values: Values, component: Any, root: Path) -> dict[str, Any]:
    """Return the executor input of a task, as JSON.

    Outputs are files and folders directly below the root. Rule: `provisionOutputs` in
    KFP's backend/src/v2/driver/driver.go.
    """
    outputs = component.output_definitions
    return {
        "inputs": {
            "parameterValues": with_defaults(values.parameters, component),
            "artifacts": {
                name: {"artifacts": [_given(one) for one in listed]}
                for name, listed in values.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": str(root / _file_name(name))} for name in outputs.parameters
            },
            "artifacts": {
                name: {
                    "artifacts": [_runtime_artifact(_output(name, outputs.artifacts[name], root))]
                }
                for name in outputs.artifacts
            },
            "outputFile": str(root / _OUTPUT_FILE),
        },
    }


def prepare(root: Path) -> None:
    """Prepare the folders for the outputs of an attempt. Raises OSError."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)


def _output(name: str, declared: Any, root: Path) -> RuntimeArtifact:
    return RuntimeArtifact(
        name=name,
        type=declared.artifact_type.schema_title or "system.Artifact",
        uri=str(root / _file_name(name)),
        metadata=python_value(declared.metadata),
    )


def _given(artifact: RuntimeArtifact) -> dict[str, Any]:
    return {**_runtime_artifact(artifact), "metadata": as_stored(artifact.metadata)}


def _runtime_artifact(artifact: RuntimeArtifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "type": {"schemaTitle": artifact.type, "schemaVersion": "0.0.1"},
        "uri": artifact.path or artifact.uri,
        "metadata": artifact.metadata,
    }


def _file_name(name: str) -> str:
    """The name of an output, or a hash of it if it is not a valid file name."""
    if _FILE_NAME.fullmatch(name) and name != _OUTPUT_FILE:
        return name
    return f"output-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
