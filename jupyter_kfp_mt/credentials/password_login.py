"""A login with user name and password at Dex or oauth2-proxy, as a browser would do it.

Only the session's cookie is kept.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from datetime import datetime
from html.parser import HTMLParser
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

import msgspec
import requests
from requests.cookies import get_cookie_header
from urllib3.exceptions import HTTPError

from .. import intervals, refusal_causes
from ..errors import KfpError, Misconfigured, Unauthenticated, Unreachable
from ..network.bodies import beginning
from ..network.certificates import CertificateFault, fault
from ..network.sessions import is_own, new_session
from ..scrubbing import Scrubber
from ..settings import Kfp
from .base import Claims, Hidden, reason, shown
from .kinds import Kind, Place
from .renewal import Renewed, Secret
from .session_cookie import is_login_page

USER, PASSWORD = "KFP_MT_USERNAME", "KFP_MT_PASSWORD"
STEPS = 20
TIMEOUT = intervals.LOGIN_SECONDS
_CURE = (
    "Put the user name and the password on two lines of a file that only you can read, and set "
    f"c.Kfp.login_file to its path; or set {USER} and {PASSWORD} for the Jupyter server."
)


class Login(Renewed):
    """Signs in on the login page in front of the endpoint, and again when the session has ended.

    `file` has the user name and the password on two lines; without it they are environment
    variables. `hosts` are other hosts than the endpoint's to which the login may lead.
    """

    kind: ClassVar[Kind] = Kind(
        "login",
        asked_by=("login_file",),
        beside=("login_hosts",),
        held_in=(PASSWORD,),
        of_clusters=True,
    )

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> Login:
        file = settings.value("login_file")
        if not file and not (os.environ.get(USER) and os.environ.get(PASSWORD)):
            raise cls.kind.lacking(f"c.Kfp.login_file, KFP_MT_LOGIN_FILE, or {USER} and {PASSWORD}")
        hosts = (host.strip() for host in settings.value("login_hosts").split(","))
        return cls(place.endpoint, file, filter(None, hosts))

    def __init__(self, endpoint: str, file: str = "", hosts: Iterable[str] = ()) -> None:
        where = (
            f"file {shown(Path(file).expanduser())}" if file else f"variables {USER}, {PASSWORD}"
        )
        super().__init__(f"login with {where}")
        self._endpoint = endpoint
        self._file = file
        self._hosts = frozenset(hosts)
        self._wrong: tuple[str, str] | None = None

    def refused_by(self, status: int, content_type: str) -> bool:
        return is_login_page(status, content_type)

    def renew(self) -> Secret:
        account = self._account()
        if account == self._wrong:  # another try could lock the account
            raise self._wrong_password()
        with _Browser(self._endpoint, self._hosts) as browser:
            try:
                return browser.sign_in(*account)
            except _WrongPassword:
                self._wrong = account
                raise self._wrong_password() from None
            except (OSError, HTTPError, ValueError) as error:  # the last for an invalid address
                wrong = fault(error) or CertificateFault(type(error).__name__, "")
                raise Unreachable(
                    f"Cannot sign in at {self._endpoint}: no answer ({wrong.reason}).",
                    cure=wrong.cure,
                ) from None

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        if not refused:
            return error
        return self.not_accepted(
            error,
            "the session of a new login is not accepted.",
            cause="The login succeeded, but the login page still answers.",
            cure="Set c.Kfp.endpoint to the address at which a browser reaches KFP, such as "
            "https://kubeflow.example.com/pipeline.",
        )

    def _account(self) -> tuple[str, str]:
        if not self._file:
            user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
        else:
            try:
                lines = Path(self._file).expanduser().read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise Misconfigured(
                    f"The {self.source} is not possible: {reason(error)}.", cure=_CURE
                ) from None
            user, password = (*lines[:2], "", "")[:2]
        if not user or not password:
            raise Misconfigured(f"The {self.source} lacks a user name or a password.", cure=_CURE)
        return user, password

    def _wrong_password(self) -> Unauthenticated:
        return Unauthenticated(
            f"Cannot sign in at {self._endpoint}: user name or password is wrong ({self.source}).",
            cause="The same ones are not tried again.",
            cure=_CURE,
        )


class _WrongPassword(Exception):
    """The login form was shown again after it had been filled in."""


class _Form(msgspec.Struct):
    """A form of a page: its address, its method, and its fields by name."""

    action: str
    method: str
    fields: dict[str, str] = {}
    user: str = ""
    password: str = ""


class _Page(HTMLParser):
    """The forms and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.links: list[str] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "form":
            self.forms.append(_Form(found.get("action", ""), found.get("method", "get").lower()))
            self._open = True
        elif tag in ("input", "button") and self._open and found.get("name"):
            self._add(self.forms[-1], found)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False

    def _add(self, form: _Form, found: dict[str, str]) -> None:
        kind, name = found.get("type", "text").lower(), found["name"]
        if kind == "password":
            form.password = name
        elif kind in ("text", "email") and not form.user:
            form.user = name
        elif kind in ("hidden", "submit"):
            form.fields[name] = found.get("value", "")


