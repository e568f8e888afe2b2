"""The base classes of all routes: the caller, query parameters, responses, and errors."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from tornado import web
from tornado.iostream import IOStream, StreamClosedError

from ...cron import note
from ...models import RecurringRun, Run, RuntimeConfig
from ..database.row_types import PlacedRun
from ..machine.disk_faults import Complaints, DiskFault, fault
from ..operations import Operations
from ..pipelines.pipeline_files import (
    LONGEST_SPECIFICATION,
    MOVE_OUT,
)
from ..pipelines.pipeline_reader import MessageWithPipeline, PipelineReader, Sent
from ..tenants.identity import Authenticator, Caller
from ..wire.api_errors import (
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
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
from .http_server import LONGEST_MESSAGE, LONGEST_OF_STRANGERS
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

_NO_EMOJI = (
    "KFP on a cluster refuses this request: its database takes no characters outside Unicode's "
    "basic plane, such as emoji."
)
PLAIN = "text/plain; charset=utf-8"

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
    # Whether the route answers any method, as those of KFP that are not the gateway's.
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
            meaning = "in a parameter's value is a placeholder of Argo, which runs it there."
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
                "data folder. The tasks that produced them show their URIs.",
            )

    def warn_of_plugins(self, what: str, given: Mapping[str, Any] | None) -> None:
        """Say in a header if something was meant for a plugin."""
        if given:
            names = ", ".join(sorted(given))
            self._warn(
                what, f"The local KFP has no plugins: the settings for {names} are not used."
            )

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
    """The methods of a route that answers without checking the method."""

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
        self.set_header("Content-Type", PLAIN)
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
