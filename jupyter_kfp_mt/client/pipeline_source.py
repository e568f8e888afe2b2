"""The source of a run: a compiled file, or a version of an uploaded pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..errors import BadRequest, KfpError, NotAPipeline, NotFound
from ..models import Pipeline, PipelineVersion
from . import pipeline_files, run_names
from .pipeline_files import PipelineFile


class PipelineSource(msgspec.Struct, frozen=True):
    """The source of a run: its name, parameters, and reference or specification in the API."""

    name: str
    accepted: dict[str, pipeline_files.Definition]
    reference: dict[str, Any]
    specification: dict[str, Any] = {}

    @classmethod
    def from_file(cls, file: pipeline_files.PipelineFile) -> PipelineSource:
        accepted = pipeline_files.definitions(file.pipeline_spec)
        spec = file.to_wire()
        return cls(file.name, accepted, {"pipeline_spec": spec}, spec)

    @classmethod
    def from_version(cls, pipeline: Pipeline, version: PipelineVersion) -> PipelineSource:
        reference = {
            "pipeline_id": version.pipeline_id,
            "pipeline_version_id": version.pipeline_version_id,
        }
        accepted = pipeline_files.definitions(version.pipeline_spec)
        name = pipeline.name
        wanted = {"pipeline_version_reference": reference}
        return cls(name, accepted, wanted, version.pipeline_spec)

    @staticmethod
    def can_be(thing: Any) -> bool:
        """Tell if a value is a pipeline or a component of the kfp SDK, without loading the SDK."""
        return hasattr(thing, "pipeline_spec") and hasattr(thing, "component_spec")

    @classmethod
    def from_component(cls, component: Any) -> PipelineSource:
        """A `@dsl.pipeline`, or a `@dsl.component` as a pipeline of one task."""
        # It is a dependency of the SDK.
        from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

        spec = MessageToDict(component.pipeline_spec)
        made = cls.from_file(PipelineFile(spec, MessageToDict(component.platform_spec)))
        order = [*(component.component_spec.inputs or {})]  # protobuf's is none
        accepted = sorted(made.accepted.items(), key=lambda each: _place(each[0], order))
        return msgspec.structs.replace(made, accepted=dict(accepted))

    def written(self, folder: Path) -> Path:
        """A compiled file of it in that folder."""
        spec = self.specification
        parts = (
            [spec["pipeline_spec"], spec["platform_spec"]] if "platform_spec" in spec else [spec]
        )
        path = folder / f"{self.name}.yaml"
        path.write_bytes(b"\n---\n".join(map(msgspec.json.encode, parts)))
        return path

    def parse(self, texts: dict[str, str]) -> dict[str, Any]:
        """Parse typed texts as values of its parameters."""
        return pipeline_files.parse_parameters(texts, self.accepted, self.name)

    def fitting(self, values: dict[str, Any]) -> dict[str, Any]:
        """Convert values of Python and numpy for JSON. Raises `BadRequest` as `check` does."""
        found = {name: _plain(name, value) for name, value in values.items()}
        self.check(found)
        return found

    def check(self, values: dict[str, Any]) -> None:
        """Raises `BadRequest` for values that do not fit its parameters."""
        pipeline_files.check_parameters(values, self.accepted, self.name)

    def request(
        self,
        parameters: dict[str, Any],
        name: str = "",
        description: str = "",
        service_account: str = "",
        cache: bool = True,
    ) -> dict[str, Any]:
        """Return the request that starts a run, without the experiment. Raises as `check` does."""
        self.check(parameters)
        said = {"description": description, "service_account": service_account}
        return {
            "display_name": name or run_names.of_start(self.name),
            **{key: text for key, text in said.items() if text},
            "runtime_config": {"parameters": parameters},
            **(self.reference if cache else {"pipeline_spec": self._uncached()}),
        }

    def _uncached(self) -> dict[str, Any]:
        """Return the specification with caching disabled for every task, as KFP has no option."""
        return pipeline_files.uncached(self.specification)


def _place(name: str, order: list[str]) -> int:
    return order.index(name) if name in order else len(order)


def _plain(name: str, value: Any) -> Any:
    """Convert a value of Python or numpy for JSON. Raises `BadRequest`."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_of_numpy))
    except (TypeError, NotImplementedError, msgspec.MsgspecError, ValueError, RecursionError):
        raise BadRequest(
            f"Parameter {name} cannot be sent: it is a {type(value).__name__}.",
            cause="Parameters are numbers, texts, true or false, lists and dicts.",
        ) from None


def _of_numpy(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError


def expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # it is too long for a path
        return False


def looks_like_a_file(path: Path) -> bool:
    """Tell if a text may be meant as the name of a file."""
    return path.suffix in pipeline_files.SUFFIXES or len(path.parts) > 1


def neither(path: Path, error: KfpError) -> NotAPipeline:
    """Return the error for a text that is neither a file nor a pipeline that can be found."""
    missing = isinstance(error, NotFound)
    return NotAPipeline(
        f"Cannot read {path}: No such file or directory.",
        cause=f"{error.message} It could also be the name of a pipeline."
        if missing
        else str(error),
        cure="%kfp pipelines lists the uploaded ones; paths are relative to this notebook's folder."
        if missing
        else "",
        server_text=error.server_text,
    )
