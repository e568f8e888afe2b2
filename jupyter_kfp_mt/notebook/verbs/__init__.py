"""The verbs of `%kfp`: one small function per verb, and the table of them all.

A verb takes the session and its parsed arguments and returns a value; `render` knows how that
looks. Parser, help and completion are made from the table.
"""

from __future__ import annotations

from . import changes, clones, connection, lists, logs, recurring, runs, starts, tasks
from .table import Option, Session, Verb

__all__ = ["OVERVIEW", "VERBS", "Option", "Session", "Verb"]

OVERVIEW = Verb("", connection.overview)
VERBS = (
    *starts.VERBS,
    *tasks.VERBS,
    *runs.VERBS,
    *logs.VERBS,
    *changes.VERBS,
    *clones.VERBS,
    *recurring.VERBS,
    *lists.VERBS,
    *connection.VERBS,
)
