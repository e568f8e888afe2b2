"""Numbers as written by Go, the language of KFP's driver, launcher and API server.

To all three a number in a parameter is a float64, because it is a `google.protobuf.Value`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

# The limit from which Go's JSON encoders, and `%g` with this many digits, write an exponent.
_LEAST_WITH_EXPONENT = 1e21
_LEAST_DIGITS_WITH_EXPONENT = 6
_GREATEST_INT64 = 2**63


def go_number(value: float) -> str:
    """Write a number in full, as in the text that a task gets: `0.00001`, `2`, `1e22` in digits.

    Rule: `strconv.FormatFloat(value, 'f', -1, 64)`, used by `PbValueToText` in KFP's
    backend/src/v2/metadata/converter.go and by `getPlaceholders` in component/launcher_v2.go.
    """
    number = float64(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("+Inf" if number > 0 else "-Inf")
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def short_go_number(value: float) -> str:
    """Write a number as in an argument of a container: `0.25`, `2`, but `1e-05`.

    Rule: `pbValueToString` in KFP's backend/src/v2/driver/util.go, which writes whole numbers that
    an int64 holds with `%d` and all others with `%g`.
    """
    number = float64(value)
    if number.is_integer() and -_GREATEST_INT64 <= number < _GREATEST_INT64:
        return str(int(number))
    if not math.isfinite(number):
        return go_number(number)
    digits = Decimal(repr(number)).normalize()
    if -4 <= digits.adjusted() < _LEAST_DIGITS_WITH_EXPONENT:
        return go_number(number)
    mantissa, exponent = f"{digits:e}".split("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"


def protojson_number(value: float) -> int | float:
    """Return a number as read from Go's JSON: whole ones below 1e21 have the text's digits.

    `1795901800123456789` is `1795901800123456800`, `2.0` is `2`, and `1e21` a float.
    Rule: `google.golang.org/protobuf/internal/encoding/json`, `appendFloat`, the same as in
    `encoding/json`: the shortest digits that make the float64, without an exponent below 1e21.
    """
    number = float64(value)
    if number.is_integer() and abs(number) < _LEAST_WITH_EXPONENT:
        return int(Decimal(repr(number)))
    return number


def protojson_value(value: Any) -> Any:
    """Return the JSON value with each number converted by `protojson_number`."""
    if isinstance(value, dict):
        return {name: protojson_value(one) for name, one in value.items()}
    if isinstance(value, list):
        return [protojson_value(one) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return protojson_number(value)
    return value


def float64(value: float) -> float:
    """Return the nearest float64, which is infinite for too large a number."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
