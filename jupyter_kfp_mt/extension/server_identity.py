"""The identity of the local KFP that this Jupyter server asks as, where somebody has chosen one."""

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
    """A tenant of the local KFP, for everybody in this server and for as long as it lives.

    A cluster has no identities to choose from, and neither has a local KFP for which credentials
    are configured. May be used from any thread.
    """

    def __init__(self, settings: Kfp) -> None:
        self._settings = settings
        self._local: LocalKfp | None = None
        self._chosen = ""

    @property
    def choices(self) -> list[str]:
        """Return the identities there are to choose from: `NAMESPACE/NAME`, or a user's name."""
        return list(self._local.identities) if self._local else []

    def over(self, found: DirectConnection) -> DirectConnection:
        """Return the connection as the chosen identity, in a namespace of its own."""
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
        """Be another one from the next decision on; without a name the usual one.

        Raises `BadRequest` where none can be chosen, and `NotFound`, naming those there are.
        """
        if identity and self._local is None:
            raise BadRequest(
                f"Cannot be {identity[:100]!r}: only a local KFP lends its identities, and only "
                "where no credentials are configured.",
                cure="On a cluster, open a notebook in the other namespace.",
            )
        if identity and self._local:
            self._local.token_file(identity)
        self._chosen = identity

    def _token_file(self) -> Path | None:
        """Return that of the chosen identity; None for the usual one, and for one that is gone."""
        if not self._chosen or self._local is None:
            return None
        try:
            return self._local.token_file(self._chosen)
        except NotFound:
            return None
