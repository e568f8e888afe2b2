"""Bodies, filters and parameters of requests, read as Go's protojson and gateway read them."""

from datetime import datetime, timezone

import pytest
from harness.local_kfp import API

from jupyter_kfp_mt.local.api.v2beta1_messages import (
    ExperimentMessage,
    RecurringRunMessage,
    RunMessage,
)
from jupyter_kfp_mt.local.wire.api_errors import ApiError
from jupyter_kfp_mt.local.wire.protojson import read


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "unexpected EOF"),
        ("not json", "invalid character 'o' in literal null (expecting 'u')"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        ('{"a":-}', "invalid character '}' in numeric literal"),
        ('{"a":"\n"}', "invalid character '\\n' in string literal"),
        ('{"a":"\\x"}', "invalid character 'x' in string escape code"),
        ("5", "proto: syntax error (line 1:1): unexpected token 5"),
        ("null", "proto: syntax error (line 1:1): unexpected token null"),
        ('{\n "nosuch": 1}', 'proto: (line 2:2): unknown field "nosuch"'),
        (
            '{"displayName":["a"]}',
            "proto: (line 1:16): invalid value for string field displayName: [",
        ),
        (
            '{"display_name":"a","displayName":"b"}',
            'proto: (line 1:21): duplicate field "displayName"',
        ),
        (
            '{"description":null,"description":"b"}',
            'proto: (line 1:21): duplicate field "description"',
        ),
        (
            '{"storage_state":"NOSUCH"}',
            'proto: (line 1:18): invalid value for enum field storageState: "NOSUCH"',
        ),
        (
            '{"storage_state":true}',
            "proto: (line 1:18): invalid value for enum field storageState: true",
        ),
        (
            '{"created_at":"yesterday"}',
            'proto: (line 1:15): invalid google.protobuf.Timestamp value "yesterday"',
        ),
        ('{"created_at":5}', "proto: syntax error (line 1:15): unexpected token 5"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_the_words_of_the_api_server(body, words):
    with pytest.raises(ApiError) as error:
        read(body.encode(), ExperimentMessage)
    assert error.value.to_dict() == {"code": 3, "message": words}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ('{"a":1,"a":2}', 'proto: (line 1:39): duplicate map key "a"'),
        ('{"a":{"b":1,"b":2}}', 'proto: (line 1:44): duplicate map key "b"'),
        ('{"a":1e400}', "proto: (line 1:37): invalid google.protobuf.Value: 1e400"),
        ("[]", "proto: syntax error (line 1:32): unexpected token ["),
        (
            '{"a":"\\ud800"}',
            'proto: syntax error (line 1:37): invalid escape code "\\\\ud800" in string',
        ),
    ],
)
def test_parameters_are_read_as_strictly(parameters, words):
    body = f'{{"runtimeConfig":{{"parameters":{parameters}}}}}'
    with pytest.raises(ApiError, match=".*") as error:
        read(body.encode(), RunMessage)
    assert error.value.message == words


def test_what_follows_the_first_value_of_a_body_is_not_looked_at():
    assert read(b' {"display_name":"a"} x', ExperimentMessage).display_name == "a"


def test_a_field_that_is_null_is_as_if_it_were_not_there():
    assert read(b'{"display_name":null,"namespace":"a"}', ExperimentMessage) == ExperimentMessage(
        namespace="a"
    )


@pytest.mark.parametrize("text", ["5", "5.0", "50e-1", '"5"', '"5e0"'])
def test_a_whole_number_is_one_however_it_is_written(text):
    assert read(f'{{"max_concurrency":{text}}}'.encode(), RecurringRunMessage).max_concurrency == 5


@pytest.mark.parametrize("text", ["5.5", '" 5"', '"x"', "9223372036854775808", "true"])
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(ApiError, match="invalid value for int64 field maxConcurrency"):
        read(f'{{"max_concurrency":{text}}}'.encode(), RecurringRunMessage)


@pytest.mark.parametrize(
    ("given", "read_as"), [("1", "ENABLE"), ("2.0", "DISABLE"), ('"ENABLE"', "ENABLE")]
)
def test_an_enum_is_read_by_its_name_and_by_its_number(given, read_as):
    assert read(f'{{"mode":{given}}}'.encode(), RecurringRunMessage).mode == read_as


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        (
            "2026-01-02T03:04:05.123456789+02:00",
            datetime(2026, 1, 2, 1, 4, 5, 123456, timezone.utc),
        ),
    ],
)
def test_a_time_is_read_in_utc(text, moment):
    assert read(f'{{"created_at":"{text}"}}'.encode(), ExperimentMessage).created_at == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02t03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-02-30T03:04:05Z",
        "0000-01-02T03:04:05Z",
        "10000-01-02T03:04:05Z",
    ],
)
def test_what_is_no_time_of_rfc_3339_is_refused(text):
    with pytest.raises(ApiError, match="google.protobuf.Timestamp value"):
        read(f'{{"created_at":"{text}"}}'.encode(), ExperimentMessage)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("page_size=", 'parsing field "page_size": strconv.ParseInt: parsing "": invalid syntax'),
        ("pageSize=x", 'parsing field "page_size": strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "page_size=3000000000",
            'parsing field "page_size": strconv.ParseInt: parsing "3000000000": value out of range',
        ),
        ("namespace=a&namespace=b", 'too many values for field "namespace": a, b'),
        ("namespace=a;b", "invalid semicolon separator in query"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused_before_anything_else(local_kfp, query, words):
    answer = local_kfp.get(f"{API}/experiments?{query}", None)
    assert (answer.status_code, answer.json()) == (400, {"code": 3, "message": words})


def test_a_parameter_may_be_written_in_camel_case(local_kfp):
    for _ in range(2):
        body = {"display_name": f"camel {_}", "namespace": "alice"}
        local_kfp.post(f"{API}/experiments", body)
    page = local_kfp.get(f"{API}/experiments?namespace=alice&pageSize=1&sortBy=name").json()
    assert len(page["experiments"]) == 1
    assert page["next_page_token"]


@pytest.mark.parametrize(
    ("version", "field", "other"),
    [("v2beta1", "operation", "op"), ("v1beta1", "op", "operation")],
)
def test_each_api_has_its_own_name_for_an_operation(local_kfp, version, field, other):
    def listed(name):
        condition = f'{{"key":"name","{name}":"EQUALS","string_value":"nosuch"}}'
        scope = (
            "resource_reference_key.type=NAMESPACE&resource_reference_key.id=alice&namespace=alice"
        )
        path = f"/apis/{version}/experiments?{scope}"
        return local_kfp.get(path, filter=f'{{"predicates":[{condition}]}}')

    assert listed(field).json() == {}
    assert f'unknown field "{other}"' in listed(other).json()["message"]
