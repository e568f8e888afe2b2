"""Lists of the local KFP: pages, order, and every operation of a filter."""

import base64
import json
from itertools import pairwise
from urllib.parse import quote

import pytest

API = "/apis/v2beta1"


@pytest.fixture(scope="module")
def listed(local_kfp):
    """Seven experiments of bob's, all with one description to tell them from others'."""
    for number in range(7):
        body = {"namespace": "bob", "display_name": f"N{number}_x", "description": "seven"}
        answer = local_kfp.post(f"{API}/experiments", body, "bob/default-editor")
        assert answer.status_code == 200
    return local_kfp


def only(operation="EQUALS", key="description", field="string_value", value="seven"):
    return {"operation": operation, "key": key, field: value}


def matching(*predicates):
    return json.dumps({"predicates": list(predicates)})


def experiments(server, **params):
    params = {"namespace": "bob", **params}
    return server.get(f"{API}/experiments", "bob/default-editor", **params)


def numbers(answer):
    """The numbers of the experiments in an answer, in its order."""
    assert answer.status_code == 200, answer.text
    return [int(item["display_name"][1]) for item in answer.json().get("experiments", [])]


def text(answer):
    assert answer.status_code == 400, answer.text
    body = answer.json()
    return body.get("details", [body])[0]["message"]


def test_pages_follow_each_other_without_gap_or_repetition(listed):
    for sort_by in ("", "name", "display_name desc", "created_at desc", "description", "id desc"):
        seen, token = [], ""
        while True:
            answer = experiments(
                listed, filter=matching(only()), sort_by=sort_by, page_size=2, page_token=token
            )
            seen += numbers(answer)
            assert answer.json()["total_size"] == 7
            token = answer.json().get("next_page_token", "")
            if not token:
                break
        assert seen == sorted(range(7), reverse=sort_by.endswith(" desc")), sort_by


def test_experiments_of_the_same_second_keep_the_order_of_their_making(listed):
    answer = experiments(listed, filter=matching(only()))
    moments = [item["created_at"] for item in answer.json()["experiments"]]
    assert all(earlier <= later for earlier, later in pairwise(moments))
    assert numbers(answer) == list(range(7))


def test_a_page_token_carries_the_order_and_the_filter(listed):
    first = experiments(listed, filter=matching(only()), sort_by="name desc", page_size=3)
    token = first.json()["next_page_token"]
    assert numbers(experiments(listed, page_token=token, page_size=3)) == [3, 2, 1]


def test_a_page_token_is_refused_with_another_filter(listed):
    first = experiments(listed, filter=matching(only()), page_size=3).json()
    answer = experiments(listed, page_token=first["next_page_token"], sort_by="name")
    assert text(answer).startswith("page token does not match the supplied sort by and/or")


def test_an_empty_list_is_an_empty_object(listed):
    answer = experiments(listed, filter=matching(only(value="nothing")))
    assert (answer.status_code, answer.text) == (200, "{}")


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        pytest.param(only(key="name", value="n3_X"), [3], id="equals, in any case"),
        pytest.param(only("NOT_EQUALS", "name", value="N3_x"), [0, 1, 2, 4, 5, 6], id="not equals"),
        pytest.param(only("GREATER_THAN", "name", value="N4_x"), [5, 6], id="greater"),
        pytest.param(only("GREATER_THAN_EQUALS", "name", value="N5_x"), [5, 6], id="at least"),
        pytest.param(only("LESS_THAN", "name", value="N2_x"), [0, 1], id="less"),
        pytest.param(only("LESS_THAN_EQUALS", "name", value="N1_x"), [0, 1], id="at most"),
        pytest.param(
            only("IN", "name", "string_values", {"values": ["N1_x", "n6_x", "?"]}), [1, 6], id="in"
        ),
        pytest.param(
            only("IN", "created_at", "long_values", {"values": ["0", 1]}), [], id="in numbers"
        ),
        pytest.param(only("IN", "name", "string_values", {"values": []}), [], id="in nothing"),
        pytest.param(only("IS_SUBSTRING", "name", value="2_X"), [2], id="substring"),
        pytest.param(only(1, "name", value="N3_x"), [3], id="operation as a number"),
        pytest.param(only(9, "name", "stringValue", "n2"), [2], id="value in camel case"),
        pytest.param(
            only("GREATER_THAN", "created_at", "timestamp_value", "2020-01-01T00:00:00Z"),
            list(range(7)),
            id="time",
        ),
        pytest.param(only("EQUALS", "last_run_created_at", "int_value", 0), list(range(7)), id="0"),
        pytest.param(only("EQUALS", "created_at", "long_value", "5"), [], id="number as a string"),
        pytest.param(only(key="storage_state", value="ARCHIVED"), [], id="storage state"),
        pytest.param(only(key="name", value="' OR 1=1 --"), [], id="quotes"),
    ],
)
def test_every_operation_of_a_filter_works(listed, predicate, expected):
    assert numbers(experiments(listed, filter=matching(only(), predicate))) == expected


