"""Waiting for a run that a cell has started or shows."""

from __future__ import annotations

from ...errors import KfpError, NotFound, RunFailed
from ...models import Run, state_word
from .table import Session, warn


def waited(session: Session, started: Run, namespace: str, keep: bool = False) -> Run:
    """The run once it has finished, shown all the while.

    Raises `RunFailed` for one that failed, below what is shown of it, unless it is to be kept.
    """
    run = started
    try:
        run = followed(session, started, namespace)
    except KeyboardInterrupt:
        session.say(goes_on(run))
        return run
    try:
        if not keep:
            session.client.raise_for_failure(run)
    except RunFailed as error:
        error.is_explained = not session.is_terminal  # the log is in the picture above
        raise
    return run


def followed(session: Session, run: Run, namespace: str) -> Run:
    """The run, shown until it has finished."""
    try:
        for seen in session.connection.watch(session.client, run, namespace):
            session.show(run := seen)
            warn(session)  # below what is shown
    except NotFound:  # it was deleted meanwhile
        raise
    except KfpError:
        session.say(_is_not_known(run))
        raise
    return run


def watched(session: Session, started: Run, namespace: str) -> Run:
    """Show a run that goes on by itself; a terminal has to wait for that."""
    if not session.is_terminal:
        session.picture(started)
        return started
    return waited(session, started, namespace, keep=True)


def _is_not_known(run: Run) -> str:
    return (
        f"The wait has ended, and not the run: it was {state_word(run.state)} when it was last "
        "seen, and needs no kernel to go on. %kfp runs shows it once KFP answers again."
    )


def goes_on(run: Run) -> str:
    return f"The run goes on. %kfp runs shows it, %kfp terminate {run.run_id} stops it."
