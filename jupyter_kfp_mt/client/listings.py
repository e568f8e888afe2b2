"""Lists of one or several namespaces, which are read page by page as needed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from ..errors import Forbidden, Unreachable
from ..models import Page, Viewed, frame

if TYPE_CHECKING:
    import pandas

T = TypeVar("T", bound=msgspec.Struct)

SHOWN = 20  # how many items a display shows
LONGEST_PAGE = 200  # the API server's own limit


class Feed(msgspec.Struct, Generic[T], frozen=True):
    """The list of one namespace: `page` requests its next page."""

    namespace: str
    page: Callable[[str, int], Page[T]]


class Order(msgspec.Struct, frozen=True):
    """The order of a list: in the API's words, and as a key to merge several lists."""

    sort_by: str = "created_at desc"
    key: Callable[[Any], Any] = lambda item: item.created_at

    @property
    def descends(self) -> bool:
        return self.sort_by.endswith(" desc")

    @property
    def words(self) -> str:
        if self.sort_by.startswith("created_at"):
            return "newest first" if self.descends else "oldest first"
        column = self.sort_by.partition(" ")[0].removeprefix("display_").removesuffix("_at")
        return f"by {column}{', the other way round' if self.descends else ''}"


class Listing(Viewed, Generic[T]):
    """A list that requests its next page when it is read that far.

    `filters` are the requested ones, in words; `kept` applies those that KFP does not have. For
    several namespaces, `refused` has the error of each that refuses.
    """

    def __init__(
        self,
        kind: type[T],
        feeds: Sequence[Feed[T]],
        *,
        order: Order | None = None,
        filters: Sequence[str] = (),
        kept: Callable[[T], bool] | None = None,
        limit: int = 0,
        unfiltered: Callable[[], int] | None = None,
        record: Callable[[T], dict[str, Any]] = msgspec.to_builtins,
        again: Callable[..., Listing[T]] | None = None,
    ) -> None:
        self.kind = kind
        self.filters = [*filters]
        self.order = order or Order()
        self.limit = limit
        self.namespaces = [feed.namespace for feed in feeds]
        self.refused: list[tuple[str, Forbidden]] = []
        self.is_complete = False
        self._feeds = feeds
        self._kept = kept
        self._unfiltered = unfiltered
        self._record = record
        self.again = again  # the same list again, with other filters where given
        self._totals: dict[str, int] = {}
        self._places: dict[int, str] = {}
        self._seen: list[T] = []
        self._rest = self._all()

    # --- looking at it ----------------------------------------------------------------------

    def __repr__(self) -> str:
        from .. import as_text

        return as_text(self)

    def __iter__(self) -> Iterator[T]:
        number = 0
        while self._reach(number + 1):
            yield self._seen[number]
            number += 1

    def __len__(self) -> int:
        if self.total is None:
            self._reach(None)
        return len(self._seen) if self.total is None else self.total

    def __bool__(self) -> bool:
        return self._reach(1)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        end = index.stop if isinstance(index, slice) else index + 1
        from_end = isinstance(index, int) and index < 0
        self._reach(None if end is None or end < 0 or from_end else end)
        return self._seen[index]

    @property
    def total(self) -> int | None:
        """Return the total number, as far as KFP has said so."""
        if self.is_complete:
            return len(self._seen)
        if self._kept or not self._reach(0) or len(self._totals) < len(self._feeds):
            return None
        found = sum(self._totals.values())
        return min(found, self.limit) if self.limit else found

    @property
    def total_size(self) -> int:
        """Return the total number according to KFP, regardless of the limit; requests the first
        page.
        """
        self._reach(1)
        return sum(self._totals.values())

    @property
    def namespace(self) -> str:
        """The namespace of the list; empty for several, and for a single-user KFP."""
        return self.namespaces[0] if len(self.namespaces) == 1 else ""

    def begun(self) -> Listing[T]:
        """Read the first page and return the list. Raises `KfpError`."""
        self.shown()
        return self

    def shown(self) -> list[T]:
        """The items that a display shows: those of the first page."""
        self._reach(self._first_page)
        return self._seen[: self._first_page]

    def namespace_of(self, item: T) -> str:
        """The namespace in which an item of this list is."""
        return self._places.get(id(item), "")

    def without_filters(self) -> int | None:
        """Return the number of items without any filter, if KFP says so."""
        return self._unfiltered() if self._unfiltered and self.filters else None

    def browse(self) -> Any:
        """A browser for runs, made of ipywidgets: filter, sort, select and act on them."""
        from .. import browser_of

        return browser_of(self)

    # --- as other things --------------------------------------------------------------------

    def to_dicts(self) -> list[dict[str, Any]]:
        """The items as plain dicts, all the way down; times as `datetime`."""
        return [
            {
                name: msgspec.to_builtins(getattr(item, name), builtin_types=(datetime,))
                for name in item.__struct_fields__
            }
            for item in self
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return one flat dict for each item, with the fields that people compare."""
        return [{**self._record(item), **self._place(item)} for item in self]

    def _place(self, item: T) -> dict[str, str]:
        return {"namespace": self.namespace_of(item)} if len(self.namespaces) > 1 else {}

    def to_pandas(self) -> pandas.DataFrame:
        """All of them, one row for each. Needs pandas, which is not installed with this package."""
        return frame(self.records())

    # --- pages ------------------------------------------------------------------------------

    @property
    def _first_page(self) -> int:
        return min(self.limit or SHOWN, LONGEST_PAGE)

    def _reach(self, count: int | None) -> bool:
        """Read on until so many items are known, or all; tell whether there are that many."""
        while not self.is_complete and (count is None or len(self._seen) < max(count, 1)):
            item = next(self._rest, None)
            self.is_complete = item is None
            if item is not None:
                self._seen.append(item)
        return count is None or len(self._seen) >= count

    def _all(self) -> Iterator[T]:
        key, descends = self.order.key, self.order.descends
        feeds = [self._of(feed) for feed in self._feeds]
        merged = feeds[0] if len(feeds) == 1 else heapq.merge(*feeds, key=key, reverse=descends)
        return islice(merged, self.limit or None)

    def _of(self, feed: Feed[T]) -> Iterator[T]:
        try:
            for page in self._pages(feed):
                self._totals[feed.namespace] = page.total_size
                for item in page:
                    if self._kept is None or self._kept(item):
                        self._places[id(item)] = feed.namespace
                        yield item
        except Forbidden as error:
            named = [each for each in self._feeds if each.namespace] or self._feeds
            if named == [feed]:
                raise
            self._totals[feed.namespace] = 0
            self.refused.append((feed.namespace, error))

    def _pages(self, feed: Feed[T]) -> Iterator[Page[T]]:
        token, size = "", LONGEST_PAGE if self._kept else self._first_page
        while True:
            page = feed.page(token, size)
            yield page
            token, size = page.next_page_token, LONGEST_PAGE
            if not token:
                return
            if not len(page):
                raise Unreachable("KFP promises more than it lists: a page is empty.")
