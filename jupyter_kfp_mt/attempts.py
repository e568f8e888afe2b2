"""Attempts: what is to be done, said once around it, stands in every error that comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Forbidden, KfpError
from .kubeflow_roles import Goal
from .refusal_causes import denied


@contextmanager
def attempting(words: str, goal: Goal | None = None) -> Iterator[None]:
    """Complete the errors that leave this block: "Cannot `words`: ...".

    The outermost block has the last word: to start a run begins with a look for its pipeline. With
    a `goal` a refusal offers the role that this takes, and not only the first step.
    """
    try:
        yield
    except KfpError as error:
        raise attempted(error, words, goal) from error.__cause__


def attempted(error: KfpError, words: str, goal: Goal | None = None) -> KfpError:
    """The same error, of what was wanted."""
    if goal and isinstance(error, Forbidden) and error.denial:
        error = denied(error.denial, error.server_text, goal).with_traceback(error.__traceback__)
    return error.with_(attempt=words)
