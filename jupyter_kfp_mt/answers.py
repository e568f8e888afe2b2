"""Many questions asked at once: none waits for the slowest, and answers are remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Answers(Generic[K, T]):
    """What `ask` says to each question: the same for `seconds`, unless it raised.

    A question that is being asked is not asked again meanwhile, however long that takes.
    """

    def __init__(
        self,
        ask: Callable[[K], T],
        seconds: float = 0.0,
        threads: int = 16,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, "kfp-mt-answers")
        self._lock = threading.Lock()
        self._asked: dict[K, tuple[float, Future[T]]] = {}

    def to(self, questions: Iterable[K], patience: float) -> dict[K, Future[T]]:
        """The answers, as far as they are there after `patience` seconds."""
        with self._lock:
            found = {question: self._answer(question) for question in questions}
        wait(found.values(), timeout=patience)
        return found

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: K) -> Future[T]:
        asked_at, answer = self._asked.get(question, (0.0, None))
        if answer is not None:
            is_old = self._clock() - asked_at >= self._seconds
            if not answer.done() or not (is_old or answer.exception()):
                return answer
        answer = self._threads.submit(self._ask, question)
        self._asked[question] = self._clock(), answer
        return answer
