"""Searches with time limits: short ones on the event loop, others for seconds in a thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from ..wire.api_errors import invalid_input
from .list_queries import PAGE_LIMIT, PageLimit, PageTooLong
from .schema import opened_for_reading

# A shorter search ends before a thread could be started.
MOMENT = 0.02
LONGEST = 3.0
# How many long ones run at once; others wait.
_THREADS = 4
# The clock is checked after this many steps of SQLite's machine, which take microseconds.
_STEPS = 2000

# Longer texts are never searched on the event loop.
_ON_THE_SPOT = PageLimit(most_bytes=1 << 20, ends=False)

V = TypeVar("V")
R = TypeVar("R")
Search = Callable[[V, PageLimit], R]


class Searches(Generic[V]):
    """Searches in the database; `view` makes its parts from a connection."""

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        view: Callable[[sqlite3.Connection], V],
        longest: float = LONGEST,
    ):
        self._longest = longest
        self._db = db
        self._on_the_spot = view(db)
        self._path = path
        self._view = view
        self._threads = ThreadPoolExecutor(_THREADS, "searches", initializer=self._open)
        # Large pages are found quickly but take much memory: one at a time.
        self._large = ThreadPoolExecutor(1, "large-pages", initializer=self._open)
        self._own = threading.local()
        self._opened: list[sqlite3.Connection] = []

    async def found(self, search: Search[V, R], *, may_be_long: bool) -> R:
        """Return the result of a search. Raises ApiError if it takes too long."""
        threads = self._threads
        if not may_be_long:
            try:
                with _interrupted(self._db, MOMENT):
                    return search(self._on_the_spot, _ON_THE_SPOT)
            except TimeoutError:
                pass
            except PageTooLong:
                threads = self._large
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._patiently, search)

    def close(self) -> None:
        for db in self._opened:
            db.interrupt()
        for threads in (self._threads, self._large):
            threads.shutdown(cancel_futures=True)
        for db in self._opened:
            db.close()

    def _open(self) -> None:
        self._own.db = opened_for_reading(self._path)
        self._opened.append(self._own.db)
        self._own.view = self._view(self._own.db)

    def _patiently(self, search: Search[V, R]) -> R:
        try:
            with _interrupted(self._own.db, self._longest):
                return search(self._own.view, PAGE_LIMIT)
        except TimeoutError:
            raise invalid_input(
                f"The search takes longer than {self._longest:g} s. Narrow it: to an experiment, "
                "to a state, to times, or to a name without IS_SUBSTRING."
            ) from None


@contextmanager
def _interrupted(db: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Raise TimeoutError after SQLite has taken this long."""
    deadline = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error) and time.monotonic() > deadline:
            raise TimeoutError from error
        raise
    finally:
        db.set_progress_handler(None, 0)
