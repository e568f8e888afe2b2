"""Pipelines of the local KFP and their versions: made, fetched, tagged, changed and deleted."""

import asyncio
import contextlib
import json
import socket

import pytest
from harness.file_server import QuietHandler, serving
from harness.local_kfp import API, text

from jupyter_kfp_mt.local.pipelines.pipeline_reader import PipelineReader
from jupyter_kfp_mt.local.wire.api_errors import ApiError

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def create(local_kfp):
    def create(**fields):
        return local_kfp.post(f"{API}/pipelines", {"namespace": "alice", **fields})

    return create


@pytest.fixture
def uploaded(upload, unique):
    return upload(unique).json()


@pytest.fixture
def version(local_kfp, uploaded):
    listed = local_kfp.get(f"{API}/pipelines/{uploaded['pipeline_id']}/versions").json()
    return listed["pipeline_versions"][0]


def path_of(thing):
    path = f"{API}/pipelines/{thing['pipeline_id']}"
    version_id = thing.get("pipeline_version_id")
    return f"{path}/versions/{version_id}" if version_id else path


# Pipelines


def test_a_pipeline_is_created_without_versions(local_kfp, create, unique):
    fields = {"name": unique, "display_name": "D", "description": "d", "tags": {"team": "a"}}
    answer = create(**fields)
    pipeline = answer.json()
    assert answer.status_code == 200
    assert pipeline == {
        **fields,
        "namespace": "alice",
        "pipeline_id": pipeline["pipeline_id"],
        "created_at": pipeline["created_at"],
    }
    assert local_kfp.get(path_of(pipeline)).json() == pipeline
    assert local_kfp.get(f"{path_of(pipeline)}/versions").json() == {}


def test_a_pipeline_has_its_display_name_as_name_if_it_has_no_other(create, unique):
    pipeline = create(display_name=unique).json()
    assert (pipeline["name"], pipeline["display_name"]) == (unique, unique)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({}, "name is required", id="no name"),
        pytest.param({"name": "n" * 129}, "Pipeline.Name length cannot exceed 128", id="long"),
        pytest.param(
            {"name": "n", "tags": {"a": 1}}, "invalid value for string field value: 1", id="tag"
        ),
        pytest.param({"name": "n", "versions": []}, "versions", id="unknown field"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused_with_a_sentence(create, fields, message):
    answer = create(**fields)
    assert answer.status_code == 400
    assert message in text(answer)


def test_the_name_of_a_pipeline_is_taken_whatever_its_case(create, unique):
    create(name=unique)
    answer = create(name=unique.upper())
    assert (answer.status_code, answer.json()["code"]) == (409, 6)
    assert f"The name {unique.upper()} already exist. Please" in text(answer)


@pytest.mark.parametrize("noun", ["uploaded", "version"])
def test_display_name_and_tags_are_changed_and_nothing_else(local_kfp, request, noun):
    thing = request.getfixturevalue(noun)
    changes = {"display_name": "another", "tags": {"a": "1", "b": ""}}
    ignored = {"name": "x", "description": "x", "created_at": "2000-01-01T00:00:00Z"}
    answer = local_kfp.call("PATCH", path_of(thing), json=changes | ignored)
    assert answer.json() == thing | changes
    assert local_kfp.get(path_of(thing)).json() == thing | changes


@pytest.mark.parametrize("noun", ["uploaded", "version"])
def test_tags_stay_unless_they_are_given_and_empty_ones_remove_them(local_kfp, request, noun):
    path = path_of(request.getfixturevalue(noun))

    def patched(**body):
        return local_kfp.call("PATCH", path, json=body).json()

    assert patched(tags={"a": "1"})["tags"] == {"a": "1"}
    assert patched(display_name="x")["tags"] == {"a": "1"}
    assert patched(tags=None)["tags"] == {"a": "1"}
    assert patched(tags={"b": "2"})["tags"] == {"b": "2"}
    assert "tags" not in patched(tags={})
    assert "tags" not in local_kfp.get(path).json()


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"/pipelines/{NOBODY}", f"Pipeline {NOBODY} not found"),
        (f"/pipelines/{NOBODY}/versions/{NOBODY}", f"PipelineVersion {NOBODY} not found"),
    ],
)
def test_what_is_not_there_is_missing(local_kfp, method, path, message):
    answer = local_kfp.call(method, API + path, json={"display_name": "x"})
    assert (answer.status_code, text(answer)) == (404, message)


