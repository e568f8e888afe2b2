"""No credentials, as none were found; the search is repeated when KFP refuses a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import KfpError
from ..network.tls import Tls
from .base import Credentials


class NoneYet(Credentials):
    """Sends no credentials until KFP refuses that; then `look` searches for some again."""

    def __init__(self, look: Callable[[], Credentials | None]) -> None:
        self._look = look
        self._found: Credentials | None = None

    @property
    def source(self) -> str:  # type: ignore[override]
        return self._found.source if self._found else "none"

    @property
    def tls(self) -> Tls | None:
        return self._found.tls if self._found else None

    def headers(self) -> dict[str, str]:
        return self._found.headers() if self._found else {}

    def renewed(self, refused: Mapping[str, str]) -> bool:
        """Search for credentials again, or renew those that were found."""
        if self._found is not None:
            return self._found.renewed(refused)
        self._found = self._look()
        return self._found is not None

    def explained(self, error: KfpError, refused: bool) -> KfpError:
        return self._found.explained(error, refused) if self._found else error
