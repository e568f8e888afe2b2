"""Compiled pipelines as files, and the parameters that they take."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import msgspec
import yaml

from .errors import BadRequest, NotAPipeline

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Definition(msgspec.Struct, frozen=True, rename="camel"):
    """One parameter that a pipeline takes."""

    parameter_type: str = ""
    default_value: Any = msgspec.UNSET
    is_optional: bool = False


class _Inputs(msgspec.Struct, frozen=True):
    parameters: dict[str, Definition] = {}


class _Root(msgspec.Struct, frozen=True, rename="camel"):
    input_definitions: _Inputs = _Inputs()


class _Info(msgspec.Struct, frozen=True):
    name: str


class _Pipeline(msgspec.Struct, frozen=True, rename="camel"):
    """What of a compiled pipeline is read here."""

    pipeline_info: _Info
    root: _Root


class PipelineFile(msgspec.Struct, frozen=True):
    """What a compiled file holds: the pipeline, and what is special to Kubernetes."""

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return msgspec.convert(self.pipeline_spec, _Pipeline).pipeline_info.name


def read(path: Path) -> PipelineFile:
    """The pipeline in a compiled YAML file. Raises `NotAPipeline` with what it is instead."""
    try:
        text = path.read_text(encoding="utf-8")
        documents = [
            _as_json(document) for document in yaml.load_all(text, _Loader) if document is not None
        ]
    except OSError as error:
        raise NotAPipeline(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, TypeError, yaml.YAMLError, RecursionError):
        raise _not_a_pipeline(path, "it is not YAML that is JSON, too") from None
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
    try:
        msgspec.convert(spec, _Pipeline)
        return ""
    except msgspec.ValidationError as error:
        return f"{str(error)[:1].lower()}{str(error)[1:]}"


def _as_json(document: Any) -> Any:
    """The document as the API will get it. Raises for what JSON cannot say."""
    return msgspec.json.decode(msgspec.json.encode(document))


def _not_a_pipeline(path: Path, why: str) -> NotAPipeline:
    cure = "Compile one with kfp.compiler.Compiler().compile(pipeline, 'pipeline.yaml')."
    if path.suffix in (".py", ".ipynb"):
        why = "it is source, not yet compiled"
    return NotAPipeline(f"{path} is not a compiled pipeline: {why}.", cure=cure)


def definitions(pipeline_spec: dict[str, Any]) -> dict[str, Definition]:
    """The parameters a pipeline takes, by name."""
    # A version read back from the API may wrap the specification beside its platform part.
    spec = pipeline_spec.get("pipeline_spec", pipeline_spec)
    return msgspec.convert(spec, _Pipeline).root.input_definitions.parameters


def parse_parameters(
    texts: dict[str, str], accepted: dict[str, Definition], pipeline: str
) -> dict[str, Any]:
    """What a person typed as the values that the pipeline takes.

    Raises `BadRequest` for a name it does not take and for a text that is not of its type.
    """
    return {
        name: _parse(name, text, _definition(name, accepted, pipeline))
        for name, text in texts.items()
    }


def check_parameters(
    values: dict[str, Any], accepted: dict[str, Definition], pipeline: str
) -> None:
    """Raises `BadRequest` for a name it does not take, a wrong type, or a missing value."""
    for name, value in values.items():
        kind = _definition(name, accepted, pipeline).parameter_type
        if not _fits(value, kind):
            raise BadRequest(f"Parameter {name} takes {_words(kind)}, not {value!r}.")
    missing = [
        name
        for name, definition in accepted.items()
        if name not in values
        and definition.default_value is msgspec.UNSET
        and not definition.is_optional
    ]
    if missing:
        raise BadRequest(
            f"Pipeline {pipeline} needs a value for {', '.join(missing)}.",
            cure="Give it with " + " ".join(f"-p {name}=..." for name in missing),
        )


def _definition(name: str, accepted: dict[str, Definition], pipeline: str) -> Definition:
    if name in accepted:
        return accepted[name]
    close = difflib.get_close_matches(name, accepted, 1)
    takes = ", ".join(f"{known} ({_words(accepted[known].parameter_type)})" for known in accepted)
    raise BadRequest(
        f"Pipeline {pipeline} has no parameter {name}."
        + (f" Did you mean {close[0]}?" if close else ""),
        cure=f"It takes {takes}." if takes else "It takes none.",
    )


def _parse(name: str, text: str, definition: Definition) -> Any:
    kind = definition.parameter_type or "STRING"
    if kind == "STRING":
        return text
    try:
        value = msgspec.json.decode(text.lower() if kind == "BOOLEAN" else text)
    except msgspec.DecodeError:
        value = None
    if not _fits(value, kind):
        quoted = kind in ("LIST", "STRUCT")
        raise BadRequest(
            f"Parameter {name} takes {_words(kind)}, not {text!r}.",
            cure=f"Quote the whole of it: -p '{name}=[1, \"two\"]'" if quoted else "",
        )
    return value


def _fits(value: Any, kind: str) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {
        "STRING": isinstance(value, str),
        "BOOLEAN": isinstance(value, bool),
        "NUMBER_INTEGER": number and (isinstance(value, int) or value.is_integer()),
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
