"""The Kubernetes part of a pipeline: what tasks get of it here, and what is not supported."""

from __future__ import annotations

import re
import socket
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from google.protobuf import json_format  # type: ignore[import-untyped]
from kfp.pipeline_spec import pipeline_spec_pb2

from ....errors import KfpError
from ..executors import persistent_volumes
from ..executors.volumes import Volume, mount_path, with_files
from ..run_request import Assignment, deadline
from . import task_inputs

# Features of a pod that are not available here, each with an alternative: a task would run without
# something that it needs.
_ONLY_IN_A_POD = {
    "initContainers": ("a container that runs first", "make that a task of its own before it"),
}
# Everything that can be mounted.
_SHARED = ("secretAsVolume", "configMapAsVolume", "pvcMount")
_OWN = ("emptyDirMounts", "genericEphemeralVolume")
# Fields of a pod, by KFP's names for them, that a component can hand on instead of using them.
ENV = "ENV"
VOLUMES = "KUBERNETES_VOLUMES"
# Shared memory: the machine has its own.
_SHARED_MEMORY = "/dev/shm"
_MAP_ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class TaskRefused(KfpError):
    """A task whose requirements cannot be met; the message says why."""


class Secrets(msgspec.Struct, frozen=True):
    """The variables and volumes that a task gets from its namespace. Its repr omits values."""

    variables: dict[str, str] = {}
    volumes: list[Volume] = []

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.variables)}, {self.volumes})"


class Kind(NamedTuple):
    """Secrets or config maps: how a task requests one, and their field in the profile."""

    what: str
    in_profile: str
    as_env: str
    as_volume: str
    name: str
    key: str


SECRETS = Kind("secret", "secrets", "secretAsEnv", "secretAsVolume", "secretName", "secretKey")
CONFIG_MAPS = Kind(
    "config map",
    "configMaps",
    "configMapAsEnv",
    "configMapAsVolume",
    "configMapName",
    "configMapKey",
)


