"""Live events of a namespace, which a kernel reads from the Jupyter server's door.

A stream begins with a `snapshot` of everything; further events have what has `changed` or was
`removed`. An `error` says why nothing is known at the moment, and `back` that the error is over.
After a `reset`, from another door or another KFP, earlier events no longer count.
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
    """The content of a snapshot, or the changes since.

    Runs and recurring runs come without their specification and parameters, which never change;
    tasks are those of the runs that the listener named.
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
    """The reason why nothing is known about the namespace, or only about the run `run_id`."""

    run_id: str = ""


class LiveEvent(ServerSentEvent, frozen=True):
    """One event of the Jupyter server's door, and the values that it carries."""

    def changes(self) -> Changes:
        """Return the values of a `snapshot` or `changed` event."""
        return msgspec.json.decode(self.data, type=Changes)

    def removed(self) -> Removed:
        """Return the ids of a `removed` event."""
        return msgspec.json.decode(self.data, type=Removed)

    def failure(self) -> EventFailure:
        """Return the reason of an `error` event."""
        return msgspec.json.decode(self.data, type=EventFailure)


class Stream:
    """The events of a namespace, and of the tasks of some runs; resumed after an interruption."""

    def __init__(self, door: Door, namespace: str, runs: Iterable[str] = ()) -> None:
        self._door = door
        self._query = {"namespace": namespace, "run": [*runs]}
        self._last = ""
        self._closed = threading.Event()
        self._answer: requests.Response | None = None

    def close(self) -> None:
        """End the stream, even while another thread waits for an event."""
        self._closed.set()
        if self._answer is not None:
            bodies.shut(self._answer.raw)

    def __iter__(self) -> Iterator[LiveEvent]:
        """Yield events until the stream is closed, with a new request whenever one ends.

        Raises `Unreachable` if the door has not answered for `PATIENCE_SECONDS`, and immediately
        the `KfpError` of a refusal.
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
                cure = "If it has stopped or was restarted, restart this kernel."
                found = no_answer(self._door.address, error, cure, _WAITED)
                raise found.with_(attempt=_LISTENING) from None


def watch(door: Door, run: Run, namespace: str) -> Iterator[Run]:
    """Yield a run that was just started, each time that it has changed, until it has finished.

    Raises a `KfpError`; if that may pass, only after it has lasted for `PATIENCE_SECONDS`.
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
    """Return the run with the changes, which leave out its specification and parameters."""
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
    """The events in a `text/event-stream` that arrives in pieces of any length.

    Raises `BodyTooLong` for an event without an end.
    """
    return events_in(pieces, LiveEvent)
