"""The outputs of a task, as left by its program and checked as by KFP's launcher.

Rule: `getExecutorOutputFile`, `collectOutputParameters` and `uploadOutputArtifacts` in KFP's
backend/src/v2/component/launcher_v2.go.
"""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ....errors import KfpError
from ...machine.regular_files import is_special, open_to_read
from ...wire.go_numbers import float64, protojson_value
from .artifact_metadata import DISPLAY_NAME, without_value
from .go_values import NoSuchValue, value_of
from .scopes import RuntimeArtifact, Values
from .task_inputs import kind_of, shown

# The longest output parameter, or report on all outputs, in bytes.
LONGEST_OUTPUT = 1 << 28
_DECLARED_AS = {
    **{"NUMBER_INTEGER": "an integer", "NUMBER_DOUBLE": "a number", "BOOLEAN": "true or false"},
    **{"LIST": "a list", "STRUCT": "a dictionary"},
}


class OutputRefused(KfpError):
    """An output that is missing or not as declared; the message names it."""


def collect(executor_input: Mapping[str, Any], component: Any) -> Values:
    """Return the outputs of a task. Raises OutputRefused."""
    outputs = executor_input["outputs"]
    told = _told(Path(outputs["outputFile"]))
    _refuse_what_is_unfit_in(told)
    return Values(
        {
            name: _parameter(name, place, told, component)
            for name, place in outputs["parameters"].items()
        },
        {
            name: [_artifact(name, listed["artifacts"][0], told)]
            for name, listed in outputs["artifacts"].items()
        },
    )


def left_behind(executor_input: Mapping[str, Any], component: Any) -> Values:
    """Return the readable outputs of a failed task."""
    outputs = executor_input["outputs"]
    try:
        told = _told(Path(outputs["outputFile"]))
    except OutputRefused:
        told = _Told()
    parameters = {}
    for name, place in outputs["parameters"].items():
        try:
            parameters[name] = _parameter(name, place, told, component)
        except OutputRefused:
            pass
    artifacts = {
        name: [_artifact(name, listed["artifacts"][0], told)]
        for name, listed in outputs["artifacts"].items()
        if Path(listed["artifacts"][0]["uri"]).exists()
    }
    return Values(parameters, artifacts)


def in_their_places(values: Values, folder: Path, may_read: Callable[[Path], bool]) -> Values:
    """Copy artifacts to the places that their URIs name, and return the values.

    The program, which worked in the folder, may have written them elsewhere and reported that
    (`Artifact.set_path`). Raises OutputRefused or OSError.
    """
    for name, listed in values.artifacts.items():
        for artifact in listed:
            made, place = folder / artifact.path, Path(artifact.uri)
            if is_special(made) or is_special(place):
                raise OutputRefused(f"its output '{name}' is neither a file nor a folder")
            moved = artifact.path and made != place and place.is_relative_to(folder)
            if moved and made.exists() and may_read(made):
                _copy(made, place)
    return Values(
        values.parameters,
        {
            name: [msgspec.structs.replace(one, path="") for one in listed]
            for name, listed in values.artifacts.items()
        },
    )


def _copy(made: Path, place: Path) -> None:
    """Copy a file or folder to a place, even if it is inside the one that it replaces."""
    beside = place.with_name(f"{place.name}.new")
    if made.is_dir():
        shutil.copytree(made, beside, symlinks=True)
    else:
        shutil.copy2(made, beside)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    beside.replace(place)


class _Said(msgspec.Struct, frozen=True):
    """An artifact, as reported by a program."""

    name: str | None = None
    uri: str | None = None
    metadata: dict[str, Any] | None = None
    custom_path: str | None = None
    customPath: str | None = None


class _SaidList(msgspec.Struct, frozen=True):
    artifacts: list[_Said] | None = None


class _Told(msgspec.Struct, frozen=True, rename="camel"):
    """An ExecutorOutput: outputs as reported by a program that reads the executor input."""

    parameter_values: dict[str, Any] | None = None
    artifacts: dict[str, _SaidList | None] | None = None


