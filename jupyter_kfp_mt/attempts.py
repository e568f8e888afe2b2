"""Attempts: a block of code named after its purpose, which every error that it raises mentions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Forbidden, KfpError
from .kubeflow_roles import Goal
from .refusal_causes import denied


@contextmanager
def attempting(words: str, goal: Goal | None = None) -> Iterator[None]:
    """Complete the errors that leave this block: "Cannot `words`: ...".

    The words of the outermost block count: a pipeline that is not found while a run is started is a
    run that cannot be started. With a `goal`, a refusal names the role that the whole attempt
    needs, not just its first step.
    """
    try:
        yield
    except KfpError as error:
        raise attempted(error, words, goal) from error.__cause__


def attempted(error: KfpError, words: str, goal: Goal | None = None) -> KfpError:
    """Return a copy of the error that names this attempt in place of an inner one."""
    if goal and isinstance(error, Forbidden) and error.denial:
        error = denied(error.denial, error.server_text, goal).with_traceback(error.__traceback__)
    return error.with_(attempt=words)
