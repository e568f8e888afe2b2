"""Our identity to KFP: a file for each kind of credentials."""

from ..network.tls import Tls
from .base import AUDIENCE, Claims, Credentials, Key, claims, shown, warnings
from .google_iap import GoogleIap
from .kinds import KeptCredentials, Kind, Place
from .kubeconfig import Kubeconfig
from .kubernetes_token_request import KubernetesTokenRequest
from .password_login import Login
from .session_cookie import SessionCookie
from .token_command import TokenCommand
from .token_file import TokenFile

# In the order of help and messages. Only these kinds can be chosen.
KINDS: dict[str, type[Credentials]] = {
    each.kind.name: each
    for each in (
        *(Credentials, TokenFile, TokenCommand, KubernetesTokenRequest, SessionCookie),
        *(GoogleIap, Login, Kubeconfig),
    )
}

__all__ = [
    "KINDS",
    "AUDIENCE",
    "Claims",
    "Credentials",
    "GoogleIap",
    "KeptCredentials",
    "Key",
    "Kind",
    "Kubeconfig",
    "Login",
    "Place",
    "SessionCookie",
    "Tls",
    "TokenCommand",
    "TokenFile",
    "KubernetesTokenRequest",
    "claims",
    "shown",
    "warnings",
]
