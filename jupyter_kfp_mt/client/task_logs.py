"""The output of a task: from its pod, from the local KFP's own store, or from KFP's archive."""

from __future__ import annotations

import base64
import gzip
import io
import re
import tarfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from itertools import count, takewhile
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from .. import intervals
from ..argo_nodes import attempt_of
from ..attempts import attempting
from ..cluster.task_pods import TaskPods, container_of, exit_code, has_begun
from ..errors import BadRequest, KfpError, Misconfigured, NotFound, Unreachable, may_pass
from ..models import Run, Task
from ..network.line_stream import LONGEST_LINE, LineStream, split
from ..network.server_sent_events import ServerSentEvent, events_in

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster
    from ..cluster.kubernetes_objects import Pod
    from .logs import Logs

FIRST_PAUSE, LONGEST_PAUSE = intervals.LOG_SECONDS
SETTLE_SECONDS = intervals.SETTLE_SECONDS
LONGEST_ARCHIVED = 64 << 20
# The limit for a log that is read as a whole; longer ones are read line by line.
LONGEST_KEPT = 64 << 20
# The time before a line of a container's log (RFC 3339).
_MOMENT = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)
# Where the pods of a KFP for a single user run, unless a namespace is configured.
SINGLE_USER_NAMESPACE = "kubeflow"


RECENT_SECONDS = intervals.RECENT_RUN_SECONDS
# More lines than a log can have of one time: with it, all lines of that time count as read.
UNCOUNTED = 1 << 40


class Wanted(msgspec.Struct, frozen=True):
    """The wanted lines: all or the last `tail`, with `follow` also new ones; of one container.

    With `recent`, information about the run may be a moment old, when several of its tasks are
    read. `after` is a `TaskLog.cursor`: the lines before it are left out.
    """

    follow: bool = False
    tail: int | None = None
    container: str = ""
    recent: bool = False
    after: str = ""

    @property
    def query(self) -> dict[str, str]:
        tail = "" if self.tail is None else str(self.tail)
        given = {"follow": "1" if self.follow else "", "tail": tail, "container": self.container}
        given["recent"] = "1" if self.recent else ""
        given["after"] = self.after
        return {name: text for name, text in given.items() if text}


class TaskLog:
    """The lines of one task, which can be read once. `source` says where they come from; `close()`
    ends them, even while another thread waits for one. `cursor` is the place after the lines read
    so far, for `Wanted.after`.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.cursor = ""
        self._lines: LineStream | None = None
        self._closed = threading.Event()
        self._seconds = FIRST_PAUSE
        self._failing_since = 0.0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines, each with its line break."""
        for piece in self.pieces():
            yield from split(piece)

    def pieces(self) -> Iterator[bytes]:
        """Yield whole lines, as many at a time as arrived together."""
        raise NotImplementedError

    def close(self) -> None:
        self._closed.set()
        if self._lines is not None:
            self._lines.close()

    def _opened(self, lines: LineStream) -> LineStream:
        self._lines = lines
        if self._closed.is_set():  # meanwhile, by another thread
            lines.close()
        return lines

    def _bear(self, error: KfpError) -> None:
        """Raise an error, unless it may pass and has not lasted for `PATIENCE_SECONDS`."""
        self._failing_since = self._failing_since or time.monotonic()
        lasted = time.monotonic() - self._failing_since > intervals.PATIENCE_SECONDS
        if not self._closed.is_set() and (lasted or not may_pass(error)):
            raise error

    def _pause(self, again: bool) -> None:
        """Wait before the next poll: longer, the longer nothing was new."""
        self._seconds = min(self._seconds * 1.2, LONGEST_PAUSE) if again else FIRST_PAUSE
        self._closed.wait(self._seconds)


def opened(
    client: Logs, cluster: Callable[[], Cluster | None], run_id: str, task_id: str, wanted: Wanted
) -> TaskLog:
    """Open the log of a task, if KFP returns its run, with the namespace, to this identity.

    Raises a `KfpError` with the reason if there is no log.
    """
    if wanted.tail is not None and wanted.tail < 1:
        raise BadRequest(f"Cannot show the last {wanted.tail} lines: the number must be 1 or more.")
    local = client.health().local
    seen = _recent(client, run_id) if wanted.recent and not wanted.follow else None
    with attempting(f"read the log of task {task_id}"):
        run = seen.run if seen else client.run_as_told(run_id)
    task = _task(client, run, task_id)
    pods = seen.pods if seen else None
    if pods is None and not local:
        pods = _pods(client, cluster(), run, task, wanted)
    if wanted.recent:
        client.seen_runs[run_id] = Seen(seen.time if seen else time.monotonic(), run, pods)
    if pods is None:
        return LocalLog(client, task, wanted)
    return PodLog(client, pods, run, task, wanted)


