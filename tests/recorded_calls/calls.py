"""The recorded calls, and how they are made again."""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import re
import tarfile
import time
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RECORDED = json.loads(gzip.decompress((Path(__file__).parent / "calls.json.gz").read_bytes()))
_TIMEOUT = 120
_EDGE = "----edge-of-the-form"


def scenarios(only: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Each with its name: those whose runs must be executed first, as they were recorded."""
    found = [item for item in RECORDED["scenarios"].items() if only in item[0]]
    return sorted(found, key=lambda item: (not item[1]["executes"], item[1]["order"]))


class Caller:
    """Makes calls under the identities whose tokens are in files, by their names."""

    def __init__(self, endpoint: str, token: Callable[[str], str]):
        parts = urllib.parse.urlsplit(endpoint)
        self.host, self._base, self._token = parts.netloc, parts.path.rstrip("/"), token
        secure = parts.scheme == "https"
        self._connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = self._connect(self.host, timeout=_TIMEOUT)

    def close(self) -> None:
        self._connection.close()

    def answer(self, who: str, request: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        """Status, headers by their names in small letters, and body of the answer to a request."""
        headers, body = _body(request)
        if who != "nobody":
            headers.insert(0, ("Authorization", f"Bearer {self._token(who)}"))
        try:
            return self._send(request, headers, body)
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()  # a kept one may have been closed meanwhile
            return self._send(request, headers, body)

    def _send(
        self, request: dict[str, Any], headers: list[tuple[str, str]], body: bytes | None
    ) -> tuple[int, dict[str, str], str]:
        connection = self._connection
        connection.putrequest(request["method"], self._base + _target(request))
        for name, value in [*headers, *request.get("headers", [])]:
            connection.putheader(name, value.encode())
        if body is not None or request["method"] in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


class Scenario:
    """Plays the calls of a scenario one after the other, with names of its own."""

    def __init__(self, caller: Caller, recorded: dict[str, Any], unique: str, *, pauses: bool):
        self.names = {"u": f"{unique}{recorded['order']:03}"}
        self._caller, self._calls, self._pauses = caller, recorded["calls"], pauses

    def played(self) -> Iterator[tuple[dict[str, Any], tuple[int, dict[str, str], Any]]]:
        """Each call, and what is answered: status, headers, and body as JSON or text."""
        for call in self._calls:
            time.sleep(call.get("pause", 0) if self._pauses else 0)
            answer = self._answer(call)
            for name, place in call.get("save", {}).items():
                if isinstance(value := _at(answer[2], place), str) and value:
                    self.names[name] = value
            yield call, answer

    def _answer(self, call: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        until = call.get("until", {"seconds": 0, "at": "/", "in": []})
        deadline = time.monotonic() + until["seconds"]
        while True:
            request = self._filled(call["request"])
            status, headers, text = self._caller.answer(call["as"], request)
            body = _json(text)
            if _at(body, until["at"]) in until["in"] or time.monotonic() >= deadline:
                return status, headers, body
            time.sleep(0.2)

    def _filled(self, value: Any) -> Any:
        """A value of a request with what its placeholders stand for."""
        if isinstance(value, str):
            return re.sub(r"{{([\w.-]+)}}", lambda found: self.names.get(found[1], found[0]), value)
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if not isinstance(value, dict):
            return value
        if [*value] == ["$pipeline"]:
            return RECORDED["pipelines"][value["$pipeline"]]
        if [*value] == ["$repeat"]:
            text, times = value["$repeat"]
            return self._filled(text) * times
        return {self._filled(key): self._filled(each) for key, each in value.items()}


def _target(request: dict[str, Any]) -> str:
    """Path and query as they are sent."""
    quote = urllib.parse.quote
    pairs = [
        (key, each if isinstance(each, str) else json.dumps(each))
        for key, each in request.get("query", [])
    ]
    query = [f"{quote(key, safe='')}={quote(each, safe='')}" for key, each in pairs]
    query += [request["rawquery"]] if "rawquery" in request else []
    path = quote(request["path"], safe="/:%-._~!$&'()*+,;=@")
    return f"{path}?{'&'.join(query)}" if query else path


def _body(request: dict[str, Any]) -> tuple[list[tuple[str, str]], bytes | None]:
    """Return the body of a call, and the header that says what it is."""
    if "json" in request:
        return [("Content-Type", "application/json")], json.dumps(request["json"]).encode()
    if "text" in request:
        kind = request.get("content_type", "application/json")
        return [("Content-Type", kind)], request["text"].encode()
    if "file" not in request:
        return [], None
    file = request["file"]
    field, name = file.get("field", "uploadfile"), file.get("name", "pipeline.yaml")
    head = f'--{_EDGE}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    form = head.encode() + _file(file) + f"\r\n--{_EDGE}--\r\n".encode()
    return [("Content-Type", f"multipart/form-data; boundary={_EDGE}")], form


def _file(file: dict[str, Any]) -> bytes:
    """The content of an uploaded file: a text or a pipeline, in archives one within the other."""
    text = file.get("text") if "text" in file else None
    if text is None and "pipeline" in file:
        text = json.dumps(RECORDED["pipelines"][file["pipeline"]], indent=1)
    data = base64.b64decode(file["base64"]) if "base64" in file else (text or "").encode()
    for kind in file.get("as", []):
        data = _PACKED[kind](data, file.get("inner", "pipeline.yaml"))
    return data


def _zipped(data: bytes, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, data)
    return packed.getvalue()


def _tarred(data: bytes, name: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


_PACKED: dict[str, Callable[[bytes, str], bytes]] = {
    "zip": _zipped,
    "tar.gz": _tarred,
    "gz": lambda data, name: gzip.compress(data),
}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _at(value: Any, place: str) -> Any:
    """Return the value at a JSON pointer; None if there is nothing."""
    for key in filter(None, place.split("/")):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
