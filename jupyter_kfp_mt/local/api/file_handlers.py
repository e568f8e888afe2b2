"""Routes of files: uploads of pipelines, artifacts, and logs of tasks."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Awaitable, Sequence
from typing import IO, Any, ClassVar
from urllib.parse import unquote

import msgspec
from tornado import web

from ...models import Pipeline, PipelineVersion
from ..operations import Operations, Upload
from ..pipelines.pipeline_files import MAX_FILE_LENGTH, Specification
from ..pipelines.pipeline_reader import SMALL
from ..tenants.identity import Authenticator
from ..wire.api_errors import (
    ALREADY_EXISTS,
    NO_VERSION,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
    UNREADABLE_FILE,
    UNREADABLE_FORM,
    ApiError,
    invalid_input,
    wrapped,
)
from .handlers import CHUNK, PLAIN, Handler
from .http_server import LONGEST_UPLOAD

# The only form of Range that is supported.
_RANGE = re.compile(r"bytes=([0-9]{1,18})-")
BAD_TAGS = "Failed to parse tags query parameter. Expected JSON object with string keys and values"
# The API server reports these alone as plain text, without an object around them.
_TOO_LONG = re.compile(r"Pipeline(?:Version)?\.Name(?:space)? length cannot exceed \d+")
# Errors of uploads for which the API server gives no reason.
_OTHERWISE_TOLD = {NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED}


class FileHandler(Handler):
    """Sends errors about files in their own form, and reads parameters leniently."""

    def parameter(self, name: str) -> str:
        """A query parameter, unchanged."""
        values = self.request.query_arguments.get(name, [b""])
        try:
            return values[0].decode()
        except UnicodeDecodeError:
            raise invalid_input(f"The parameter {name} is not UTF-8 text") from None

    def error_body(self, error: ApiError) -> dict[str, Any]:
        return error.to_file_dict()


class ArtifactHandler(FileHandler):
    """The content of an artifact, encoded while it is read."""

    async def get(self, run_id: str, node_id: str, name: str) -> None:
        node_id = await self.task_id(run_id, node_id)
        path = self.operations.runs.artifact(self.caller, run_id, node_id, unquote(name))
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-cache, private")
        with path.open("rb") as file:
            self.write('{"data":"')
            while chunk := file.read(CHUNK):
                self.write(base64.b64encode(chunk))
                await self.flushed()
            self.write('"}')


class TaskLogHandler(Handler):
    """A task's log so far, or from an existing byte on (`Range: bytes=4096-`).

    The API server serves this without authentication.
    """

    is_reviewed = False

    async def get(self, run_id: str, task_id: str) -> None:
        task_id = await self.task_id(run_id, task_id)
        path = self.operations.runs.log_file(self.caller, run_id, task_id)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        with path.open("rb") as file:
            left = self._sought(file)
            while chunk := file.read(min(left, CHUNK)):
                left -= len(chunk)
                self.write(chunk)
                await self.flushed()

    def _sought(self, file: IO[bytes]) -> int:
        """Return the number of bytes from the requested position on."""
        size = os.fstat(file.fileno()).st_size
        asked = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        if not asked or (start := int(asked[1])) >= size:
            return size
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        file.seek(start)
        return size - start


@web.stream_request_body
class UploadHandler(FileHandler):
    """A pipeline, or a version of one, from a file in a form. A long form is never in memory,
    and none of it is stored before its sender is known.

    A refusal is sent after the whole form has arrived: an earlier response could be lost, as a
    connection closed with unread data is reset. The API server has one message for most refusals;
    the reason is in the details, in place of a stack trace.
    """

    # The API server's messages: for a forbidden upload, for a name that is taken and, if they
    # differ from those for a pipeline, for an unreadable form or file.
    unauthorized: str
    failed: str
    unreadable: ClassVar[dict[str, str]] = {}
    any_method = True
    _authorizing = False

    def initialize(self, operations: Operations, authenticators: Sequence[Authenticator]) -> None:
        super().initialize(operations, authenticators)
        self._form = tempfile.SpooledTemporaryFile(SMALL)
        self._refusal: ApiError | None = None

    def prepare(self) -> Awaitable[None] | None:
        reviewed = None
        try:
            reviewed = super().prepare()
            if self.request.method == "POST":
                self.check_query()
                self._authorizing = True
                self.authorize()
                self._authorizing = False
        except ApiError as error:
            self._refusal = error
        return reviewed

    def check_query(self) -> None:
        """Refuse a form with parameters that cannot be read."""
        if reason := self.query.refusal:
            raise invalid_input(f"{UNREADABLE_FORM}: {reason}", UNREADABLE_FORM)

    def check_admitted(self) -> None:
        """Raise the refusal, if any."""
        if self._refusal:
            raise self._refusal

    def refuse(self, error: ApiError) -> None:
        """Set the content type, which the API server sets only after reading the file."""
        status, said, kind = error.status, error.said or error.text, "application/json"
        if error.code in _OTHERWISE_TOLD and self._authorizing:
            status, said, kind = 400, self.unauthorized, PLAIN
        elif error.code == UNIMPLEMENTED:  # a form without a file, to the API server
            status, said = 400, UNREADABLE_FORM
        elif error.code == ALREADY_EXISTS:
            said = self.failed
        if said in (UNREADABLE_FORM, UNREADABLE_FILE, NO_VERSION, BAD_TAGS) and status == 400:
            kind = PLAIN
        self.set_status(status)
        if _TOO_LONG.fullmatch(said):
            self.answer_plainly(f"Invalid input error: {said}\n")
            return
        self.answer(error.to_upload_dict(self.unreadable.get(said, said)), kind)

    def answer_plainly(self, text: str) -> None:
        self.set_header("Content-Type", PLAIN)
        self.finish(text)

    def authorize(self) -> None:
        """Authorize the upload."""
        raise NotImplementedError

    def data_received(self, chunk: bytes) -> None:
        if not self._refusal:
            self._form.write(chunk)

    def on_finish(self) -> None:
        self._form.close()

    async def uploaded(self) -> tuple[str, Specification]:
        """The name of the file, and its content."""
        if self._form.tell() > LONGEST_UPLOAD:
            raise invalid_input(f"The request has more than {MAX_FILE_LENGTH} bytes")
        content_type = self.request.headers.get("Content-Type", "")
        return await self.reader.read_form(content_type, self._form)

    def upload(self, file_name: str) -> Upload:
        """Return the name, description and tags in the parameters."""
        display_name = self.parameter("display_name")
        self.warn_of_emoji_in(unquote(self.request.query))
        return Upload(
            name=self.parameter("name") or display_name or file_name,
            display_name=display_name,
            description=self.parameter("description"),
            code_source_url=self.parameter("code_source_url"),
            tags=self.tags(),
        )

    def tags(self) -> dict[str, str]:
        """Return the tags in the parameter of this name, which is a JSON object."""
        try:
            given = self.parameter("tags") or "{}"
            tags = msgspec.json.decode(given, type=dict[str, str | None] | None)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise invalid_input(f"{BAD_TAGS}: {error}", BAD_TAGS) from None
        return {name: value or "" for name, value in (tags or {}).items()}


class PipelineUploadHandler(UploadHandler):
    """A pipeline with its first version."""

    unauthorized = "Failed to create a pipeline"
    failed = "Failed to create a pipeline and a pipeline version"

    def authorize(self) -> None:
        with wrapped("Failed to create a pipeline"):
            self.operations.pipelines.authorize_upload(self.caller, self.parameter("namespace"))

    async def uploaded_pipeline(self) -> tuple[Pipeline, PipelineVersion]:
        self.check_admitted()
        with wrapped("Failed to read a pipeline spec file"):
            file_name, specification = await self.uploaded()
        with wrapped("Failed to create a pipeline and a pipeline version"):
            upload = self.upload(file_name)
            return await self.operations.pipelines.create_with_version(
                self.parameter("namespace"), upload, specification, version_tags=upload.tags
            )


class VersionUploadHandler(UploadHandler):
    """Another version of a pipeline."""

    unauthorized = failed = NO_VERSION
    unreadable: ClassVar = {UNREADABLE_FORM: NO_VERSION, UNREADABLE_FILE: NO_VERSION}

    def authorize(self) -> None:
        with wrapped("Failed to create a pipeline version"):
            self.pipeline = self.operations.pipelines.authorize_version_upload(
                self.caller, self.parameter("pipelineid")
            )

    async def uploaded_version(self) -> PipelineVersion:
        self.check_admitted()
        with wrapped("Failed to create a pipeline version"):
            file_name, specification = await self.uploaded()
            return await self.operations.pipelines.create_version(
                self.pipeline, self.upload(file_name), specification
            )
