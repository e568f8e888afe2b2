"""Compiled pipelines as files, and the parameters that they take."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .. import near_names
from ..errors import BadRequest, NotAPipeline
from .pipeline_archives import UnreadableArchive, is_archive, unpacked

if TYPE_CHECKING:  # otherwise loaded with the first file, for which the cell would have to wait
    import yaml

_PLAIN = (".yaml", ".yml", ".json")  # what KFP reads as text
_SOURCES = (".py", ".ipynb")
# Suffixes of compiled files, and of files that are mistaken for them.
SUFFIXES = (".yaml", ".yml", ".json", ".zip", ".gz", ".tgz", ".pipeline", *_SOURCES)
_COMPILE = "Compile one with kfp.compiler.Compiler().compile(pipeline, 'pipeline.yaml')."
_TAKEN_OUT = "Write what is in its field {} into a file of its own."
# A default in the compiler's comment that does not end where its line does.
_DEFAULT = re.compile(r"#\s+(\w+): .*\[Default: (?!.*\]$)")
# In YAML with Python inside, no line of that starts at the margin.
_PYTHON = re.compile(r"^(import \w|from [\w.]+ import |def \w+\(|@\w+)", re.MULTILINE)
_FIELDS = {
    *("pipelineInfo", "deploymentSpec", "schemaVersion", "sdkVersion", "components", "root"),
    *("defaultPipelineRoot", "platforms"),
}
# Keys that identify other kinds of files, what these are, and how to make a pipeline from them.
_OTHERS: tuple[tuple[set[str], str, str], ...] = (
    ({"apiVersion", "kind"}, "it is a Kubernetes object of kind {kind}", ""),
    (
        {"implementation"},
        "it is the definition of a component",
        "Load it with kfp.components.load_component_from_file, use it in a pipeline, and compile "
        "that.",
    ),
    (
        {"doc_type"},
        "it is a pipeline of Elyra's editor",
        "Export it there as Kubeflow Pipelines YAML, or compile one with kfp.compiler.",
    ),
    ({"nbformat"}, "it is a Jupyter notebook", ""),
    (
        {"pipelineSpec"},
        "it is a job for Vertex AI, with the pipeline in it",
        "Compile for KFP: kfp.compiler.Compiler().compile(pipeline, 'pipeline.yaml').",
    ),
    (
        {"pipeline_spec"},
        "it is KFP's API response about a pipeline, which contains the pipeline",
        _TAKEN_OUT.format("pipeline_spec")
        + " What is in platform_spec, if anything, goes below it after a line of ---.",
    ),
    ({"pipeline_id"}, "it is KFP's API response about a pipeline, without the pipeline", ""),
    ({"platforms"}, "it is only the platform part of a pipeline", ""),
)


class Definition(msgspec.Struct, frozen=True, rename="camel"):
    """One parameter that a pipeline takes."""

    parameter_type: str = ""
    default_value: Any = msgspec.UNSET
    is_optional: bool = False
    description: str = ""
    literals: list[Any] = []

    @property
    def default(self) -> Any:
        """The default value, or `UNSET`; whole numbers, compiled as 100.0, are integers."""
        value = self.default_value
        is_whole = self.parameter_type == "NUMBER_INTEGER" and isinstance(value, float)
        return int(value) if is_whole and value.is_integer() else value


class _Inputs(msgspec.Struct, frozen=True):
    parameters: dict[str, Definition] = {}


class _Root(msgspec.Struct, frozen=True, rename="camel"):
    input_definitions: _Inputs = _Inputs()


class _Info(msgspec.Struct, frozen=True):
    name: str


class _Pipeline(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a compiled pipeline that are used here."""

    pipeline_info: _Info
    root: _Root


class PipelineFile(msgspec.Struct, frozen=True):
    """The content of a compiled file: the pipeline, and what is special to Kubernetes."""

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return msgspec.convert(self.pipeline_spec, _Pipeline).pipeline_info.name

    def to_wire(self) -> dict[str, Any]:
        """Return it in the form that the API accepts: with the part for Kubernetes, if any."""
        if not self.platform_spec:
            return self.pipeline_spec
        return {"pipeline_spec": self.pipeline_spec, "platform_spec": self.platform_spec}


