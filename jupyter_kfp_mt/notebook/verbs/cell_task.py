"""A cell of a notebook as a task whose inputs and outputs are variables of the notebook.

Numbers, texts, lists and dicts are passed as parameters. Everything else that can be pickled is
passed as an artifact: as a file to the local KFP, which is on this machine; inside the pipeline to
a cluster, whose object store a notebook cannot write to, and hence only up to `MOST_INLINE` bytes.
Each output is an artifact; if its file cannot be read from here, it is read from the task's log.
"""

from __future__ import annotations

import ast
import base64
import builtins
import json
import linecache
import math
import pickle
import sys
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ...client.client import Client
from ...client.pipeline_source import PipelineSource
from ...errors import BadRequest, KfpError, Misconfigured
from ...models import Run

# Linux limits an argument of a program (MAX_ARG_STRLEN), and all inputs are in one argument.
MOST_INLINE = 96 * 1024
_PLAIN = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}
_MARK = "kfp-mt-output"
_INSTALLED_AS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python-headless"}


class CellTask(msgspec.Struct, frozen=True, kw_only=True):
    """The options for running a cell."""

    code: str
    inputs: Mapping[str, Any]
    outputs: Sequence[str]
    packages: Sequence[str] = ()
    image: str = ""
    # A secret, its key, and the variable for its value.
    secrets: Sequence[tuple[str, str, str]] = ()
    is_local: bool = False

    def source(self) -> PipelineSource:
        """The pipeline of this one task. Raises `BadRequest` for an input that cannot be passed."""
        try:
            from kfp import dsl
        except ModuleNotFoundError:
            raise Misconfigured(
                "%%kfp task needs the kfp SDK.", cure="%pip install 'kfp>=2.17,<2.18'"
            ) from None
        pickled = {name: travelling(name, value) for name, value in self._others.items()}
        task = dsl.component(
            base_image=self.image or f"python:{sys.version_info[0]}.{sys.version_info[1]}",
            packages_to_install=[*self.packages, *_needed(self._others.values())] or None,
        )(self._function())

        def cell() -> None:
            made = task(**self._arguments(pickled))
            made.set_caching_options(False)
            for secret, key, variable in self.secrets:
                from kfp import kubernetes

                kubernetes.use_secret_as_env(
                    made, secret_name=secret, secret_key_to_env={key: variable}
                )

        cell.__annotations__ = {}  # the SDK needs types; this file's annotations are strings
        return PipelineSource.from_component(dsl.pipeline(name="cell")(cell))

    @property
    def _plain(self) -> dict[str, Any]:
        return {name: value for name, value in self.inputs.items() if _is_plain(value)}

    @property
    def _others(self) -> dict[str, Any]:
        return {name: value for name, value in self.inputs.items() if not _is_plain(value)}

    def _arguments(self, pickled: Mapping[str, bytes]) -> dict[str, Any]:
        from kfp import dsl

        if self.is_local and pickled:
            folder = Path(tempfile.mkdtemp(prefix="kfp-mt-inputs-"))
            for name, content in pickled.items():
                (folder / name).write_bytes(content)
            files = {
                name: dsl.importer(
                    artifact_uri=str(folder / name), artifact_class=dsl.Artifact, reimport=True
                ).output
                for name in pickled
            }
            return {**self._plain, **files}
        packed = {name: _packed(content) for name, content in pickled.items()}
        _check_lengths(packed)
        return {**self._plain, **packed}

    def _function(self) -> Any:
        """The component's function; the SDK copies its source into the pipeline."""
        kind = "dsl.Input[dsl.Artifact]" if self.is_local else "str"
        takes = [f"{name}: {_PLAIN[type(value)]}" for name, value in self._plain.items()]
        takes += [f"{name}: {kind}" for name in self._others]
        takes += [f"output_{name}: dsl.Output[dsl.Artifact]" for name in self.outputs]
        text = _FUNCTION.format(
            takes=", ".join(takes),
            code=self.code,
            plain=_scope(self._plain),
            others=_scope(self._others),
            outputs=_scope({name: None for name in self.outputs}, "output_"),
            mark=_MARK,
            tells=not self.is_local,
        )
        name = f"<cell as a task {abs(hash(text))}>"
        found: dict[str, Any] = {"__name__": "__main__"}
        program = f"from kfp import dsl\n{text}"
        linecache.cache[name] = (len(program), None, program.splitlines(True), name)
        # dont_inherit: this file's future statements must not apply to the function.
        exec(compile(program, name, "exec", dont_inherit=True), found)
        return found["cell"]


