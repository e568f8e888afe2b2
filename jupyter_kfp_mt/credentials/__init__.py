"""Who we are, to KFP: a file for each kind of credentials."""

from ..network.tls import Tls
from .base import AUDIENCE, Claims, Credentials, Key, claims, shown, warnings
from .google_iap import GoogleIap
from .kubeconfig import Kubeconfig
from .kubernetes_token_request import KubernetesTokenRequest
from .password_login import Login
from .session_cookie import SessionCookie
from .token_command import TokenCommand
from .token_file import TokenFile

__all__ = [
    "AUDIENCE",
    "Claims",
    "Credentials",
    "GoogleIap",
    "Key",
    "Kubeconfig",
    "Login",
    "SessionCookie",
    "Tls",
    "TokenCommand",
    "TokenFile",
    "KubernetesTokenRequest",
    "claims",
    "shown",
    "warnings",
]
