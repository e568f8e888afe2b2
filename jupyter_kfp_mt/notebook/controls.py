"""Widgets in the output of a cell, and the HTML that replaces them when there is no kernel.

The labextension (`labextension/src/plugins/controls.ts`) draws the widgets while a kernel has them,
and otherwise the HTML. It saves the HTML in the notebook whenever it changes. An output below the
widgets is also shown after the page was reloaded.
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
    """A column of widgets, with the HTML that is saved for them, and an output below."""

    def __init__(self, children: Sequence[widgets.Widget]) -> None:
        self._kept = widgets.HTML(layout=widgets.Layout(display="none"))
        self._kept.add_class(_KEPT)
        self.widget = widgets.VBox([*children, self._kept])
        self._place: DisplayHandle | None = None

    def keep(self, value: Any) -> None:
        """Save the current HTML and text of a value in the notebook."""
        self._kept.value = f"<div>{html(value)}</div><pre>{escape(text(value))}</pre>"

    def show(self, value: Any) -> None:
        """Show the widgets, or the value where widgets are not available."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        forms = {"text/html": html(value), "text/plain": text(value)}
        widget = {MIME_TYPE: {}, WIDGET_TYPE: view} if draws_widgets() else {}
        display({**widget, **forms}, raw=True)
        # An output of its own, as a callback of a widget has none.
        self._place = display(
            {"text/plain": ""},
            raw=True,
            display_id=(place := uuid.uuid4().hex),
            metadata={"kfp-mt": {"place": place}},
        )

    def put(self, shown: dict[str, Any]) -> None:
        """Replace the output below the widgets; `shown` has a value for each MIME type."""
        if self._place is not None:
            place = self._place.display_id
            self._place.update(shown, raw=True, metadata={"kfp-mt": {"place": place}})
