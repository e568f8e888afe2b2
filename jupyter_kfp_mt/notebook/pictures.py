"""Charts of several runs as SVG: bars, parallel coordinates, and ROC curves in one plot.

Each run has a colour, a dash pattern and its name in the legend, so colour is never needed alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec
from jinja2 import Environment, Template
from markupsafe import Markup

from ..client.results import Comparison, Difference

MOST_AXES, MOST_RUNS = 12, 20
_STEP, _HEIGHT, _TOP = 130, 180, 34
_SIDE = 220
# By Okabe and Ito: distinguishable with any kind of colour vision, on light and on dark.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("none", "6 3", "2 2", "8 3 2 3")


class Line(msgspec.Struct, frozen=True):
    """A run's line in a chart: its points and its style."""

    name: str
    points: list[tuple[float, float]]
    colour: str
    dash: str

    @property
    def path(self) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


class Axis(msgspec.Struct, frozen=True):
    """The axis of a parameter or a metric: its position, and the values at its ends."""

    name: str
    x: float
    low: str
    high: str


def pictures(found: Comparison) -> list[Markup]:
    """Draw the drawable parts of a comparison: numbers that differ, and curves."""
    numbers = [row for row in found if row.differs and _is_numeric(row)][:MOST_AXES]
    names = [run.display_name for run in found.runs][:MOST_RUNS]
    made = []
    if len(names) > 1 and len(numbers) == 1:
        made.append(_bars(names, numbers[0]))
    elif len(names) > 1 and numbers:
        made.append(_parallel(names, numbers))
    if found.curves:
        made.append(_roc([*found.curves.items()][:MOST_RUNS]))
    return made


def _is_numeric(row: Difference) -> bool:
    given = [value for value in row.values if value is not None]
    return bool(given) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in given
    )


def _parallel(names: Sequence[str], rows: Sequence[Difference]) -> Markup:
    axes, places = [], []
    for number, row in enumerate(rows):
        given = [float(value) for value in row.values if value is not None]
        low, high = min(given), max(given)
        x = _STEP * (number + 0.5)
        axes.append(Axis(row.name, x, f"{low:.4g}", f"{high:.4g}"))
        places.append([_place(value, low, high, x) for value in row.values])
    lines = [
        _line(name, number, [place[number] for place in places if place[number]])
        for number, name in enumerate(names)
    ]
    width = _STEP * len(rows) + 240
    told = f"Parallel coordinates of {len(names)} runs: {', '.join(row.name for row in rows)}"
    return _drawn(kind="parallel", axes=axes, lines=lines, width=width, told=told)


def _place(value: Any, low: float, high: float, x: float) -> tuple[float, float] | None:
    if value is None:
        return None
    part = 0.5 if high == low else (float(value) - low) / (high - low)
    return x, _TOP + _HEIGHT * (1 - part)


def _line(name: str, number: int, points: Sequence[tuple[float, float] | None]) -> Line:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
    return Line(name, [point for point in points if point], colour, dash)


def _bars(names: Sequence[str], row: Difference) -> Markup:
    given = [float(value or 0) for value in row.values[: len(names)]]
    low, high = min(0.0, *given), max(0.0, *given)
    span = (high - low) or 1.0
    bars = [
        {
            "name": name,
            "x": 200 + 300 * (min(value, 0.0) - low) / span,
            "width": max(300 * abs(value) / span, 1),
            "y": 28 + 24 * number,
            "text": "none" if row.values[number] is None else f"{row.values[number]:.6g}",
        }
        for number, (name, value) in enumerate(zip(names, given, strict=True))
    ]
    return _drawn(kind="bars", bars=bars, title=row.name, told=f"Bars of {row.name}", width=620)


def _roc(curves: Sequence[tuple[str, list[tuple[float, float]]]]) -> Markup:
    lines = [
        _line(name, number, [*_scaled(points)]) for number, (name, points) in enumerate(curves)
    ]
    told = f"ROC curves of {len(lines)} run{'s' * (len(lines) > 1)}"
    return _drawn(kind="roc", lines=lines, side=_SIDE, width=_SIDE + 240, told=told)