def test_a_pipeline_with_versions_is_deleted_only_with_them(local_kfp, uploaded, version):
    path = path_of(uploaded)
    answer = local_kfp.call("DELETE", path)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert text(answer) == (
        f"Failed to delete pipeline with id {uploaded['pipeline_id']} as it has existing pipeline "
        f"versions (e.g. {version['pipeline_version_id']}). Set cascade=true to delete all versions"
    )
    assert local_kfp.call("DELETE", path, params={"cascade": "true"}).json() == {}
    assert local_kfp.get(path).status_code == 404
    assert local_kfp.get(path_of(version)).status_code == 404


def test_a_pipeline_without_versions_is_deleted(local_kfp, uploaded, version, upload, unique):
    assert local_kfp.call("DELETE", path_of(version)).json() == {}
    assert local_kfp.get(path_of(version)).status_code == 404
    assert local_kfp.call("DELETE", path_of(uploaded)).json() == {}
    assert upload(unique).status_code == 200


def test_a_run_outlives_its_pipeline(local_kfp, create_run, uploaded):
    reference = {"pipeline_id": uploaded["pipeline_id"]}
    run = create_run(pipeline_spec=None, pipeline_version_reference=reference).json()
    local_kfp.call("DELETE", path_of(uploaded), params={"cascade": "true"})
    after = local_kfp.get(f"{API}/runs/{run['run_id']}").json()
    assert after["pipeline_version_reference"] == run["pipeline_version_reference"]


# Tags


def too_many(what):
    return f"tag {what} exceeds maximum length of 63 characters"


TAGS = [
    pytest.param(
        {str(number): "" for number in range(21)},
        "number of tags (21) exceeds maximum of 20 per entity",
        id="21",
    ),
    pytest.param({"": "x"}, "tag key cannot be empty", id="no key"),
    pytest.param({"a.b": "x"}, "tag key \"a.b\" must not contain '.' character", id="dot"),
    pytest.param({"k" * 64: "x"}, too_many(f'key "{"k" * 64}"'), id="long key"),
    pytest.param({"k": "v" * 64}, too_many(f'value "{"v" * 64}" for key "k"'), id="long value"),
]


@pytest.mark.parametrize(("tags", "message"), TAGS)
def test_tags_have_limits_wherever_they_are_given(
    local_kfp, create, upload, uploaded, version, unique, tags, message
):
    refusals = [
        create(name=f"{unique}-2", tags=tags),
        local_kfp.call("PATCH", path_of(uploaded), json={"tags": tags}),
        local_kfp.call("PATCH", path_of(version), json={"tags": tags}),
    ]
    assert [(answer.status_code, text(answer)) for answer in refusals] == [(400, message)] * 3
    in_query = {"tags": json.dumps(tags)}
    for answer in (
        upload(f"{unique}-3", **in_query),
        upload("2", path="upload_version", pipelineid=uploaded["pipeline_id"], **in_query),
    ):
        assert (answer.status_code, answer.json()["error_message"]) == (400, message)


def test_the_largest_tags_are_taken(create, unique):
    tags = {f"{number:063}": "ü" * 63 for number in range(20)}
    assert create(name=unique, tags=tags).json()["tags"] == tags


def test_uploaded_tags_are_those_of_the_pipeline_and_of_its_version(local_kfp, upload, unique):
    pipeline = upload(unique, tags='{"team":"a"}').json()
    listed = local_kfp.get(f"{path_of(pipeline)}/versions").json()
    assert pipeline["tags"] == listed["pipeline_versions"][0]["tags"] == {"team": "a"}


