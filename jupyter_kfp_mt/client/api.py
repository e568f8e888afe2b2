"""The common part of all nouns of the API: how they are requested, listed and changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ..attempts import attempting
from ..credentials import Credentials
from ..errors import KfpError, Misconfigured, NotFound, Unreachable
from ..models import Health, Page, PipelineVersion, PipelineVersionReference, Run, Value
from ..resource_names import check_namespace
from . import releases
from .listings import Feed, Listing, Order
from .provenance import Provenance
from .queries import part, sorted_query, within
from .run_filters import Predicate
from .run_specifications import RunSpecifications
from .transport import Transport
from .written_tasks import stated

if TYPE_CHECKING:
    from ..cluster.kubernetes_api import Cluster

T = TypeVar("T", bound=Value)


# A namespace, or several.
Where = str | Sequence[str]
# The part of a query that differs between namespaces.
Scope = Callable[[str], dict[str, str]]
_SINGULARS = {
    "experiments": "experiment",
    "pipelines": "pipeline",
    "runs": "run",
    "recurringruns": "recurring run",
}
_PLURALS = {"recurringruns": "recurring runs"}


class Api:
    """KFP behind a transport; `namespace` is the default of each call."""

    def __init__(
        self,
        transport: Transport,
        namespace: str = "",
        cluster: Callable[[], Cluster | None] = lambda: None,
    ) -> None:
        self.transport = transport
        self.namespace = namespace
        self._cluster = cache(cluster)
        self._specifications = RunSpecifications(self._version)
        # The origin of the runs that are started here, which goes into their descriptions.
        self.origin: Callable[[], Provenance] = Provenance

    @property
    def endpoint(self) -> str:
        return self.transport.endpoint

    @property
    def credentials(self) -> Credentials:
        return self.transport.credentials

    def health(self) -> Health:
        """Return the answer of `healthz`, requested once: it needs no identity, and answers within
        5 seconds or not at all.
        """
        return self.transport.health()

    def _version(self, reference: PipelineVersionReference) -> PipelineVersion:
        path = f"{part(reference.pipeline_id)}/versions"
        return self._get(f"pipelines/{path}", reference.pipeline_version_id, PipelineVersion)

    def _get(self, nouns: str, identifier: str, kind: type[T]) -> T:
        with attempting(f"find {nouns[:-1]} {identifier}"):
            return self.transport.get(f"{nouns}/{part(identifier)}", kind)

    def namespace_of(self, namespace: str = "") -> str:
        """Return the namespace that a call concerns; empty for a single-user KFP."""
        return self._namespace(namespace)

    def _namespace(self, namespace: str) -> str:
        """Return the namespace to send; empty for a single-user KFP."""
        if not self.health().multi_user:
            return ""
        namespace = namespace or self.namespace
        if not namespace:
            raise no_namespace()
        check_namespace(namespace)
        return namespace

    def _page(self, noun: str, kind: type[T], namespace: str, query: dict[str, str]) -> Page[T]:
        where = self._namespace(namespace)
        with attempting(f"list {_PLURALS.get(noun, noun)}{within(where)}"):
            page = self.transport.page(
                noun, kind, {**query, "namespace": where} if where else query
            )
        items: list[Any] = [stated(item) if isinstance(item, Run) else item for item in page]
        return msgspec.structs.replace(page, namespace=where, items=items)

    def _listing(
        self,
        noun: str,
        kind: type[T],
        namespace: Where,
        predicates: list[Predicate],
        by: Order,
        scope: Scope = lambda place: {},
        **options: Any,
    ) -> Listing[T]:
        def unfiltered() -> int:
            pages = [feed.page("", 1) for feed in self._feeds(noun, kind, namespace, [], Order())]
            return sum(page.total_size for page in pages)

        feeds = self._feeds(noun, kind, namespace, predicates, by, scope)
        return Listing(kind, feeds, order=by, unfiltered=unfiltered, **options)

    def _feeds(
        self,
        noun: str,
        kind: type[T],
        namespace: Where,
        predicates: list[Predicate],
        by: Order,
        scope: Scope = lambda place: {},
    ) -> list[Feed[T]]:
        """One for each namespace."""
        wanted = [namespace] if isinstance(namespace, str) else [*namespace]
        places = [*dict.fromkeys(self._namespace(each) for each in wanted)]
        return [
            Feed(place, self._pages_of(noun, kind, place, predicates, by, scope, len(places)))
            for place in places
        ]

    def _pages_of(
        self,
        noun: str,
        kind: type[T],
        place: str,
        predicates: list[Predicate],
        by: Order,
        scope: Scope,
        places: int,
    ) -> Callable[[str, int], Page[T]]:
        scoped = cache(lambda: scope(place))

        def page(token: str, size: int) -> Page[T]:
            try:
                query = {**sorted_query(size, token, predicates, by), **scoped()}
            except NotFound:
                if places == 1:
                    raise
                return Page(kind=kind)  # another namespace may have it
            return self._page(noun, kind, place, query)

        return page

    def _all(self, page_of: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = page_of(token)
            yield from page
            token = page.next_page_token
            if not token:
                return
            if not len(page):
                raise Unreachable(f"{self.endpoint} promises more than it lists: a page is empty.")

    def _change(self, noun: str, identifier: str, action: str, word: str = "") -> None:
        with attempting(f"{word or action} {_SINGULARS[noun]} {identifier}"):
            self.transport.request("POST", f"{noun}/{part(identifier)}:{action}")

    def _delete(self, noun: str, identifier: str, **query: str) -> None:
        with attempting(f"delete {_SINGULARS[noun]} {identifier}"):
            self.transport.request("DELETE", f"{noun}/{part(identifier)}", params=query)

    @contextmanager
    def _explained(self, spec: dict[str, Any]) -> Iterator[None]:
        """Explain what an older KFP refuses of a pipeline, or warn of what it silently drops."""
        try:
            yield
        except KfpError as error:
            if not releases.is_unread(error):
                raise
            raise releases.told(error, spec, self.transport.known_health()) from None
        if spec.get("platform_spec"):
            self.transport.warnings.extend(releases.dropped(spec, self.transport.known_health()))


def no_namespace() -> Misconfigured:
    return Misconfigured(
        "No namespace is chosen.",
        cure="Choose one with %kfp ns NAME, c.Kfp.namespace or KFP_MT_NAMESPACE.",
    )
