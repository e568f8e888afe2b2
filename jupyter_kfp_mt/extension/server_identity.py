"""The identity of the local KFP that was chosen for this Jupyter server."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..connection.choose_credentials import asked_for
from ..connection.connections import DirectConnection
from ..connection.local_kfp import LocalKfp
from ..connection.status import Step, chosen_instead
from ..credentials import TokenFile, shown
from ..errors import BadRequest, NotFound
from ..resource_names import short_name
from ..settings import Kfp

CHOSEN = "chosen in the panel"
ITS_OWN = "the identity's own"


class ServerIdentity:
    """The chosen identity of a local KFP, for everybody in this server, until the server stops.

    There is no choice at a cluster, or if credentials are configured for the local KFP. May be used
    from any thread.
    """

    def __init__(self, settings: Kfp) -> None:
        self._settings = settings
        self._local: LocalKfp | None = None
        self._chosen = ""

    @property
    def choices(self) -> list[str]:
        """Return the identities to choose from: `NAMESPACE/NAME`, or a user's name."""
        return list(self._local.identities) if self._local else []

    def over(self, found: DirectConnection) -> DirectConnection:
        """Return the connection with the chosen identity, in the identity's own namespace."""
        self._local = None if asked_for(self._settings) else found.local
        file = self._token_file()
        if file is None or TokenFile(file).source == found.credentials.source:
            return found
        trace = chosen_instead(found.trace, Step("credentials", CHOSEN, shown(file), True))
        own = short_name(self._chosen).rpartition("/")[0]
        if own:
            trace = chosen_instead(trace, Step("namespace", ITS_OWN, own, True))
        return msgspec.structs.replace(
            found, credentials=TokenFile(file), namespace=own or found.namespace, trace=trace
        )

    def choose(self, identity: str) -> None:
        """Use another identity from the next connection on; an empty name is the default.

        Raises `BadRequest` if there is no choice, and `NotFound` with the names of all identities.
        """
        if identity and self._local is None:
            raise BadRequest(
                f"Cannot use the identity {identity[:100]!r}: only a local KFP offers identities, "
                "and only if no credentials are configured.",
                cure="On a cluster, open a notebook in the other namespace.",
            )
        if identity and self._local:
            self._local.token_file(identity)
        self._chosen = identity

    def _token_file(self) -> Path | None:
        """Return the chosen identity's token file; None for the default, or a deleted identity."""
        if not self._chosen or self._local is None:
            return None
        try:
            return self._local.token_file(self._chosen)
        except NotFound:
            return None