@pytest.mark.parametrize("tags", ["{", "[]", '{"a":1}', "5", '"a"'])
def test_uploaded_tags_that_are_none_are_refused(upload, unique, tags):
    answer = upload(unique, tags=tags)
    assert answer.status_code == 400
    assert "Expected JSON object with string keys and values" in answer.json()["error_message"]


def test_pipelines_and_versions_are_found_by_their_tags(local_kfp, upload, unique):
    pipeline = upload(unique, tags=f'{{"team":"{unique}","x":"y"}}').json()
    upload("other", path="upload_version", pipelineid=pipeline["pipeline_id"], tags='{"x":"z"}')

    def found(path, key, value, **parameters):
        predicate = {"key": f"tags.{key}", "operation": "EQUALS", "string_value": value}
        filter_ = json.dumps({"predicates": [predicate]})
        return local_kfp.get(API + path, filter=filter_, **parameters).json()

    by_team = found("/pipelines", "team", unique, namespace="alice")
    assert (by_team["pipelines"], by_team["total_size"]) == ([pipeline], 1)
    assert found("/pipelines", "team", f"{unique.upper()} ", namespace="alice") == by_team
    versions = found(f"/pipelines/{pipeline['pipeline_id']}/versions", "x", "z")
    assert [version["name"] for version in versions["pipeline_versions"]] == ["other"]


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        pytest.param(
            {"operation": "NOT_EQUALS", "string_value": "x"},
            "only EQUALS operation is supported for tag filtering",
            id="operation",
        ),
        pytest.param(
            {"operation": "EQUALS", "int_value": 1}, "tag filter value must be a string", id="value"
        ),
    ],
)
def test_tags_are_compared_as_texts_only(local_kfp, predicate, message):
    filter_ = json.dumps({"predicates": [{"key": "tags.a", **predicate}]})
    answer = local_kfp.get(f"{API}/pipelines", namespace="alice", filter=filter_)
    assert answer.status_code == 400
    assert message in text(answer)


@pytest.mark.parametrize(
    ("path", "noun"), [("/pipelines", "pipelines"), ("/pipelines/p/versions", "pipeline versions")]
)
@pytest.mark.parametrize(
    ("query", "message"),
    [
        pytest.param(
            {"page_size": -1, "sort_by": "name"},
            "due invalid list options: pageToken: , pageSize: -1, sortBy: name, filter: : Invalid "
            "input error: The page size should be greater than 0. Got -1",
            id="page size",
        ),
        pytest.param(
            {"page_token": "?"},
            "due invalid list options: pageToken: ?, pageSize: 0, sortBy: , filter: : "
            "InvalidInputError: Invalid page token: illegal base64 data at input byte 0",
            id="page token",
        ),
        pytest.param(
            {"filter": '{"predicates":[{"key":"x","operation":1,"int_value":1}]}'},
            "due invalid list options: pageToken: , pageSize: 0, sortBy: , "
            'filter: {"predicates":[{"key":"x","operation":1,"int_value":1}]}: Invalid input error:'
            ' no support for filtering on unrecognized field "x"',
            id="field",
        ),
        pytest.param(
            {"filter": '{"predicates":[{"key":"tags.a","operation":2,"string_value":"b"}]}'},
            "due to invalid tag filter in filter spec: Invalid input error: only EQUALS operation "
            'is supported for tag filtering, got NOT_EQUALS for key "tags.a"',
            id="tag",
        ),
        pytest.param(
            {"filter": "%2525"},
            "due to invalid tag filter in filter spec: Invalid input error: failed to parse filter "
            "spec: ",
            id="no filter",
        ),
    ],
)
def test_a_list_that_cannot_be_says_how_it_was_asked_for(local_kfp, path, noun, query, message):
    answer = local_kfp.get(API + path, namespace="alice", **query)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"Failed to list {noun} {message}")


# From the web


class Redirecting(QuietHandler):
    """Sends on whoever asks for what begins with `/from`, and has all files in the query too."""

    def do_GET(self):
        if self.path.startswith("/from/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/from"))
            self.end_headers()
        elif self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        else:
            self.path = self.path.replace("/?", "/")
            super().do_GET()


