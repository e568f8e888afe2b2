"""`jupyter_kfp_mt.Credentials`: a class whose call returns credentials of the configured kind."""

from __future__ import annotations

from typing import Any

from ..credentials import Credentials as AnyCredentials
from ..settings import chosen
from .choose_connection import resolve
from .loaded_magic import loaded_magic


class _AnyKind(type):
    """Returns credentials of the kind that the settings select; all kinds count as instances."""

    def __call__(cls, **settings: str) -> AnyCredentials:
        magics = loaded_magic()
        made = magics.connection.kfp_credentials if magics and not settings else None
        identity = settings.pop("identity", "")
        found: AnyCredentials = made or resolve(chosen(settings), identity=identity).credentials
        return found

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, AnyCredentials)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, AnyCredentials)


class Credentials(metaclass=_AnyKind):
    """The credentials for KFP itself that `connect()` would use with the same arguments.

    They are for `kfp.Client(host=..., credentials=jupyter_kfp_mt.Credentials())`, which gets a
    token from them before each request. They are never the Jupyter server's key, which only opens
    its door. All kinds are instances of this class. Raises `KfpError`.
    """
