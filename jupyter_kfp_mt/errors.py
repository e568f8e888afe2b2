"""Errors, each with its cause and its cure for the person at the notebook.

KfpError
├── Misconfigured       a setting, a file or a folder that cannot work
├── Misunderstood       a line of %kfp that cannot be read
├── NotAPipeline        a file that is not a compiled pipeline
├── RunFailed           a run that was waited for and did not succeed
├── Unreachable         no answer, or none that KFP would give
└── Refused             KFP answered with an error
    ├── BadRequest
    ├── Unauthenticated
    ├── Forbidden
    ├── NotFound
    ├── Conflict
    └── TooLong
"""

from __future__ import annotations

import copy
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .kubeflow_roles import Denial
    from .models import Run

E = TypeVar("E", bound="KfpError")

# Files that the user has not written: this package's, other installed packages' and Python's.
_LIBRARY_FILES = (
    *(str(Path(__file__).parent), "<frozen"),
    *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")),
)


class KfpError(Exception):
    """The root of all errors. `status` is the HTTP status with the same meaning.

    `message` says what was requested and what came back, `cause` why, and `cure` what to do about
    it: a sentence, and below it the lines to paste. `server_text` is the server's own text. None of
    them ever contains a secret.

    Code that does not know the purpose of a request raises an error with a `reason` in place of a
    message; `attempts.attempting`, around it, completes the sentence: "Cannot list runs in alice:
    ...".
    """

    status = 500
    # Whether cause and cure are already shown beside the error, ready to be copied.
    is_explained = False
    # The action that failed, which begins the sentence that `reason` ends.
    attempt = "use KFP"

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        cause: str = "",
        cure: str = "",
        server_text: str = "",
    ):
        super().__init__(message or reason)
        self.sentence = message
        self.reason = reason
        self.cause = cause
        self.cure = cure
        self.server_text = server_text

    @property
    def message(self) -> str:
        return self.sentence or f"Cannot {self.attempt}: {self.reason}"

    def with_(self: E, **changed: str) -> E:
        """A copy of it with other texts: `cause`, `cure`, `attempt`, or a whole `sentence`."""
        other = copy.copy(self).with_traceback(self.__traceback__)
        vars(other).update(changed)
        other.args = (other.sentence or other.reason,)
        return other

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.message, self.cause, self.cure)))

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows: the error, below the calls in the user's own code."""
        text = self.message if self.is_explained else str(self)
        return [*map(_frame_line, _user_frames(self)), f"{type(self).__name__}: {text}"]

    def to_dict(self) -> dict[str, str]:
        """The one JSON shape of an error."""
        return {
            "kind": type(self).__name__,
            "message": self.message,
            "cause": self.cause,
            "cure": self.cure,
            "server_text": self.server_text,
        }


class Misconfigured(KfpError):
    """A setting, a file or a folder that cannot work."""


class Misunderstood(KfpError):
    """A line of `%kfp` that cannot be read."""

    status = 400


class NotAPipeline(KfpError):
    """A file that is not a compiled pipeline."""

    status = 400


class RunFailed(KfpError):
    """A run that was waited for and did not succeed: `run`, if it is known."""

    run: Run | None = None


class Unreachable(KfpError):
    """No answer, or none that KFP would give.

    `sent` tells whether the request may have arrived, `moved` whether the answer redirects to
    another address of KFP, which has nothing to do with credentials.
    """

    status = 502
    sent = True
    moved = False


class Refused(KfpError):
    """KFP answered with an error."""


class BadRequest(Refused):
    status = 400


class Unauthenticated(Refused):
    status = 401


class Forbidden(Refused):
    """`denial`: the right that is missing, where KFP named one."""

    status = 403
    denial: Denial | None = None


class NotFound(Refused):
    status = 404


class Conflict(Refused):
    status = 409


class TooLong(Refused):
    status = 413


def may_pass(error: KfpError) -> bool:
    """Tell whether an error may go away by itself, without anybody fixing something.

    A server that is starting does not answer; a token may be about to be replaced; and 5xx or 429
    is a problem on the server's side.
    """
    return isinstance(error, (Unreachable, Unauthenticated)) or type(error) is Refused


def from_dict(fields: Mapping[str, Any]) -> KfpError:
    """Rebuild an error from what `to_dict` wrote in another process."""
    names = ("reason", "cause", "cure", "server_text")
    texts = {name: str(fields.get(name, "")) for name in names}
    kinds = {kind.__name__: kind for kind in _kinds(KfpError)}
    return kinds.get(str(fields.get("kind")), KfpError)(str(fields.get("message", "")), **texts)


def _kinds(root: type[KfpError]) -> Iterator[type[KfpError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def _user_frames(error: KfpError) -> list[FrameSummary]:
    """The user's own calls that led to an error; none if the cell itself called this package."""
    frames = [
        frame
        for frame in extract_tb(error.__traceback__)
        if not frame.filename.startswith(_LIBRARY_FILES)
    ]
    return frames if len(frames) > 1 else []


def _frame_line(frame: FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}: {frame.line}"