class Seen(NamedTuple):
    """A run as it was at a time on the monotonic clock, with its pods if they have been listed; a
    local KFP has none.
    """

    time: float
    run: Run
    pods: TaskPods | None


def _recent(client: Logs, run_id: str) -> Seen | None:
    since = time.monotonic() - RECENT_SECONDS
    for known in [known for known, seen in client.seen_runs.items() if seen.time < since]:
        client.seen_runs.pop(known, None)
    told = client.last_told
    is_told = told is not None and told.run.run_id == run_id and told.time >= since
    return client.seen_runs.get(run_id) or (told if is_told else None)


def _pods(client: Logs, cluster: Cluster | None, run: Run, task: Task, wanted: Wanted) -> TaskPods:
    namespace = client.namespace_of_experiment(run.experiment_id)
    if cluster is None:
        raise _no_cluster(task, namespace)
    namespace = namespace or client.namespace or SINGLE_USER_NAMESPACE
    return TaskPods(cluster, namespace, run.run_id, keeps=wanted.recent)


class DoorLog(TaskLog):
    """The log that a Jupyter server's door reads; `open` requests the lines after a cursor.

    A followed log arrives as events, with keep-alives, and with cursors for resuming it after an
    interruption.
    """

    def __init__(self, open: Callable[[str], LineStream]) -> None:
        super().__init__("the Jupyter server")
        self._open = open
        self._begun = False
        self._opened(open(""))

    def pieces(self) -> Iterator[bytes]:
        assert self._lines
        return self._followed() if self._lines.are_events else self._lines.pieces()

    def _followed(self) -> Iterator[bytes]:
        while not self._closed.is_set():
            before = self.cursor
            try:
                for event in self._events():
                    if event.name == "end":
                        return
                    if event.name == "lines":
                        self.cursor = event.id
                        yield base64.b64decode(event.data)
            except KfpError as error:
                self._bear(error)
            self._pause(again=self.cursor == before)

    def _events(self) -> Iterator[ServerSentEvent]:
        lines = None if self._begun else self._lines
        self._begun = True
        with closing((lines or self._opened(self._open(self.cursor))).pieces()) as pieces:
            for event in events_in(pieces, ServerSentEvent):
                self._failing_since = 0.0
                yield event


class LocalLog(TaskLog):
    """The log file of the local KFP, whose new lines are read while it grows."""

    def __init__(self, client: Logs, task: Task, wanted: Wanted) -> None:
        super().__init__("the local KFP")
        self._client, self._task, self._wanted = client, task, wanted
        self._seen = _number(wanted.after)
        if wanted.container:
            raise BadRequest("The local KFP has no containers: a task has one log.")
        if not wanted.follow:
            self._open(task)

    def pieces(self) -> Iterator[bytes]:
        if not self._wanted.follow:
            assert self._lines
            return last(self._lines.pieces(), self._wanted.tail)
        return self._followed()

    def _followed(self) -> Iterator[bytes]:
        while not self._closed.is_set():
            before, tail = self._seen, None if self._seen else self._wanted.tail
            try:
                # The state is read first: if the task has ended by then, its file is complete.
                _, task = _now(self._client, self._task)
                yield from last(self._new(task), tail)
                self._failing_since = 0.0
                if task.finished:
                    return
            except KfpError as error:
                self._seen = self._seen if tail is None else before
                self._bear(error)
            self._pause(again=self._seen == before)

    def _new(self, task: Task) -> Iterator[bytes]:
        """Return the new lines; the last one is held back until it is complete."""
        # From the last byte that was read: if that still exists, it is the same log.
        start = max(self._seen - 1, 0)
        try:
            lines = self._open(task, start)
        except NotFound:
            if task.finished:
                raise
            return
        if not lines.partial:
            start = self._seen = 0
        skipped = self._seen - start
        for piece in lines.pieces():
            new, skipped = piece[skipped:], 0
            whole = piece.endswith(b"\n") or len(piece) > LONGEST_LINE
            if new and (task.finished or whole):
                self._seen += len(new)
                self.cursor = str(self._seen)
                yield new

    def _open(self, task: Task, start: int = 0) -> LineStream:
        try:
            return self._opened(self._client.local_log(task.run_id, task.task_id, start))
        except NotFound as error:
            raise NotFound(
                f"Task {task.display_name} has no log: {_why_none(task)}.",
                server_text=error.server_text,
            ) from None


