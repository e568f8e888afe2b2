"""Pipelines fetched from the web, from the URLs that the API server's own rules allow.

Its settings have the same names here: PIPELINE_URL_ALLOWED_DOMAINS (a list with commas, `*` for
any characters), PIPELINE_URL_ALLOW_HTTP, PIPELINE_URL_TIMEOUT (seconds), and for tests alone
PIPELINE_URL_VALIDATION_ENABLED=false.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import os
import socket
import time
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from ..wire.api_errors import ApiError, internal, invalid_input
from .pipeline_files import MAX_FILE_LENGTH

if TYPE_CHECKING:
    import requests

_ALLOWED = ["storage.googleapis.com", "s3.amazonaws.com", "github.com", "raw.githubusercontent.com"]
_PORTS = {"https": 443, "http": 80}
_MOST_REDIRECTS = 10


def file_name(url: str) -> str:
    """The last segment of the path, the default name of the pipeline."""
    try:
        return PurePosixPath(urlsplit(url).path).name
    except ValueError:
        return ""  # it is refused when it is fetched


def check_version_url(url: str) -> None:
    """Refuse what is no URI, in the words that the API server has of a version's."""
    try:
        is_uri = url.startswith("/") or bool(_parts(url).scheme)
    except ApiError:
        is_uri = False
    if not is_uri:
        raise invalid_input(
            "Failed to create a pipeline version due to invalid pipeline spec URI. "
            f"PipelineSpecURI: {url}. Please specify a valid URL"
        )


def fetch(url: str, file: IO[bytes]) -> None:
    """Download a URL to a file. Blocks up to the timeout: call it in a thread."""
    import requests  # a tenth of the server's start, and few servers ever fetch a pipeline

    place, deadline = url, time.monotonic() + _timeout()
    with requests.Session() as session:
        session.trust_env = False  # a proxy could connect to addresses that are not allowed here
        for _ in range(_MOST_REDIRECTS):
            _check(place)
            try:
                with session.get(
                    place, timeout=_timeout(), stream=True, allow_redirects=False
                ) as response:
                    if not response.is_redirect:
                        return _write_body(place, response, file, deadline)
                    place = urljoin(place, response.headers["Location"])
            except requests.RequestException as error:
                raise internal(
                    f"error downloading the pipeline spec from {place}: {error}"
                ) from None
    raise invalid_input("too many redirects")


def _write_body(url: str, response: requests.Response, file: IO[bytes], deadline: float) -> None:
    import requests

    if response.status_code != requests.codes.ok:
        raise invalid_input(
            f"error fetching pipeline spec from {url} - request returned "
            f"{response.status_code} {response.reason}"
        )
    for chunk in response.iter_content(1 << 16):
        file.write(chunk)
        if file.tell() > MAX_FILE_LENGTH:
            break  # and the reader says that it is too large
        if time.monotonic() > deadline:
            raise requests.Timeout(f"the download takes longer than {_timeout():g} s")


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a malformed port raises only when it is read
    except ValueError:
        raise invalid_input(f"invalid pipeline spec URL: {url}") from None
    return parts


def _check(url: str) -> None:
    parts = _parts(url)
    if not parts.scheme or not parts.hostname:
        raise invalid_input(f"invalid pipeline spec URL: {url}")
    if os.environ.get("PIPELINE_URL_VALIDATION_ENABLED", "true").lower() == "false":
        return
    if reason := _why_not(parts, parts.port):
        raise invalid_input(f"Pipeline URL validation failed: {reason}")


def _why_not(parts: SplitResult, port: int | None) -> str:
    """Return why a URL is not allowed; empty if it is."""
    http = os.environ.get("PIPELINE_URL_ALLOW_HTTP", "").lower() == "true"
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https" and not (http and parts.scheme == "http"):
        return f'URL scheme "{parts.scheme}" not allowed, use https'
    if port not in (None, _PORTS[parts.scheme]):
        return f'{parts.scheme.upper()} requires port {_PORTS[parts.scheme]}, got "{port}"'
    if not any(fnmatch.fnmatchcase(host, domain) for domain in _allowed_domains()):
        return f'URL domain "{host}" not in allowlist'
    return _why_not_address(host)


def _why_not_address(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return f'DNS resolution failed for "{host}": {error}'
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            return f"URL resolves to blocked IP range: {address[0]}"
    return ""


def _allowed_domains() -> list[str]:
    more = os.environ.get("PIPELINE_URL_ALLOWED_DOMAINS", "").split(",")
    return [*_ALLOWED, *(domain.strip() for domain in more if domain.strip())]


def _timeout() -> float:
    text = os.environ.get("PIPELINE_URL_TIMEOUT", "")
    return float(text) if text.isdecimal() and int(text) else 30.0
