"""Refusals in the API server's form: gRPC codes, two texts for each error, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INVALID_ARGUMENT = 3
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
FAILED_PRECONDITION = 9
ABORTED = 10
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16

HTTP_STATUS = {
    INVALID_ARGUMENT: 400,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    PERMISSION_DENIED: 403,
    FAILED_PRECONDITION: 400,
    ABORTED: 409,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
    UNAUTHENTICATED: 401,
}


# Messages for an unreadable form or file of an upload, and for a file that is not a pipeline.
UNREADABLE_FORM = "Failed to read pipeline from file"
UNREADABLE_FILE = "Failed to read a pipeline spec file"
NO_VERSION = "Failed to create a pipeline version"
UNKNOWN_FORMAT = "unknown template format"


class ApiError(Exception):
    """A refusal: `text` is for people, `message` also says where in the server it arose.

    `said` is the API server's message about an upload, if that gives no reason.
    """

    def __init__(self, code: int, text: str, message: str, said: str = ""):
        super().__init__(message)
        self.code = code
        self.text = text
        self.message = message
        self.said = said

    @property
    def status(self) -> int:
        return HTTP_STATUS[self.code]

    def wrap(self, context: str) -> ApiError:
        return ApiError(self.code, self.text, f"{context}: {self.message}", self.said)

    def to_dict(self) -> dict[str, Any]:
        if self.text == self.message:  # refusals of the gateway have no details
            return {"code": self.code, "message": self.message}
        detail = {
            "@type": "type.googleapis.com/google.rpc.Status",
            "code": self.code,
            "message": self.text,
        }
        return {"code": self.code, "message": self.message, "details": [detail]}

    def to_file_dict(self) -> dict[str, str]:
        """The form used by routes that read artifacts."""
        return {"error_message": self.text, "error_details": self.message}

    def to_upload_dict(self, said: str) -> dict[str, str]:
        """The form of uploads, with the reason in place of the API server's stack trace."""
        text, message = (" ".join(each.splitlines()) for each in (self.text, self.message))
        return {"error_message": said, "error_details": f"{said}\nreason\n\t{text}\n\t{message}"}


@contextmanager
def wrapped(context: str) -> Iterator[None]:
    """Prefix the message of a refusal that leaves this block with `context`."""
    try:
        yield
    except ApiError as error:
        raise error.wrap(context) from error.__cause__


def invalid_input(text: str, said: str = "") -> ApiError:
    return ApiError(INVALID_ARGUMENT, text, f"Invalid input error: {text}", said)


class GatewayError(ApiError):
    """A refusal by the gateway, before the request reaches the server itself."""

    def wrap(self, context: str) -> ApiError:
        return self


def gateway_refusal(text: str) -> ApiError:
    """The refusal of an unreadable request. It has no details."""
    return GatewayError(INVALID_ARGUMENT, text, text)


def invalid_page_token(reason: str) -> ApiError:
    text = "Invalid page token"
    return ApiError(INVALID_ARGUMENT, text, f"InvalidInputError: {text}: {reason}")


def unknown_api_version(text: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, text, f"UnknownApiVersionError: {text}")


def not_found(kind: str, name: str) -> ApiError:
    return missing(f"{kind} {name} not found")


def missing(text: str) -> ApiError:
    return ApiError(NOT_FOUND, text, f"ResourceNotFoundError: {text}")


def already_exists(text: str) -> ApiError:
    return ApiError(ALREADY_EXISTS, text, f"Already exist error: {text}")


def permission_denied(text: str) -> ApiError:
    return ApiError(PERMISSION_DENIED, text, f"PermissionDenied: {text}: Unauthorized access")


def bad_request(text: str, reason: str = "") -> ApiError:
    return ApiError(ABORTED, text, f"BadRequestError: {text}: {reason or text}")


def internal(text: str) -> ApiError:
    """Return the refusal for an internal error; unlike the API server's, it gives the reason."""
    return ApiError(INTERNAL, text, f"InternalServerError: {text}")


def unavailable(text: str) -> ApiError:
    return ApiError(UNAVAILABLE, text, f"UnavailableError: {text}")


def failed_precondition(text: str, reason: str) -> ApiError:
    return ApiError(FAILED_PRECONDITION, text, f"FailedPreconditionError: {text}: {reason}")


def unauthenticated(text: str, reason: str) -> ApiError:
    return ApiError(UNAUTHENTICATED, text, f"Unauthenticated: {text}: {reason}")