@pytest.fixture
def web(adder, tmp_path, monkeypatch):
    """The endpoint of a web server, from which fetching is allowed to this process and its own."""
    monkeypatch.setenv("PIPELINE_URL_VALIDATION_ENABLED", "false")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "adder.yaml").write_bytes(adder.read_bytes())
    (tmp_path / "web" / "page.html").write_text("<html>\n")
    (tmp_path / "web" / "large.yaml").write_bytes(bytes(33 << 20))
    with serving(tmp_path / "web", Redirecting) as endpoint:
        yield endpoint


def v1_version(server, version):
    """In v1beta1 it is where the source code is, or nothing."""
    told = server.get(f"/apis/v1beta1/pipeline_versions/{version['pipeline_version_id']}").json()
    assert told.pop("package_url") == {"pipeline_url": version["code_source_url"]}
    return told


def package(url):
    return {"package_url": {"pipeline_url": url}}


def test_a_pipeline_and_a_version_are_fetched_from_a_url(start_local_kfp, web, spec):
    server = start_local_kfp()
    url = f"{web}/adder.yaml"
    said = {"namespace": "alice", "description": "d", "tags": {"a": "1"}}
    body = {"pipeline": said, "pipeline_version": {**package(url), "tags": {"b": "2"}}}
    pipeline = server.post(f"{API}/pipelines/create", body).json()
    assert (pipeline["name"], pipeline["tags"]) == ("adder.yaml", {"a": "1"})
    versions = f"{path_of(pipeline)}/versions"
    second = {**package(url), "name": "second", "display_name": "2nd", "code_source_url": "c"}
    created = server.post(versions, second).json()
    assert (created["name"], created["display_name"]) == ("second", "2nd")
    assert (created["code_source_url"], created["pipeline_spec"]) == ("c", spec)
    assert created["package_url"] == {"pipeline_url": url}
    first, listed = server.get(versions).json()["pipeline_versions"]
    assert (first["name"], first["tags"]) == ("adder.yaml", {"b": "2"})
    assert first["package_url"] == {"pipeline_url": url}
    assert "package_url" not in v1_version(server, created)
    assert listed == created
    again = server.post(versions, second)
    assert (again.status_code, "The name second already exist" in text(again)) == (409, True)


def test_what_is_behind_a_url_without_a_file_name_is_no_yaml(start_local_kfp, web):
    server = start_local_kfp()
    body = {"pipeline_version": package(f"{web}/?adder.yaml")}
    named = {"pipeline": {"namespace": "alice", "display_name": "named"}}
    answer = server.post(f"{API}/pipelines/create", body | named)
    assert answer.status_code == 400
    assert "its name must end in .yaml, .yml or .json" in text(answer)


def test_a_version_of_a_pipeline_that_is_deleted_while_it_is_fetched_is_refused(
    start_local_kfp, adder, monkeypatch
):
    monkeypatch.setenv("PIPELINE_URL_VALIDATION_ENABLED", "false")

    class Deleting(QuietHandler):
        def do_GET(self):
            server.call("DELETE", path_of(pipeline))
            super().do_GET()

    with serving(adder.parent, Deleting) as endpoint:
        server = start_local_kfp()
        body = {"name": "soon gone", "namespace": "alice"}
        pipeline = server.post(f"{API}/pipelines", body).json()
        version = {"name": "first", **package(f"{endpoint}/{adder.name}")}
        answer = server.post(f"{path_of(pipeline)}/versions", version)
    said = f"Pipeline {pipeline['pipeline_id']} not found"
    assert (answer.status_code, said in text(answer)) == (404, True)


def read_pipeline_url(url):
    reader = PipelineReader()
    with contextlib.closing(reader):
        return asyncio.run(reader.read_url(url))


def test_a_url_may_lead_to_another(web):
    assert read_pipeline_url(f"{web}/from/adder.yaml").name == "adder"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("/nothing.yaml", "request returned 404 File not found", id="missing"),
        pytest.param("/page.html", "its name must end in", id="page"),
        pytest.param("/large.yaml", "File size too large", id="large"),
        pytest.param("/loop", "too many redirects", id="loop"),
    ],
)
def test_what_is_no_pipeline_behind_a_url_is_refused_with_a_sentence(web, path, message):
    with pytest.raises(ApiError) as refusal:
        read_pipeline_url(web + path)
    assert message in refusal.value.text


