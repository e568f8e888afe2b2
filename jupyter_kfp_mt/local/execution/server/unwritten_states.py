"""Changes of runs, recorded in order, and as soon as the disk allows it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ...machine.disk_faults import why
from ..run_request import RunReport

# The delays between attempts to write; the last one is repeated.
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)

logger = logging.getLogger(__name__)


class UnwrittenStates:
    """Records each report. Reports that cannot be written now are kept, and written later.

    It belongs to the event loop.
    """

    def __init__(
        self, write: Callable[[str, RunReport], None], caught_up: Callable[[], None]
    ) -> None:
        self._write = write
        # Called when all reports are written after an interruption.
        self._caught_up = caught_up
        self._reports: deque[tuple[str, RunReport]] = deque()
        self._failures = 0
        self._retry: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> bool:
        return bool(self._reports)

    def put(self, run_id: str, report: RunReport) -> None:
        """Record a report. Raises whatever prevents it, except faults of the disk."""
        if self._retry:
            self._reports.append((run_id, report))
        elif reason := self._why_not_now(run_id, report):
            logger.error("Reports of runs cannot be recorded: %s. Trying again", reason)
            self._reports.append((run_id, report))
            self._wait()

    def catch_up(self) -> None:
        """Try to write the kept reports now."""
        if self._retry:
            self._retry.cancel()
            self._retry = None
            self._write_down()
            if not self._reports:
                logger.info("Reports of runs can be recorded again")
                self._failures = 0
                self._caught_up()

    def close(self) -> None:
        """Drop reports that cannot be written: the next start settles their runs."""
        self.catch_up()
        if self._retry:
            self._retry.cancel()
            logger.error("%d reports of runs were not recorded", len(self._reports))

    def _write_down(self) -> None:
        while self._reports:
            run_id, report = self._reports[0]
            try:
                if self._why_not_now(run_id, report):
                    self._wait()
                    return
            except (
                Exception
            ) as error:  # Its sender cannot be told any more, and other reports are waiting.
                logger.error("run %s: a report cannot be recorded", run_id, exc_info=error)
            self._reports.popleft()

    def _why_not_now(self, run_id: str, report: RunReport) -> str:
        """Write a report. Returns the fault of the disk, if any."""
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
