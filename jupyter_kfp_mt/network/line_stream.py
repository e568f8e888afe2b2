"""The lines of an answer that may go on for hours."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..errors import KfpError
from . import bodies

# A progress bar may write for hours without a line break.
LONGEST_LINE = 1 << 20
_LONGEST_CHARACTER = 4


class LineStream:
    """The lines of an answer as they come, each with its line break. `close()` ends them, even
    while another thread waits for one.

    `answer` is one of urllib3; `failure` makes of its exceptions what is raised.
    """

    def __init__(self, answer: Any, failure: Callable[[Exception], KfpError]) -> None:
        self._answer = answer
        self._failure = failure
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces():
            yield from split(piece)

    def pieces(self) -> Generator[bytes, None, None]:
        """Whole lines, as many at a time as came together."""
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
            # The latter two are what a socket that was shut under its reader may lead to.
            if not self._closed:
                raise self._failure(error) from None
        finally:
            self._answer.close()

    @property
    def are_events(self) -> bool:
        """Tell whether they are those of a stream of events."""
        return str(self._answer.headers.get("Content-Type", "")).startswith("text/event-stream")

    @property
    def partial(self) -> bool:
        """Tell whether they are those of the range that was asked for, and not all there are."""
        return bool(self._answer.status == 206)

    def close(self) -> None:
        self._closed = True
        bodies.shut(self._answer)


def split(text: bytes) -> Iterator[bytes]:
    """Its lines, each with its line break; a carriage return breaks none."""
    *lines, rest = text.split(b"\n")
    yield from (line + b"\n" for line in lines)
    if rest:
        yield rest
