"""Numbers as Go writes them; what is expected here was written by Go 1.26."""

import json
import math

import pytest

from jupyter_kfp_mt.local.wire.go_numbers import (
    go_number,
    protojson_number,
    protojson_value,
    short_go_number,
)

WRITTEN_BY_GO = [
    # The number; FormatFloat(f, 'f', -1, 64); %d or %g; json.Marshal.
    (1e-5, "0.00001", "1e-05", "0.00001"),
    (1234567.5, "1234567.5", "1.2345675e+06", "1234567.5"),
    (100000.5, "100000.5", "100000.5", "100000.5"),
    (1e22, "10000000000000000000000", "1e+22", "1e+22"),
    (1e20, "100000000000000000000", "1e+20", "100000000000000000000"),
    (0.1, "0.1", "0.1", "0.1"),
    (2.0, "2", "2", "2"),
    (-2.5, "-2.5", "-2.5", "-2.5"),
    (0, "0", "0", "0"),
    (-0.0, "-0", "0", "-0"),
    (1e-7, "0.0000001", "1e-07", "1e-7"),
    (
        12345678901234567890,
        "12345678901234567000",
        "1.2345678901234567e+19",
        "12345678901234567000",
    ),
    (1795901800123456789, "1795901800123456800", "1795901800123456768", "1795901800123456800"),
    (9007199254740993, "9007199254740992", "9007199254740992", "9007199254740992"),
]


@pytest.mark.parametrize(("number", "text", "short", "in_json"), WRITTEN_BY_GO)
def test_numbers_are_written_as_go_writes_them(number, text, short, in_json):
    assert go_number(number) == text
    assert short_go_number(number) == short
    assert protojson_number(number) == json.loads(in_json)
    assert type(protojson_number(number)) is type(json.loads(in_json))


def test_what_is_no_finite_number_has_gos_name():
    assert [go_number(one) for one in (math.nan, math.inf, -math.inf)] == ["NaN", "+Inf", "-Inf"]
    assert go_number(10**400) == short_go_number(10**400) == "+Inf"


def test_the_numbers_in_lists_and_dictionaries_are_written_so_too():
    given = {"a": [2**60, 1.0, True, None, "1.0"], "b": {"c": 2.5}}
    found = protojson_value(given)
    assert json.dumps(found) == (
        '{"a": [1152921504606847000, 1, true, null, "1.0"], "b": {"c": 2.5}}'
    )