class PlatformSpec:
    """The Kubernetes part of a pipeline, with the run's namespace that provides for it."""

    def __init__(self, assignment: Assignment) -> None:
        kubernetes = assignment.job.kubernetes
        self._executors: dict[str, dict[str, Any]] = kubernetes.get("deploymentSpec", {}).get(
            "executors", {}
        )
        self._job = assignment.job
        self._objects = {SECRETS: assignment.secrets, CONFIG_MAPS: assignment.config_maps}
        # A run's folder is two levels below its namespace's.
        namespace = Path(assignment.folder).parent.parent
        self.claims = persistent_volumes.folder_of(namespace)
        self.has_workspace = "workspace" in kubernetes.get("pipelineConfig", {})

    def asked(self, label: str) -> dict[str, Any]:
        """The requirements of the tasks with this executor."""
        return self._executors.get(label, {})

    def timeout(self, label: str) -> int | None:
        """The time limit of an attempt at a task, in seconds."""
        return deadline(self.asked(label))

    def mount_paths(self, label: str, without: Container[str] = ()) -> list[str]:
        return [
            path
            for field in (*(() if VOLUMES in without else _SHARED), *_OWN)
            for entry in self.asked(label).get(field, [])
            if (path := mount_path(entry)) != _SHARED_MEMORY
        ]

    def secrets(
        self, label: str, inputs: Any, task_id: str = "", without: Container[str] = ()
    ) -> Secrets:
        """Return the secrets that a task gets. Raises the reason if it cannot get one.

        The inputs hold the names that are not constants. `without`: fields that its pod does not
        get, ENV and VOLUMES among them.
        """
        asked = self.asked(label)
        for field, (what, instead) in _ONLY_IN_A_POD.items():
            if asked.get(field):
                raise TaskRefused(
                    f"it uses {what}, which needs a cluster: run the pipeline there, or {instead}"
                )
        variables = {} if ENV in without else self._environment(asked, inputs, task_id)
        shared = () if VOLUMES in without else self._shared(asked, inputs)
        return Secrets(variables, [*shared, *_own(asked)])

    def _environment(self, asked: dict[str, Any], inputs: Any, task_id: str) -> dict[str, str]:
        variables = dict(
            variable
            for kind in (SECRETS, CONFIG_MAPS)
            for entry in asked.get(kind.as_env, [])
            for variable in self._variables(kind, entry, inputs)
        )
        return variables | {
            entry["name"]: self._field(entry.get("fieldPath", ""), asked, task_id)
            for entry in asked.get("fieldPathAsEnv", [])
        }

    def _variables(
        self, kind: Kind, entry: dict[str, Any], inputs: Any
    ) -> Iterator[tuple[str, str]]:
        if (name := name_in(kind, entry, inputs)) is None:
            return
        found = self._objects[kind].get(name)
        for pair in entry.get("keyToEnv", []):
            key = pair[kind.key]
            if found is not None and key in found:
                yield pair["envVar"], found[key]
            elif not entry.get("optional"):
                what = f"{kind.what} '{name}'" if found is None else f"'{key}' in '{name}'"
                raise self._absent(kind, what)

    def _shared(self, asked: dict[str, Any], inputs: Any) -> Iterator[Volume]:
        for kind in (SECRETS, CONFIG_MAPS):
            for entry in asked.get(kind.as_volume, []):
                if (name := name_in(kind, entry, inputs)) is None:
                    continue
                if name not in self._objects[kind] and not entry.get("optional"):
                    raise self._absent(kind, f"{kind.what} '{name}'")
                yield with_files(mount_path(entry), self._objects[kind].get(name, {}), name)
        for entry in asked.get("pvcMount", []):
            name = str(resolved(claim_source(entry), inputs) or "")
            folder = persistent_volumes.mounted(self.claims, name, entry.get("subPath", ""))
            yield Volume(mount_path(entry), folder=folder)

    def _absent(self, kind: Kind, what: str) -> TaskRefused:
        return TaskRefused(
            f"no {what} in namespace {self._job.namespace}; add it to the `{kind.in_profile}` of "
            "that namespace's profile, or request it with optional=True"
        )

    def _field(self, path: str, asked: dict[str, Any], task_id: str) -> str:
        """A field of the task's pod, as it would be on a cluster."""
        fields = {
            "metadata.name": "-".join(filter(None, [self._job.name, task_id])),
            "metadata.namespace": self._job.namespace,
            "metadata.uid": task_id or self._job.run_id,
            "spec.nodeName": socket.gethostname(),
            "spec.serviceAccountName": self._job.service_account or "default-editor",
            "status.hostIP": "127.0.0.1",
            "status.podIP": "127.0.0.1",
        }
        if path in fields:
            return fields[path]
        if entry := _MAP_ENTRY.fullmatch(path):
            metadata: dict[str, str] = asked.get("podMetadata", {}).get(entry[1], {})
            return {**metadata, "pipeline/runid": self._job.run_id}.get(entry[2], "")
        raise TaskRefused(
            f"it uses the field '{path}' of its pod, which does not exist here; the fields are "
            f"{', '.join(fields)} and metadata.labels['NAME']"
        )


def _own(asked: dict[str, Any]) -> Iterator[Volume]:
    for field in _OWN:
        for entry in asked.get(field, []):
            if mount_path(entry) != _SHARED_MEMORY:
                yield Volume(mount_path(entry), scratch=True)


def name_in(kind: Kind, entry: dict[str, Any], inputs: Any) -> str | None:
    """Return the name of a secret or config map; None if its source is null."""
    if (parameter := entry.get(f"{kind.name}Parameter")) is None:
        return str(entry.get(kind.name, ""))
    name = resolved(parameter, inputs)
    return None if name is None else str(name)


def claim_source(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source of a claim's name; up to kfp 2.4 there were three fields for it."""
    if "pvcNameParameter" in entry:
        return dict(entry["pvcNameParameter"])
    if "constant" in entry:
        return {"runtimeValue": {"constant": entry["constant"]}}
    fields = ("taskOutputParameter", "componentInputParameter")
    return {field: entry[field] for field in fields if field in entry}


def resolved(parameter: dict[str, Any], inputs: Any) -> Any:
    """Return a constant, an input of the pipeline or another task's output."""
    spec = json_format.ParseDict(parameter, pipeline_spec_pb2.TaskInputsSpec.InputParameterSpec())
    return task_inputs.parameter(spec, inputs, {})
