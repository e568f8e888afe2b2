"""The token in a file, which is read again whenever it changes, for example by a kubelet."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import Misconfigured
from ..settings import Kfp
from .base import Credentials, bearer, differ, one_token, reason, shown
from .kinds import STANDARD, Kind, Place

_WANTED = "It must contain one token and nothing else: neither 'Bearer' nor quotes."
_CURE = "Set c.Kfp.token_file or KF_PIPELINES_SA_TOKEN_PATH to the path of a readable file."


class TokenFile(Credentials):
    """The token in a file, read again whenever the file has changed."""

    kind: ClassVar[Kind] = Kind("token-file", asked_by=("token_file",))

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> TokenFile:
        path = settings.value("token_file") or os.environ.get(STANDARD, "")
        projected = place.pod.projected_token()
        if not path and not projected.exists():
            raise cls.kind.lacking(f"c.Kfp.token_file, KFP_MT_TOKEN_FILE or {STANDARD}")
        return cls(path or projected)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.source = f"token file {shown(self.path)}"
        # The file's state when it was read, and the text: one value, so both change together.
        self._seen: tuple[tuple[int, int, int], str] | None = None
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        return bearer(self._read())

    def renewed(self, refused: Mapping[str, str]) -> bool:
        self._seen = None
        return differ(refused, self.headers())

    def _read(self) -> str:
        what = f"The token file {shown(self.path)}"
        try:
            found = self.path.stat()
            state = (found.st_mtime_ns, found.st_ino, found.st_size)
            seen = self._seen
            if seen is None or seen[0] != state:
                with self._lock:
                    text = self.path.read_text(encoding="ascii")
                    if not text and seen:
                        return seen[1]  # it is just being rewritten
                    # A text that is newer than the state only means that it is read once more.
                    seen = (state, one_token(text, what, _WANTED))
                    self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{what} cannot be read: {reason(error)}.", cure=_CURE) from None
        return seen[1]
