"""The cookie of a browser's session, from a file or from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import KfpError, Misconfigured, Unreachable
from ..settings import Kfp
from .base import Claims, Credentials, Hidden, claims, differ, reason, shown
from .kinds import Kind, Place

VARIABLE = "KFP_MT_COOKIE"
_CURE = (
    "Sign in to Kubeflow in a browser, copy the session cookie (authservice_session or "
    f"oauth2_proxy_kubeflow), and put it, as NAME=VALUE, into the file that c.Kfp.cookie_file "
    f"names, or into {VARIABLE}."
)


class SessionCookie(Credentials):
    """A session cookie: `NAME=VALUE`, or only the value if `name` is given.

    Without a file it is in the environment variable `KFP_MT_COOKIE`.
    """

    kind: ClassVar[Kind] = Kind(
        "cookie",
        asked_by=("cookie_file",),
        beside=("cookie_name",),
        held_in=(VARIABLE,),
        of_clusters=True,
    )

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> SessionCookie:
        file = settings.value("cookie_file")
        if not file and not os.environ.get(VARIABLE):
            raise cls.kind.lacking(f"c.Kfp.cookie_file, KFP_MT_COOKIE_FILE or {VARIABLE}")
        return cls(file, settings.value("cookie_name"))

    def __init__(self, file: str = "", name: str = "") -> None:
        self._file = Path(file).expanduser() if file else None
        self._name = name
        where = f"file {shown(self._file)}" if self._file else f"variable {VARIABLE}"
        self.source = f"session cookie in {where}"

    def headers(self) -> dict[str, str]:
        return {"Cookie": Hidden(cookie(self._name, self._text(), self.source))}

    def renewed(self, refused: Mapping[str, str]) -> bool:
        return differ(refused, self.headers())

    def claims(self) -> Claims:
        """Return the claims of a session that is a JWT; usually there are none."""
        return claims(self.headers()["Cookie"].partition("=")[2])

    def refused_by(self, status: int, content_type: str) -> bool:
        return is_login_page(status, content_type)

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        if not refused or (isinstance(error, Unreachable) and error.moved):
            return error
        return self.not_accepted(
            error,
            f"the {self.source} is not accepted.",
            cause="The session has ended, and a login page answered.",
            cure=_CURE,
        )

    def _text(self) -> str:
        if self._file is None:
            return os.environ.get(VARIABLE, "")
        try:
            return self._file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"The {self.source} cannot be read: {reason(error)}.", cure=_CURE
            ) from None


def is_login_page(status: int, content_type: str) -> bool:
    """Tell whether an answer requires a login: a redirect, a page, or a 401."""
    return status == 401 or 300 <= status < 400 or (status == 403 and "html" in content_type)


def cookie(name: str, text: str, source: str) -> str:
    """Return the one cookie in a text, as `NAME=VALUE`. Raises `Misconfigured` for other texts."""
    text = text.strip()
    if not text:
        raise Misconfigured(f"There is no {source}.", cure=_CURE)
    if name and not text.startswith(f"{name}="):
        text = f"{name}={text}"
    # A value in base64 may end with = signs.
    if not text.partition("=")[0] or not text.rstrip("=").partition("=")[2]:
        raise Misconfigured(
            f"The {source} has no name: it is not in the form NAME=VALUE.",
            cure="Add the name, or set c.Kfp.cookie_name to it.",
        )
    if not (text.isascii() and text.isprintable()) or any(character in text for character in " ;,"):
        raise Misconfigured(f"The {source} is not a single cookie.", cure=_CURE)
    return text
