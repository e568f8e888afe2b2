"""A command that prints a token, such as `gcloud auth print-identity-token`."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import ClassVar

from ..errors import Misconfigured
from ..settings import Kfp
from .base import one_token
from .kinds import Kind, Place
from .renewal import Renewed, Secret
from .run_program import SECONDS, printed

_NAMED = "c.Kfp.token_command or KFP_MT_TOKEN_COMMAND names it."
_CURE = (
    "Run it in a terminal: what it says is not shown here, for a secret may be in it, and it is "
    f"given no input. {_NAMED}"
)


class TokenCommand(Renewed):
    """The token that a command prints, run again before the token expires. No shell sees it."""

    kind: ClassVar[Kind] = Kind("token-command", asked_by=("token_command",))
    # A token that is no JWT may expire at any time: it is renewed now and then.
    unknown_life: ClassVar[timedelta | None] = timedelta(minutes=5)

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> TokenCommand:
        return cls(cls.kind.needed(settings, "token_command"))

    def __init__(self, command: str, seconds: float = SECONDS) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise Misconfigured(
                f"The token command cannot be read: {error}.", cure=_NAMED
            ) from None
        if not self._words:
            raise Misconfigured("The token command is empty.", cure=_NAMED)
        self._seconds = seconds
        # Its arguments may hold secrets.
        super().__init__(f"token command {self._words[0]}")

    def renew(self) -> Secret:
        text = printed(self._words, f"The {self.source}", _CURE, self._seconds)
        said = text.decode("utf-8", "replace")
        return Secret.token(one_token(said, f"What the {self.source} prints", _CURE))
