"""A run as a widget, for front ends without our labextension, such as VS Code.

The browser's half (`labextension/src/widget`) draws the same views; this half has the data and
performs the actions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets
from anywidget import AnyWidget

from ..client.client import Client
from ..errors import KfpError
from ..models import Run
from .run_card import Card, Cards, data

_STATIC = Path(__file__).parent.parent / "static"
LOG_LINES = 1000

if not (_STATIC / "view.js").exists():
    raise ImportError("The front end is not built: jlpm build in labextension makes view.js.")


class RunWidget(AnyWidget):
    """One run; `adopt` shows a newer state of it."""

    _esm = _STATIC / "view.js"
    _css = _STATIC / "view.css"

    data = traitlets.Dict().tag(sync=True)
    refusals = traitlets.Dict().tag(sync=True)

    def __init__(self, card: Card, client: Client, cards: Cards) -> None:
        super().__init__()
        self._client = client
        self._cards = cards
        self.on_msg(self._on_message)
        self.adopt(card)

    def adopt(self, card: Card) -> None:
        self._run = card.run
        with self.hold_sync():
            self.data, self.refusals = data(card), refusals(card.run)

    def _on_message(self, _: Any, asked: Any, __: Any) -> None:
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "look": self._look,
            "log": lambda: {"lines": self._lines(str(asked.get("task_id")))},
            "terminate": lambda: self._changed(self._client.terminate),
            "retry": lambda: self._changed(self._client.retry),
            "clone": self._clone,
        }
        if isinstance(asked, dict) and asked.get("name") in answers:
            self.send({"id": asked.get("id"), **_answer(answers[asked["name"]])})

    def _look(self) -> dict[str, Any]:
        self.adopt(self._cards.of(self._client.run(self._run.run_id)))
        return {}

    def _lines(self, task_id: str) -> list[str]:
        return self._client.log(self._run.run_id, task_id, LOG_LINES).splitlines()

    def _changed(self, change: Callable[[str], None]) -> dict[str, Any]:
        change(self._run.run_id)
        return self._look()

    def _clone(self) -> dict[str, Any]:
        started = self._client.clone(self._run.run_id)
        return {"said": f"Started: {started.display_name} ({started.run_id})"}


def _answer(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except KfpError as error:
        return {"problem": error.message}


def refusals(run: Run) -> dict[str, str]:
    """Return why actions make no sense in a run's state; KFP itself says which are allowed."""
    told = {}
    if run.finished:
        told["terminate"] = "The run has finished already."
    elif run.state == "CANCELING":
        told["terminate"] = "The run is being terminated already."
    if run.state not in ("FAILED", "CANCELED"):
        told["retry"] = "Only a run that has failed can be retried."
    return told
