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

    The outermost block decides what is said: starting a run begins with looking up its pipeline.
    With a `goal`, a refusal names the role that the whole attempt takes, not just its first step.
    """
    try:
        yield
    except KfpError as error:
        raise attempted(error, words, goal) from error.__cause__


def attempted(error: KfpError, words: str, goal: Goal | None = None) -> KfpError:
    """Return the error with these words in place of those it had."""
    if goal and isinstance(error, Forbidden) and error.denial:
        error = denied(error.denial, error.server_text, goal).with_traceback(error.__traceback__)
    return error.with_(attempt=words)
