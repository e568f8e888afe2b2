"""Five real Jupyter servers among ninety-five that are simulated, on one KFP and in real time.

The KFP is played, and reviews five requests a second: those of the real servers, which it receives,
and those of the others, as `crowd` simulates them. Real and simulated ones must ask as often.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from fakes.guarded_kfp import Answer, Request
from fakes.listed_kfp import ListedKfp

from jupyter_kfp_mt.models import Run

from .crowd import CHANGE_SECONDS, READ_SECONDS, SERVERS, Played, server, tenant
from .door import Door
from .events import Listener
from .figures import Figure

REAL = 5
WARM_MINUTES, MINUTES = 2.0, float(os.environ.get("BENCH_MINUTES", "3"))
GOING_ON = 20


class RealTime(Played):
    """Simulated servers that ask when they would, while real ones ask the same KFP."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, WARM_MINUTES, MINUTES)
        self._asking = threading.Lock()
        self._begun = time.monotonic()

    @property
    def clock(self) -> float:
        return time.monotonic() - self._begun

    def request(self) -> float:
        return self.clock + self.wait() + self.list_seconds()

    def wait(self) -> float:
        """Take one request's reviews; return the seconds until they are available."""
        with self._asking:
            return self._allowance.reserve()

    def sleep_until(self, moment: float) -> None:
        time.sleep(max(0.0, moment - self.clock))
        self.now = self.clock


class ReviewingKfp(ListedKfp):
    """Waits for the reviews of all, and counts each real server's requests."""

    def __init__(self) -> None:
        self.played: RealTime | None = None
        self.counts: Counter[str] = Counter()
        self.moments: dict[str, list[float]] = {}
        super().__init__()
        for number in range(GOING_ON):
            self.moments[self.add(number)] = []

    def answer(self, request: Request) -> Answer:
        played = self.played
        if played is None or request.path.endswith("/healthz"):
            return self._own(request)
        if played.is_counted:
            self.counts[request.headers["Authorization"]] += 1
        time.sleep(played.wait() + played.list_seconds() - READ_SECONDS)
        answer = self._own(request)
        time.sleep(READ_SECONDS)
        return answer

    def change(self, chosen: int) -> None:
        """Let something of one run change: its name is the number of the change."""
        run_id = list(self.runs)[chosen]
        moments = self.moments[run_id]
        moments.append(time.monotonic())
        self.runs[run_id] = {**self.runs[run_id], "display_name": str(len(moments))}

    def _own(self, request: Request) -> Answer:
        answer: Answer = super().answer(request)
        return answer


class TimedListener(Listener):
    """A panel that is open: when it hears of each change."""

    def __init__(self, door: Door, kfp: ReviewingKfp) -> None:
        self.delays: list[tuple[float, float]] = []
        self._kfp = kfp
        self._seen: Counter[str] = Counter()
        super().__init__(door)

    def hear(self, run: Run, now: float) -> None:
        number = int(run.display_name) if run.display_name.isdecimal() else 0
        new = self._kfp.moments[run.run_id][self._seen[run.run_id] : number]
        self._seen[run.run_id] = number
        self.delays += [(now, now - moment) for moment in new]


def figures(seed: int, alone: Played) -> Iterator[Figure]:
    """Compare with `alone`, in which nobody else asks."""
    with (
        TemporaryDirectory(prefix="kfp-mt-bench-") as folder,
        ExitStack() as closed,
        closing(ReviewingKfp()) as kfp,
    ):
        doors = [closed.enter_context(_door(kfp, Path(folder, str(n)))) for n in range(REAL)]
        kfp.played = played = RealTime(seed)
        for _ in range(SERVERS - REAL):
            played.add(server(played, told=False))
        played.add(tenant(played))
        played.add(_changes(played, kfp))
        listeners = [TimedListener(door, kfp) for door in doors]
        played.play()
        yield from _compared(played, kfp, listeners)
        for listener in listeners:
            listener.leave()
    over = statistics.mean(played.lists) / statistics.mean(alone.lists)
    yield Figure(f"{_WHO}: another's list over one without them, mean", over, 1.2)


_WHO = f"{REAL} real servers among {SERVERS - REAL} simulated ones"


def _compared(
    played: RealTime, kfp: ReviewingKfp, listeners: list[TimedListener]
) -> Iterator[Figure]:
    real = sum(kfp.counts.values()) / REAL / MINUTES
    simulated = played.asked / (SERVERS - REAL) / MINUTES
    yield Figure(f"{_WHO}: requests a minute of a real one", real)
    yield Figure(f"{_WHO}: the same, over a simulated one", real / simulated, 1.25)
    since = time.monotonic() - MINUTES * 60
    delays = [delay for each in listeners for heard, delay in each.delays if heard > since]
    yield Figure(f"{_WHO}: a change is seen by a real one, median s", statistics.median(delays))
    simulated = statistics.median(played.delays)
    yield Figure(f"{_WHO}: a change is seen by a simulated one, median s", simulated)


def _changes(played: RealTime, kfp: ReviewingKfp) -> Iterator[float]:
    while True:
        yield played.now + played.random.expovariate(1 / CHANGE_SECONDS)
        kfp.change(played.random.randrange(GOING_ON))


def _door(kfp: ReviewingKfp, folder: Path) -> Door:
    folder.mkdir()
    token = f"Bearer bench-{folder.name}"
    return Door(SimpleNamespace(host=kfp.host, headers={"Authorization": token}), folder)  # type: ignore[arg-type]
