"""Answers without what is never the same twice, and in what two of them differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .calls import RECORDED

_HEADERS = ("www-authenticate", "warning", "allow", "location")
_UNFINISHED = ("PENDING", "RUNNING", "Pending", "Running")
_ALWAYS_IGNORED = "plugins_output"
_CHANGING = [
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
    (r"\b(?!1970-01-01T00:00:00Z)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<time>"),
    (r"Name:([a-z0-9][a-z0-9-]*?)-[a-z0-9]{5},FieldSelector", r"Name:\1-<random>,FieldSelector"),
    (r'invalid escape code "[^"]*"', 'invalid escape code "<escape>"'),
    (r"\n[\w./*()\[\]{}-]+(\n\t[^\n]*)[\s\S]*", "\n<stack trace>"),
    ("\u00a0", " "),
]
_LONGEST = 3000


def comparable(
    call: dict[str, Any],
    answer: tuple[int, dict[str, str], Any],
    names: dict[str, str],
    host: str,
) -> dict[str, Any]:
    """An answer in the form in which recorded ones are kept."""
    status, headers, body = answer
    tidied = _Tidied(names, host, {*call.get("ignore", ()), _ALWAYS_IGNORED})
    told = {name: tidied.text(headers[name]) for name in _HEADERS if headers.get(name)}
    if "www-authenticate" in told:
        message = tidied.text(str(body.get("message"))) if isinstance(body, dict) else ""
        same = message == told["www-authenticate"]
        told["www-authenticate"] = "as message" if same else "other"
    kept: dict[str, Any] = {
        "status": status,
        "content_type": headers.get("content-type", "").partition(";")[0],
    }
    if told:
        kept["headers"] = told
    if call["request"]["method"] != "HEAD":
        kept["body"] = tidied.value(body)
    return kept


def differences(recorded: Any, now: Any, where: str = "") -> Iterator[str]:
    """A line for each place in which two answers differ."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in [*recorded, *(key for key in now if key not in recorded)]:
            absent = "<absent>"
            yield from differences(
                recorded.get(key, absent), now.get(key, absent), f"{where}/{key}"
            )
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for number, pair in enumerate(zip(recorded, now, strict=True)):
            yield from differences(*pair, f"{where}/{number}")
    elif recorded != now or type(recorded) is not type(now):
        yield f"{where}: recorded {recorded!r}, now {now!r}"


class _Tidied:
    """Puts placeholders for what differs from one play of a scenario to the next."""

    def __init__(self, names: dict[str, str], host: str, ignored: set[str]):
        longest_first = sorted(names.items(), key=lambda item: -len(item[1]))
        self._names = [(f"{{{{{name}}}}}", text) for name, text in longest_first if len(text) > 3]
        self._host, self._ignored = host, ignored

    def text(self, text: str) -> str:
        for name, value in self._names:
            text = text.replace(value, name)
        text = text.replace(self._host, "<host>")
        for pattern, placeholder in _CHANGING:
            text = re.sub(pattern, placeholder, text)
        return text if len(text) <= _LONGEST else f"{text[:1500]}<cut>{text[-500:]}"

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            one_by_one = [self.value(each, f"{key}[]") for each in value]
            return self._history(value) if key == "state_history" else one_by_one
        return self._string(value, key) if isinstance(value, str) else value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        for name, pipeline in RECORDED["pipelines"].items():
            if value == pipeline:
                return {"$pipeline": name}
        kept = {
            self.text(key): self.value(each, key)
            for key, each in value.items()
            if key not in self._ignored
        }
        is_run = "experiment_id" in value and "finished_at" in value
        if is_run and "state" not in self._ignored:
            kept.setdefault("state", "<unfinished>")  # nothing has been reported of it yet
        return kept

    def _string(self, value: str, key: str) -> str:
        if key == "next_page_token":
            return "<page token>"
        if key == "pipeline_manifest" and value.startswith('{"metadata":'):
            return "<workflow>"
        if key in ("pipeline_manifest", "template") and "schemaVersion: 2.1.0" in value:
            named = re.search(r"pipelineInfo:\s+name: (\S+)", value)
            return f"<YAML of {named[1] if named else '?'}>"
        return (
            "<unfinished>"
            if key in ("state", "status") and value in _UNFINISHED
            else self.text(value)
        )

    def _history(self, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each state once, and those before the end as one."""
        kept: list[dict[str, Any]] = []
        for change in changes:
            state = change.get("state") or "PENDING"
            state = "<unfinished>" if state in _UNFINISHED else state
            if not kept or kept[-1]["state"] != state:
                texts = {
                    key: self.text(each) if isinstance(each, str) else each
                    for key, each in change.items()
                }
                kept.append({**texts, "state": state})
        return kept
