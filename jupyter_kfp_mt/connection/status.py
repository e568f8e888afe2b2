"""The status of a connection: who am I, where, in which namespace, why, and what is wrong."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ..errors import KfpError, from_dict


class Step(msgspec.Struct, frozen=True):
    """One line of the trace: what was looked at, what was found, and whether it was chosen."""

    step: str
    looked_at: str
    found: str
    chosen: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Our identity, as the token says; nothing of it is verified here."""

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
    """A connection as it is now.

    `error` says why it does not work; `warnings` are about what looks wrong with the token, which
    KFP may accept all the same.
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
    default_namespace: str = ""  # the one in use where none is chosen in this server
    kernel_namespaces: dict[str, str] = {}  # kernels' own, by their ids
    identities: list[str] = []  # of the local KFP, as which this server may ask


class NamespaceInUse(msgspec.Struct, frozen=True):
    """The namespace that a Jupyter server uses, and those that its kernels have for themselves.

    `kernels` are by their ids; `default_namespace` is in use where none is chosen.
    """

    namespace: str = ""
    default_namespace: str = ""
    kernels: dict[str, str] = {}


def chosen_instead(trace: list[Step], choice: Step) -> list[Step]:
    """Return a trace in which this was chosen, in place of what was for the same step."""
    others = [
        msgspec.structs.replace(step, chosen=False) if step.step == choice.step else step
        for step in trace
    ]
    return [*others, choice]


class Trace:
    """The decisions, as they are made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: str, looked_at: str, found: str, chosen: bool = False) -> None:
        self.steps.append(Step(step, looked_at, found, chosen))
