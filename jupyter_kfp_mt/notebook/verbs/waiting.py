"""Wait for a run that a cell has started or shows."""

from __future__ import annotations

from ...errors import KfpError, NotFound, RunFailed
from ...models import Run, state_word
from .table import Session, warn


def wait_for_run(session: Session, started: Run, namespace: str, keep: bool = False) -> Run:
    """Show a run until it has finished, and return it.

    Raises `RunFailed` if it failed, unless `keep`.
    """
    run = started
    try:
        run = follow_run(session, started, namespace)
    except KeyboardInterrupt:
        session.say(still_running(run))
        return run
    try:
        if not keep:
            session.client.raise_for_failure(run)
    except RunFailed as error:
        error.is_explained = not session.is_terminal  # the log is in the picture above
        raise
    return run


def follow_run(session: Session, run: Run, namespace: str) -> Run:
    """Show a run until it has finished, and return it."""
    try:
        for seen in session.connection.watch(session.client, run, namespace):
            session.show(run := seen)
            warn(session)  # below the run
    except NotFound:  # deleted in the meantime
        raise
    except KfpError:
        session.say(_wait_ended(run))
        raise
    return run


def show_live(session: Session, started: Run, namespace: str) -> Run:
    """Show a run live without blocking; a terminal has to wait for it."""
    if not session.is_terminal:
        session.picture(started)
        return started
    return wait_for_run(session, started, namespace, keep=True)


def _wait_ended(run: Run) -> str:
    return (
        f"The wait has ended, but the run may continue without this kernel: it was last seen "
        f"{state_word(run.state)}. %kfp runs shows it once KFP answers again."
    )


def still_running(run: Run) -> str:
    return f"The run continues. %kfp runs shows it, %kfp terminate {run.run_id} stops it."
