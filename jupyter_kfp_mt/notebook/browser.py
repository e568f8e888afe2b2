"""A browser through runs: one page at a time, filtered and sorted by KFP, with actions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from .. import intervals
from ..client.client import Client
from ..client.listings import Listing
from ..connection.door_client import Door
from ..connection.event_reader import Stream
from ..errors import KfpError, Misconfigured
from ..models import STATES, Run
from ..namespaces.permissions import Table
from .controls import Controls
from .formats import duration_text, printable, run_state, timestamp
from .list_views import page_of
from .render import html, text
from .verbs.changes import CHANGES, Change
from .view_parts import View
from .views import view

if TYPE_CHECKING:
    from .run_card import Cards

ROWS = 50
REFRESH_SECONDS = intervals.BROWSER_SECONDS
_SORTS = [("newest first", "-created"), ("oldest first", "created"), ("by name", "name")]
_NAME = 60  # signs of a name in a row
# What Kubeflow's roles call an action.
_VERBS = {"clone": "create", "restore": "unarchive"}


class RunBrowser:
    """A browsable list of runs; `selected` are the runs that the user has selected.

    While it is shown it reads its page again as often as something changes in its namespace, which
    `door` reports; without a door, or with several namespaces, every few seconds. `close` ends
    that. `permissions` returns those of each namespace; it is called once the browser is shown.
    """

    def __init__(
        self,
        runs: Listing[Run],
        client: Client,
        cards: Callable[[], Cards],
        door: Door | None = None,
        permissions: Callable[[], Mapping[str, Table]] = dict,
    ) -> None:
        if runs.kind is not Run or runs.again is None:
            raise Misconfigured("Only a list of runs can be browsed: %kfp runs gives one.")
        self._again, self._client, self._cards = runs.again, client, cards
        self._first = 0
        self._wanted = ""  # the action that awaits confirmation
        self._filling = False
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._door, self._permissions = door, permissions
        self._tables: Mapping[str, Table] = {}
        self._events: Stream | None = None
        self._make()
        self._listing = runs
        self._page: list[Run] = []
        self.refresh()

    # --- controls -----------------------------------------------------------------------

    def _make(self) -> None:
        states = [("any state", ""), *((state.lower(), state) for state in ("ACTIVE", *STATES))]
        self.name = widgets.Text(
            description="Name", placeholder="part of the name", continuous_update=False
        )
        self.state = widgets.Dropdown(options=states, description="State")
        self.sort = widgets.Dropdown(options=_SORTS, description="Order")
        self.rows = widgets.SelectMultiple(
            rows=15, layout=widgets.Layout(width="100%"), description="Runs"
        )
        self.back = widgets.Button(description="Earlier page", icon="chevron-left")
        self.on = widgets.Button(description="Next page", icon="chevron-right")
        self.count, self.said = widgets.HTML(), widgets.HTML()
        self.actions = {name: widgets.Button(description=name.capitalize()) for name in CHANGES}
        self.show = widgets.Button(description="Show")
        self.compare = widgets.Button(description="Compare")
        for control in (self.name, self.state, self.sort):
            control.observe(lambda _: self._search(), "value")
        self.rows.observe(self._on_selection, "value")
        self.back.on_click(lambda _: self._turn(-ROWS))
        self.on.on_click(lambda _: self._turn(ROWS))
        self.show.on_click(lambda _: self._look())
        self.compare.on_click(lambda _: self._side_by_side())
        for name, button in self.actions.items():
            button.on_click(lambda _, name=name: self.act(name))
        self._controls = Controls(self._lines())

    @property
    def widget(self) -> widgets.Widget:
        return self._controls.widget

    def _lines(self) -> list[widgets.Widget]:
        buttons = [self.show, self.compare, *self.actions.values()]
        return [
            widgets.HBox([self.name, self.state, self.sort]),
            self.rows,
            widgets.HBox([self.back, self.on, self.count]),
            widgets.HBox(buttons, layout=widgets.Layout(flex_flow="row wrap")),
            self.said,
        ]

    # --- the page ------------------------------------------------------------------

    @property
    def selected(self) -> list[Run]:
        """The runs selected on this page."""
        return [run for run in self._page if run.run_id in self.rows.value]

    def refresh(self) -> None:
        """Read this page again, and keep the selection."""
        with self._lock:
            try:
                listing = self._again(
                    **({"name": self.name.value} if self.name.value else {}),
                    **({"state": self.state.value} if self.state.value else {}),
                    sort=self.sort.value,
                )
                page = listing[self._first : self._first + ROWS]
                self._listing, self._page = listing, page
            except KfpError as error:
                self.said.value = html(error)
                return
            self._fill(page)

    def _fill(self, page: Sequence[Run]) -> None:
        chosen = self.rows.value
        options = [(_row(run), run.run_id) for run in page]
        if options != [*self.rows.options]:
            self._filling = True  # new texts for the same rows do not change the selection
            self.rows.options = options
            self.rows.value = [key for _, key in options if key in chosen]
            self._filling = False
        if {*self.rows.value} != {*chosen}:
            self._selection_changed()
        total = self._listing.total
        last = self._first + len(page)
        of = f"of {total:,}" if total is not None else "and more"
        self.count.value = f"{self._first + 1:,} to {last:,} {of}" if page else "No matching runs."
        self.back.disabled = self._first == 0
        self.on.disabled = total is not None and last >= total
        self._controls.keep(self)
        self._offer()

    def _search(self) -> None:
        self._first = 0
        self.refresh()

    def _turn(self, step: int) -> None:
        self._first = max(self._first + step, 0)
        self.refresh()

    # --- actions ---------------------------------------------------------------

    def _on_selection(self, _: Any) -> None:
        if not self._filling:
            self._selection_changed()

    def _selection_changed(self) -> None:
        """Withdraw a confirmation that was meant for another selection."""
        self._wanted = ""
        for name, button in self.actions.items():
            button.description = name.capitalize()
        self._offer()

    def _offer(self) -> None:
        """Enable the actions that make sense for the selection; the others say why they do not."""
        runs = self.selected
        self.show.disabled, self.compare.disabled = len(runs) != 1, len(runs) < 2
        for name, button in self.actions.items():
            reason = self._forbidden(name) or _refusal(CHANGES[name], runs)
            button.disabled, button.tooltip = bool(reason), reason or f"{name} the selected runs"

    def _forbidden(self, name: str) -> str:
        """Say that an action is forbidden in all of the namespaces, if that is known."""
        verb = _VERBS.get(name, name)
        allowed = [
            self._tables.get(namespace, {}).get("runs", {}).get(verb)
            for namespace in self._listing.namespaces
        ]
        if not allowed or any(each is not False for each in allowed):
            return ""
        return f"You may not {name} runs in {' or '.join(self._listing.namespaces)}."

    def act(self, name: str) -> None:
        """Apply an action to the selected runs; one that cannot be undone needs a second click."""
        change, runs = CHANGES[name], self.selected
        if change.always_asks and self._wanted != name:
            self._wanted = name
            self.actions[name].description = f"{name.capitalize()} {len(runs)} for good?"
            return
        failed = []
        for run in runs:
            try:
                change.call(self._client, run)
            except KfpError as error:
                failed.append(f"{run.display_name}: {error.message}")
        done = f"{change.past.capitalize()} {len(runs) - len(failed)} of {len(runs)}."
        self.said.value = "<br>".join(map(escape, [done, *failed]))
        self.refresh()

    def _look(self) -> None:
        try:
            self._controls.put(self._cards().shown(self._client.run(self.selected[0].run_id)))
        except KfpError as error:
            self.said.value = html(error)

    def _side_by_side(self) -> None:
        try:
            found = self._client.compare([self._client.run(run.run_id) for run in self.selected])
            self._controls.put({"text/html": html(found), "text/plain": text(found)})
        except KfpError as error:
            self.said.value = html(error)

    # --- display --------------------------------------------------------------------------

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        if self._events is not None:
            self._events.close()

    def _follow(self) -> None:
        with suppress(KfpError):
            self._tables = self._permissions()
            self._offer()
        with suppress(KfpError):  # the door reports nothing: poll instead
            for _ in self._changes():
                self.refresh()
        while not self._closed.wait(REFRESH_SECONDS):
            self.refresh()

    def _changes(self) -> Iterator[None]:
        """Yield each time the door reports a change in the namespace."""
        if self._door is None or len(self._listing.namespaces) != 1:
            return
        self._events = Stream(self._door, self._listing.namespaces[0])
        if self._closed.is_set():  # by another thread in the meantime
            self._events.close()
        for event in self._events:
            if event.name in ("snapshot", "changed", "removed", "back"):
                yield

    @property
    def listing(self) -> Listing[Run]:
        return self._listing

    @property
    def page(self) -> list[Run]:
        """The runs that are looked at now."""
        return self._page

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)

    def _ipython_display_(self) -> None:
        self._controls.show(self)
        threading.Thread(target=self._follow, name="kfp-mt-browser", daemon=True).start()


@view.register
def _browser(browser: RunBrowser) -> View:
    """The page that was looked at last."""
    return page_of(browser.listing, browser.page)


def _refusal(change: Change, runs: Sequence[Run]) -> str:
    if not runs:
        return "Select runs first."
    return next((f"{run.display_name} {why}" for run in runs if (why := change.refusal(run))), "")


def _row(run: Run) -> str:
    name = printable(run.display_name).replace("\n", " ")[:_NAME]
    lasted = duration_text(run.duration) if run.state != "PENDING" else ""
    return f"{run_state(run)}   {name}   {timestamp(run.created_at)}   {lasted}".rstrip()
