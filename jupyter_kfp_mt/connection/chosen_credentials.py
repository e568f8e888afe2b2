"""`jupyter_kfp_mt.Credentials`: the class of all kinds, which makes the kind that is configured."""

from __future__ import annotations

from typing import Any

from ..credentials import Credentials as AnyCredentials
from ..settings import chosen
from .choose_connection import resolve
from .loaded_magic import loaded_magic


class _AnyKind(type):
    """Makes instances of the kind that settings choose, all of which are its own."""

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
    """The credentials with which `connect()` of the same arguments comes to KFP itself.

    For `kfp.Client(host=..., credentials=jupyter_kfp_mt.Credentials())`: it asks them before each
    request. They never are the Jupyter server's key, which is for its own door alone. Whatever
    kind they are of, they are an instance of this class. Raises `KfpError`.
    """
