"""The live view of a run, in one place in the output of one cell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle, display

from ..models import Run, Task, state_word
from .formats import duration_text, run_state, task_state
from .run_card import Card, Cards, bundle, widget_view

if TYPE_CHECKING:
    from .run_widget import RunWidget


class LiveRun:
    """Shows each new state of a run: in place in a notebook, as new lines in a terminal."""

    def __init__(self, run: Run, shell: InteractiveShell, cards: Cards) -> None:
        self._cards = cards
        self._shell = shell
        self._place = (run.run_id, shell.execution_count)
        self._handle: DisplayHandle | None = None
        self._widget: RunWidget | None = None
        self._said: set[str] = set()

    def is_here(self, run: Run) -> bool:
        """Return True if the current cell is the one that shows this run."""
        return self._place == (run.run_id, self._shell.execution_count)

    def update(self, run: Run) -> None:
        if not hasattr(self._shell, "kernel"):
            self._print(run)
            return
        card = self._cards.of(run, thorough=run.finished)
        if self._handle is None:
            self._widget = self._cards.widget(card)
            self._handle = display(self._forms(card), raw=True, display_id=True)
            return
        if self._widget:
            self._widget.adopt(card)
        self._handle.update(self._forms(card), raw=True)

    def _forms(self, card: Card) -> dict[str, Any]:
        return {**bundle(card), **(widget_view(self._widget) if self._widget else {})}

    def _print(self, run: Run) -> None:
        for line, since in _lines(run):
            if line not in self._said:
                self._said.add(line)
                print(f"{datetime.now():%H:%M:%S}  {line}{since}", flush=True)


def _lines(run: Run) -> Iterator[tuple[str, str]]:
    """Yield a line for each state of a task and of the run, and its duration."""
    for task in run.tasks:
        if task.state != "PENDING":
            word = state_word(task_state(run, task).word)
            yield f"{run.display_name}: {task.display_name}: {word}", _took(task)
    yield f"{run.display_name}: {state_word(run_state(run).word)}", _took(run)


def _took(of: Run | Task) -> str:
    return f" ({duration_text(of.duration)})" if of.finished else ""
