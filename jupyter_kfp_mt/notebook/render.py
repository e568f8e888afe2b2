"""Views rendered as HTML and as plain text."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, Template

from ..doctor.check_results import CheckReport
from .formats import printable
from .views import view


def html(value: Any) -> str:
    """A value as HTML, with everything in it escaped."""
    return printable(_template().render(view=view(value)))


def text(value: Any) -> str:
    """A value as plain text with aligned tables."""
    return printable(str(value) if isinstance(value, CheckReport) else _text(value))


def _text(value: Any) -> str:
    shown = view(value)
    state = f"  {shown.state}" if shown.state else ""
    blocks = [f"{shown.title}{state}".strip(), _aligned([list(fact) for fact in shown.facts])]
    blocks += [shown.problem]
    blocks += [_aligned([table.headings, *table.rows]) for table in shown.tables]
    blocks += [f"{title}\n{content.rstrip()}" for title, content in shown.texts]
    blocks += [f"\n{remedy}" for remedy in shown.remedies]
    blocks += [f"\n{shown.note}" if shown.remedies else shown.note]
    return "\n".join(block for block in blocks if block.strip())


def _aligned(rows: list[list[Any]]) -> str:
    cells = [[str(cell).replace("\n", " ") for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


@cache
def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_HTML)


_HTML = """\
{% macro cell(value) -%}
{% if value.colour is defined -%}
<span style="color: {{ value.colour }}; white-space: nowrap">{{ value }}</span>
{%- elif value.whole is defined -%}
<code title="{{ value.whole or value.text }}">{{ value.text }}</code>
{%- else -%}
{{ value }}
{%- endif %}
{%- endmacro %}
{% macro rows(table) %}
<table style="margin: 4px 0 4px 0; border-collapse: collapse">
<thead><tr>
{% for heading in table.headings %}
<th style="text-align: left; white-space: nowrap; padding: 2px 16px 2px 0">{{ heading }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
{% set style = "color: var(--jp-ui-font-color2, #616161)" %}
<tr{% if loop.revindex <= table.faint %} style="{{ style }}"{% endif %}>
{% for value in row %}
<td style="text-align: left; vertical-align: top; padding: 2px 16px 2px 0">{{ cell(value) }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}
{% set code = "font-family: var(--jp-code-font-family, monospace)" %}
{% macro remedies(found) %}
{% for remedy in found %}
<p style="margin: 8px 0 2px 0">{{ remedy.wrong }}
{% if remedy.wrong and remedy.sentence %}<br>{% endif %}{{ remedy.sentence }}</p>
{% if remedy.paste %}
<pre title="A click selects it" style="margin: 0; padding: 4px 8px; max-height: 30em;
 overflow: auto; user-select: all; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ remedy.paste }}</pre>
{% endif %}
{% endfor %}
{% endmacro %}
<div class="jp-KfpMt-value">
{% if view.title %}
<p style="margin: 4px 0"><strong>{{ view.title }}</strong>
{% if view.state %}&ensp;{{ cell(view.state) }}{% endif %}</p>
{% endif %}
{% if view.facts %}
<table style="margin: 4px 0; border-collapse: collapse"><tbody>
{% for label, value in view.facts %}
<tr style="background: none">
<th scope="row" style="text-align: left; padding: 2px 16px 2px 0; font-weight: normal;
 color: var(--jp-ui-font-color2, #616161)">{{ label }}</th>
<td style="text-align: left; padding: 2px 0">{{ cell(value) }}</td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% if view.problem %}
<pre role="alert" style="margin: 4px 0; padding: 4px 8px; white-space: pre-wrap; {{ code }};
 word-break: normal; overflow-wrap: anywhere;
 border-left: 3px solid var(--jp-error-color1, #c62828)">{{ view.problem }}</pre>
{% endif %}
{% for title, content in view.folded_texts %}
<details><summary>{{ title }}</summary><pre style="margin: 0; padding: 4px 8px; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ content }}</pre></details>
{% endfor %}
{% for table in view.tables %}
{% if table.folded %}
<details><summary>{{ table.folded }}</summary>{{ rows(table) }}</details>
{% else %}
{{ rows(table) }}
{% endif %}
{% endfor %}
{% for picture in view.pictures %}
<div>{{ picture }}</div>
{% endfor %}
{% for title, content in view.texts %}
<p style="margin: 8px 0 2px 0">{{ title }}</p>
<pre style="margin: 0; padding: 4px 8px; max-height: 30em; overflow: auto; {{ code }};
 background: var(--jp-layout-color2, #f5f5f5)">{{ content }}</pre>
{% endfor %}
{% if view.remedies and view.folded %}
<details><summary>{{ view.folded }}</summary>{{ remedies(view.remedies) }}</details>
{% else %}
{{ remedies(view.remedies) }}
{% endif %}
{% if view.note %}
<p style="margin: 4px 0; color: var(--jp-ui-font-color2, #616161)">{{ view.note }}</p>
{% endif %}
</div>
"""
