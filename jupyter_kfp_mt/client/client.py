"""The Kubeflow Pipelines REST API (v2beta1) as typed calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import requests

from ..credentials import Credentials
from ..models import Health
from .recurring_runs import RecurringRuns
from .transport import Transport
from .waiting import Waiting

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster


class Client(Waiting, RecurringRuns):
    """KFP at `endpoint`, with the identity of `credentials`; `namespace` is the default of calls.

    Every method raises a `KfpError`: `Unreachable` without an answer, else the subclass of
    `Refused` for KFP's status.

    `cluster` finds the Kubernetes API that has the logs of tasks; `logs` is the address at which a
    Jupyter server's door reads them instead.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | None = None,
        namespace: str = "",
        health: Health | None = None,
        session: requests.Session | None = None,
        read_only: bool = False,
        cluster: Callable[[], Cluster | None] = lambda: None,
        logs: str = "",
    ) -> None:
        transport = Transport(
            *(endpoint, credentials or Credentials(), session, health, read_only, bool(logs))
        )
        super().__init__(transport, namespace, cluster, logs)

    def __repr__(self) -> str:
        return f"Client({self.endpoint!r}, namespace={self.namespace!r})"

    @property
    def session(self) -> requests.Session:
        return self.transport.session

    @property
    def read_only(self) -> bool:
        return self.transport.read_only

    @property
    def warnings(self) -> deque[str]:
        """KFP's warnings about changes, until somebody removes them."""
        return self.transport.warnings

    def close(self) -> None:
        """Close all connections."""
        self.transport.close()

    def in_kubernetes_place(self, path: str, body: Any = None) -> Any:
        """Send a read-only request of the Kubernetes API to a local KFP."""
        return self.transport.unread(self.endpoint + path, body)