def _told(path: Path) -> _Told:
    try:
        told = json.loads(read_output(path))
        return msgspec.convert(told, _Told)
    except FileNotFoundError:
        return _Told()
    except RecursionError:
        raise OutputRefused("its executor output is nested too deeply to be read") from None
    except (ValueError, OSError, msgspec.ValidationError) as error:
        reason = getattr(error, "strerror", "") or error
        raise OutputRefused(f"its executor output cannot be read: {reason}") from None


def read_output(path: Path) -> str:
    """Return the text in a file. Raises OSError, also if it is too long or no file."""
    with open_to_read(path) as file:
        content = file.read(LONGEST_OUTPUT + 1)
    if len(content) > LONGEST_OUTPUT:
        text = f"it is longer than {LONGEST_OUTPUT} bytes, so pass it as an artifact"
        raise OSError(errno.EFBIG, text)
    return content.decode()


def _refuse_what_is_unfit_in(told: _Told) -> None:
    for name, value in (told.parameter_values or {}).items():
        _refuse_unfit(value, f"its output '{name}'")
    for name, listed in (told.artifacts or {}).items():
        _refuse_unfit(msgspec.to_builtins(listed), f"its report on the artifact '{name}'")
        for absent in without_value(_said_of(told, name).metadata or {}):
            raise OutputRefused(
                f"the metadata '{absent}' of its output '{name}' has no value, and KFP stores "
                "none without one: leave it out, or give it one"
            )


def _refuse_unfit(value: Any, what: str) -> None:
    """Refuse what protojson refuses: numbers that are not finite, and texts with surrogates."""
    for one in _leaves(value):
        if isinstance(one, str) and not _is_unicode(one):
            raise OutputRefused(f"{what} is not Unicode text: {shown(_visible(one))}")
        if isinstance(one, (int, float)) and not math.isfinite(float64(one)):
            shown_number = "too large a number" if isinstance(one, int) else _name(one)
            raise OutputRefused(f"{what} is {shown_number}, which is not a valid parameter")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def _name(number: float) -> str:
    return "NaN" if math.isnan(number) else ("infinite" if number > 0 else "negative infinite")


def _is_unicode(text: str) -> bool:
    """False for a text with surrogates, which file names can contain."""
    try:
        return bool(text.encode()) or True
    except UnicodeEncodeError:
        return False


def _visible(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _parameter(name: str, place: Mapping[str, Any], told: _Told, component: Any) -> Any:
    if name in (told.parameter_values or {}):
        return protojson_value((told.parameter_values or {})[name])
    kind = kind_of(component.output_definitions.parameters[name])
    text = _text(name, Path(place["outputFile"]))
    try:
        value = value_of(text, kind)
    except NoSuchValue:
        declared = _DECLARED_AS.get(kind, "a text")
        raise OutputRefused(
            f"its output '{name}' is declared as {declared}, but is {_as_written(text)}"
        ) from None
    _refuse_unfit(value, f"its output '{name}'")
    return value


def _text(name: str, path: Path) -> str:
    try:
        return read_output(path)
    except FileNotFoundError:
        raise OutputRefused(
            f"its output '{name}' was not written: it has to return a value, "
            "or write one to the output's file"
        ) from None
    except UnicodeDecodeError:
        raise OutputRefused(
            f"its output '{name}' is not Unicode text: pass it as an artifact"
        ) from None
    except OSError as error:
        raise OutputRefused(f"its output '{name}' cannot be read: {error.strerror}") from None


def _as_written(text: str) -> str:
    """The text of a file in a form for messages: as a value, if it is JSON."""
    try:
        return shown(json.loads(text))
    except (ValueError, RecursionError):
        return shown(text)


def _said_of(told: _Told, name: str) -> _Said:
    listed = (told.artifacts or {}).get(name)
    return listed.artifacts[0] if listed and listed.artifacts else _Said()


def _artifact(name: str, expected: Mapping[str, Any], told: _Told) -> RuntimeArtifact:
    said = _said_of(told, name)
    metadata = {DISPLAY_NAME: name, **expected["metadata"], **(said.metadata or {})}
    return RuntimeArtifact(
        name=said.name or name,
        type=expected["type"]["schemaTitle"],
        uri=said.uri or expected["uri"],
        metadata=protojson_value(metadata),
        path=said.custom_path or said.customPath or "",
    )
