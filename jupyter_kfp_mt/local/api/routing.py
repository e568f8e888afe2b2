"""Finds the handler of a request as the API server does: with a router, and behind it a gateway.

Rules: `mux.Router.ServeHTTP` of gorilla/mux, which cleans paths, and `runtime.ServeMux.ServeHTTP`
of grpc-gateway, for which a colon is part of an id unless what follows it can be done to the thing.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import quote, unquote

from tornado import web
from tornado.httputil import HTTPServerRequest

from .handlers import Handler, UnknownPath

# Read as they were sent: names of artifacts and of pipelines may have a slash.
_AS_SENT = re.compile(
    r"/apis/[^/]+/(?:runs/[^/]+/nodes|pipelines/names|namespaces/[^/]+/pipelines)(?:/|$)"
)
_NO_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SAFE = "/:%-._~!$&'()*+,;=@"


class Application(web.Application):
    """Handlers of the same path share it by method, as services of the API do."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        path = request.path
        if _NO_ESCAPE.search(path):
            return self._delegate(request, UnreadablePath)
        if not _AS_SENT.match(path):
            if _cleaned(path) != unquote(path):
                return self._delegate(request, MovedPath)
            request.path = re.sub("%2[fF]", "/", path.replace("%3A", ":").replace("%3a", ":"))
        return self._of_method(request)

    def _of_method(self, request: HTTPServerRequest) -> Any:
        method = str(request.method)
        found = False
        for rule in self.wildcard_router.rules:
            target = rule.matcher.match(request)
            if target is None:
                continue
            if _answers(rule.target, method):
                return self.get_handler_delegate(request, rule.target, rule.target_kwargs, **target)
            found = True
        return self._delegate(request, WrongMethod if found else UnknownPath)

    def _delegate(self, request: HTTPServerRequest, handler: type[Handler]) -> Any:
        return self.get_handler_delegate(request, handler, self.settings["default_handler_args"])


def _answers(handler: type[Handler], method: str) -> bool:
    unimplemented = web.RequestHandler._unimplemented_method
    return handler.any_method or (
        method in handler.SUPPORTED_METHODS
        and getattr(handler, method.lower()) is not unimplemented
    )


def _cleaned(path: str) -> str:
    """Return the path without escapes, empty parts and dots."""
    decoded = unquote(path)
    cleaned = posixpath.normpath("/" + decoded.lstrip("/"))
    return cleaned + "/" if decoded.endswith("/") and cleaned != "/" else cleaned


class WrongMethod(UnknownPath):
    """A request to a path at which other methods are answered."""

    def prepare(self) -> None:
        self.check_host()
        raise web.HTTPError(405)


class UnreadablePath(UnknownPath):
    """A path that is not percent-encoded; said in the words of Go's HTTP server."""

    def prepare(self) -> None:
        self.say(400, "400 Bad Request")


class MovedPath(UnknownPath):
    """A path that has a shorter form."""

    def prepare(self) -> None:
        self.check_host()
        location = quote(_cleaned(self.request.path), safe=_SAFE)
        query = f"?{self.request.query}" if self.request.query else ""
        self.clear_header("Content-Type")
        self.set_header("Location", location + query)
        self.set_status(301)
        self.finish()
