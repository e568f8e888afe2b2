"""The collaborators of the extension's routes, typed, under one key of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .caller_namespaces import CallerNamespaces
    from .event_stream import Events
    from .names_by_id import NamesById
    from .namespace_of_request import NamespaceOfRequest
    from .server_identity import ServerIdentity
    from .server_namespace import ServerNamespace
    from .shared_answers import SharedAnswers
    from .task_log_handler import Logs
    from .upstream import Upstream

# In the settings of Jupyter's web application, through which handlers share objects.
SETTING = "kfp_mt"
UPLOADS_READ_AT_ONCE = 2


@dataclass(frozen=True)
class Collaborators:
    """One of each for a Jupyter server; `reading` limits how many uploads are read at once."""

    upstream: Upstream
    tenants: CallerNamespaces
    logs: Logs
    events: Events
    shared_answers: SharedAnswers
    names: NamesById
    namespace_of_request: NamespaceOfRequest
    namespace: ServerNamespace
    identity: ServerIdentity
    reading: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(UPLOADS_READ_AT_ONCE)
    )

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Collaborators:
        """Return the collaborators of the server with these settings."""
        found: Collaborators = settings[SETTING]
        return found
