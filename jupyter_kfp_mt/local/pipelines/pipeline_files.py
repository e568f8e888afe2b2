"""Read a pipeline file: unpack it, check it, and explain what it is if not a pipeline."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from ..wire.api_errors import UNKNOWN_FORMAT, UNREADABLE_FILE, ApiError, invalid_input
from ..wire.go_yaml import Loader
from ..wire.protojson import MOST_VALUES, struct
from .pipeline_schema import canonical, faults

MAX_FILE_LENGTH = 32 << 20
SCHEMA_VERSION = "2.1.0"
# The largest pipeline after its aliases are expanded. On a cluster it has to fit into a Kubernetes
# object, which etcd limits to a megabyte and a half.
LONGEST_SPECIFICATION = 8 << 20
DEEPEST = 200

_TOO_DEEP = f"it is nested too deeply, in more than {DEEPEST} levels"
MOVE_OUT = (
    "Consider moving large embedded artifacts or notebooks or Python code into a container image "
    "or object store."
)

# What PyYAML says in a context that is not quoted.
_PROBLEMS = {
    "second occurrence": "an anchor is defined twice",
    "found unhashable key": "a list or mapping is used as a key",
}

_ZIP, _GZIP = b"PK", b"\x1f\x8b"
# Files with these names are not checked for other formats (`server/util.go`).
_PLAIN = (".yaml", ".yml", ".json")
# What stands for infinity, or no number, in YAML.
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PIPELINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a pipeline, as declared in its specification."""

    parameterType: str = ""
    defaultValue: Any = None
    isOptional: bool = False
    literals: list[Any] = []


class _Inputs(msgspec.Struct, frozen=True):
    parameters: dict[str, Parameter] = {}


class _Root(msgspec.Struct, frozen=True):
    dag: dict[str, Any]
    inputDefinitions: _Inputs = _Inputs()


class _PipelineInfo(msgspec.Struct, frozen=True):
    name: str


class _PipelineSpec(msgspec.Struct, frozen=True):
    """The part of a compiled pipeline that is checked before accepting it."""

    pipelineInfo: _PipelineInfo
    schemaVersion: str
    root: _Root
    deploymentSpec: dict[str, Any]
    components: dict[str, dict[str, Any]] = {}


class _NamedInfo(msgspec.Struct, frozen=True):
    name: str = ""


class _RootInputs(msgspec.Struct, frozen=True):
    inputDefinitions: _Inputs = _Inputs()


class Head(msgspec.Struct, frozen=True):
    """The few fields of a compiled pipeline that the API uses."""

    pipelineInfo: _NamedInfo = _NamedInfo()
    root: _RootInputs = _RootInputs()
    defaultPipelineRoot: str | None = None


class Specification(msgspec.Struct, frozen=True):
    """A compiled pipeline as JSON, with its platform specification, if any.

    It may be megabytes long, so it is stored and passed on unparsed; only its head is parsed,
    once. Made by `of` or `read`.
    """

    pipeline: bytes
    platform: bytes
    digest: str
    head: Head

    @classmethod
    def of(
        cls, pipeline: Mapping[str, Any], platform: Mapping[str, Any] | None = None
    ) -> Specification:
        return cls.read(msgspec.json.encode(pipeline), msgspec.json.encode(platform or {}))

    @classmethod
    def read(
        cls, pipeline: bytes, platform: bytes, digest: str = "", head: Head | None = None
    ) -> Specification:
        """Make one from texts; `digest` is the key under which they are already stored."""
        head = head or msgspec.json.decode(pipeline, type=Head)
        return cls(pipeline, platform, digest or _digest(pipeline, platform), head)

    @property
    def name(self) -> str:
        return self.head.pipelineInfo.name

    @property
    def parameters(self) -> dict[str, Parameter]:
        return self.head.root.inputDefinitions.parameters

    @property
    def length(self) -> int:
        return len(self.pipeline) + len(self.platform)

    def to_wire(self) -> Any:
        """The API's form, raw for msgspec: the bare pipeline if there is no platform part."""
        if self.platform == b"{}":
            return msgspec.Raw(self.pipeline)
        parts = self.pipeline, self.platform
        return msgspec.Raw(b'{"pipeline_spec":%b,"platform_spec":%b}' % parts)

    def documents(self) -> list[dict[str, Any]]:
        """The parsed pipeline, and the platform specification, if any."""
        texts = [self.pipeline] if self.platform == b"{}" else [self.pipeline, self.platform]
        return [msgspec.json.decode(text) for text in texts]


