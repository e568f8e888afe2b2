"""Compiled pipelines as files, and the parameters that they take."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import msgspec
import yaml

from .errors import BadRequest, NotAPipeline

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PipelineFile(msgspec.Struct, frozen=True):
    """What a compiled file holds: the pipeline, and what is special to Kubernetes."""

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self.pipeline_spec["pipelineInfo"]["name"])


def read(path: Path) -> PipelineFile:
    """The pipeline in a compiled YAML file. Raises `NotAPipeline` with what it is instead."""
    try:
        text = path.read_text(encoding="utf-8")
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except OSError as error:
        raise NotAPipeline(f"Cannot read {path}: {error.strerror}.") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise _not_a_pipeline(path, "it is not YAML") from None
    why = _why_not(documents)
    if why:
        raise _not_a_pipeline(path, why)
    platform = documents[1] if len(documents) > 1 and isinstance(documents[1], dict) else {}
    return PipelineFile(documents[0], platform)


def _why_not(documents: list[Any]) -> str:
    """What keeps YAML documents from being a compiled pipeline; empty if nothing does."""
    if not documents:
        return "it is empty"
    spec = documents[0]
    if not isinstance(spec, dict):
        return "it is not a mapping"
    if str(spec.get("apiVersion")).startswith("argoproj.io"):
        return "it is an Argo workflow, as kfp 1 wrote them"
    info = spec.get("pipelineInfo")
    named = isinstance(info, dict) and isinstance(info.get("name"), str)
    return "" if named and isinstance(spec.get("root"), dict) else "it has no pipelineInfo and root"


def _not_a_pipeline(path: Path, why: str) -> NotAPipeline:
    cure = "Compile one with kfp.compiler.Compiler().compile(pipeline, 'pipeline.yaml')."
    if path.suffix in (".py", ".ipynb"):
        why = "it is source, not yet compiled"
    return NotAPipeline(f"{path} is not a compiled pipeline: {why}.", cure=cure)


def definitions(pipeline_spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters a pipeline takes: name to `{parameterType, defaultValue?, isOptional?}`."""
    # A version read back from the API may wrap the specification beside its platform part.
    spec = pipeline_spec.get("pipeline_spec", pipeline_spec)
    inputs = spec.get("root", {}).get("inputDefinitions", {})
    return dict(inputs.get("parameters", {}))


def parse_parameters(
    texts: dict[str, str], accepted: dict[str, dict[str, Any]], pipeline: str
) -> dict[str, Any]:
    """What a person typed as the values that the pipeline takes.

    Raises `BadRequest` for a name it does not take and for a text that is not of its type.
    """
    return {
        name: _parse(name, text, _definition(name, accepted, pipeline))
        for name, text in texts.items()
    }


def check_parameters(
    values: dict[str, Any], accepted: dict[str, dict[str, Any]], pipeline: str
) -> None:
    """Raises `BadRequest` for a name it does not take, a wrong type, or a missing value."""
    for name, value in values.items():
        kind = _definition(name, accepted, pipeline).get("parameterType", "")
        if not _fits(value, kind):
            raise BadRequest(f"Parameter {name} takes {_words(kind)}, not {value!r}.")
    missing = [
        name
        for name, definition in accepted.items()
        if name not in values
        and "defaultValue" not in definition
        and not definition.get("isOptional")
    ]
    if missing:
        raise BadRequest(
            f"Pipeline {pipeline} needs a value for {', '.join(missing)}.",
            cure="Give it with " + " ".join(f"-p {name}=..." for name in missing),
        )


def _definition(name: str, accepted: dict[str, dict[str, Any]], pipeline: str) -> dict[str, Any]:
    if name in accepted:
        return accepted[name]
    close = difflib.get_close_matches(name, accepted, 1)
    takes = ", ".join(
        f"{known} ({_words(accepted[known].get('parameterType', ''))})" for known in accepted
    )
    raise BadRequest(
        f"Pipeline {pipeline} has no parameter {name}."
        + (f" Did you mean {close[0]}?" if close else ""),
        cure=f"It takes {takes}." if takes else "It takes none.",
    )


def _parse(name: str, text: str, definition: dict[str, Any]) -> Any:
    kind = definition.get("parameterType", "STRING")
    if kind == "STRING":
        return text
    try:
        value = msgspec.json.decode(text.lower() if kind == "BOOLEAN" else text)
    except msgspec.DecodeError:
        value = None
    if not _fits(value, kind):
        raise BadRequest(f"Parameter {name} takes {_words(kind)}, not {text!r}.")
    return value


def _fits(value: Any, kind: str) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {
        "STRING": isinstance(value, str),
        "BOOLEAN": isinstance(value, bool),
        "NUMBER_INTEGER": number and float(value).is_integer(),
        "NUMBER_DOUBLE": number,
        "LIST": isinstance(value, list),
        "STRUCT": isinstance(value, dict),
    }.get(kind, True)


def _words(kind: str) -> str:
    return {
        "STRING": "text",
        "BOOLEAN": "true or false",
        "NUMBER_INTEGER": "a whole number",
        "NUMBER_DOUBLE": "a number",
        "LIST": "a JSON list",
        "STRUCT": "a JSON object",
    }.get(kind, kind)
