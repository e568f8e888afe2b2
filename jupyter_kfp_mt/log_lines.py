"""Log lines that cannot be forged by a text that somebody else wrote."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:  # which is not generic before Python 3.11
    _LoggerAdapter = logging.LoggerAdapter

# For one message; the rest is cut.
LONGEST = 4000
_INDENT = "    "


def one_line(text: str) -> str:
    """Escape what cannot be printed, as Python does, so that a text is safe in a log.

    That includes line breaks of any kind, control characters, and marks of writing direction.
    """
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return short if short.isprintable() else "".join(map(_printable, short))


def _printable(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


class LineFormatter(logging.Formatter):
    """One line for each message; the lines of a traceback are indented, unlike any message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _indented(stack_info)


class LineLogger(_LoggerAdapter):
    """Another package's logger, whose messages become one line each; `scrub` hides secrets."""

    def __init__(self, logger: logging.Logger, scrub: Callable[[str], str]) -> None:
        super().__init__(logger, {})
        self._scrub = scrub

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(level):
            text = str(msg) % args if args else str(msg)
            self.logger.log(level, "%s", one_line(self._scrub(text)), **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def _indented(text: str) -> str:
    return "\n".join(_INDENT + one_line(line) for line in text.split("\n"))
