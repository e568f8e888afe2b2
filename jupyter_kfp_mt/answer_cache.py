"""Concurrent lookups: none waits for the slowest, and their answers are remembered."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from traitlets.log import get_logger

from .errors import KfpError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class AnswerCache(Generic[K, T]):
    """The answers that `ask` returns to questions, each kept for `seconds`; errors are not kept.

    A question that has no answer yet is not asked again, however long the answer takes. Every error
    is a `KfpError`, and an error in one answer does not affect the others.
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
        self._answers: dict[K, tuple[float, Future[T]]] = {}
        self._logged: set[str] = set()
        self._closed = False

    def to(self, questions: Iterable[K], patience: float) -> dict[K, Future[T]]:
        """Return the answers that have arrived within `patience` seconds."""
        with self._lock:
            found = {question: self._answer(question) for question in questions}
        wait(found.values(), timeout=patience)
        return found

    def close(self) -> None:
        """Stop: questions that are still queued get an error."""
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False)

    def _answer(self, question: K) -> Future[T]:
        asked_at, answer = self._answers.get(question, (0.0, None))
        if answer is not None:
            is_old = self._clock() - asked_at >= self._seconds
            if not answer.done() or not (is_old or answer.exception()):
                return answer
        if self._closed:
            return _refused()
        answer = self._threads.submit(self._asked, question)
        self._answers[question] = self._clock(), answer
        return answer

    def _asked(self, question: K) -> T:
        if self._closed:
            raise _stopped()
        try:
            return self._ask(question)
        except KfpError:
            raise
        except Exception as error:  # a bug of ours, wherever it is
            kind = type(error).__name__
            # The message is left out, as it may hold a secret. Hundreds of questions may fail
            # alike: one log entry is enough.
            where = "".join(traceback.format_tb(error.__traceback__))
            if where not in self._logged:
                self._logged.add(where)
                get_logger().error("kfp-mt: %s, asked for %r:\n%s", kind, question, where)
            raise KfpError(
                f"There is a bug in jupyter-kfp-mt itself ({kind}).",
                cure="Please report it with the traceback in the Jupyter server's log.",
            ) from None


def _stopped() -> KfpError:
    return KfpError("The Jupyter server is stopping.")


def _refused() -> Future[Any]:
    answer: Future[Any] = Future()
    answer.set_exception(_stopped())
    return answer
