"""Accepts connections, and waits when the system has no room for another.

Tornado itself would then retry immediately and without end, and log each failure.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from tornado.iostream import IOStream

# How many are accepted before control returns to the event loop.
AT_ONCE = 64
# The delay before trying again without room, and before logging that again.
PAUSE_SECONDS = 0.5
SECONDS_BETWEEN_COMPLAINTS = 600.0
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = logging.getLogger(__name__)


class Listener:
    """Calls a handler with each connection as a stream, and with its address."""

    def __init__(
        self, sockets: Sequence[socket.socket], handle: Callable[[IOStream, Any], object]
    ) -> None:
        self._sockets = sockets
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._paused: asyncio.TimerHandle | None = None
        self._complained_at = float("-inf")
        self._listen()

    def close(self) -> None:
        self._stop()
        if self._paused:
            self._paused.cancel()
        for sock in self._sockets:
            sock.close()

    def _listen(self) -> None:
        self._paused = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _stop(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(error)
                    return
                continue  # it has already ended
            self._handle(IOStream(connection), address)

    def _pause(self, error: OSError) -> None:
        self._stop()
        self._paused = self._loop.call_later(PAUSE_SECONDS, self._listen)
        now = time.monotonic()
        if now - self._complained_at >= SECONDS_BETWEEN_COMPLAINTS:
            self._complained_at = now
            log.error(
                "No more connections can be accepted (%s): those that wait are when others end, "
                "or start the local KFP with a higher limit (ulimit -n)",
                error.strerror,
            )
