"""Compiled pipelines as files: which there are, what they need, and parameters to run them with."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from jupyter_kfp_mt.local.execution.executors.containers import why_needed

SUFFIXES = (".yaml", ".yml", ".json", ".zip")
# Needs that this machine can lack.
ENGINE, CLUSTER, NETWORK = "a container engine", "a cluster", "a foreign network"

_ADDRESS = re.compile(r"\b(gs|s3|minio|oci|https?)://([\w.-]*\w)")
# The index of packages is reachable, and what is named beside it is no address that is fetched.
_NEAR = re.compile(r"(.*\.)?(pypi\.org|pythonhosted\.org)|127\.0\.0\.1|localhost")
_VALUES: dict[str, Any] = {
    "NUMBER_INTEGER": 7,
    "NUMBER_DOUBLE": 0.5,
    "BOOLEAN": True,
    "LIST": ["text"],
    "STRUCT": {"A": "0.25", "B": "0.5"},
}


class Pipeline(NamedTuple):
    """A pipeline's specification and its platform's."""

    spec: dict[str, Any]
    platform: dict[str, Any]


def files(folder: Path) -> list[Path]:
    """All compiled pipelines in the folder and those in it."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES)
    return [path for path in found if read(path)]


def read(path: Path) -> Pipeline | None:
    """The pipeline in a file, or nothing if it is something else."""
    try:
        documents = [one for one in yaml.safe_load_all(_text(path)) if isinstance(one, dict)]
    except (OSError, ValueError, yaml.YAMLError, zipfile.BadZipFile):
        return None
    specs = [one for one in documents if "pipelineInfo" in one]
    platforms = [one for one in documents if "platforms" in one]
    return Pipeline(specs[0], platforms[0] if platforms else {}) if specs else None


def _text(path: Path) -> str:
    if path.suffix != ".zip":
        return path.read_text(encoding="utf-8")
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0]).decode()


def needs(pipeline: Pipeline) -> list[str]:
    """All that it needs besides this machine, each with the reason."""
    return [*_engine(pipeline), *_cluster(pipeline), *_network(pipeline)]


def _executors(pipeline: Pipeline) -> dict[str, Any]:
    executors: dict[str, Any] = pipeline.spec.get("deploymentSpec", {}).get("executors", {})
    return executors


def _engine(pipeline: Pipeline) -> Iterator[str]:
    for executor in _executors(pipeline).values():
        if reason := why_needed(executor):
            yield f"{ENGINE}: {reason}"
            return


def _cluster(pipeline: Pipeline) -> Iterator[str]:
    kubernetes = pipeline.platform.get("platforms", {}).get("kubernetes", {})
    asked = kubernetes.get("deploymentSpec", {}).get("executors", {}).values()
    if any("initContainers" in one for one in asked):
        yield f"{CLUSTER}: init containers"
    if any("customJob" in executor for executor in _executors(pipeline).values()):
        yield f"{CLUSTER}: a custom job of Vertex AI"


def _network(pipeline: Pipeline) -> Iterator[str]:
    text = json.dumps([_executors(pipeline), pipeline.spec.get("root", {})])
    addresses = {f"{scheme}://{host}" for scheme, host in _ADDRESS.findall(text)}
    foreign = sorted(one for one in addresses if not _NEAR.fullmatch(one.partition("://")[2]))
    if foreign:
        yield f"{NETWORK}: {', '.join(foreign)}"


def parameters(pipeline: Pipeline) -> dict[str, Any]:
    """A value for each parameter that has to be given, as the tests of KFP's backend give them."""
    declared = pipeline.spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return {
        name: _VALUES.get(parameter.get("parameterType", ""), "text")
        for name, parameter in declared.items()
        if "defaultValue" not in parameter and not parameter.get("isOptional")
    }


def takes_artifacts(pipeline: Pipeline) -> bool:
    """Tell if it has to be given artifacts, as a component alone can: a run can give none."""
    artifacts = pipeline.spec.get("root", {}).get("inputDefinitions", {}).get("artifacts", {})
    return any(not artifact.get("isOptional") for artifact in artifacts.values())
