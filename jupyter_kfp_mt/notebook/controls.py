"""Widgets in the output of a cell, and what a notebook keeps of them for when it has no kernel.

The labextension (`labextension/src/plugins/controls.ts`) draws both: the widgets while a kernel has
them, else the HTML. It writes what is kept here into the notebook whenever that changes, and shows
what is put below the widgets after the page was loaded again, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import DisplayHandle, display

from .front_end import draws_widgets
from .render import html, text

MIME_TYPE = "application/vnd.kfp-mt.controls+json"
WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"
_KEPT = "jp-KfpMt-kept"


class Controls:
    """Widgets above each other, what is kept of them, and a place below for what they make."""

    def __init__(self, children: Sequence[widgets.Widget]) -> None:
        self._kept = widgets.HTML(layout=widgets.Layout(display="none"))
        self._kept.add_class(_KEPT)
        self.widget = widgets.VBox([*children, self._kept])
        self._place: DisplayHandle | None = None

    def keep(self, value: Any) -> None:
        """Keep a value as it looks now, as HTML and as text."""
        self._kept.value = f"<div>{html(value)}</div><pre>{escape(text(value))}</pre>"

    def show(self, value: Any) -> None:
        """Show the widgets; where there can be none, the value."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        forms = {"text/html": html(value), "text/plain": text(value)}
        widget = {MIME_TYPE: {}, WIDGET_TYPE: view} if draws_widgets() else {}
        display({**widget, **forms}, raw=True)
        # An output of its own: what a callback displays has no other place.
        self._place = display(
            {"text/plain": ""},
            raw=True,
            display_id=(place := uuid.uuid4().hex),
            metadata={"kfp-mt": {"place": place}},
        )

    def put(self, shown: dict[str, Any]) -> None:
        """Show something below the widgets, by its MIME types, instead of what was there."""
        if self._place is not None:
            place = self._place.display_id
            self._place.update(shown, raw=True, metadata={"kfp-mt": {"place": place}})
