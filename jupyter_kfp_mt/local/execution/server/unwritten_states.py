"""Changes of runs, written down in the order in which it happens, as soon as that is possible."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ...machine.disk_faults import why
from ..run_request import RunReport

# After how long it is tried again to write; the last one stays.
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)

logger = logging.getLogger(__name__)


class UnwrittenStates:
    """Has each report written. What the disk does not take now is kept, and written later.

    It lives on the event loop.
    """

    def __init__(
        self, write: Callable[[str, RunReport], None], caught_up: Callable[[], None]
    ) -> None:
        self._write = write
        # Called when all has been written that could not be for a while.
        self._caught_up = caught_up
        self._reports: deque[tuple[str, RunReport]] = deque()
        self._failures = 0
        self._retry: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> bool:
        return bool(self._reports)

    def put(self, run_id: str, report: RunReport) -> None:
        """Raises whatever keeps it from being written, unless it is the disk."""
        if self._retry:
            self._reports.append((run_id, report))
        elif reason := self._why_not_now(run_id, report):
            logger.error("What runs report cannot be written down: %s. It is tried again", reason)
            self._reports.append((run_id, report))
            self._wait()

    def catch_up(self) -> None:
        """Tries now to write what is kept."""
        if self._retry:
            self._retry.cancel()
            self._retry = None
            self._write_down()
            if not self._reports:
                logger.info("What runs report can be written down again")
                self._failures = 0
                self._caught_up()

    def close(self) -> None:
        """Gives up what cannot be written: the next start settles the runs that it is about."""
        self.catch_up()
        if self._retry:
            self._retry.cancel()
            logger.error("%d reports of runs were not written down", len(self._reports))

    def _write_down(self) -> None:
        while self._reports:
            run_id, report = self._reports[0]
            try:
                if self._why_not_now(run_id, report):
                    self._wait()
                    return
            except Exception as error:  # Whoever put it is gone, and the others wait behind it.
                logger.error("run %s: a report cannot be written down", run_id, exc_info=error)
            self._reports.popleft()

    def _why_not_now(self, run_id: str, report: RunReport) -> str:
        """Writes it, or tells what is wrong with the disk."""
        try:
            self._write(run_id, report)
        except Exception as error:
            if reason := why(error):
                return reason
            raise
        return ""

    def _wait(self) -> None:
        seconds = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        self._retry = asyncio.get_running_loop().call_later(seconds, self.catch_up)
