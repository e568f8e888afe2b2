"""The placeholders in the constants and commands of a pipeline, and their values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ....errors import KfpError
from .go_values import argument_of, text_of
from .scopes import CHANNEL, Values

WORKSPACE_PATH = "{{$.workspace_path}}"
# The mount path of the workspace on a cluster.
WORKSPACE_MOUNT = "/kfp-workspace"

_OF_RUN = re.compile(r"\{\{\$\.pipeline_[a-z_]+\}\}")
_INPUT_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\[(['\"]+)(.+?)\1\]\}\}")
# Everything in a run, a task, its inputs and its outputs that a command may use.
_ANY = re.compile(
    r"\{\{\$\}\}|" + re.escape(WORKSPACE_MOUNT) + r"|\{\{\$\.(?P<word>[A-Za-z_.]+)\}\}"
    r"|\{\{\$\.(?P<way>in|out)puts\.(?P<kind>parameters|artifacts)"
    r"\[(?P<quote>['\"]+)(?P<name>.+?)(?P=quote)\]"
    r"(?:\.(?P<field>\w+)(?:\[['\"]+(?P<key>.+?)['\"]+\])?)?\}\}"
)


class NotFilledIn(KfpError):
    """A placeholder without a value; the message names it."""


def in_constant(value: Any, words: Mapping[str, str]) -> Any:
    """Fill in the placeholders for the run and the task in a constant of the pipeline.

    `words` are the values by placeholder, each of which must be the whole text, or a part of it if
    it stands for the workspace. Rule: `resolveInputParameter` in KFP's
    backend/src/v2/driver/resolve.go.
    """
    if isinstance(value, str):
        value = words.get(value, value).replace(WORKSPACE_PATH, WORKSPACE_MOUNT)
    return _in_texts(value, lambda text: _in_workspace(text, words))


def left_in(parameters: Mapping[str, Any]) -> list[str]:
    """Return the placeholders for the run and the task that are still among the parameters."""
    return sorted(set(_OF_RUN.findall(json.dumps(list(parameters.values())))))


def with_parameters(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Fill in the parameters in a constant, into which the compiler turns f-strings.

    Those among them without a value are None; what is not among them is left as it is. Rule:
    `getPlaceholders` in KFP's backend/src/v2/component/launcher_v2.go.
    """

    def filled(found: re.Match[str]) -> str:
        return text_of(_parameter(found[2], parameters)) if found[2] in parameters else found[0]

    return _in_texts(value, lambda text: _INPUT_PARAMETER.sub(filled, text))


def in_command(
    elements: list[str],
    executor_input: Mapping[str, Any],
    given: Values,
    words: Mapping[str, str],
) -> list[str]:
    """Fill in all placeholders of a command.

    The executor input is the task's, including defaults.
    Rule: `resolveContainerArgs` in KFP's backend/src/v2/driver/util.go, then `compileCmdAndArgs`
    in component/launcher_v2.go. Raises NotFilledIn.
    """
    present = {name for name, value in given.parameters.items() if value is not None}
    chosen = _flat(_chosen(element, present | given.artifacts.keys()) for element in elements)
    return [_filled(element, executor_input, words) for element in chosen]


def _in_texts(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, list):
        return [_in_texts(one, fill) for one in value]
    if isinstance(value, dict):
        return {fill(name): _in_texts(one, fill) for name, one in value.items()}
    return value


def _chosen(element: Any, present: set[str]) -> Any:
    """Evaluate `IfPresent` and `Concat`, which yield a text, a list of texts, or None."""
    if isinstance(element, str):
        if not element.lstrip().startswith(('{"Concat":', '{"IfPresent":')):
            return element
        try:
            return _chosen(json.loads(element), present)
        except ValueError:
            return element
    if isinstance(element, list):
        return [_chosen(one, present) for one in element]
    if isinstance(element, dict) and "Concat" in element:
        return "".join(_flat(_chosen(one, present) for one in element["Concat"]))
    if isinstance(element, dict) and isinstance(element.get("IfPresent"), dict):
        condition = element["IfPresent"]
        branch = "Then" if condition.get("InputName") in present else "Else"
        return _chosen(condition.get(branch), present)
    if element is None:
        return None
    raise NotFilledIn(f"its command has {json.dumps(element)[:100]} where a text should be")


def _flat(elements: Any) -> list[str]:
    flat: list[str] = []
    for element in elements:
        if isinstance(element, list):
            flat += _flat(element)
        elif element is not None:
            flat.append(element)
    return flat


def _filled(element: str, executor_input: Mapping[str, Any], words: Mapping[str, str]) -> str:
    # The driver leaves arguments that name outputs to the launcher, which formats numbers so.
    write = text_of if "$.outputs" in element else argument_of

    def fill(found: re.Match[str]) -> str:
        if found["name"]:
            value = _value(found, executor_input)
            return found[0] if value is _UNKNOWN else write(value)
        if found[0] == "{{$}}":
            return json.dumps(executor_input)
        if found[0] in ("{{$.outputs.output_file}}", "{{$.outputMetadataUri}}"):
            return str(executor_input["outputs"]["outputFile"])
        return _in_workspace(found[0], words)

    return _ANY.sub(fill, element)


def _in_workspace(text: str, words: Mapping[str, str]) -> str:
    """The text with the folder that is the workspace here."""
    return text.replace(WORKSPACE_MOUNT, words.get(WORKSPACE_MOUNT, WORKSPACE_MOUNT))


_UNKNOWN = object()


def _value(found: re.Match[str], executor_input: Mapping[str, Any]) -> Any:
    """The value of the input or output that a placeholder names."""
    way, name = executor_input[f"{found['way']}puts"], found["name"]
    if found["kind"] == "parameters" and found["way"] == "in":
        return _parameter(name, way["parameterValues"])
    if found["kind"] == "parameters":
        return way["parameters"].get(name, {}).get("outputFile", _UNKNOWN)
    listed = way["artifacts"].get(name, {}).get("artifacts", [])
    if not listed or found["field"] not in ("uri", "path", "name", "metadata"):
        return _UNKNOWN
    # The path of an artifact is its URI here.
    value = listed[0]["uri" if found["field"] == "path" else found["field"]]
    return value.get(found["key"]) if found["key"] and isinstance(value, dict) else value


def _parameter(name: str, parameters: Mapping[str, Any]) -> Any:
    if parameters.get(name) is None:
        raise NotFilledIn(f"'{name.removeprefix(CHANNEL)}' is part of it, but has no value")
    return parameters[name]
