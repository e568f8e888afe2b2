"""A form that starts a pipeline: a control for each of its parameters, checked while typing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import msgspec

from ..client.client import Client
from ..client.pipeline_files import Definition, type_words
from ..client.pipeline_source import PipelineSource
from ..errors import BadRequest, KfpError
from ..models import Run
from .controls import Controls
from .render import html, text
from .view_parts import Table, View
from .views import view

if TYPE_CHECKING:
    from .run_card import Cards

LONGEST_VALUE = 500  # what is longer is cut in a saved notebook
_WIDE = widgets.Layout(width="min(40em, 100%)")


class Field:
    """The control of a parameter, with its label, its description and a fault in its value."""

    def __init__(self, name: str, definition: Definition, source: PipelineSource) -> None:
        self.name = name
        self.definition = definition
        self._source = source
        self._given = widgets.Checkbox(
            value=not self._may_be_left_out, description="give a value", indent=False
        )
        self.control = self._made()
        self.problem = widgets.HTML()
        self.control.disabled = not self._given.value
        self._given.observe(self._on_given, "value")

    @property
    def widget(self) -> widgets.Widget:
        kind = type_words(self.definition.parameter_type or "STRING")
        label = f"<b>{escape(self.name)}</b> <span>{kind}{self._hint}</span>"
        parts = [widgets.HTML(label), self.control, self.problem]
        if self._may_be_left_out:
            parts.insert(1, self._given)
        return widgets.VBox(parts)

    @property
    def _hint(self) -> str:
        described = (
            f": {escape(self.definition.description)}" if self.definition.description else ""
        )
        return f"{', may be left out' if self._may_be_left_out else ''}{described}"

    @property
    def _may_be_left_out(self) -> bool:
        no_default = self.definition.default_value is msgspec.UNSET
        return self.definition.is_optional and no_default

    def observe(self, changed: Callable[[], None]) -> None:
        for control in (self.control, self._given):
            control.observe(lambda _: changed(), "value")

    def fill(self, value: Any) -> None:
        """Put a value of the parameter's type into the control."""
        self._given.value = True
        self.control.value = value if self._is_choice else _as_typed(value)

    def value(self) -> Any:
        """Return the value given, or `UNSET`. Raises `BadRequest` for one of another type."""
        if not self._given.value:
            return msgspec.UNSET
        given = self.control.value
        if self._is_choice:
            if given is None:
                raise BadRequest(f"{self.name} needs a value.")
            return given
        if not given.strip() and self.definition.parameter_type != "STRING":
            raise BadRequest(f"{self.name} needs a value: {self._expected}.")
        return self._source.parse({self.name: given})[self.name]

    def check(self) -> bool:
        """Show the fault in the value, if any; return True if there is none."""
        try:
            self.value()
            self.problem.value = ""
        except KfpError as error:
            self.problem.value = f'<span role="alert">✗ {escape(error.message)}</span>'
        return not self.problem.value

    @property
    def typed(self) -> str:
        """The value as it was typed or chosen; a dash where none is."""
        if not self._given.value or self.control.value is None:
            return "–"
        empty = '""' if self.definition.parameter_type == "STRING" else "–"
        return _as_typed(self.control.value)[:LONGEST_VALUE] or empty

    @property
    def _is_choice(self) -> bool:
        """The control's value is the parameter's own, not a text."""
        return isinstance(self.control, (widgets.Dropdown, widgets.Checkbox))

    @property
    def _expected(self) -> str:
        return type_words(self.definition.parameter_type or "STRING")

    def _on_given(self, change: Any) -> None:
        self.control.disabled = not change["new"]

    def _made(self) -> widgets.Widget:
        kind, default = self.definition.parameter_type, self.definition.default_value
        has_default = default is not msgspec.UNSET
        options: dict[str, Any] = {"layout": _WIDE, "tooltip": self.name}
        if self.definition.literals:
            choices = [(str(each), each) for each in self.definition.literals]
            first = [] if has_default else [("choose one", None)]
            return widgets.Dropdown(
                options=[*first, *choices], value=default if has_default else None, **options
            )
        if kind == "BOOLEAN":
            if has_default:
                return widgets.Checkbox(
                    value=bool(default), description=self.name, indent=False, **options
                )
            choices = [("choose one", None), ("true", True), ("false", False)]
            return widgets.Dropdown(options=choices, value=None, **options)
        shown = "" if not has_default else _as_typed(default)
        if kind in ("LIST", "STRUCT") or "\n" in shown:
            return widgets.Textarea(value=shown, **options)
        return widgets.Text(value=shown, continuous_update=True, **options)


