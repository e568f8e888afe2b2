"""The base classes of all routes: the caller, query parameters, responses, and errors."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import IO, Any, ClassVar, TypeVar
from urllib.parse import unquote

import msgspec
from tornado import web
from tornado.iostream import IOStream, StreamClosedError

from ...cron import note
from ...models import Pipeline, PipelineVersion, RecurringRun, Run, RuntimeConfig
from ..database.row_types import PlacedRun
from ..machine.disk_faults import Complaints, DiskFault, fault
from ..operations import Operations, Upload
from ..pipelines.pipeline_files import (
    LONGEST_SPECIFICATION,
    MAX_FILE_LENGTH,
    MOVE_OUT,
    Specification,
)
from ..pipelines.pipeline_reader import SMALL, MessageWithPipeline, PipelineReader, Sent
from ..tenants.identity import Authenticator, Caller
from ..wire.api_errors import (
    ALREADY_EXISTS,
    INTERNAL,
    INVALID_ARGUMENT,
    NO_VERSION,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
    UNREADABLE_FILE,
    UNREADABLE_FORM,
    ApiError,
    invalid_input,
    unavailable,
    wrapped,
)
from ..wire.list_options import Filter, FilterType, ListOptions, Noun, list_options
from ..wire.protojson import Message, in_parts, is_plain, read, with_whole_zeros, written
from .allowance import Allowance
from .argo_tasks import as_on_a_cluster, local_task_ids
from .hosts import Hosts
from .http_server import LONGEST_MESSAGE, LONGEST_OF_STRANGERS, LONGEST_UPLOAD
from .query import Query

log = logging.getLogger(__name__)

# Clients refuse longer headers, and a message may quote the request.
LONGEST_HEADER = 8000
# The size of a piece of a file in memory; a multiple of three, for base64.
CHUNK = 3 << 16
# A client that reads less than this within the time for a response has stopped reading.
_READ_WITHIN_A_TIMEOUT = 4 << 20
# Half of a character outside Unicode's basic plane, as an escape of JSON; or a backslash and text.
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89abAB]")
# Argo's own placeholders, which it refuses if it has no value for them (`validate.go` there).
_ARGOS = re.compile(r"\{\{(?:inputs|outputs|tasks|steps|item|pod)\.[^{}]*\}\}")
# The longest row of backslashes that is checked for pairs; nobody writes more.
_MOST_BACKSLASHES = 100
# etcd's limit, in bytes.
_LARGEST_OBJECT = 3 << 19
# The only form of Range that is supported.
_RANGE = re.compile(r"bytes=([0-9]{1,18})-")

_NO_EMOJI = (
    "KFP on a cluster refuses this request: its database takes no characters outside Unicode's "
    "basic plane, such as emoji."
)
_PLAIN = "text/plain; charset=utf-8"
BAD_TAGS = "Failed to parse tags query parameter. Expected JSON object with string keys and values"
# The API server reports these alone as plain text, without an object around them.
_TOO_LONG = re.compile(r"Pipeline(?:Version)?\.Name(?:space)? length cannot exceed \d+")
# Errors of uploads for which the API server gives no reason.
_OTHERWISE_TOLD = {NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED}

# Up to this length, reading takes no longer than starting a thread.
_AT_ONCE = 64 << 10

M = TypeVar("M", bound=Message)
S = TypeVar("S", bound=MessageWithPipeline)
T = TypeVar("T")
Act = Callable[[Operations], Callable[[Caller, str], None]]


class Handler(web.RequestHandler):
    """The base handler, and the only place where a refusal becomes a response."""

    filter_type: FilterType = Filter
    # Whether methods other than GET change something.
    changes = True
    # Whether a cluster's API server asks Kubernetes before it responds.
    is_reviewed = True
    # Whether it is not the gateway that answers, which looks at methods.
    any_method = False

    def initialize(self, operations: Operations, authenticators: Sequence[Authenticator]) -> None:
        self.operations = operations
        self.caller = Caller(self.request.headers, authenticators)
        self.reader: PipelineReader = self.settings["pipeline_reader"]

    def prepare(self) -> Awaitable[None] | None:
        self.check_host()
        self.check_length()
        return self.reviewed()

    def check_length(self) -> None:
        """Refuse a long body from an unknown caller, and one that is too long."""
        if len(self.request.body) > LONGEST_OF_STRANGERS:
            self.caller.identity()
        if len(self.request.body) > LONGEST_MESSAGE:
            longest = LONGEST_SPECIFICATION
            raise invalid_input(f"The request has more than {longest} bytes. {MOVE_OUT}")

    def reviewed(self) -> Awaitable[None] | None:
        """Wait as long as a cluster's API server would for Kubernetes, if configured."""
        allowance: Allowance | None = self.settings["allowance"]
        if allowance and self.is_reviewed and allowance.concerns(self.request.headers):
            return allowance.wait()
        return None

    def stream(self) -> IOStream | None:
        """The connection; None after it is closed."""
        return getattr(self.request.connection, "stream", None)

    def check_host(self) -> None:
        """Refuse a request to a host name that is not this server's."""
        stream = self.stream()
        address = stream.socket.getsockname()[0] if stream and stream.socket else ""
        hosts: Hosts = self.settings["hosts"]
        hosts.check(self.request.host, str(address))

    @cached_property
    def query(self) -> Query:
        return Query(self.request.query)

    def parameter(self, name: str) -> str:
        """A query parameter, unchanged: names may contain any character."""
        return self.query.text(name)

    def warn_of_cron(self, recurring: RecurringRun) -> None:
        """Warn in a header if a schedule does not mean what it seems to."""
        schedule = recurring.trigger.cron_schedule if recurring.trigger else None
        if schedule and (meaning := note(schedule.cron)):
            self._warn(f"recurring run {recurring.recurring_run_id}", meaning)

    def warn_of_values(self, what: str, config: RuntimeConfig | None) -> None:
        """Warn in a header if a cluster would refuse a run because of its parameters."""
        values = msgspec.json.encode(config.parameters if config else {})
        refused = "KFP on a cluster refuses this run: "
        if found := _ARGOS.search(values.decode()):
            meaning = (
                "in a parameter's value stands for a value of Argo's own, which runs it there."
            )
            self._warn(what, f"{refused}{found[0][:100]} {meaning}")
        if b"\x7f" in values:
            self._warn(what, f"{refused}the character DEL (U+007F) is in a parameter's value.")
        if len(values) > _LARGEST_OBJECT:
            self._warn(
                what,
                f"{refused}its parameters have {len(values)} bytes, and Kubernetes keeps no object "
                f"of more than {_LARGEST_OBJECT}. Put large values into an object store.",
            )

    def warn_of_root(self, what: str, config: RuntimeConfig | None, default: str) -> None:
        """Warn in a header if artifacts will not be stored in the requested place."""
        if root := (config.pipeline_root if config else "") or default:
            self._warn(
                what,
                f"The pipeline root '{root}' is not used: the local KFP keeps artifacts in its "
                "data folder. Their URIs are with the tasks that made them.",
            )

    def warn_of_plugins(self, what: str, given: Mapping[str, Any] | None) -> None:
        """Say in a header if something was meant for a plugin."""
        if given:
            names = ", ".join(sorted(given))
            self._warn(what, f"The local KFP has no plugins: what is for {names} is not used.")

    def _warn(self, what: str, meaning: str) -> None:
        log.warning("%s: %s", what, meaning)
        quotable = re.sub(r'(["\\])', r"\\\1", _printable(meaning)[:LONGEST_HEADER])
        self.add_header("Warning", f'299 - "{quotable}"')

    async def warn_of_emoji(self) -> None:
        """Warn in a header if a cluster's database would not accept a character."""
        if await self.aside(_leaves_basic_plane, self.request.body):
            self._warn(self.request.path, _NO_EMOJI)

    def warn_of_emoji_in(self, text: str) -> None:
        """The same of a text."""
        if any(character > "\uffff" for character in text):
            self._warn(self.request.path, _NO_EMOJI)

    async def body(self, message: type[M]) -> M:
        await self.warn_of_emoji()
        return await self.aside(read, self.request.body, message)

    async def aside(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function, in a thread if the request is large."""
        if len(self.request.body) <= _AT_ONCE:
            return function(*arguments)
        return await self.reader.aside(function, *arguments)

    def list_options(self, noun: Noun) -> ListOptions:
        size = self.query.whole("page_size")
        return list_options(noun, size, self.parameter, self.filter_type)

    def pagination(self) -> str:
        """Describe the request of a list for a refusal."""
        return (
            f"pageToken: {self.parameter('page_token')}, "
            f"pageSize: {self.query.whole('page_size')}, "
            f"sortBy: {self.parameter('sort_by')}, filter: {self.parameter('filter')}"
        )

    def answer(self, value: object, content_type: str = "application/json") -> None:
        self.set_header("Content-Type", content_type)
        encoded = written(value)
        stream = self.stream()
        sent = self.finish(encoded)
        if stream and len(encoded) > CHUNK:
            self._close_unless(sent, stream, len(encoded))

    def _close_unless(self, sent: asyncio.Future[None], stream: IOStream, length: int) -> None:
        """Close the connection of a client that does not read: its data fill memory."""
        timeout = self.settings["write_timeout"] * (1 + length / _READ_WITHIN_A_TIMEOUT)
        timer = asyncio.get_running_loop().call_later(timeout, stream.close)
        sent.add_done_callback(lambda _: timer.cancel())

    async def flushed(self) -> None:
        """Send what has been written so far, if the client reads it."""
        try:
            await asyncio.wait_for(self.flush(), self.settings["write_timeout"])
        except asyncio.TimeoutError:
            if stream := self.stream():
                stream.close()
            raise StreamClosedError from None

    async def answer_long(self, value: object) -> None:
        """Send a response that may be megabytes long, in pieces, so that others get a turn."""
        parts = in_parts(value, CHUNK)
        if sum(map(len, parts)) <= CHUNK:
            self.answer(msgspec.Raw(b"".join(parts)))
            return
        parts = await self.reader.aside(lambda: [*map(with_whole_zeros, parts)])
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", sum(map(len, parts)))
        for part in parts:
            for start in range(0, len(part), CHUNK):
                self.write(bytes(part[start : start + CHUNK]))
                await self.flushed()

    async def answer_list(self, key: str, listed: Any) -> None:
        """Send a page of a list; like everywhere, empty fields are omitted."""
        answer = {
            key: listed.items,
            "total_size": listed.total_size,
            "next_page_token": listed.next_page_token,
        }
        await self.answer_long({name: value for name, value in answer.items() if value})

    async def told(self, runs: Sequence[PlacedRun]) -> list[Run]:
        """Runs in the form of responses; with `--argo-tasks` in a cluster's form."""
        if not self.operations.argo_tasks:
            return [placed.run for placed in runs]
        origins = [await self.operations.runs.origin(placed.run.run_id) for placed in runs]
        return await asyncio.to_thread(lambda: [*map(as_on_a_cluster, runs, origins)])

    async def task_id(self, run_id: str, node_id: str) -> str:
        """The id of our task that responses show under this id."""
        if not self.operations.argo_tasks:
            return node_id
        return (await self._task_ids(run_id)).get(node_id, node_id)

    async def task_ids(self, run_id: str, own: Iterable[str]) -> dict[str, str]:
        """The ids of our tasks, by the ids that responses show."""
        if not self.operations.argo_tasks:
            return {task_id: task_id for task_id in own}
        return await self._task_ids(run_id)

    async def _task_ids(self, run_id: str) -> dict[str, str]:
        placed = await self.operations.runs.get(self.caller, run_id)
        origin = await self.operations.runs.origin(run_id)
        return await asyncio.to_thread(local_task_ids, placed, origin)

    def compute_etag(self) -> None:
        """Compute no ETag: the API server sends none, and it takes long for a long response."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        cause = kwargs.get("exc_info", (None, None, None))[1]
        found = fault(cause)
        self.refuse(self._unavailable(found) if found else _as_api_error(status_code, cause))

    def refuse(self, error: ApiError) -> None:
        self.set_status(error.status)
        if error.code == UNAUTHENTICATED:
            self.set_header("WWW-Authenticate", _printable(error.message)[:LONGEST_HEADER])
        self.answer(self.error_body(error))

    def error_body(self, error: ApiError) -> dict[str, Any]:
        return error.to_dict()

    def _unavailable(self, found: DiskFault) -> ApiError:
        unchanged = "" if self.request.method in ("GET", "HEAD") else " Nothing was changed."
        return unavailable(
            "The request could not be carried out in the data folder of the local KFP: "
            f"{found.why}.{unchanged} {found.cure}, and ask again."
        )

    def log_exception(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if found := fault(error):
            complaints: Complaints = self.settings["complaints"]
            complaints.say(found, f"{self.request.method} {self.request.path}: {error}")
        elif not isinstance(error, ApiError | StreamClosedError | web.HTTPError):
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=error)


def _leaves_basic_plane(body: bytes) -> bool:
    """Return True if a JSON text has characters outside Unicode's basic plane, even as escapes."""
    if is_plain(body):  # A more thorough search takes ten times as long.
        return False
    if not body.isascii():
        text = body.decode("utf-8", "replace")
        if len(text.encode("utf-16-le")) > 2 * len(text):
            return True
    return any(_is_escape(body, found.start()) for found in _SURROGATE_ESCAPE.finditer(body))


def _is_escape(body: bytes, backslash: int) -> bool:
    before = body[max(0, backslash - _MOST_BACKSLASHES) : backslash]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 0


@web.stream_request_body
class PipelineMessageHandler(Handler):
    """A message that may contain a pipeline, put together as it arrives.

    Tornado would copy megabytes at the end, of eight messages at once, and answer nobody meanwhile.
    A refusal is sent after the whole message has arrived, as it could be lost before.
    """

    def initialize(self, operations: Operations, authenticators: Sequence[Authenticator]) -> None:
        super().initialize(operations, authenticators)
        self._received = io.BytesIO()
        self._refusal: ApiError | None = None

    def prepare(self) -> Awaitable[None] | None:
        try:
            return super().prepare()
        except ApiError as error:
            if self.request.method != "POST":
                raise
            self._refusal = error
            return None

    def data_received(self, chunk: bytes) -> None:
        self._received.write(chunk)

    async def sent(self, message: type[S]) -> Sent[S]:
        """Read the message."""
        if self._refusal:
            raise self._refusal
        self.request.body = self._received.getvalue()
        self._received.close()
        self.check_length()
        await self.warn_of_emoji()
        body, self.request.body = self.request.body, b""
        return await self.reader.read_message(body, message)


class Action(Handler):
    """An action on one object, with an empty response."""

    act: Act
    # The beginning of the message of a refusal.
    failure: str

    def post(self, id_: str) -> None:
        with wrapped(self.failure):
            self.act(self.operations)(self.caller, id_)
        self.answer({})


def action(act: Act, failure: str) -> type[Action]:
    return type("Action", (Action,), {"act": staticmethod(act), "failure": failure})


class _EveryMethod(tuple[str, ...]):
    """The methods of what answers before one is looked at."""

    __slots__ = ()

    def __contains__(self, method: object) -> bool:
        return True


class Healthz(Handler):
    """The server's health, whatever the method."""

    is_reviewed = False
    any_method = True
    SUPPORTED_METHODS = _EveryMethod()
    fields: tuple[str, ...]

    def prepare(self) -> None:
        self.check_host()
        self.answer({name: self.settings["health"][name] for name in self.fields})


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
            status, said, kind = 400, self.unauthorized, _PLAIN
        elif error.code == UNIMPLEMENTED:  # a form without a file, to the API server
            status, said = 400, UNREADABLE_FORM
        elif error.code == ALREADY_EXISTS:
            said = self.failed
        if said in (UNREADABLE_FORM, UNREADABLE_FILE, NO_VERSION, BAD_TAGS) and status == 400:
            kind = _PLAIN
        self.set_status(status)
        if _TOO_LONG.fullmatch(said):
            self.answer_plainly(f"Invalid input error: {said}\n")
            return
        self.answer(error.to_upload_dict(self.unreadable.get(said, said)), kind)

    def answer_plainly(self, text: str) -> None:
        self.set_header("Content-Type", _PLAIN)
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


class UnknownPath(Handler):
    """A request to a path that does not exist, whatever its method."""

    SUPPORTED_METHODS = _EveryMethod()

    def prepare(self) -> None:
        self.check_host()
        if self.request.path.startswith("/apis/"):
            raise ApiError(NOT_FOUND, "Not Found", "Not Found")
        self.say(404, "404 page not found\n")

    def say(self, status: int, text: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", _PLAIN)
        self.finish(text)


_TEXTS: dict[int, tuple[int, str]] = {
    400: (INVALID_ARGUMENT, "The request cannot be read"),
    404: (NOT_FOUND, "Not Found"),
    405: (UNIMPLEMENTED, "Method Not Allowed"),
}


def _as_api_error(status: int, error: BaseException | None) -> ApiError:
    if isinstance(error, ApiError):
        return error
    code, text = _TEXTS.get(status, (INTERNAL, "Internal Server Error"))
    if code == INVALID_ARGUMENT and isinstance(error, web.HTTPError) and error.log_message:
        text = f"{text}: {error.log_message % error.args}"
    return ApiError(code, text, text)


def _printable(text: str) -> str:
    """Return a text with only the characters allowed in a header."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def log_request(handler: web.RequestHandler) -> None:
    """Log one line for each change and each refusal: the request, its status, and its sender."""
    asks = handler.request.method in ("GET", "HEAD") or not getattr(handler, "changes", True)
    if asks and handler.get_status() < 400:
        return
    who = handler.caller.name if isinstance(handler, Handler) else ""
    log.info(
        "%s %s %d %s",
        handler.request.method,
        _printable(handler.request.path),
        handler.get_status(),
        who or "-",
    )
