"""An identity token for Google's Identity-Aware Proxy (IAP), which protects Kubeflow on GCP."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .. import intervals
from ..errors import KfpError, Misconfigured, Unauthenticated
from ..settings import Kfp
from .base import one_token
from .kinds import Kind, Place
from .renewal import Renewed, Secret

SECONDS = intervals.GOOGLE_SECONDS
_CURE = (
    "Give this machine application default credentials of a service account "
    "(GOOGLE_APPLICATION_CREDENTIALS), and that account the role IAP-secured Web App User."
)


class GoogleIap(Renewed):
    """An identity token for the client id of an IAP, from application default credentials."""

    kind: ClassVar[Kind] = Kind("google-iap", asked_by=("iap_client_id",), of_clusters=True)

    @classmethod
    def chosen(cls, settings: Kfp, place: Place) -> GoogleIap:
        return cls(cls.kind.needed(settings, "iap_client_id"))

    def __init__(self, client_id: str) -> None:
        self.audience = client_id
        super().__init__("Google identity token for IAP")

    def renew(self) -> Secret:
        try:
            from google.auth import exceptions
            from google.auth.transport.requests import Request
            from google.oauth2 import id_token
        except ImportError:
            raise Misconfigured(
                "Google's IAP needs a token from google-auth, which is not installed.",
                cure="pip install 'jupyter-kfp-mt[iap]'",
            ) from None
        try:
            # google-auth's own timeout is two minutes.
            request = partial(Request(), timeout=SECONDS)
            token = id_token.fetch_id_token(request, self.audience)
        except exceptions.GoogleAuthError as error:
            raise _failure(error) from None
        return Secret.token(one_token(token, f"The {self.source}"))


def _failure(error: Exception) -> KfpError:
    # The first line only: Google's answer, which does not belong in a cell, may follow.
    why = str(error.args[0] if error.args else error).partition("\n")[0][:300]
    return Unauthenticated("Google issued no identity token for this IAP.", cause=why, cure=_CURE)
