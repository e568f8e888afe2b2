"""The configuration of a task that its component hands on to a workload that it starts itself.

A component names the fields in `task_config_passthroughs`, and receives them in its parameter of
type `dsl.TaskConfig`, in the form of a Kubernetes pod. Rule: `getTaskConfigOptions`,
`initPodSpecPatch` and `extendPodSpecPatch` in KFP's backend/src/v2/driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kfp.pipeline_spec import pipeline_spec_pb2

from .placeholders import WORKSPACE_MOUNT
from .platform_spec import (
    CONFIG_MAPS,
    ENV,
    SECRETS,
    VOLUMES,
    Kind,
    TaskRefused,
    claim_source,
    name_in,
    resolved,
)
from .task_inputs import kind_of, shown

_WORKSPACE = "kfp-workspace"
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_RESOURCES = "RESOURCES"
_NODE_SELECTOR = "KUBERNETES_NODE_SELECTOR"
_TOLERATIONS = "KUBERNETES_TOLERATIONS"
_AFFINITY = "KUBERNETES_AFFINITY"
# What is there in place of a field that is not handed on; of others that is null.
_NOTHING: dict[str, Any] = {"resources": {}}

_Mounts = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class Asked(NamedTuple):
    """Everything that a pipeline asks of Kubernetes for a task."""

    container: Any
    resources: Mapping[str, Any]
    platform: Mapping[str, Any]
    # The claim that is the run's workspace on a cluster; empty if the task does not use it.
    workspace_claim: str


def parameters_for_it(component: Any) -> list[str]:
    """Return the names of a component's parameters of type `dsl.TaskConfig`."""
    declared = component.input_definitions.parameters
    return [name for name, one in declared.items() if kind_of(one) == "TASK_CONFIG"]


def not_applied(component: Any) -> frozenset[str]:
    """Return the fields that a component only hands on, and that its own task does not get."""
    return frozenset(name for name, applied in _handed_on(component).items() if not applied)


def task_config(component: Any, asked: Asked, inputs: Any) -> dict[str, Any]:
    """Return the fields that a component hands on, as `dsl.TaskConfig` is given them.

    The inputs are those of the enclosing pipeline. Raises TaskRefused for what no pod can have.
    """
    platform = asked.platform
    volumes, mounts = _volumes(asked, inputs)
    values: dict[str, dict[str, Any]] = {
        _AFFINITY: {"affinity": _affinity(platform, inputs)},
        _TOLERATIONS: {"tolerations": [*_tolerations(platform, inputs)] or None},
        _NODE_SELECTOR: {"nodeSelector": _node_selector(platform, inputs)},
        ENV: {"env": [*_variables(asked, inputs)]},
        VOLUMES: {"volumes": volumes or None, "volumeMounts": mounts or None},
        _RESOURCES: {"resources": asked.resources},
    }
    handed_on = _handed_on(component)
    return {
        key: value if name in handed_on else _NOTHING.get(key)
        for name, fields in values.items()
        for key, value in fields.items()
    }


def _handed_on(component: Any) -> dict[str, bool]:
    """The fields that are handed on, and if the task gets them as well; none before kfp 2.15."""
    return {
        pipeline_spec_pb2.TaskConfigPassthroughType.TaskConfigPassthroughTypeEnum.Name(
            one.field
        ): bool(one.apply_to_task)
        for one in getattr(component, "task_config_passthroughs", ())
    }


def _variables(asked: Asked, inputs: Any) -> Iterator[dict[str, Any]]:
    for one in asked.container.env:
        yield {"name": one.name, **({"value": one.value} if one.value else {})}
    for kind, reference in ((SECRETS, "secretKeyRef"), (CONFIG_MAPS, "configMapKeyRef")):
        for entry in asked.platform.get(kind.as_env, []):
            yield from _references(kind, reference, entry, inputs)
    for entry in asked.platform.get("fieldPathAsEnv", []):
        field = {"fieldPath": entry.get("fieldPath", "")}
        yield {"name": entry.get("name", ""), "valueFrom": {"fieldRef": field}}


