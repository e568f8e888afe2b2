"""The status of a connection: endpoint, identity and namespace, their sources, and problems."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..errors import KfpError, from_dict


class Step(msgspec.Struct, frozen=True):
    """One line of the trace: a source, the value found there, and whether it was chosen."""

    step: str
    looked_at: str
    found: str
    chosen: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Our identity according to the token, which is not verified here."""

    subject: str = ""
    expires_at: datetime | None = None
    source: str = ""


class Problem(msgspec.Struct, frozen=True):
    """An error as JSON."""

    message: str
    cause: str = ""
    cure: str = ""
    server_text: str = ""
    kind: str = ""

    @classmethod
    def of(cls, error: KfpError) -> Problem:
        return cls(**error.to_dict())

    def to_error(self) -> KfpError:
        return from_dict(msgspec.structs.asdict(self))


class ConnectionStatus(msgspec.Struct, frozen=True):
    """The state of a connection.

    `error` says why it does not work; `warnings` are about a token that looks wrong, though KFP may
    accept it.
    """

    version: str
    endpoint: str = ""
    local: bool = False
    namespace: str = ""
    identity: Identity = Identity()
    multi_user: bool = True
    server_version: str = ""
    ready: bool = True
    trace: list[Step] = []
    error: Problem | None = None
    warnings: list[Problem] = []
    tokens: str = ""  # the folder of the local KFP's token files
    default_namespace: str = ""  # the one in use if none is chosen in this server
    kernel_namespaces: dict[str, str] = {}  # those of single kernels, by the kernels' ids
    identities: list[str] = []  # those of the local KFP that this server can use


class NamespaceInUse(msgspec.Struct, frozen=True):
    """The namespace that a Jupyter server uses, and those of single kernels, by the kernels' ids.

    `default_namespace` is in use if none is chosen.
    """

    namespace: str = ""
    default_namespace: str = ""
    kernels: dict[str, str] = {}


def chosen_instead(trace: list[Step], choice: Step) -> list[Step]:
    """Return a trace with this choice in place of the earlier one for the same step."""
    others = [
        msgspec.structs.replace(step, chosen=False) if step.step == choice.step else step
        for step in trace
    ]
    return [*others, choice]


class Trace:
    """The lines about decisions, in the order in which they were made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: str, looked_at: str, found: str, chosen: bool = False) -> None:
        self.steps.append(Step(step, looked_at, found, chosen))