def test_a_server_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("PIPELINE_URL_VALIDATION_ENABLED", "false")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/adder.yaml"
    with pytest.raises(ApiError) as refusal:
        read_pipeline_url(url)
    assert f"error downloading the pipeline spec from {url}" in refusal.value.text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("http://github.com/a", 'URL scheme "http" not allowed', id="http"),
        pytest.param("file:///etc/passwd", "invalid pipeline spec URL", id="file"),
        pytest.param("ftp://github.com/a", 'URL scheme "ftp" not allowed', id="ftp"),
        pytest.param("https://github.com:444/a", "HTTPS requires port 443", id="port"),
        pytest.param("https://example.com/a", "not in allowlist", id="domain"),
        pytest.param("https://github.com.evil.org/a", "not in allowlist", id="longer domain"),
        pytest.param("https://github.com@evil.org/a", "not in allowlist", id="user"),
        pytest.param("https://127.0.0.1/a", "not in allowlist", id="address"),
        pytest.param("https://localhost/a", "resolves to blocked IP range", id="this machine"),
        pytest.param("https://localhost./a", "resolves to blocked IP range", id="dot"),
        pytest.param("https://nowhere.invalid/a", "DNS resolution failed", id="no host"),
        pytest.param("https://[::1/a", "invalid pipeline spec URL", id="brackets"),
        pytest.param("https://github.com:x/a", "invalid pipeline spec URL", id="no port"),
        pytest.param("adder.yaml", "invalid pipeline spec URL", id="no URL"),
    ],
)
def test_a_url_that_is_not_allowed_is_refused_with_the_reason(monkeypatch, url, message):
    monkeypatch.setenv("PIPELINE_URL_ALLOWED_DOMAINS", "localhost, *.invalid")
    with pytest.raises(ApiError) as refusal:
        read_pipeline_url(url)
    assert message in refusal.value.text


@pytest.mark.parametrize("path", ["pipelines/create", "pipelines/ID/versions"])
@pytest.mark.parametrize(
    ("version", "message"),
    [
        pytest.param(
            package("https://127.0.0.1/a"), "Pipeline URL validation failed", id="not allowed"
        ),
        pytest.param(package("https://[::1/a"), "invalid pipeline spec UR", id="no URL"),
    ],
)
def test_a_url_is_judged_before_it_is_asked(local_kfp, uploaded, unique, path, version, message):
    path = f"{API}/{path.replace('ID', uploaded['pipeline_id'])}"
    body = {"name": unique, **version}
    if path.endswith("create"):
        body = {"pipeline": {"name": unique, "namespace": "alice"}, "pipeline_version": version}
    answer = local_kfp.post(path, body)
    assert answer.status_code == 400
    assert message in text(answer)


@pytest.mark.parametrize("version", [package(""), {"package_url": {}}, {}])
def test_a_pipeline_and_a_version_from_nowhere_are_refused(local_kfp, uploaded, unique, version):
    pipeline = {"name": unique, "namespace": "alice"}
    body = {"pipeline": pipeline, "pipeline_version": version}
    answer = local_kfp.post(f"{API}/pipelines/create", body)
    assert (answer.status_code, text(answer)) == (400, "invalid pipeline spec URL: ")
    answer = local_kfp.post(f"{path_of(uploaded)}/versions", {"name": unique, **version})
    lacks = "empty" if version else "nil"
    refused = f"Failed to create a pipeline version. Package URL is {lacks}"
    assert (answer.status_code, text(answer)) == (400, refused)


def test_a_version_from_a_url_needs_a_name(local_kfp, uploaded):
    answer = local_kfp.post(f"{path_of(uploaded)}/versions", package("https://127.0.0.1/a"))
    assert (answer.status_code, text(answer)) == (400, "name is required")
