"""Count runs of this server's own local KFP as activity, so that the server is not culled as idle.

Terminals use the same mechanism: a setting of the web application whose name ends so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from .. import intervals

LOOK_SECONDS = intervals.ACTIVITY_SECONDS
SETTING = "kfp_mt_last_activity"


class Activity:
    """Checks regularly, while open, whether anything `is_executing`."""

    def __init__(
        self,
        settings: dict[str, Any],
        is_executing: Callable[[], Awaitable[bool]],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.current = False
        self._settings = settings
        self._is_executing = is_executing
        self._look_seconds = look_seconds
        self._looking = asyncio.ensure_future(self._keep_checking())

    def close(self) -> None:
        self._looking.cancel()

    async def _keep_checking(self) -> None:
        while True:
            self.current = await self._is_executing()
            if self.current:
                self._settings[SETTING] = datetime.now(timezone.utc)
            await asyncio.sleep(self._look_seconds)