def _scaled(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    return ((30 + _SIDE * x, 10 + _SIDE * (1 - y)) for x, y in points)


def _drawn(**values: Any) -> Markup:
    rows = max(len(values.get("lines", ())), len(values.get("bars", ())))
    height = max(_TOP + _HEIGHT + 30, _SIDE + 40, 40 + 24 * rows)
    return Markup(_template().render(**values, top=_TOP, depth=_HEIGHT, height=height))


@cache
def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_SVG)


_SVG = """\
<svg role="img" aria-label="{{ told }}" width="{{ width }}" height="{{ height }}"
 viewBox="0 0 {{ width }} {{ height }}" xmlns="http://www.w3.org/2000/svg"
 style="max-width: 100%; color: var(--jp-ui-font-color1, #212121);
 font: 12px var(--jp-ui-font-family, sans-serif)">
<title>{{ told }}</title>
{% macro legend(lines, x) %}
{% for line in lines %}
<line x1="{{ x }}" x2="{{ x + 24 }}" y1="{{ 14 + 16 * loop.index }}" y2="{{ 14 + 16 * loop.index }}"
 stroke="{{ line.colour }}" stroke-width="2" stroke-dasharray="{{ line.dash }}"/>
<text x="{{ x + 30 }}" y="{{ 18 + 16 * loop.index }}" fill="currentColor">
{{- line.name | truncate(24, True, "…") }}</text>
{% endfor %}
{% endmacro %}
{% macro paths(lines) %}
{% for line in lines %}
<polyline points="{{ line.path }}" fill="none" stroke="{{ line.colour }}" stroke-width="2"
 stroke-dasharray="{{ line.dash }}"><title>{{ line.name }}</title></polyline>
{% for x, y in line.points if line.points | length < 50 %}
<circle cx="{{ x }}" cy="{{ y }}" r="3" fill="{{ line.colour }}"/>
{% endfor %}
{% endfor %}
{% endmacro %}
{% if kind == "parallel" %}
{% for axis in axes %}
<line x1="{{ axis.x }}" x2="{{ axis.x }}" y1="{{ top }}" y2="{{ top + depth }}"
 stroke="currentColor" opacity="0.5"/>
<text x="{{ axis.x }}" y="12" text-anchor="middle" fill="currentColor" font-weight="600">
{{- axis.name | truncate(18, True, "…") }}</text>
<text x="{{ axis.x }}" y="{{ top - 6 }}" text-anchor="middle" fill="currentColor">
{{- axis.high }}</text>
<text x="{{ axis.x }}" y="{{ top + depth + 16 }}" text-anchor="middle" fill="currentColor">
{{- axis.low }}</text>
{% endfor %}
{{ paths(lines) }}
{{ legend(lines, width - 240) }}
{% elif kind == "bars" %}
<text x="200" y="14" fill="currentColor" font-weight="600">{{ title }}</text>
{% for bar in bars %}
<text x="190" y="{{ bar.y + 13 }}" text-anchor="end" fill="currentColor">
{{- bar.name | truncate(26, True, "…") }}</text>
<rect x="{{ bar.x }}" y="{{ bar.y }}" width="{{ bar.width }}" height="16" fill="#0072b2"/>
<text x="{{ bar.x + bar.width + 6 }}" y="{{ bar.y + 13 }}" fill="currentColor">{{ bar.text }}</text>
{% endfor %}
{% else %}
<rect x="30" y="10" width="{{ side }}" height="{{ side }}" fill="none" stroke="currentColor"
 opacity="0.5"/>
<line x1="30" y1="{{ 10 + side }}" x2="{{ 30 + side }}" y2="10" stroke="currentColor" opacity="0.3"
 stroke-dasharray="2 4"/>
<text x="{{ 30 + side / 2 }}" y="{{ side + 26 }}" text-anchor="middle" fill="currentColor">
False positive rate</text>
<text x="20" y="{{ 10 + side / 2 }}" text-anchor="middle" fill="currentColor"
 transform="rotate(-90 20 {{ 10 + side / 2 }})">True positive rate</text>
{{ paths(lines) }}
{{ legend(lines, side + 50) }}
{% endif %}
</svg>
"""