# `code` and the like are literals; the function runs in the task, with only Python installed.
_FUNCTION = """\
def cell({takes}):
    import base64, json, os, pickle, tempfile, zlib

    source = {code!r}
    scope = {{"__name__": "__main__", **{plain}}}
    for name, value in {others}.items():
        if isinstance(value, str):
            scope[name] = pickle.loads(zlib.decompress(base64.b64decode(value)))
        else:
            with open(value.path, "rb") as file:
                scope[name] = pickle.load(file)
    path = os.path.join(tempfile.mkdtemp(), "cell.py")  # for the lines of a traceback
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    exec(compile(source, path, "exec"), scope)
    for name, artifact in {outputs}.items():
        if name not in scope:
            raise NameError("The cell has not assigned " + name + ", which is an output.")
        try:
            content = pickle.dumps(scope[name], protocol=4)
        except Exception as error:
            raise TypeError("Output " + name + " cannot travel: " + str(error)) from error
        with open(artifact.path, "wb") as file:
            file.write(content)
        artifact.metadata["python_type"] = type(scope[name]).__name__
        if isinstance(scope[name], (bool, int, float, str)):
            artifact.metadata["value"] = scope[name]
        if {tells}:
            text = base64.b64encode(zlib.compress(content)).decode()
            for start in range(0, len(text), 4000):
                print("{mark}", json.dumps([name, text[start : start + 4000]]), flush=True)
"""


def _scope(names: Iterable[str], prefix: str = "") -> str:
    return "{" + ", ".join(f"{name!r}: {prefix}{name}" for name in names) + "}"


def _is_plain(value: Any) -> bool:
    """Return True if the value can be a parameter: JSON keeps it unchanged."""
    if type(value) not in _PLAIN or (isinstance(value, float) and not math.isfinite(value)):
        return False
    if isinstance(value, int) and abs(value) > 2**53:
        return False
    if isinstance(value, (list, dict)) and "null" in json.dumps(value, default=str):
        return False  # the SDK does not accept None in a list
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def travelling(name: str, value: Any) -> bytes:
    """A value as a file. Raises `BadRequest` for one that is useless in another process."""
    if isinstance(value, ModuleType):
        raise BadRequest(
            f"{name} is a module, which cannot be an input.",
            cure=f"Import {value.__name__} in the cell.",
        )
    if getattr(type(value), "__module__", "") == "__main__" or (
        callable(value) and getattr(value, "__module__", "") == "__main__"
    ):
        raise BadRequest(
            f"{name} cannot be an input: its code is in this notebook, and not in the task.",
            cure="Define it in the cell itself.",
        )
    try:
        return pickle.dumps(value, protocol=4)
    except Exception as error:  # each class refuses in its own way
        raise BadRequest(
            f"{name} cannot be an input: {type(value).__name__} values cannot be pickled.",
            cause=str(error),
        ) from None


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _check_lengths(packed: Mapping[str, str]) -> None:
    total = sum(map(len, packed.values()))
    if total > MOST_INLINE:
        largest = max(packed, key=lambda name: len(packed[name]))
        raise BadRequest(
            f"{largest} is too large an input: {total:,} bytes of inputs exceed the "
            f"{MOST_INLINE:,} that a task on a cluster can receive.",
            cure="Put it into a bucket or on a volume, and read it from there in the cell.",
        )


def _needed(values: Iterable[Any]) -> list[str]:
    """The packages that define the values' types, at the versions installed here."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for module in sorted({type(value).__module__.partition(".")[0] for value in values}):
        package = _INSTALLED_AS.get(module, module)
        try:
            found.append(f"{package}=={version(package)}")
        except PackageNotFoundError:
            continue
    return found


def missing_inputs(code: str, given: Iterable[str], variables: Mapping[str, Any]) -> list[str]:
    """The notebook's variables that a cell reads without assigning. Raises `BadRequest`."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise BadRequest(f"The cell is not Python: {error.msg}, line {error.lineno}.") from None
    assigned = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    read: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else assigned).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            assigned.add(node.name)
        elif isinstance(node, ast.alias):
            assigned.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            assigned.add(node.name)
    here = read - assigned - {*given} - {*vars(builtins)}
    return sorted(name for name in here if name in variables)


def assigned_names(code: str) -> set[str]:
    """The names that a cell assigns."""
    names = {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    named = (ast.FunctionDef, ast.ClassDef)
    return names | {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, named)}


def collected(client: Client, run: Run, outputs: Sequence[str]) -> dict[str, Any]:
    """Return the outputs of a task. Raises a `KfpError` if one cannot be read."""
    if not outputs:
        return {}
    (task,) = [each for each in client.tasks(run) if each.display_name == "cell"]
    values = client.task_values(run.run_id).get(task.task_id)
    if values is None:
        return _from_log(client, run, task.task_id, outputs)
    made = values.outputs.artifacts
    return {
        name: pickle.loads(_path(made[f"output_{name}"][0].uri).read_bytes()) for name in outputs
    }


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)


def _from_log(client: Client, run: Run, task_id: str, outputs: Sequence[str]) -> dict[str, Any]:
    parts: dict[str, list[str]] = {name: [] for name in outputs}
    log = client.task_log(run.run_id, task_id)
    try:
        for line in log:
            text = line.decode("utf-8", "replace")
            if text.startswith(f"{_MARK} "):
                name, part = json.loads(text.removeprefix(_MARK))
                parts.get(name, []).append(part)
    finally:
        log.close()
    lost = [name for name, found in parts.items() if not found]
    if lost:
        raise KfpError(
            f"The task has succeeded, but its output {lost[0]} is not in its log any more.",
            cure="KFP's own pages have it as an artifact of the run.",
        )
    return {
        name: pickle.loads(zlib.decompress(base64.b64decode("".join(found))))
        for name, found in parts.items()
    }