class LogPosition(msgspec.Struct, frozen=True):
    """The place up to which the log of a pod was read.

    It is the time of the last line, as Kubernetes writes it, and the number of lines with that
    time. If only the last lines were requested, counting begins at `UNCOUNTED`, as earlier lines
    may have the same time.
    """

    pod: str = ""
    moment: bytes = b""
    count: int = 0

    def __str__(self) -> str:
        return f"{self.pod}/{self.moment.decode()}/{self.count}" if self.count else ""

    @classmethod
    def of(cls, cursor: str) -> LogPosition:
        """Parse a cursor. Raises `BadRequest` for an invalid one."""
        pod, *rest = cursor.split("/")
        moment = rest[0].encode() if len(rest) == 2 else b""
        if not cursor:
            return cls()
        if not _MOMENT.fullmatch(moment):
            raise BadRequest(f"after={cursor} is not a place in this log.")
        return cls(pod, moment, _number(rest[1]))

    @property
    def since(self) -> datetime | None:
        """The time of the mark in whole seconds, as Kubernetes accepts no fractions here."""
        return _time(self.moment)[0] if self.count else None

    def after(self, moment: bytes) -> LogPosition:
        """Return the mark one line later; a line without a time belongs to the one before."""
        if moment == self.moment:
            return LogPosition(self.pod, moment, self.count + 1)
        return LogPosition(self.pod, moment, 1) if _MOMENT.fullmatch(moment) else self

    def begun_amidst(self) -> LogPosition:
        """Return the mark for the first of the last lines; earlier lines may have the same time."""
        return LogPosition(self.pod, self.moment, UNCOUNTED) if self.count else self

    def is_new_after(self, old: LogPosition) -> bool:
        if self.moment == old.moment:
            return self.count > old.count
        return bool(self.count) and _time(self.moment) > _time(old.moment)


