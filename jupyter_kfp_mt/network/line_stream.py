"""The lines of an answer that may take hours, such as a followed log."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..errors import KfpError
from . import bodies

# A progress bar can go on for hours without a line break.
LONGEST_LINE = 1 << 20
_LONGEST_CHARACTER = 4


class LineStream:
    """The lines of an answer as they arrive, each with its line break. `close()` ends the stream,
    even while another thread waits for a line.

    `answer` is urllib3's; `failure` converts its exceptions.
    """

    def __init__(self, answer: Any, failure: Callable[[Exception], KfpError]) -> None:
        self._answer = answer
        self._failure = failure
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces():
            yield from split(piece)

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield whole lines, as many at a time as arrived together."""
        from urllib3.exceptions import HTTPError

        rest = b""
        try:
            for part in bodies.pieces(self._answer):
                whole, newline, rest = (rest + part).rpartition(b"\n")
                if newline:
                    yield whole + newline
                if len(rest) > LONGEST_LINE + _LONGEST_CHARACTER:
                    _, length = codecs.utf_8_decode(rest, "replace")  # no character is cut
                    yield rest[:length]
                    rest = rest[length:]
            if rest:
                yield rest
        except (HTTPError, OSError, ValueError, AttributeError) as error:
            # The latter two can come from a socket that is shut down while it is being read.
            if not self._closed:
                raise self._failure(error) from None
        finally:
            self._answer.close()

    @property
    def are_events(self) -> bool:
        """Tell whether it is a stream of server-sent events."""
        return str(self._answer.headers.get("Content-Type", "")).startswith("text/event-stream")

    @property
    def partial(self) -> bool:
        """Tell whether the server sent only the requested range."""
        return bool(self._answer.status == 206)

    def close(self) -> None:
        self._closed = True
        bodies.shut(self._answer)


def split(text: bytes) -> Iterator[bytes]:
    """Split a text into lines that keep their line breaks; a carriage return ends no line."""
    *lines, rest = text.split(b"\n")
    yield from (line + b"\n" for line in lines)
    if rest:
        yield rest