def _digest(*texts: bytes) -> str:
    digest = hashlib.sha256()
    for number, text in enumerate(texts):
        digest.update(b"\n" if number else b"")
        digest.update(text)
    return digest.hexdigest()


def from_wire(spec: dict[str, Any]) -> Specification:
    """Check and return the specification in an API message."""
    check_values(spec)
    spec = struct(spec)
    if "pipeline_spec" not in spec:
        return _checked([spec])
    documents = [spec["pipeline_spec"], spec.get("platform_spec") or {}]
    return _checked([document for document in documents if document])


def read_pipeline_file(file_name: str, content: bytes) -> Specification:
    """Check and return the specification in a file that was uploaded or fetched."""
    return _checked(_documents(_text(file_name, _unpacked(file_name, content))))


def is_archive(content: bytes) -> bool:
    return content[:2] in (_ZIP, _GZIP)


def _unpacked(file_name: str, content: bytes) -> bytes:
    """Return the pipeline's YAML, extracted if the file is an archive."""
    if len(content) > MAX_FILE_LENGTH:
        raise invalid_input(
            f"File size too large ({len(content)} bytes). Maximum supported size: "
            f"{MAX_FILE_LENGTH}. {MOVE_OUT}",
            UNREADABLE_FILE,
        )
    if file_name.endswith(_PLAIN):
        return content
    if not is_archive(content):
        raise _nameless(file_name, content)
    try:
        if content[:2] == _ZIP:
            return _from_zip(content)
        if content[:2] == _GZIP:
            return _from_tarball(content)
    except (
        EOFError,
        NotImplementedError,  # a compression method that zipfile does not support
        OSError,
        RuntimeError,  # an encrypted archive
        ValueError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _unreadable(f"{file_name!r} is not a readable archive: {error}") from error
    return content


def _nameless(file_name: str, content: bytes) -> ApiError:
    """Refuse a file that is not a pipeline, by either its name or its content."""
    if _is_python(file_name, content.decode("utf-8", "replace")):
        return _unreadable(f"The file is Python source. {_COMPILE}")
    return _unreadable(
        f"{file_name!r} is not an archive, so its name must end in .yaml, .yml or .json. {_WANTED}"
    )


def _unreadable(text: str) -> ApiError:
    return invalid_input(text, UNREADABLE_FILE)


def _no_pipeline(text: str) -> ApiError:
    return invalid_input(text, UNKNOWN_FORMAT)


def _from_zip(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = _pipeline_member(archive.namelist())
        with archive.open(member) as file:
            return _limited(file.read(MAX_FILE_LENGTH + 1))


def _from_tarball(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as file:
        tarball = _limited(file.read(MAX_FILE_LENGTH + 1))
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:") as archive:
        files = [member.name for member in archive.getmembers() if member.isreg()]
        member = archive.extractfile(_pipeline_member(files))
        # A sparse file is longer than its tarball.
        return _limited(member.read(MAX_FILE_LENGTH + 1)) if member else b""


def _pipeline_member(names: list[str]) -> str:
    """The name of the pipeline file in an archive: pipeline.yaml, else the first file."""
    name = "pipeline.yaml" if "pipeline.yaml" in names else next(iter(names), "")
    if not name.endswith((".yaml", ".yml")):
        raise _unreadable(f"Expecting a pipeline.yaml file inside the archive. Got: {name!r}")
    return name


def _limited(content: bytes) -> bytes:
    if len(content) > MAX_FILE_LENGTH:
        raise _unreadable(f"The archive unpacks to more than {MAX_FILE_LENGTH} bytes")
    return content


def _text(file_name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        kind = "an archive by another name" if is_archive(content) else "binary data"
        raise _no_pipeline(f"{file_name!r} is not a pipeline but {kind}. {_WANTED}") from None
    if not text.strip():
        raise _no_pipeline(f"The file is empty. {_WANTED}")
    if _is_python(file_name, text):
        raise _no_pipeline(f"The file is Python source. {_COMPILE}")
    return text


_WANTED = "Upload the YAML file that kfp.compiler writes, or a .zip or .tar.gz that contains it."
_COMPILE = (
    "Compile the pipeline with KFP 2: "
    "kfp.compiler.Compiler().compile(my_pipeline, 'my_pipeline.yaml')."
)


def _is_python(file_name: str, text: str) -> bool:
    """Return True for Python source; in YAML with Python in it, that is indented."""
    lines = r"^(import \w|from [\w.]+ import |def \w+\(|class \w+[(:]|@\w+)"
    return file_name.endswith(".py") or bool(re.search(lines, text, re.MULTILINE))


def _documents(text: str) -> list[Any]:
    try:
        documents = [document for document in _loaded(text) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        # Releases of libyaml differ in how far they look ahead.
        problem = _PROBLEMS.get(str(error.problem), error.problem)
        problem = _TOO_DEEP if "nesting depth" in str(error.problem) else problem
        said = f"failed to parse pipeline spec YAML: yaml: line {line}: {problem}"
        text = f"The file is not YAML: {problem} (line {line}). {_WANTED}"
        raise invalid_input(text, said) from None
    except (yaml.YAMLError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
        said = f"failed to parse pipeline spec YAML: yaml: {error}"
        raise invalid_input(f"The file is not YAML: {error}. {_WANTED}", said) from error
    if not documents:
        raise _no_pipeline(f"The file is empty. {_WANTED}")
    return documents


def _loaded(text: str) -> Iterator[Any]:
    """The documents of a YAML text, each converted to JSON values, as the API uses them."""
    _check_events(text)
    for document in yaml.load_all(text, Loader):
        if _is_pipeline(document):
            _check_keys(document)
        encoded = msgspec.json.encode(document)
        if len(encoded) > LONGEST_SPECIFICATION:
            raise _too_long()
        yield struct(msgspec.json.decode(encoded))


def _check_events(text: str) -> None:
    """Refuse YAML that is too deep, or too large after expanding aliases, before loading it."""
    # The number of values and keys, and the length of their texts: so far, and in each anchor.
    nodes, length = 0, 0
    anchored: dict[str | None, tuple[int, int]] = {}
    around: list[tuple[str | None, int, int]] = []
    for event in _with_distinct_keys(yaml.parse(text, Loader)):
        if isinstance(event, yaml.ScalarEvent):
            _check_finite(event)
            anchored[event.anchor] = own = 1, len(event.value.encode())
            nodes, length = nodes + own[0], length + own[1]
        elif isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, nodes, length))
            nodes, length = nodes + 1, length + 2
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, nodes_before, length_before = around.pop()
            anchored[anchor] = nodes - nodes_before, length - length_before
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, *_ in around):
                raise ValueError(f"the anchor {event.anchor!r} contains itself")
            again = anchored.get(event.anchor, (1, 0))
            nodes, length = nodes + again[0], length + again[1]
        if len(around) > DEEPEST:
            raise ValueError(_TOO_DEEP)
        _check_extent(nodes, length)


def _check_keys(value: Any) -> None:
    """Refuse mappings whose keys are not strings, which JSON in Go does not support."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {json.dumps(key)} is no text, put it between quotes")
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            _check_keys(one)


def _check_finite(event: yaml.ScalarEvent) -> None:
    """Refuse a number that JSON has no form for."""
    if not event.style and _NOT_FINITE.fullmatch(event.value):
        line = event.start_mark.line + 1 if event.start_mark else 1
        raise _no_pipeline(f"JSON has no number {event.value[:100]} (line {line}). {_WANTED}")


class _Mapping:
    """A mapping being read: its keys so far, and whether the next node is a key."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.key_next = True


def _with_distinct_keys(events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """Refuse a mapping with a duplicate key."""
    around: list[_Mapping | None] = []
    for event in events:
        mapping = around[-1] if around else None
        if isinstance(event, yaml.NodeEvent) and mapping:
            if mapping.key_next and isinstance(event, yaml.ScalarEvent):
                _add_key(mapping.keys, event)
            mapping.key_next = not mapping.key_next
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(_Mapping() if isinstance(event, yaml.MappingStartEvent) else None)
        elif isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        yield event


def _add_key(keys: set[str], event: yaml.ScalarEvent) -> None:
    if event.value in keys and event.value != "<<":  # a merge key, which may be repeated
        line = event.start_mark.line + 1 if event.start_mark else 1
        raise _no_pipeline(f"The key {event.value[:100]!r} occurs twice (line {line}).")
    keys.add(event.value)


def _check_extent(nodes: int, length: int) -> None:
    if nodes > MOST_VALUES:
        raise _too_many()
    if length > LONGEST_SPECIFICATION:
        raise _too_long()


def check_values(value: Any) -> None:
    """Refuse a message that is too deep or too large to be stored and read again."""
    nodes, pending = 0, [(value, 1)]
    while pending:
        each, depth = pending.pop()
        nodes += 1
        if depth > DEEPEST:
            raise invalid_input(f"The request cannot be read: {_TOO_DEEP}")
        if nodes > MOST_VALUES:
            raise _too_many()
        if isinstance(each, dict | list):
            inner = each.values() if isinstance(each, dict) else each
            pending.extend((one, depth + 1) for one in inner)


def _too_many() -> ApiError:
    return invalid_input(
        f"The pipeline expands to more than {MOST_VALUES} values. Move large constants into a file "
        "or an object store, and use loops and nested pipelines for repetitions."
    )


def _too_long() -> ApiError:
    return invalid_input(
        f"The pipeline expands to more than {LONGEST_SPECIFICATION} bytes. {MOVE_OUT}"
    )


def _checked(documents: list[Any]) -> Specification:
    pipelines = [document for document in documents if _is_pipeline(document)]
    platforms = [document for document in documents if _is_platform(document)]
    if len(pipelines) > 1:
        raise invalid_input("multiple pipeline specs provided")
    if len(platforms) > 1:
        raise invalid_input("multiple platform specs provided")
    if not pipelines:
        raise _not_a_pipeline(documents[0] if documents else None)
    for document in documents:
        if not isinstance(document, dict):
            raise invalid_input(
                f"One document of the file is {_what(document)}, which is not part of a pipeline.",
                "unable to decode yaml document: yaml: unmarshal errors: it is not a mapping",
            )
    _check_schema(pipelines[0], "PipelineSpec", pipelines[0])
    pipeline = canonical(pipelines[0])
    _check_pipeline(pipeline)
    for platform in platforms:
        _check_schema(platform, "PlatformSpec", pipeline)
    return Specification.of(pipeline, platforms[0] if platforms else {})


def _is_pipeline(document: Any) -> bool:
    return isinstance(document, dict) and (
        "pipelineInfo" in document or "pipeline_info" in document
    )


def _is_platform(document: Any) -> bool:
    """Return True for a specification for Kubernetes; others are not looked at."""
    platforms = document.get("platforms") if isinstance(document, dict) else None
    return isinstance(platforms, dict) and "kubernetes" in platforms


def _check_schema(document: dict[str, Any], message: str, pipeline: dict[str, Any]) -> None:
    """Refuse fields that KFP's schema does not have."""
    if found := next(faults(document, message), ""):
        sdk = pipeline.get("sdkVersion")
        compiled = f"It was compiled by {sdk[:50]}; c" if isinstance(sdk, str) else "C"
        raise _no_pipeline(
            f"The pipeline specification is not valid: {found[:500]}. {compiled}ompile it with a "
            "kfp of the same release as this KFP: pip install 'kfp==2.17.*'."
        )


def _check_pipeline(document: dict[str, Any]) -> None:
    version = document.get("schemaVersion")
    if version != SCHEMA_VERSION:
        raise invalid_input(
            f"KFP only supports schema version {SCHEMA_VERSION}, "
            f"but the pipeline spec has version {version}"
        )
    _check_name(document.get("pipelineInfo", {}).get("name"))
    try:
        msgspec.convert(document, _PipelineSpec)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _no_pipeline(f"The pipeline specification is not valid: {error}") from error


def _check_name(name: str | None) -> None:
    if not name:
        raise _no_pipeline("pipeline's name cannot be empty")
    if len(name) > 128:
        raise invalid_input("pipeline's name must contain no more than 128 characters")
    if not _PIPELINE_NAME.fullmatch(name):
        raise invalid_input(
            "pipeline's name must contain only lowercase alphanumeric characters or '-' "
            "and must start with alphanumeric characters",
            "" if re.search("[a-z0-9]", name) else _INVALID_NAME,
        )


_INVALID_NAME = (
    "invalid v2 pipeline spec: name should consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)


def _not_a_pipeline(document: Any) -> ApiError:
    cure = _COMPILE if _is_argo(document) else _WANTED
    return _no_pipeline(f"This is not a compiled pipeline but {_what(document)}. {cure}")


def _is_argo(document: Any) -> bool:
    version = document.get("apiVersion") if isinstance(document, dict) else ""
    return str(version).startswith("argoproj.io/")


def _what(document: Any) -> str:
    """Describe a document that is not a pipeline."""
    if not isinstance(document, dict):
        return "plain text" if isinstance(document, str) else f"a YAML {type(document).__name__}"
    if _is_argo(document):
        return "an Argo Workflow, which KFP 1 compiled and which does not run here"
    if "apiVersion" in document and "kind" in document:
        return f"a Kubernetes object of kind {document['kind']}"
    if "implementation" in document:
        return "a component definition; use the component in a pipeline and compile that"
    if "nbformat" in document:
        return "a Jupyter notebook"
    if _is_platform(document):
        return "the platform part of one, without the pipeline"
    return "some other YAML"


def check_parameters(specification: Specification, given: dict[str, Any]) -> None:
    """Refuse values that do not fit the pipeline's parameters, with the API server's messages."""
    declared = specification.parameters
    for name, parameter in declared.items():
        if name in given:
            _check_type(name, parameter.parameterType, given[name])
            _check_literals(name, parameter.literals, given[name])
        elif not parameter.isOptional and parameter.defaultValue is None:
            raise invalid_input(
                f"parameter {name} is not optional, yet has neither default value "
                "nor user provided value"
            )
    extra = [name for name in given if name not in declared]
    if extra:
        raise invalid_input(
            f"parameter(s) provided are not required by pipeline: {', '.join(extra)}"
        )


_NUMBER = ((int, float), "double or integer, but the parameter value is not of number value type")

# The check for each type of value, and the end of the message if it fails.
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "NUMBER_DOUBLE": _NUMBER,
    "NUMBER_INTEGER": _NUMBER,
    "STRING": (str, "string, but the input parameter is not of string value type"),
    "BOOLEAN": (bool, "bool, but the input parameter is not of bool value type"),
    "LIST": (list, "list, but the input parameter is not of list value type"),
    "STRUCT": (dict, "struct, but the input parameter is not of struct value type"),
    "TASK_FINAL_STATUS": ((), "TASK_FINAL_STATUS, which is invalid for root component"),
}


def _check_type(name: str, kind: str, value: Any) -> None:
    if kind in ("", "PARAMETER_TYPE_ENUM_UNSPECIFIED"):
        raise invalid_input(f"input parameter {name} has unspecified type")
    types, mismatch = _TYPES.get(kind, ((), "unknown"))
    # True and false are numbers in Python, but not in JSON.
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise invalid_input(f"input parameter {name} requires type {mismatch}")


def _check_literals(name: str, literals: list[Any], value: Any) -> None:
    def written(item: Any) -> str:
        return json.dumps(float(item) if type(item) is int else item, sort_keys=True)

    if literals and written(value) not in map(written, literals):
        raise invalid_input(
            f'input parameter "{name}" value {json.dumps(value)} does not match any of the '
            f"allowed literal values: {json.dumps(literals)}"
        )
