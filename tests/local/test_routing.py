"""Requests find their handler as on a cluster, where a router and a gateway look for it."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

API = "/apis/v2beta1"
WRONG_METHOD = (501, {"code": 12, "message": "Method Not Allowed"})
UNKNOWN = (404, {"code": 5, "message": "Not Found"})


def sent(kfp, method, path):
    """The answer to a request whose path is sent as it is."""
    connection = http.client.HTTPConnection(urlsplit(kfp.endpoint).netloc, timeout=60)
    token = kfp.token("alice/default-editor")
    connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def answered(kfp, method, path):
    answer, body = sent(kfp, method, path)
    return answer.status, json.loads(body)


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        pytest.param("GET", "/experiments/x:get", "Experiment x:get not found", id="a colon"),
        pytest.param("GET", "/experiments/x:", "Experiment x: not found", id="a colon at the end"),
        pytest.param("GET", "/runs/x:archive", "Run x:archive not found", id="method of another"),
        pytest.param("DELETE", "/runs/x:retry", "Run x:retry not found", id="deleted"),
        pytest.param("POST", "/runs/x:y:retry", "Run x:y not found", id="two colons"),
        pytest.param("POST", "/runs/x%3Aretry", "Run x not found", id="an escaped colon"),
        pytest.param("GET", "/runs/%41%20b", "Run A b not found", id="escapes"),
        pytest.param("GET", "/pipelines/create", "Pipeline create not found", id="create"),
        pytest.param("GET", "/pipelines/names", "Pipeline names not found", id="names"),
        pytest.param("GET", "%2Fruns%2Fx", "Run x not found", id="escaped slashes"),
    ],
)
def test_an_id_is_what_no_other_part_of_the_path_needs(local_kfp, method, path, text):
    status, body = answered(local_kfp, method, API + path)
    assert (status, body["details"][0]["message"]) == (404, text)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("POST", "/experiments/x:disable", WRONG_METHOD, id="other verb"),
        pytest.param("PATCH", "/runs/x:terminate", WRONG_METHOD, id="patch"),
        pytest.param("FOO", "/runs/x", WRONG_METHOD, id="unknown method"),
        pytest.param("FOO", "/runs/x/y", UNKNOWN, id="unknown method of nothing"),
        pytest.param("TRACE", "/nothing", UNKNOWN, id="trace of nothing"),
        pytest.param("GET", "/runs/a%2Fb", UNKNOWN, id="a slash in an id"),
    ],
)
def test_a_method_is_wrong_where_another_one_is_right(local_kfp, method, path, expected):
    assert answered(local_kfp, method, API + path) == expected


@pytest.mark.parametrize(
    ("path", "location"),
    [
        pytest.param("/apis//v2beta1/runs", "/apis/v2beta1/runs", id="two slashes"),
        pytest.param("//apis/v2beta1/runs", "/apis/v2beta1/runs", id="two at the beginning"),
        pytest.param("/apis/v2beta1/x/../runs?a=b", "/apis/v2beta1/runs?a=b", id="dots"),
        pytest.param("/apis/v2beta1/runs/./x/", "/apis/v2beta1/runs/x/", id="one dot"),
        pytest.param("/apis/v2beta1/runs//a%20b", "/apis/v2beta1/runs/a%20b", id="escapes"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_longer_form_of_a_path_moves_to_the_short_one(local_kfp, method, path, location):
    answer, body = sent(local_kfp, method, path)
    assert (answer.status, answer.getheader("Location"), body) == (301, location, b"")


@pytest.mark.parametrize("path", ["/apis/v2beta1/runs/%zz", "/apis/v2beta1/runs/%", "/%4"])
def test_a_path_that_is_not_percent_encoded_is_refused_in_gos_words(local_kfp, path):
    answer, body = sent(local_kfp, "GET", path)
    assert (answer.status, body) == (400, b"400 Bad Request")
    assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("version", ["v1beta1", "v2beta1"])
def test_health_is_told_whatever_the_method(local_kfp, version):
    methods = ("GET", "POST", "PUT", "DELETE", "FOO")
    told = [answered(local_kfp, method, f"/apis/{version}/healthz") for method in methods]
    assert [status for status, _ in told] == [200] * len(methods)
    assert all(body == told[0][1] for _, body in told)