class _Browser:
    """Follows the redirects from the endpoint to its login form and back, keeping cookies."""

    def __init__(self, endpoint: str, hosts: frozenset[str]) -> None:
        self._start = f"{endpoint}/apis/v2beta1/healthz"
        self._endpoint = urlsplit(endpoint)
        self._hosts = hosts
        self._session = new_session(trust_environment=not is_own(endpoint))
        self._session.cookies.set_policy(DefaultCookiePolicy())
        self._session.headers["Accept"] = "text/html, */*"  # without it, no login page is sent

    def __enter__(self) -> _Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def sign_in(self, user: str, password: str) -> Secret:
        """Sign in, and return the session's cookie. Raises `_WrongPassword` and `KfpError`."""
        try:
            return self._signed_in(user, password)
        except KfpError as error:
            cookies = [str(cookie.value) for cookie in self._session.cookies]
            raise Scrubber([password, *cookies]).error(error) from None

    def _signed_in(self, user: str, password: str) -> Secret:
        answer, filled_in = self._open("GET", self._start), False
        for _ in range(STEPS):
            if location := answer.headers.get("Location") if answer.is_redirect else "":
                answer = self._open("GET", urljoin(answer.url, location))
                continue
            page = _Page(answer.text) if "html" in answer.headers.get("Content-Type", "") else None
            form = _form(page) if page else None
            if form and form.password:
                if filled_in:
                    raise _WrongPassword
                form.fields |= {form.user: user, form.password: password}
                filled_in = True
            elif page is None or not (form or _connector(page)):
                return self._secret(answer, page, filled_in)
            answer = self._submit(answer.url, form) if form else self._follow(answer.url, page)
        raise Unreachable(
            f"Cannot sign in at {self._endpoint.netloc}: {STEPS} redirects and pages did not lead "
            "to KFP.",
            cause=f"The last one was {_plain(answer.url)}.",
            cure="Try this endpoint in a browser: does KFP answer there?",
        )

    def _follow(self, url: str, page: _Page | None) -> requests.Response:
        assert page is not None
        return self._open("GET", urljoin(url, _connector(page)))

    def _submit(self, url: str, form: _Form) -> requests.Response:
        target = urljoin(url, form.action) if form.action else url
        fields = {name: value for name, value in form.fields.items() if name}
        if form.method == "post":
            return self._open("POST", target, data=fields)
        return self._open("GET", target, params=fields)

    def _open(
        self,
        method: str,
        url: str,
        data: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> requests.Response:
        self._check(url)
        answer = self._session.request(
            method,
            url,
            data=data,
            params=params,
            auth=lambda request: request,  # no credentials, not even from ~/.netrc
            timeout=TIMEOUT,
            allow_redirects=False,
            stream=True,
        )
        answer.raw = io.BytesIO(beginning(answer.raw, TIMEOUT[1]))  # enough to find the form
        return answer

    def _check(self, url: str) -> None:
        """Refuse an address that must not get the password: an unknown host, or one without TLS."""
        # The address as `requests` sends it: there a backslash ends the host, in urlsplit it does
        # not.
        parts = urlsplit(requests.Request("GET", url).prepare().url or "")
        own = _host(parts) == _host(self._endpoint)
        if not own and not self._hosts & {_host(parts), parts.hostname}:
            raise Misconfigured(
                f"The login at {self._endpoint.netloc} leads to another host, "
                f"{parts.netloc.rpartition('@')[2]}.",
                cure="If the login page is there, add the host to c.Kfp.login_hosts "
                "(KFP_MT_LOGIN_HOSTS).",
            )
        if parts.scheme != "https" and (self._endpoint.scheme == "https" or parts.scheme != "http"):
            raise Misconfigured(
                f"The login at {self._endpoint.netloc} leads to {_plain(url)}, which is not https.",
                cure="The password was not sent there; ask the cluster's administrator.",
            )

    def _secret(self, answer: requests.Response, page: _Page | None, filled_in: bool) -> Secret:
        """Return the session at the end of the login. Raises if there is none."""
        kind = answer.headers.get("Content-Type", "")
        request = requests.Request("GET", self._start).prepare()
        cookies = get_cookie_header(self._session.cookies, request) or ""  # type: ignore[no-untyped-call]
        if filled_in and cookies and page is None and not is_login_page(answer.status_code, kind):
            return Secret.lasting({"Cookie": Hidden(cookies)}, self._expires_at(cookies))
        if filled_in and answer.status_code in (401, 403):
            raise _WrongPassword
        raise self._no_session(answer, page, filled_in)

    def _no_session(
        self, answer: requests.Response, page: _Page | None, filled_in: bool
    ) -> KfpError:
        where = f"Cannot sign in at {self._endpoint.netloc}"
        if page is None and filled_in:
            return Unauthenticated(
                f"{where}: the password was accepted, but there is no session cookie.",
                cause="Over http, a cookie that is meant for https is not kept.",
                cure="Set c.Kfp.endpoint to the address with https:// that a browser uses.",
            )
        if page is None and answer.ok:
            return Misconfigured(
                f"{where}: there is no login page in front of KFP.",
                cure="Leave out c.Kfp.auth = 'login'; another kind of credentials may fit.",
            )
        if answer.status_code in (502, 503, 504):
            unavailable = refusal_causes.nobody_behind(answer.status_code, "")
            return unavailable.with_(attempt=where.removeprefix("Cannot "))
        others = ", ".join(_plain(urljoin(answer.url, link)) for link in page.links) if page else ""
        return Unauthenticated(
            f"{where}: {_plain(answer.url)} (HTTP {answer.status_code}) has no password form.",
            cause=f"It offers other ways to sign in: {others[:500]}." if others else "",
            cure="Use a session cookie instead (c.Kfp.cookie_file), or enable Dex's local password "
            "connector.",
        )

    def _expires_at(self, cookies: str) -> datetime | None:
        names = {text.partition("=")[0] for text in cookies.split("; ")}
        ends = [found.expires for found in self._session.cookies if found.name in names]
        known = [end for end in ends if end]
        return Claims(exp=min(known)).expires_at if known else None


def _form(page: _Page) -> _Form | None:
    """The form to send: one with a password, else one that only has to be submitted."""
    with_password = [form for form in page.forms if form.password]
    # oauth2-proxy's button to its provider, and Dex's "grant access".
    sent_on = [
        form
        for form in page.forms
        if urlsplit(form.action).path.endswith("/oauth2/start")
        or form.fields.get("approval") == "approve"
    ]
    return next(iter(with_password + sent_on), None)


def _connector(page: _Page) -> str:
    """Dex's link to its own login form, on a page that offers several ways to sign in."""
    found = (link for link in page.links if urlsplit(link).path.endswith("/auth/local"))
    return next(found, "")


def _host(parts: SplitResult) -> str:
    """The host of an address, with its port unless it is the usual one."""
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    return parts.netloc.removesuffix(usual) if usual else parts.netloc


def _plain(url: str) -> str:
    """An address without its query, which may hold a code, and without a password."""
    return re.sub("//[^/]*@", "//", urldefrag(url).url.partition("?")[0])