class PodLog(TaskLog):
    """The log of the pod that executes a task; with `follow` of each further attempt's pod, too."""

    def __init__(self, client: Logs, pods: TaskPods, run: Run, task: Task, wanted: Wanted) -> None:
        super().__init__(f"the pods of the run in {pods.namespace}")
        self._client, self._pods, self._wanted = client, pods, wanted
        self._run, self._task = run, task
        self._mark = LogPosition.of(wanted.after)
        self._tail = None if self._mark.pod else wanted.tail
        self._pod = self._find()
        self._quiet_since = 0.0
        self._so_far = iter(()) if wanted.follow else self._read()

    def pieces(self) -> Iterator[bytes]:
        return self._followed() if self._wanted.follow else self._so_far

    def _read(self) -> Iterator[bytes]:
        pod = self._pod
        if pod is None:
            return self._archived()
        if not has_begun(pod, self._wanted.container):
            raise NotFound(
                f"Task {self._task.display_name} has no log yet: its pod {pod.name} in "
                f"{self._pods.namespace} has not started.",
                cause=self._pods.waiting(pod),
                cure="--follow (follow=1) waits for it.",
            )
        try:
            return self._of(pod).pieces()
        except NotFound as error:  # it was evicted, or has been deleted just now
            return self._archived(error)

    def _of(self, pod: Pod) -> LineStream:
        wanted = self._wanted
        since = self._mark.since if self._mark.pod == pod.name else None
        lines = self._pods.log(pod, wanted.container, wanted.follow, self._tail, since)
        container = container_of(pod, wanted.container)
        self.source = f"container {container} of pod {pod.name} in {self._pods.namespace}"
        return self._opened(lines)

    def _followed(self) -> Iterator[bytes]:
        read = said = ""
        while not self._closed.is_set():
            pod, container = self._pod, self._wanted.container
            if pod and pod.name != read and has_begun(pod, container):
                yield from self._once(pod)
                read, self._quiet_since = pod.name, time.monotonic()
            elif self._is_over(pod, read):
                yield from self._rest(pod, read)
                return
            elif pod and pod.name == read and exit_code(pod, container) is None:
                self._pause(again=True)
                yield from self._once(pod)
            elif pod and pod.name != read and (why := self._pods.waiting(pod)) != said:
                said = why
                yield f"[{pod.name} has not started yet. {why}]\n".encode()
            else:
                self._pause(again=True)
            self._look_again()

    def _once(self, pod: Pod) -> Iterator[bytes]:
        """Yield lines until Kubernetes ends the log or the connection breaks; it can be resumed."""
        began, before = time.monotonic(), self._mark
        try:
            yield from self._unread(pod, self._of(pod).pieces())
        except KfpError as error:
            self._bear(error)
        now = time.monotonic()
        if self._mark != before or now - began > SETTLE_SECONDS:
            self._quiet_since = now

    def _rest(self, pod: Pod | None, read: str) -> Iterator[bytes]:
        """Yield the rest of a log that has ended, as it may not have been read to its end."""
        if pod and read:
            with suppress(NotFound):  # it is deleted already
                yield from self._unread(pod, self._of(pod).pieces())
        elif not read and not self._mark.pod:
            yield from self._read()

    def _unread(self, pod: Pod, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines after the mark, without their times, and move the mark along."""
        old = self._mark if self._mark.pod == pod.name else None
        mark, is_first = LogPosition(pod.name), self._tail is not None
        for piece in pieces:
            new = []
            for line in split(piece):
                moment, _, text = line.partition(b" ")
                mark = mark.after(moment).begun_amidst() if is_first else mark.after(moment)
                is_first = is_first and not mark.count
                if old and mark.is_new_after(old):
                    old = None
                if not old:
                    new.append(text if mark.moment == moment else line)
            if new:
                self._tail = None  # it was for the beginning
                self._mark, self.cursor = mark, str(mark)
                yield b"".join(new)

    def _look_again(self) -> None:
        if self._closed.is_set():
            return
        try:
            self._run, self._task = _now(self._client, self._task)
            self._pod = self._find()
            self._failing_since = 0.0
        except KfpError as error:
            self._bear(error)

    def _find(self) -> Pod | None:
        names = [task.display_name for task in self._run.tasks]
        return self._pods.find(self._task, names.count(self._task.display_name))

    def _is_over(self, pod: Pod | None, read: str) -> bool:
        """Tell whether the log is complete, and no other attempt will follow."""
        if pod is None or pod.name != read:
            return self._task.finished or self._run.finished
        code = exit_code(pod, self._wanted.container)
        if code is None and time.monotonic() > self._quiet_since + SETTLE_SECONDS:
            raise Unreachable(
                f"The log of pod {pod.name} in {self._pods.namespace} broke off.",
                cause="Kubernetes ended it, but the container is still running.",
                cure="Read it again.",
            )
        return code == 0 or (code is not None and (self._task.finished or self._run.finished))

    def _archived(self, lost: NotFound | None = None) -> Iterator[bytes]:
        """Return the log that KFP has archived. Raises `NotFound` with all reasons for none.

        `lost` is the reason why the pod has no log, if there is a pod.
        """
        task = self._task
        if not (task.finished or self._run.finished):
            raise NotFound(
                f"Task {task.display_name} has no log yet: it has no pod in "
                f"{self._pods.namespace} yet.",
                cure="--follow (follow=1) waits for it.",
            )
        part = self._archived_part()
        try:
            text = self._from_archive(part) if part else b""
        except KfpError as error:
            raise self._nowhere(lost, _archive_refused(error), error.server_text) from None
        if not part:
            raise self._nowhere(lost, "KFP does not say under which name it was archived.")
        self.source = "KFP's archive"
        return last([text], self._tail)

    def _archived_part(self) -> str:
        """The id of the part that wrote the log, empty if it is unknown.

        That is the last attempt of a task with retries: Argo tells of its log alone if it failed.
        Source: `processNodeRetries` in Argo's `operator.go`.
        """
        parts = [self._task.pod_name, *(child.pod_name for child in self._task.child_tasks)]
        part = next(filter(None, parts), "")
        known = {child.pod_name for task in self._run.tasks for child in task.child_tasks}
        attempts = (attempt_of(part, number) for number in count())
        return next(iter(deque(takewhile(known.__contains__, attempts), maxlen=1)), part)

    def _from_archive(self, part: str) -> bytes:
        lines = self._opened(self._client.archived_log(self._task.run_id, part))
        answer = bytearray()
        for piece in lines.pieces():
            answer += piece
            if len(answer) > LONGEST_ARCHIVED * 4 // 3:
                raise BadRequest(f"it is longer than {LONGEST_ARCHIVED >> 20} MB")
        return _unpacked(bytes(answer))

    def _nowhere(self, lost: NotFound | None, archive: str, server_text: str = "") -> NotFound:
        name, namespace = self._task.display_name, self._pods.namespace
        gone = f"Task {name} has no log: it no longer has a pod in {namespace}."
        why = "Its pod was deleted, or it had none because its results came from the cache."
        return NotFound(
            lost.message if lost else gone,
            cause=f"{lost.cause if lost else why} The archive: {archive}".lstrip(),
            cure="The page of the run in Kubeflow's dashboard shows what was archived.",
            server_text=server_text,
        )


def last(pieces: Iterable[bytes], count: int | None) -> Iterator[bytes]:
    """Yield the last lines; all of them without a number."""
    if count is None:
        yield from pieces
        return
    lines: deque[bytes] = deque()
    length = 0
    for line in (line for piece in pieces for line in split(piece)):
        lines.append(line)
        length += len(line)
        while len(lines) > count or length > LONGEST_KEPT:
            length -= len(lines.popleft())
    yield b"".join(lines)


def ending(pieces: Iterable[bytes]) -> bytes:
    """Join all lines; beyond `LONGEST_KEPT` bytes only the last ones, after a line that says so."""
    kept: deque[bytes] = deque()
    length = dropped = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        while length > LONGEST_KEPT:
            dropped += len(kept[0])
            length -= len(kept.popleft())
    if dropped:
        kept.appendleft(f"[{dropped:,} bytes before these are left out.]\n".encode())
    return b"".join(kept)


def _unpacked(answer: bytes) -> bytes:
    """The log in an artifact, which Argo may have compressed."""
    try:
        text = base64.b64decode(msgspec.json.decode(answer, type=dict[str, str]).get("data", ""))
        if not text.startswith(b"\x1f\x8b"):
            return text
        with gzip.open(io.BytesIO(text)) as packed:
            return _first_file(_read(packed))
    except (msgspec.DecodeError, ValueError, OSError, EOFError, zlib.error, tarfile.TarError):
        raise Unreachable("KFP's answer is not a log") from None


def _first_file(text: bytes) -> bytes:
    if not tarfile.is_tarfile(io.BytesIO(text)):
        return text
    with tarfile.open(fileobj=io.BytesIO(text)) as archive:
        files = (archive.extractfile(member) for member in archive if member.isfile())
        file = next(files, None)
        return _read(file) if file else b""


def _read(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """Read a file up to a limit, as a compressed or sparse one may be very long."""
    text = file.read(LONGEST_ARCHIVED + 1)
    if len(text) > LONGEST_ARCHIVED:
        raise BadRequest(f"it is longer than {LONGEST_ARCHIVED >> 20} MB")
    return text


def _archive_refused(error: KfpError) -> str:
    if "no user identity header" in error.server_text:
        return "since 2.15, a KFP for several users refuses it to everyone."
    if isinstance(error, NotFound):
        return "it has no such log."
    return error.message


def _task(client: Logs, run: Run, task_id: str) -> Task:
    """The pipeline's task with that id, else the node of the workflow. Raises `NotFound`."""
    written = client.as_written(run).tasks
    found = next((task for task in [*written, *run.tasks] if task.task_id == task_id), None)
    if found is None:
        raise NotFound(f"Cannot read the log of task {task_id}: run {run.run_id} has no such task.")
    parts = {child.pod_name for child in found.child_tasks}
    if not found.display_name.endswith("-driver"):
        found = next((task for task in written if task.pod_name in parts), found)
    return msgspec.structs.replace(found, run_id=run.run_id)


def _now(client: Logs, task: Task) -> tuple[Run, Task]:
    with attempting(f"follow the log of task {task.display_name}"):
        run = client.run_as_told(task.run_id)
    return run, _task(client, run, task.task_id)


def _number(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(f"after={text} is not a place in this log.")
    return int(text or 0)


def _time(moment: bytes) -> tuple[datetime, str]:
    """Split a time into its second and the digits of the fraction."""
    second, fraction, zone = _MOMENT.fullmatch(moment).groups()  # type: ignore[union-attr]
    written = f"{second.decode()}{zone.decode().replace('Z', '+00:00')}"
    return datetime.fromisoformat(written), (fraction or b"").decode().ljust(9, "0")


def _why_none(task: Task) -> str:
    reasons = {"PENDING": "it has not started yet", "SKIPPED": "it was skipped"}
    return reasons.get(task.state, "none was stored")


def _no_cluster(task: Task, namespace: str) -> Misconfigured:
    where = f" in namespace {namespace}" if namespace else ""
    return Misconfigured(
        f"Cannot read the log of task {task.display_name}: no Kubernetes API is configured.",
        cause=f"The log is that of a pod{where}. It is not requested from KFP itself, which "
        "would give the log of any run to anybody.",
        cure="Set c.Kfp.kubeconfig or KFP_MT_KUBECONFIG to the cluster's kubeconfig.",
    )