def test_a_filter_is_unescaped_twice(listed):
    predicates = matching(only(), only("IS_SUBSTRING", "name", value="N4"))
    assert numbers(experiments(listed, filter=quote(predicates))) == [4]
    assert numbers(experiments(listed, filter=predicates.replace(" ", "+"))) == [4]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param(
            {"page_size": -1}, "The page size should be greater than 0. Got -1", id="size"
        ),
        pytest.param(
            {"page_size": "ten"},
            'parsing field "page_size": strconv.ParseInt: parsing "ten": invalid syntax',
            id="no size",
        ),
        pytest.param(
            {"sort_by": "name up"},
            'Received invalid sort by format "name up". Supported format: "field_name", '
            '"field_name desc", or "field_name asc"',
            id="direction",
        ),
        pytest.param(
            {"sort_by": "colour"},
            'Invalid sorting field: "colour" on listable type Experiment',
            id="sort field",
        ),
        pytest.param(
            {"sort_by": "name;drop"}, 'Invalid sorting field: "name;drop"', id="injection"
        ),
        pytest.param({"filter": "{"}, 'failed to parse valid filter from "{"', id="no JSON"),
        pytest.param({"filter": "%zz"}, "invalid URL escape", id="escape"),
        pytest.param({"filter": "%25ff%ff"}, "failed to parse valid filter", id="no UTF-8"),
        pytest.param({"filter": '{"a": 1}'}, "failed to parse valid filter", id="unknown field"),
        pytest.param({"filter": "[" * 9999}, "failed to parse valid filter", id="deep"),
        pytest.param(
            {"filter": matching(only(key="colour"))},
            'no support for filtering on unrecognized field "colour"',
            id="field",
        ),
        pytest.param(
            {"filter": matching(only(key=""))},
            "Predicate key cannot be empty for operation EQUALS and value seven",
            id="no field",
        ),
        pytest.param(
            {"filter": matching(only("IN"))},
            "cannot use IN operator with scalar type string",
            id="scalar",
        ),
        pytest.param(
            {"filter": matching(only("EQUALS", "name", "int_values", {"values": [1]}))},
            "cannot use scalar operator EQUALS on array type []int32",
            id="array",
        ),
        pytest.param(
            {"filter": matching(only("IS_SUBSTRING", "name", "int_value", 5))},
            "cannot use non string value type string with operator 5",
            id="substring of a number",
        ),
        pytest.param(
            {"filter": matching(only(4))}, "Error using Filter.Predicate.Operation", id="operation"
        ),
        pytest.param(
            {"filter": matching({"key": "name", "operation": 1})},
            "Error using Filter.Predicate.Value with <nil>",
            id="value",
        ),
        pytest.param(
            {"filter": matching(only("EQUALS", "name", "int_value", 2**31))},
            "invalid value for int32 field intValue: 2147483648",
            id="large",
        ),
        pytest.param(
            {"filter": matching(only("IS_SUBSTRING", value="a" * 10_001))},
            "cannot search for more than",
            id="long",
        ),
        pytest.param({"page_token": "?"}, "Invalid page token", id="token"),
        pytest.param(
            {"page_token": base64.b64encode(b"{}").decode()}, "Invalid page token", id="empty token"
        ),
    ],
)
def test_a_bad_list_request_is_refused_with_a_sentence_before_anyone_is_asked(
    listed, params, message
):
    assert message in text(experiments(listed, **params))
    anonymous = listed.get(f"{API}/experiments", "", namespace="bob", **params)
    assert message in text(anonymous)