class Form:
    """A pipeline's form; `run` is the run that it started last."""

    def __init__(
        self,
        source: PipelineSource,
        client: Client,
        cards: Callable[[], Cards],
        namespace: str = "",
        experiment: str = "Default",
    ) -> None:
        self.run: Run | None = None
        self._source, self._client, self._cards = source, client, cards
        self._namespace = namespace
        self.fields = [Field(name, each, source) for name, each in source.accepted.items()]
        self.name = widgets.Text(
            placeholder="by default: pipeline and time", layout=_WIDE, tooltip="Name of the run"
        )
        self.experiment = widgets.Text(value=experiment, layout=_WIDE, tooltip="Experiment")
        self.start = widgets.Button(description="Start", button_style="primary", icon="play")
        self.said = widgets.HTML()
        for field in self.fields:
            field.observe(self.check)
        self._controls = Controls(self._rows())
        for named in (self.name, self.experiment):
            named.observe(lambda _: self._controls.keep(self), "value")
        self.start.on_click(lambda _: self.submit())
        self.check()

    @property
    def widget(self) -> widgets.Widget:
        return self._controls.widget

    def _rows(self) -> list[widgets.Widget]:
        named = [("Name of the run", self.name), ("Experiment", self.experiment)]
        rows = [widgets.VBox([widgets.HTML(f"<b>{label}</b>"), each]) for label, each in named]
        title = widgets.HTML(f"<h4>Run {escape(self._source.name)}</h4>")
        fields = [field.widget for field in self.fields]
        return [title, *fields, *rows, self.start, self.said]

    def fill(self, values: Mapping[str, Any], name: str = "") -> None:
        """Put parameters and the run's name into the form. Raises `BadRequest` for wrong ones."""
        given = self._source.parse({each: _as_typed(value) for each, value in values.items()})
        for field in self.fields:
            if field.name in given:
                field.fill(given[field.name])
        self.name.value = name

    def check(self) -> None:
        """Check all values; the run can only be started if they are valid."""
        right = [field.check() for field in self.fields]
        self.start.disabled = not all(right)
        self._controls.keep(self)

    def values(self) -> dict[str, Any]:
        """Return the given values. Raises `BadRequest` for one that the pipeline rejects."""
        found = {field.name: field.value() for field in self.fields}
        return {name: value for name, value in found.items() if value is not msgspec.UNSET}

    def submit(self) -> None:
        """Start a run, as the button does; a refusal is shown below the button."""
        self.start.disabled = True
        try:
            self.run = self._client.start_run(
                *(self._source, self.values(), self.experiment.value or "Default"),
                *(self.name.value, self._namespace),
            )
            self.said.value = f"Started {escape(self.run.display_name)}."
            self._show(self.run)
        except KfpError as error:
            self.said.value = html(error)
        finally:
            self.check()

    @property
    def source(self) -> PipelineSource:
        return self._source

    def _show(self, run: Run) -> None:
        self._controls.put(self._cards().shown(run))

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)

    def _ipython_display_(self) -> None:
        self._controls.show(self)


@view.register
def _form(form: Form) -> View:
    """The form in a saved notebook, which has no controls: as it was last."""
    kinds = [type_words(each.definition.parameter_type or "STRING") for each in form.fields]
    rows = [[field.name, field.typed, kind] for field, kind in zip(form.fields, kinds, strict=True)]
    named = [("Name of the run", form.name.value), ("Experiment", form.experiment.value)]
    run = form.run
    started = f"Started {run.display_name} ({run.run_id})." if run else "Nothing was started."
    return View(
        title=f"Run {form.source.name}",
        facts=[(label, value) for label, value in named if value],
        tables=[Table(["Parameter", "Value", ""], rows)] if rows else [],
        note=f"{started} To fill in the form, run its cell in a notebook.",
    )


def _as_typed(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
