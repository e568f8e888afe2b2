"""Live events of a namespace: what the Jupyter server's door sends, and how a kernel listens.

A listener gets everything once (`snapshot`), then what has `changed` and what was `removed`. An
`error` says why nothing is known at the moment, and `back` that the error is over. A `reset` means
that the door or its KFP is another one: earlier events no longer count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing

import msgspec
import requests
from urllib3.exceptions import HTTPError

from .. import intervals, refusal_causes
from ..errors import KfpError, Unreachable, may_pass
from ..models import Experiment, RecurringRun, Run, RunDetails, Task, Value
from ..network import bodies
from ..network.no_answer_errors import no_answer
from ..network.server_sent_events import ServerSentEvent, events_in
from ..scrubbing import scrubbed
from .door_client import Door
from .status import Problem

SHORTEST_PAUSE, LONGEST_PAUSE = intervals.RECONNECT_SECONDS
_LISTENING = "listen to the Jupyter server"
_WAITED = (intervals.CONNECT_SECONDS, intervals.SILENCE_SECONDS)


class Changes(Value, frozen=True):
    """The content of a snapshot, or the news since.

    Runs and recurring runs come without what never changes of them, the specification and the
    parameters; tasks are those of the runs that were asked for.
    """

    runs: list[Run] = []
    recurring_runs: list[RecurringRun] = []
    experiments: list[Experiment] = []
    tasks: list[Task] = []
    total_runs: int | None = None  # None: as many as before


class Removed(Value, frozen=True):
    """The ids of what was deleted."""

    runs: list[str] = []
    recurring_runs: list[str] = []
    experiments: list[str] = []


class EventFailure(Problem, frozen=True):
    """The reason why nothing is known: of the namespace, or only of a run that was asked for."""

    run_id: str = ""


class LiveEvent(ServerSentEvent, frozen=True):
    """One event of the Jupyter server's door, and the values that it carries."""

    def changes(self) -> Changes:
        """Of a `snapshot` or `changed`."""
        return msgspec.json.decode(self.data, type=Changes)

    def removed(self) -> Removed:
        """Of a `removed`."""
        return msgspec.json.decode(self.data, type=Removed)

    def failure(self) -> EventFailure:
        """Of an `error`."""
        return msgspec.json.decode(self.data, type=EventFailure)


class Stream:
    """The events of a namespace, and of the tasks of some runs; resumed where it broke off."""

    def __init__(self, door: Door, namespace: str, runs: Iterable[str] = ()) -> None:
        self._door = door
        self._query = {"namespace": namespace, "run": [*runs]}
        self._last = ""
        self._closed = threading.Event()
        self._answer: requests.Response | None = None

    def close(self) -> None:
        """End it, even while another thread waits for an event."""
        self._closed.set()
        if self._answer is not None:
            bodies.shut(self._answer.raw)

    def __iter__(self) -> Iterator[LiveEvent]:
        """Yield events until it is closed: when a stream ends, the next one is opened.

        Raises the `Unreachable` of a door that gives no answer for `PATIENCE_SECONDS`, and at once
        the `KfpError` of one that refuses.
        """
        pause, failing_since = SHORTEST_PAUSE, 0.0
        while not self._closed.is_set():
            try:
                for event in self._once():
                    pause, failing_since = SHORTEST_PAUSE, 0.0
                    yield event
            except Unreachable:
                failing_since = failing_since or time.monotonic()
                lasted = time.monotonic() - failing_since > intervals.PATIENCE_SECONDS
                if lasted and not self._closed.is_set():
                    raise
            self._closed.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self) -> Iterator[LiveEvent]:
        headers = {"Accept-Encoding": "identity"}
        if self._last:
            headers["Last-Event-ID"] = self._last
        with self._door.session() as session:
            try:
                answer = self._door.get(
                    session,
                    "events",
                    params=self._query,
                    headers=headers,
                    stream=True,
                    timeout=_WAITED,
                )
                self._answer = answer
                with closing(answer):
                    if answer.status_code != 200:
                        body = bodies.beginning(answer.raw, intervals.READ_SECONDS)
                        error = refusal_causes.refusal(answer.status_code, scrubbed(answer, body))
                        raise error.with_(attempt=_LISTENING)
                    for event in parsed(bodies.pieces(answer.raw)):
                        self._last = event.id or self._last
                        yield event
            except (OSError, HTTPError) as error:
                cure = "Has it stopped, or been started anew? Then restart this kernel."
                found = no_answer(self._door.address, error, cure, _WAITED)
                raise found.with_(attempt=_LISTENING) from None


def watch(door: Door, run: Run, namespace: str) -> Iterator[Run]:
    """A run that was just started, each time that something of it is new, until it has finished.

    Raises the `KfpError` that stands in the way; one that may pass once it has lasted for
    `PATIENCE_SECONDS`.
    """
    failed: KfpError | None = None
    since = 0.0
    for event in Stream(door, namespace, [run.run_id]):
        if event.name == "error":
            failed, since = event.failure().to_error(), time.monotonic()
        elif event.name in ("snapshot", "back"):
            failed = None
        if failed and not _may_pass(failed, since):
            raise failed
        if event.name in ("snapshot", "changed"):
            run, before = _updated(run, event.changes()), run
            if run != before or event.name == "snapshot":
                yield run
            if run.finished:
                return


def _may_pass(error: KfpError, since: float) -> bool:
    return may_pass(error) and time.monotonic() - since < intervals.PATIENCE_SECONDS


def _updated(run: Run, changes: Changes) -> Run:
    """Return the run with the changes; its specification and parameters stay."""
    for found in changes.runs:
        if found.run_id == run.run_id:
            kept = {name: getattr(run, name) for name in ("pipeline_spec", "runtime_config")}
            run = msgspec.structs.replace(found, run_details=run.run_details, **kept)
    new = {task.task_id: task for task in changes.tasks if task.run_id == run.run_id}
    if not new:
        return run
    tasks = {task.task_id: task for task in run.tasks} | new
    return msgspec.structs.replace(run, run_details=RunDetails(task_details=[*tasks.values()]))


def parsed(pieces: Iterable[bytes]) -> Iterator[LiveEvent]:
    """The events in a `text/event-stream`, however it is cut.

    Raises `BodyTooLong` for one that has no end.
    """
    return events_in(pieces, LiveEvent)