def read(path: Path) -> PipelineFile:
    """The pipeline in a compiled file, or in a .zip or .tar.gz of one.

    Raises `NotAPipeline`, which says what the file is instead.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotAPipeline(f"Cannot read {path}: {error.strerror}.") from None
    return _read(str(path), content)


def check(name: str, content: bytes) -> None:
    """Raises `NotAPipeline` for a file that KFP cannot run; KFP also runs Argo workflows."""
    with contextlib.suppress(_Argo):
        _read(name, content)


def _read(name: str, content: bytes) -> PipelineFile:
    try:
        return _pipeline(_documents(unpacked(content)))
    except UnreadableArchive as error:
        raise NotAPipeline(f"{name} is not a compiled pipeline: {error}.", cure=_COMPILE) from None
    except _Not as what:
        why = "it is source, not yet compiled" if name.endswith(_SOURCES) else str(what)
        kind = _Argo if what.argo else NotAPipeline
        raise kind(
            f"{name} is not a compiled pipeline: {why}.", cure=what.cure or _COMPILE
        ) from None


def upload_name(path: Path) -> str:
    """The name under which KFP takes what `read` has read: that of a YAML file or an archive."""
    with path.open("rb") as file:
        packed = is_archive(file.read(2))
    if packed:
        return f"{path.name}.zip" if path.name.endswith(_PLAIN) else path.name
    return path.name if path.name.endswith(_PLAIN) else f"{path.name}.yaml"


class _Not(Exception):
    """A file is not a compiled pipeline: the text says what it is, `cure` how to get one of it."""

    def __init__(self, what: str, cure: str = "", argo: bool = False) -> None:
        super().__init__(what)
        self.cure, self.argo = cure, argo


class _Argo(NotAPipeline):
    """A workflow compiled by kfp 1, which KFP runs and this client does not."""


def _documents(content: bytes) -> list[Any]:
    """Return the documents of a YAML text, as the API will receive them."""
    import yaml

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _Not("it is not YAML but binary data") from None
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = yaml.load_all(text, loader)
        found = [_as_json(document) for document in documents if document is not None]
    except yaml.MarkedYAMLError as error:
        raise _broken(text, error) from None
    except (ValueError, TypeError, yaml.YAMLError, RecursionError):
        raise _Not("it is not YAML that is JSON, too") from None
    if not found:
        raise _Not("it is empty")
    odd = any(isinstance(each, dict) and each.keys() - _FIELDS for each in found)
    if odd and (broken := _line_break(text)):  # the rest may be valid YAML by chance
        raise broken
    return found


def _broken(text: str, error: yaml.MarkedYAMLError) -> _Not:
    """Return the error that names the line at which a text stops being YAML."""
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return _line_break(text) or _Not(f"it is not YAML: {error.problem} (line {line})")


def _line_break(text: str) -> _Not | None:
    """Return the default at the end of a compiler's comment, which does not escape line breaks."""
    lines = text.splitlines()
    for number, (comment, after) in enumerate(itertools.pairwise(lines), 1):
        default = _DEFAULT.match(comment)
        if default and not after.startswith("#"):
            return _Not(
                f"the default of parameter {default[1]} has a line break, which kfp.compiler puts "
                f"unescaped into a comment, so that it ends at line {number}",
                "Leave the line break out of that default and compile again, or delete the "
                "comments at the top of the file with all their lines: a pipeline needs none.",
            )
    return None


def _pipeline(documents: list[Any]) -> PipelineFile:
    """The pipeline and its platform part, which may come in any order."""
    pipelines = [each for each in documents if isinstance(each, dict) and "pipelineInfo" in each]
    platforms = [each for each in documents if isinstance(each, dict) and "platforms" in each]
    if not pipelines:
        raise _something_else(documents[0])
    for found, noun in ((pipelines, "pipelines"), (platforms, "platform parts")):
        if len(found) > 1:
            raise _Not(
                f"it holds {len(found)} {noun}", "Write each pipeline into a file of its own."
            )
    try:
        msgspec.convert(pipelines[0], _Pipeline)
    except msgspec.ValidationError as error:
        raise _Not(_sentence(error)) from None
    return PipelineFile(pipelines[0], platforms[0] if platforms else {})


def _something_else(document: Any) -> _Not:
    """Say what a document is, if it is not a pipeline."""
    if isinstance(document, str) and _PYTHON.search(document):
        return _Not("it is Python source, not yet compiled")
    if not isinstance(document, dict):
        return _Not("it is not a mapping")
    if str(document.get("apiVersion")).startswith("argoproj.io"):
        return _Not("it is an Argo workflow, as kfp 1 wrote them", argo=True)
    for keys, what, cure in _OTHERS:
        if keys <= document.keys():
            return _Not(what.format(**document), cure)
    try:
        msgspec.convert(document, _Pipeline)
    except msgspec.ValidationError as error:
        return _Not(_sentence(error))
    return _Not("it is some other YAML")


