"""Who we are, to KFP: a file for each kind of credentials."""

from .base import AUDIENCE, Claims, Credentials, Key, Tls, claims, shown, warnings
from .google_iap import GoogleIap
from .kubeconfig import Kubeconfig
from .login import Login
from .session_cookie import SessionCookie
from .token_command import TokenCommand
from .token_file import TokenFile
from .token_request import TokenRequest

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
    "TokenRequest",
    "claims",
    "shown",
    "warnings",
]