def test_a_page_size_over_200_is_200(listed):
    assert numbers(experiments(listed, filter=matching(only()), page_size=1000)) == list(range(7))


def forged(server, **changes):
    """A page token with parts that the server never wrote."""
    first = experiments(server, filter=matching(only()), page_size=3).json()
    token = json.loads(base64.b64decode(first["next_page_token"]))
    return base64.b64encode(json.dumps(token | changes).encode()).decode()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"order": {"field": "rowid", "descending": False}}, id="field"),
        pytest.param({"order": {"field": "name; --", "descending": False}}, id="injection"),
        pytest.param({"noun": "Run"}, id="another list's"),
        pytest.param({"start": {"value": [1], "key": "a"}}, id="position"),
        pytest.param({"start": {"value": 2**70, "key": "a"}}, id="large"),
        pytest.param({"predicates": [{"key": "x", "operation": "EQUALS", "value": 1}]}, id="key"),
        pytest.param({"predicates": [{"key": "id", "operation": "IN", "value": 1}]}, id="value"),
        pytest.param({"predicates": [{"key": "id", "operation": "OR 1", "value": 1}]}, id="op"),
    ],
)
def test_a_forged_page_token_is_refused(listed, changes):
    assert experiments(listed, page_token=forged(listed)).status_code == 200
    answer = experiments(listed, page_token=forged(listed, **changes))
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("pipelines?namespace=alice", id="pipelines"),
        pytest.param("runs?namespace=alice", id="runs"),
        pytest.param("pipelines/{}/versions", id="versions"),
    ],
)
def test_all_fields_of_all_nouns_sort_and_filter(local_kfp, upload, unique, path):
    from jupyter_kfp_mt.local.wire.list_options import PIPELINE_VERSIONS, PIPELINES, RUNS

    made = upload(unique).json()
    path = f"{API}/{path.format(made['pipeline_id'])}"
    noun = RUNS if "runs" in path else PIPELINE_VERSIONS if "versions" in path else PIPELINES
    for field in noun.columns:
        for predicate in (
            only(key=field),
            only("IS_SUBSTRING", field),
            only("IN", field, "long_values", {"values": [1]}),
            only("LESS_THAN", field, "int_value", 5),
        ):
            answer = local_kfp.get(path, sort_by=f"{field} desc", filter=matching(predicate))
            assert answer.status_code == 200, (field, answer.text)


def test_runs_are_sorted_by_a_metric_over_pages(local_kfp, experiment, create_run):
    values = {create_run().json()["run_id"]: value for value in (0.5, None, 2, -1)}
    for run_id, value in values.items():
        if value is not None:
            metrics = [{"name": "log-loss", "node_id": "train", "number_value": value}]
            path = f"/apis/v1beta1/runs/{run_id}:reportMetrics"
            assert local_kfp.post(path, {"metrics": metrics}).status_code == 200
    listed, token = [], ""
    while token is not None:
        page = local_kfp.get(
            f"{API}/runs",
            experiment_id=experiment.experiment_id,
            page_size=1,
            page_token=token,
            sort_by="" if token else "metric:log-loss desc",
        ).json()
        listed += [values[run["run_id"]] for run in page["runs"]]
        token = page.get("next_page_token")
    assert listed == [2, 0.5, -1, None]


def test_what_is_no_metric_is_no_order(local_kfp):
    path = f"{API}/runs"
    assert local_kfp.get(path, namespace="alice", sort_by="metric:log-loss").status_code == 200
    assert local_kfp.get(path, namespace="alice", sort_by="metric:1;").status_code == 400
