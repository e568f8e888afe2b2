"""The options of a list: page size, order, filter, and the token of the next page."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote_plus

import msgspec
from msgspec.structs import replace

from .api_errors import ApiError, invalid_input, invalid_page_token, unknown_api_version, wrapped
from .go_json import quoted
from .protojson import Enumeration, Int32, Int64, Message, Moment, parse

DEFAULT_PAGE_SIZE = 20
LARGEST_PAGE_SIZE = 200
# Limits of filters. No name is long enough to need a longer search text, and the time of a search
# is proportional to the product of both lengths.
LONGEST_FILTER = 64 << 10
MOST_PREDICATES = 50
LONGEST_SUBSTRING = 256
_LONGEST_SUBSTRING_OF_LONG = 80
_LONGEST_TOKEN = 4 * LONGEST_FILTER
_LONG = ("pipeline_spec", "description")

# Keys other than columns: to sort runs by a metric, or find pipelines with a tag.
METRIC = re.compile(r"metric:(?P<name>[a-z][a-z0-9_-]{0,127})")
TAG = re.compile(r"tags\.(?P<name>.*)", re.DOTALL)

OPERATIONS = {
    1: "EQUALS",
    2: "NOT_EQUALS",
    3: "GREATER_THAN",
    5: "GREATER_THAN_EQUALS",
    6: "LESS_THAN",
    7: "LESS_THAN_EQUALS",
    8: "IN",
    9: "IS_SUBSTRING",
}

Scalar = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | str


class Noun(msgspec.Struct, frozen=True):
    """A listed resource: the API's names of its fields, and their columns."""

    name: str
    key: str
    columns: Mapping[str, str]
    tagged: bool = False

    def column(self, field: str) -> str | None:
        return self.columns.get(field)


EXPERIMENTS = Noun(
    "Experiment",
    "experiment_id",
    {
        "id": "experiment_id",
        "experiment_id": "experiment_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "last_run_created_at": "last_run_created_at",
        "description": "description",
        "namespace": "namespace",
        "storage_state": "storage_state",
    },
)

PIPELINES = Noun(
    "Pipeline",
    "pipeline_id",
    {
        "id": "pipeline_id",
        "pipeline_id": "pipeline_id",
        "name": "name",
        "display_name": "display_name",
        "created_at": "created_at",
        "description": "description",
        "namespace": "namespace",
    },
    tagged=True,
)

PIPELINE_VERSIONS = Noun(
    "PipelineVersion",
    "pipeline_version_id",
    {
        "id": "pipeline_version_id",
        "pipeline_version_id": "pipeline_version_id",
        "name": "name",
        "display_name": "display_name",
        "created_at": "created_at",
        "status": "status",
        "description": "description",
        "pipeline_spec": "pipeline_spec",
    },
    tagged=True,
)

# Tags are newer than v1beta1, which does not filter by them.
PIPELINES_V1 = replace(PIPELINES, tagged=False)
PIPELINE_VERSIONS_V1 = replace(PIPELINE_VERSIONS, tagged=False)

RUNS = Noun(
    "Run",
    "run_id",
    {
        "id": "run_id",
        "run_id": "run_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "finished_at": "finished_at",
        "description": "description",
        "scheduled_at": "scheduled_at",
        "storage_state": "storage_state",
        "status": "status",
        "namespace": "namespace",
        "experiment_id": "experiment_id",
        "state": "state",
        "state_history": "state_history",
        "runtime_details": "runtime_details",
        "recurring_run_id": "recurring_run_id",
    },
)

RECURRING_RUNS = Noun(
    "Job",
    "recurring_run_id",
    {
        "id": "recurring_run_id",
        "recurring_run_id": "recurring_run_id",
        "name": "display_name",
        "display_name": "display_name",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "description": "description",
    },
)


class Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition of a filter: a field, an operation and a value."""

    key: str
    operation: str
    value: Scalar | list[Scalar]


class Order(msgspec.Struct, frozen=True):
    """The field by which a list is sorted; equal items are sorted by key."""

    field: str = "created_at"
    descending: bool = False


class Position(msgspec.Struct, frozen=True):
    """The start of a page: the sorted field and the key of its first item."""

    value: Scalar | float
    key: str


class ListOptions(msgspec.Struct, frozen=True):
    """The request of one page of a list."""

    noun: Noun
    page_size: int
    order: Order
    predicates: list[Predicate]
    start: Position | None = None

    @property
    def may_be_long(self) -> bool:
        """Return True if the search takes long in a single step, which cannot be interrupted."""
        return any(each.operation == "IS_SUBSTRING" for each in self.predicates)

    def next_page_token(self, start: Position | None) -> str:
        if start is None:
            return ""
        token = _Token(self.noun.name, self.order, self.predicates, start)
        return base64.b64encode(msgspec.json.encode(token)).decode()


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a page token. Clients send it back, so everything is checked again."""

    noun: str
    order: Order
    predicates: list[Predicate]
    start: Position


