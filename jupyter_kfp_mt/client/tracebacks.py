"""The traceback in a log, without the frames of kfp's executor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

_BEGIN = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s+File ".*", line \d+')
# Of Python itself and of the kfp package that calls the component.
_EXECUTORS = re.compile(r'\s+File "(.*[\\/]kfp[\\/].*|<frozen runpy>|.*[\\/]runpy\.py)", line \d+')
# How the program of `%%kfp task` runs its cell.
_OF_CELL = 'exec(compile(source, path, "exec"), scope)'
# Messages of kfp's executor, in all releases from 2.0 on. Their prefix is not enough: kfp also puts
# it before a component's own messages to Python's root logger. Then messages of the launcher in a
# cluster's pod, except warnings, and the lines that bring back the outputs of a cell's task.
_MESSAGE = re.compile(
    r"\[KFP Executor [\d-]+ [\d:,]+ INFO\]: (?:"
    r"(?:--component_module_path is not specified\. )?Looking for component `"
    r'|Loading KFP component "|Got executor_input:$'
    r"|Did not write output file\.$|Wrote executor output file to )"
    r"|I\d{4} [\d:.]+ +\d+ (?:(?:importer_launcher|launcher_v2|object_store)\.go:\d+\] "
    r"|main\.go:\d+\] Setting log level to: |env\.go:\d+\] cannot find launcher configmap: )"
    r'|kfp-mt-output \["'
)
# A line of either, with which an exception's message has ended.
_ANY = re.compile(r"\[|[IWEF]\d{4} [\d:.]+ ")
_INPUT_FOLLOWS = "Got executor_input:"
_OUTPUT_BEGINS = "ExecutorOutput: {"


class Traceback(msgspec.Struct, frozen=True):
    """The frames of the task's own code with the exception, and all of it."""

    own: str
    whole: str

    @property
    def hidden(self) -> int:
        """Return how many lines are the executor's."""
        return len(self.whole.splitlines()) - len(self.own.splitlines())


def found(log: str) -> Traceback | None:
    """The last traceback in a log, if there is one."""
    before, begin, rest = log.replace("\r\n", "\n").rpartition(_BEGIN)
    if not begin or (before and not before.endswith("\n")):
        return None
    lines = rest.removeprefix("\n").split("\n")
    whole = lines[: _end(lines)]
    whole = [_BEGIN, *whole]
    return Traceback("\n".join(_own(whole)), "\n".join(whole))


def _end(lines: list[str]) -> int:
    """Where the exception ends, which may have several lines itself."""
    end = 0
    while end < len(lines) and lines[end][:1].isspace():
        end += 1
    while end < len(lines) and lines[end].strip() and not _ANY.match(lines[end]):
        end += 1
    return end


def readable(log: str) -> str:
    """A log without the executor's own messages, input and frames."""
    return "\n".join(readable_lines(log.replace("\r\n", "\n").split("\n")))


def readable_lines(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the executor's messages and frames, as they come."""
    return _own(own_lines(lines))


def own_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that are not messages of the executor, as they arrive."""
    is_announced = is_json = False
    for line in lines:
        is_json = is_json or (is_announced and line == "{")
        is_message = not is_json and _MESSAGE.match(line) is not None
        if not is_message and not is_json:
            yield line
        is_announced = is_message and line.endswith(_INPUT_FOLLOWS)
        is_json = (is_json and line != "}") or (is_message and line.endswith(_OUTPUT_BEGINS))


def _own(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the executor's frames; a frame is held back until its code has come."""
    in_traceback = is_executors = False
    frame = ""
    for line in lines:
        if frame:
            is_executors = _EXECUTORS.match(frame) is not None or line.strip() == _OF_CELL
            if not is_executors:
                yield frame
            frame = ""
        if in_traceback and _FRAME.match(line):
            frame = line
            continue
        if not line[:1].isspace():
            in_traceback, is_executors = line == _BEGIN, False
        if not is_executors:
            yield line
    if frame:
        yield frame