def _sentence(error: msgspec.ValidationError) -> str:
    return f"{str(error)[:1].lower()}{str(error)[1:]}"


def _as_json(document: Any) -> Any:
    """Return a document as the API will receive it. Raises for values that JSON cannot express."""
    return msgspec.json.decode(msgspec.json.encode(document))


def definitions(pipeline_spec: dict[str, Any]) -> dict[str, Definition]:
    """The parameters a pipeline takes, by name."""
    # A version read back from the API may wrap the specification beside its platform part.
    spec = pipeline_spec.get("pipeline_spec", pipeline_spec)
    found = msgspec.convert(spec, _Pipeline).root.input_definitions.parameters
    return {name: _whole(definition) for name, definition in found.items()}


def _whole(definition: Definition) -> Definition:
    """Return a parameter with a whole default as an integer: KFP has it as 3.0."""
    default = definition.default_value
    if definition.parameter_type != "NUMBER_INTEGER" or not isinstance(default, float):
        return definition
    is_whole = default.is_integer()
    return msgspec.structs.replace(definition, default_value=int(default) if is_whole else default)


def uncached(pipeline_spec: dict[str, Any]) -> dict[str, Any]:
    """Return the pipeline with caching disabled for every task."""
    copied: dict[str, Any] = copy.deepcopy(pipeline_spec)
    spec = copied.get("pipeline_spec", copied)
    for part in [spec.get("root", {}), *spec.get("components", {}).values()]:
        for task in part.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    return copied


def parse_parameters(
    texts: dict[str, str], accepted: dict[str, Definition], pipeline: str
) -> dict[str, Any]:
    """Parse typed texts as values of the pipeline's parameters.

    Raises `BadRequest` for an unknown name and for a text that does not fit its type.
    """
    return {
        name: _parse(name, text, _definition(name, accepted, pipeline))
        for name, text in texts.items()
    }


def check_parameters(
    values: dict[str, Any], accepted: dict[str, Definition], pipeline: str
) -> None:
    """Raises `BadRequest` for an unknown name, a wrong type, or a missing value."""
    for name, value in values.items():
        definition = _definition(name, accepted, pipeline)
        kind, literals = definition.parameter_type, definition.literals
        if not _fits(value, kind):
            raise BadRequest(f"Parameter {name} takes {type_words(kind)}, not {value!r}.")
        if literals and value not in literals:
            known = ", ".join(map(str, literals))
            raise BadRequest(f"Parameter {name} takes one of {known}, not {value!r}.")
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
            cure="Give it with " + " ".join(f"-p {name}=..." for name in missing) + ", or --form.",
        )


def _definition(name: str, accepted: dict[str, Definition], pipeline: str) -> Definition:
    if name in accepted:
        return accepted[name]
    close = near_names.meant(name, accepted)
    takes = ", ".join(
        f"{known} ({type_words(accepted[known].parameter_type)})" for known in accepted
    )
    raise BadRequest(
        f"Pipeline {pipeline} has no parameter {name}."
        + (f" Did you mean {close}?" if close else ""),
        cure=f"It takes {takes}." if takes else "It takes none.",
    )


def _parse(name: str, text: str, definition: Definition) -> Any:
    kind = definition.parameter_type or "STRING"
    if kind == "STRING":
        return text
    try:
        value = msgspec.json.decode(text.lower() if kind == "BOOLEAN" else text)
    except msgspec.DecodeError:
        value = _number(text)
    if not _fits(value, kind):
        quoted = kind in ("LIST", "STRUCT")
        raise BadRequest(
            f"Parameter {name} takes {type_words(kind)}, not {text!r}.",
            cure=f"Quote the whole of it: -p '{name}=[1, \"two\"]'" if quoted else "",
        )
    return value


def _number(text: str) -> int | float | None:
    """Read a number that Python can write and JSON cannot, such as `.5` or `1_000`."""
    try:
        if not set(text) & set(".eE"):
            return int(text)
        value = float(text)
        return value if math.isfinite(value) else None
    except ValueError:
        return None


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


def type_words(kind: str) -> str:
    """Return the name of a parameter type for people."""
    return {
        "STRING": "text",
        "BOOLEAN": "true or false",
        "NUMBER_INTEGER": "a whole number",
        "NUMBER_DOUBLE": "a number",
        "LIST": "a JSON list",
        "STRUCT": "a JSON object",
    }.get(kind, kind)
