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

_NAMED = "It is set in c.Kfp.token_command or KFP_MT_TOKEN_COMMAND."
_CURE = (
    "Try it in a terminal: here it gets no input, and its output is not shown, as that may contain "
    f"a secret. {_NAMED}"
)


class TokenCommand(Renewed):
    """The token that a command prints, which is run again before the token expires."""

    kind: ClassVar[Kind] = Kind("token-command", asked_by=("token_command",))
    # A token that is not a JWT may expire at any time: it is renewed after this time.
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
        token = one_token(
            text.decode("utf-8", "replace"), f"The output of the {self.source}", _CURE
        )
        return Secret.token(token)