class _IntValues(Message, frozen=True):
    values: list[Int32] = []


class _LongValues(Message, frozen=True):
    values: list[Int64] = []


class _StringValues(Message, frozen=True):
    values: list[str] = []


_VALUES = frozenset(
    {
        "int_value",
        "long_value",
        "string_value",
        "timestamp_value",
        "int_values",
        "long_values",
        "string_values",
    }
)


class _Condition(Message, frozen=True):
    """The part that predicates of both API versions share."""

    key: str = ""
    int_value: Int32 | None = None
    long_value: Int64 | None = None
    string_value: str | None = None
    timestamp_value: Moment | None = None
    int_values: _IntValues | None = None
    long_values: _LongValues | None = None
    string_values: _StringValues | None = None


class _Predicate(_Condition, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = (
        "kubeflow.pipelines.backend.api.v2beta1.Predicate.value",
        _VALUES,
    )

    operation: Annotated[
        int | str,
        msgspec.Meta(
            extra={"kind": Enumeration(((0, "OPERATION_UNSPECIFIED"), *OPERATIONS.items()))}
        ),
    ] = 0

    @property
    def kind_of_operation(self) -> str:
        return "Predicate_Operation"


class _PredicateV1(_Condition, frozen=True):
    ONE_OF: ClassVar[tuple[str, frozenset[str]]] = ("api.Predicate.value", _VALUES)

    op: Annotated[
        int | str,
        msgspec.Meta(extra={"kind": Enumeration(((0, "UNKNOWN"), *OPERATIONS.items()))}),
    ] = 0

    @property
    def operation(self) -> int | str:
        return self.op

    @property
    def kind_of_operation(self) -> str:
        return "Predicate_Op"


class Filter(Message, frozen=True):
    """The filter of a list."""

    predicates: list[_Predicate] = []


class FilterV1(Message, frozen=True):
    """The filter of a list in v1beta1, where operations have another name."""

    predicates: list[_PredicateV1] = []


AnyFilter = Filter | FilterV1
FilterType = type[Filter] | type[FilterV1]


def list_options(
    noun: Noun, size: int, parameter: Callable[[str], str], filter_type: FilterType = Filter
) -> ListOptions:
    """Read the page that a request's query parameters request."""
    size = _page_size(size)
    sort_by, filter_text = parameter("sort_by"), parameter("filter")
    order = _order(noun, sort_by)
    predicates = _predicates(noun, filter_text, filter_type)
    if not parameter("page_token"):
        return ListOptions(noun, size, order, predicates)
    token = _token(noun, parameter("page_token"))
    if (sort_by or filter_text) and (token.order, token.predicates) != (order, predicates):
        raise invalid_input(
            "page token does not match the supplied sort by and/or filtering criteria. Either "
            "specify the same criteria or leave the latter empty if page token is specified"
        )
    return ListOptions(noun, size, token.order, token.predicates, token.start)


def check_tag_filter(text: str) -> None:
    """Refuse filters that v2beta1 refuses before it checks anything else."""
    try:
        predicates = _read(text, Filter).predicates if text else []
    except ApiError as error:
        raise invalid_input(f"failed to parse filter spec: {error.text}") from error
    for predicate in predicates:
        if TAG.fullmatch(predicate.key):
            _check_tag(_predicate(predicate))


def _page_size(size: int) -> int:
    if size < 0:
        raise invalid_input(f"The page size should be greater than 0. Got {size}")
    return min(size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def _order(noun: Noun, sort_by: str) -> Order:
    words = sort_by.lower().split()
    if len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
        raise invalid_input(
            f'Received invalid sort by format "{sort_by}". Supported format: "field_name", '
            '"field_name desc", or "field_name asc"'
        )
    if not words:
        return Order()
    if not _sortable(noun, words[0]):
        raise invalid_input(f'Invalid sorting field: "{words[0]}" on listable type {noun.name}')
    return Order(words[0], words[-1] == "desc")


def _sortable(noun: Noun, field: str) -> bool:
    return bool(noun.column(field) or (noun is RUNS and METRIC.fullmatch(field)))


def _predicates(noun: Noun, text: str, filter_type: FilterType) -> list[Predicate]:
    if not text:
        return []
    try:
        filter_ = _read(text, filter_type)
    except ApiError as error:
        raise invalid_input(
            f"failed to parse valid filter from {quoted(text)}: {error.text}"
        ) from error
    predicates = [_predicate(predicate) for predicate in filter_.predicates]
    _check_all(noun, predicates)
    return predicates


def _read(text: str, filter_type: FilterType) -> AnyFilter:
    if len(text) > LONGEST_FILTER:
        raise invalid_input(f"it has more than {LONGEST_FILTER} characters")
    # The server unescapes this parameter a second time, so clients escape it twice.
    if wrong := re.search(r"%(?![0-9a-fA-F]{2}).{0,2}", text, re.DOTALL):
        raise invalid_input(f"invalid URL escape {quoted(wrong[0])}")
    try:
        return parse(unquote_plus(text, errors="strict"), filter_type)
    except UnicodeDecodeError:
        raise invalid_input("it is not UTF-8") from None
    except RecursionError:
        raise invalid_input("it is nested too deeply") from None
    except ValueError as error:
        raise invalid_input(str(error)) from error


def _predicate(given: _Predicate | _PredicateV1) -> Predicate:
    operation = _operation(given)
    value = _value(given)
    if not given.key:
        raise invalid_input(
            f"Predicate key cannot be empty for operation {operation} and value {value}"
        )
    _check_kind(operation, _kind(given), value)
    return Predicate(given.key, operation, value)


def _operation(given: _Predicate | _PredicateV1) -> str:
    if given.operation not in OPERATIONS.values():
        raise unknown_api_version(
            f"Error using Filter.Predicate.Operation with go_client.{given.kind_of_operation}"
        )
    return str(given.operation)


# The types of value of a predicate, by field, as named by the API server.
_KINDS = {
    "int_value": "int32",
    "long_value": "int64",
    "string_value": "string",
    "timestamp_value": "int64",
    "int_values": "[]int32",
    "long_values": "[]int64",
    "string_values": "[]string",
}


def _kind(given: _Condition) -> str:
    for field in _KINDS:
        if getattr(given, field) is not None:
            return field
    raise unknown_api_version("Error using Filter.Predicate.Value with <nil>")


def _value(given: _Condition) -> Scalar | list[Scalar]:
    value: Any = getattr(given, _kind(given))
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, _IntValues | _LongValues | _StringValues):
        return [*value.values]
    scalar: Scalar = value
    return scalar


def _check_kind(operation: str, field: str, value: object) -> None:
    kind = _KINDS[field]
    if operation == "IS_SUBSTRING" and kind != "string":
        # The API server gives its sentence the wrong words.
        given = f"[{' '.join(map(str, value))}]" if isinstance(value, list) else value
        raise invalid_input(f"cannot use non string value type string with operator {given}")
    if operation == "IN" and not isinstance(value, list):
        raise invalid_input(f"cannot use IN operator with scalar type {kind}")
    if operation != "IN" and isinstance(value, list):
        raise invalid_input(f"cannot use scalar operator {operation} on array type {kind}")


def _check_all(noun: Noun, predicates: Sequence[Predicate]) -> None:
    if len(predicates) > MOST_PREDICATES:
        raise invalid_input(
            f"the filter has {len(predicates)} predicates, and there may be {MOST_PREDICATES}"
        )
    for predicate in predicates:
        _check(noun, predicate)


def _check(noun: Noun, predicate: Predicate) -> None:
    if noun.tagged and TAG.fullmatch(predicate.key):
        return _check_tag(predicate)
    if not noun.column(predicate.key):
        raise invalid_input(f'no support for filtering on unrecognized field "{predicate.key}"')
    longest = _LONGEST_SUBSTRING_OF_LONG if predicate.key in _LONG else LONGEST_SUBSTRING
    if predicate.operation == "IS_SUBSTRING" and len(str(predicate.value)) > longest:
        raise invalid_input(f"cannot search for more than {longest} characters")


def _check_tag(predicate: Predicate) -> None:
    if predicate.operation != "EQUALS":
        raise invalid_input(
            f"only EQUALS operation is supported for tag filtering, got {predicate.operation} "
            f'for key "{predicate.key}"'
        )
    if not isinstance(predicate.value, str):
        raise invalid_input(f'tag filter value must be a string for key "{predicate.key}"')


def _token(noun: Noun, text: str) -> _Token:
    if len(text) > _LONGEST_TOKEN:
        raise invalid_page_token("a token of this server is shorter")
    try:
        token = msgspec.json.decode(base64.b64decode(text, validate=True), type=_Token)
    except binascii.Error as error:
        raise invalid_page_token(
            f"illegal base64 data at input byte {_first_illegal(text)}"
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise invalid_page_token("this server has not made it") from error
    usable = token.noun == noun.name and _sortable(noun, token.order.field)
    if not usable or not all(map(_consistent, token.predicates)):
        raise invalid_page_token("it is of another list")
    with wrapped("Invalid page token"):
        _check_all(noun, token.predicates)
    return token


def _first_illegal(text: str) -> int:
    """The position where a text stops being valid base64."""
    found = re.match(r"[A-Za-z0-9+/]*", text)
    end = found.end() if found else 0
    return end if end < len(text) else len(text) // 4 * 4


def _consistent(predicate: Predicate) -> bool:
    """Return True if the operation exists and has a value of a suitable type."""
    if predicate.operation == "IS_SUBSTRING":
        return isinstance(predicate.value, str)
    is_list = isinstance(predicate.value, list)
    return predicate.operation in OPERATIONS.values() and is_list == (predicate.operation == "IN")
