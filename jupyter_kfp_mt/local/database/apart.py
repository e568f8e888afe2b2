"""Reads and writes large values in a thread of their own, with its own connection.

There they delay only other large values, which are read and written one at a time.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from .schema import opened_again

V = TypeVar("V")
T = TypeVar("T")


class Apart(Generic[V]):
    """Works on a database that is already open; `view` makes its parts from a connection."""

    def __init__(self, path: Path, view: Callable[[sqlite3.Connection], V]):
        self._path = path
        self._view = view
        self._thread = ThreadPoolExecutor(1, "large-specifications", initializer=self._open)
        self._db: sqlite3.Connection | None = None

    async def done(self, work: Callable[[V], T]) -> T:
        """Return the result of the work, which makes its own transaction for a change."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._parts))

    async def bring_in(self) -> bool:
        """Bring what is in the write-ahead log into the database's file, as far as that goes.

        Return whether it was all of it; what others are reading at the moment has to wait.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._bring_in)

    def _bring_in(self) -> bool:
        assert self._db
        row = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        _blocked, written, brought_in = row
        return bool(written == brought_in)

    @property
    def changes(self) -> int:
        """The number of changes on its own connection."""
        return self._db.total_changes if self._db else 0

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        if self._db:
            self._db.close()

    def _open(self) -> None:
        self._db = opened_again(self._path)
        self._parts = self._view(self._db)