def _references(kind: Kind, reference: str, entry: Any, inputs: Any) -> Iterator[dict[str, Any]]:
    if (name := name_in(kind, entry, inputs)) is None:
        return
    optional = {"optional": entry["optional"]} if "optional" in entry else {}
    for pair in entry.get("keyToEnv", []):
        source = {"name": name, "key": pair.get(kind.key, ""), **optional}
        yield {"name": pair.get("envVar", ""), "valueFrom": {reference: source}}


def _volumes(asked: Asked, inputs: Any) -> _Mounts:
    volumes, mounts = [], []
    for volume, path, sub_path in _mounted(asked, inputs):
        within = {"subPath": sub_path} if sub_path else {}
        volumes.append(volume)
        mounts.append({"name": volume["name"], "mountPath": path, **within})
    return volumes, mounts


def _mounted(asked: Asked, inputs: Any) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each volume with its mount path and the path within it, in the driver's order."""
    if asked.workspace_claim:
        yield _claimed(_WORKSPACE, asked.workspace_claim), WORKSPACE_MOUNT, ""
    for entry in asked.platform.get("pvcMount", []):
        name = str(resolved(claim_source(entry), inputs) or "")
        yield _claimed(name, name), entry.get("mountPath", ""), entry.get("subPath", "")
    for kind, source, key in (
        (SECRETS, "secret", "secretName"),
        (CONFIG_MAPS, "configMap", "name"),
    ):
        for entry in asked.platform.get(kind.as_volume, []):
            if (found := name_in(kind, entry, inputs)) is not None:
                what = {key: found, "optional": bool(entry.get("optional"))}
                yield {"name": found, source: what}, entry.get("mountPath", ""), ""


def _claimed(name: str, claim: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def _node_selector(platform: Mapping[str, Any], inputs: Any) -> dict[str, str] | None:
    asked = platform.get("nodeSelector", {})
    if "nodeSelectorJson" in asked:
        found = resolved(asked["nodeSelectorJson"], inputs)
    else:
        found = asked.get("labels")
    if found is None:
        return None
    labels: dict[str, str] = found if isinstance(found, dict) else {}
    if not all(isinstance(value, str) for value in labels.values()):
        raise TaskRefused(
            f"its node selector is {shown(found)}, and Kubernetes takes a dictionary of texts"
        )
    return labels


def _tolerations(platform: Mapping[str, Any], inputs: Any) -> Iterator[dict[str, Any]]:
    for entry in platform.get("tolerations", []):
        if "tolerationJson" not in entry:
            yield _toleration(entry)
        elif (found := resolved(entry["tolerationJson"], inputs)) is not None:
            listed = found if isinstance(found, list) else [found]
            if not all(isinstance(one, dict) for one in listed):
                raise TaskRefused(
                    f"its toleration is {shown(found)}, and Kubernetes takes a dictionary or a "
                    "list of them"
                )
            yield from map(_toleration, listed if isinstance(found, list) else filter(None, listed))


def _toleration(entry: Mapping[str, Any]) -> dict[str, Any]:
    found = {field: entry[field] for field in _TOLERATION if entry.get(field) not in (None, "")}
    if "tolerationSeconds" in found:  # protojson writes an int64 as a text
        found["tolerationSeconds"] = int(found["tolerationSeconds"])
    return found


def _affinity(platform: Mapping[str, Any], inputs: Any) -> dict[str, Any] | None:
    required: list[Any] = []
    preferred: list[Any] = []
    for entry in platform.get("nodeAffinity", []):
        if "nodeAffinityJson" in entry:
            found = resolved(entry["nodeAffinityJson"], inputs)
            given = found if isinstance(found, dict) else {}
            required += (given.get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
            preferred += given.get(_PREFERRED) or []
        elif term := {
            field: entry[field] for field in ("matchExpressions", "matchFields") if entry.get(field)
        }:
            if "weight" in entry:
                preferred.append({"weight": int(entry["weight"]), "preference": term})
            else:
                required.append(term)
    terms = {_REQUIRED: {"nodeSelectorTerms": required}} if required else {}
    terms |= {_PREFERRED: preferred} if preferred else {}  # type: ignore[dict-item]
    return {"nodeAffinity": terms} if terms else None
