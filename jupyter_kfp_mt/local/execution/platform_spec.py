"""What tasks ask of Kubernetes: the secrets, which they get here, too, and what needs a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from google.protobuf import json_format  # type: ignore[import-untyped]
from kfp.pipeline_spec import pipeline_spec_pb2

from ...errors import KfpError
from . import task_inputs
from .job import Assignment, deadline, kubernetes_part
from .secret_volumes import SecretVolume, absent, mount_path, wanted

_SECRET = "put its values in a secret of the profile, which works here"
_PASS_ON = "pass files on as artifacts, or in the workspace of the pipeline"
_SCRATCH = "write to the folder that tempfile.mkdtemp() gives"
# What a task can be given in a pod, but not here: it would run without what it counts on. And what
# it can use instead.
_ONLY_IN_A_POD = {
    "configMapAsVolume": ("a config map as a volume", _SECRET),
    "configMapAsEnv": ("a config map in its environment", _SECRET),
    "fieldPathAsEnv": ("fields of its pod in its environment", "pass what it needs as parameters"),
    "pvcMount": ("a persistent volume", _PASS_ON),
    "emptyDirMounts": ("an empty volume", _SCRATCH),
    "genericEphemeralVolume": ("an ephemeral volume", _SCRATCH),
    "initContainers": ("a container that runs first", "make that a task of its own before it"),
}


class TaskRefused(KfpError):
    """A task that cannot run as it asks to; the message says why."""


class Secrets(msgspec.Struct, frozen=True):
    """What a task gets of its namespace's secrets. It does not show them."""

    variables: dict[str, str] = {}
    volumes: list[SecretVolume] = []

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.variables)}, {self.volumes})"


class PlatformSpec:
    """The part of a pipeline that is for Kubernetes, with the secrets of the run's namespace."""

    def __init__(self, assignment: Assignment) -> None:
        kubernetes = kubernetes_part(assignment.job.platform_spec)
        self._executors: dict[str, dict[str, Any]] = kubernetes.get("deploymentSpec", {}).get(
            "executors", {}
        )
        self._namespace = assignment.job.namespace
        self._secrets = assignment.secrets
        self.has_workspace = "workspace" in kubernetes.get("pipelineConfig", {})

    def asked(self, label: str) -> dict[str, Any]:
        """All that the tasks with this executor ask for."""
        return self._executors.get(label, {})

    def timeout(self, label: str) -> int | None:
        """After how many seconds an attempt at a task is killed."""
        return deadline(self.asked(label))

    def mount_paths(self, label: str) -> list[str]:
        return [mount_path(entry) for entry in self.asked(label).get("secretAsVolume", [])]

    def secrets(self, label: str, inputs: Any) -> Secrets:
        """What a task gets. Raises the reason why it cannot have it.

        The inputs hold those names of secrets that are no constants.
        """
        asked = self.asked(label)
        for field, (what, instead) in _ONLY_IN_A_POD.items():
            if asked.get(field):
                raise TaskRefused(
                    f"it asks for {what}, which needs a cluster: run the pipeline there, "
                    f"or {instead}"
                )
        variables = dict(
            variable
            for entry in asked.get("secretAsEnv", [])
            for variable in self._variables(entry, inputs)
        )
        volumes = wanted(
            asked.get("secretAsVolume", []),
            lambda entry: _secret_name(entry, inputs),
            self._secrets,
            self._namespace,
        )
        return Secrets(variables, volumes)

    def _variables(self, entry: dict[str, Any], inputs: Any) -> Iterator[tuple[str, str]]:
        if (name := _secret_name(entry, inputs)) is None:
            return
        secret = self._secrets.get(name)
        for pair in entry.get("keyToEnv", []):
            key = pair["secretKey"]
            if secret is not None and key in secret:
                yield pair["envVar"], secret[key]
            elif not entry.get("optional"):
                what = f"secret '{name}'" if secret is None else f"'{key}' in '{name}'"
                raise TaskRefused(absent(what, self._namespace))


def _secret_name(entry: dict[str, Any], inputs: Any) -> str | None:
    """A constant, an input of the pipeline or another task's output; None where that is null."""
    if "secretNameParameter" not in entry:
        return str(entry.get("secretName", ""))
    parameter = json_format.ParseDict(
        entry["secretNameParameter"], pipeline_spec_pb2.TaskInputsSpec.InputParameterSpec()
    )
    name = task_inputs.parameter(parameter, inputs, {})
    return None if name is None else str(name)
