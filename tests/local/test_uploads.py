"""Files that are uploaded to the local KFP, and those that are no pipelines."""

import gzip
import io
import tarfile
import time
import zipfile

import pytest
import yaml

API = "/apis/v2beta1"
TOO_LONG = "Pipeline.Namespace length cannot exceed 63"


@pytest.fixture
def send(local_kfp):
    """Uploads one file to alice."""

    def send(content, file_name="pipeline.yaml", who="alice/default-editor", **params):
        return local_kfp.call(
            "POST",
            f"{API}/pipelines/upload",
            who,
            params={"namespace": "alice", **params},
            files={"uploadfile": (file_name, content)},
        )

    return send


def reason(answer):
    """Return the reason for a refused upload, which stands in place of a stack trace."""
    said, _, why = answer.json()["error_details"].partition("\nreason\n\t")
    assert said == answer.json()["error_message"]
    return why.partition("\n")[0]


def zipped(content, name="pipeline.yaml"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "not this")
        archive.writestr(name, content)
    return buffer.getvalue()


def tarred(content, name="pipeline.yaml"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_an_upload_makes_a_pipeline_and_its_first_version(local_kfp, upload, unique):
    answer = upload(unique, display_name="An adder", description="adds")
    assert answer.status_code == 200
    pipeline = answer.json()
    assert (pipeline["name"], pipeline["display_name"]) == (unique, "An adder")
    assert (pipeline["namespace"], pipeline["description"]) == ("alice", "adds")
    path = f"{API}/pipelines/{pipeline['pipeline_id']}"
    (version,) = local_kfp.get(f"{path}/versions").json()["pipeline_versions"]
    assert (version["name"], version["display_name"]) == (unique, "An adder")
    assert version["pipeline_spec"]["pipelineInfo"]["name"] == "adder"
    assert local_kfp.get(f"{path}/versions/{version['pipeline_version_id']}").json() == version


def test_without_a_name_a_pipeline_has_that_of_its_file(send, adder, unique):
    assert send(adder.read_bytes(), f"{unique}.yaml").json()["name"] == f"{unique}.yaml"


def test_a_second_version_needs_a_name_of_its_own(upload, unique):
    pipeline_id = upload(unique).json()["pipeline_id"]
    again = upload(unique, path="upload_version", pipelineid=pipeline_id)
    assert again.status_code == 409
    assert again.json()["error_message"] == "Failed to create a pipeline version"
    assert reason(again) == (
        f"Failed to create a new pipeline version. The name {unique} already exist. "
        "Specify a new name"
    )
    second = upload("second", path="upload_version", pipelineid=pipeline_id)
    assert (second.status_code, second.json()["name"]) == (200, "second")


def test_a_name_is_taken_in_its_namespace_only(upload, unique):
    assert upload(unique).status_code == 200
    taken = upload(unique)
    assert taken.status_code == 409
    assert taken.json()["error_message"] == "Failed to create a pipeline and a pipeline version"
    assert reason(taken) == (
        f"Failed to create a new pipeline. The name {unique} already exists. "
        "Please specify a new name"
    )
    assert upload(unique, "bob", "bob/default-editor").status_code == 200


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_are_unpacked(send, adder, unique, pack):
    answer = send(pack(adder.read_bytes()), "adder.archive", name=unique)
    assert (answer.status_code, answer.json()["name"]) == (200, unique)


def test_a_platform_document_belongs_to_the_pipeline(local_kfp, send, adder, unique):
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    content = adder.read_text() + "\n---\n" + yaml.safe_dump(platform)
    pipeline_id = send(content, name=unique).json()["pipeline_id"]
    listed = local_kfp.get(f"{API}/pipelines/{pipeline_id}/versions").json()
    (version,) = listed["pipeline_versions"]
    assert version["pipeline_spec"]["platform_spec"] == platform


def test_whoever_is_known_shares_a_pipeline_and_versions_and_cannot_change_them(
    local_kfp, upload, unique
):
    shared = upload(unique, "").json()
    assert "namespace" not in shared
    path = f"{API}/pipelines/{shared['pipeline_id']}"
    assert local_kfp.get(path, who="").json() == shared
    again = upload("second", "", path="upload_version", pipelineid=shared["pipeline_id"])
    assert again.status_code == 200
    refused = local_kfp.call("DELETE", f"{path}?cascade=true")
    assert refused.status_code == 403
    assert "needs edit rights in the namespace kubeflow: add a profile" in refused.text


@pytest.mark.parametrize(
    ("namespace", "who", "said", "message"),
    [
        pytest.param(
            "alice", "", "Failed to create a pipeline", "User identity is empty", id="nobody"
        ),
        pytest.param(
            "alice", "bob/default-editor", "Failed to create a pipeline", "Verb:create", id="viewer"
        ),
        pytest.param(
            "", "", "Failed to create a pipeline", "User identity is empty", id="nobody, shared"
        ),
    ],
)
def test_an_upload_that_is_not_allowed_says_why(upload, unique, namespace, who, said, message):
    answer = upload(unique, namespace, who)
    assert (answer.status_code, answer.json()["error_message"]) == (400, said)
    assert message in reason(answer)


def test_a_namespace_that_is_too_long_is_refused_in_plain_text(upload, unique):
    answer = upload(unique, "n" * 64, "")
    assert (answer.status_code, answer.text) == (400, f"Invalid input error: {TOO_LONG}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "The file is empty", id="empty"),
        pytest.param(b"# only a comment\n", "The file is empty", id="comment"),
        pytest.param(b"\x00\xff\xfe", "binary data", id="binary"),
        pytest.param(b"a: [", "The file is not YAML", id="cut off"),
        pytest.param(b"a: b: c", "(line 1)", id="line"),
        pytest.param(b"hello", "but plain text", id="text"),
        pytest.param(b"- 1", "but a YAML list", id="list"),
        pytest.param(
            b"import kfp\n\ndef f():\n    pass\n", "The file is Python source", id="python"
        ),
        pytest.param(
            b"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "but an Argo Workflow", id="argo"
        ),
        pytest.param(b"apiVersion: v1\nkind: Pod\n", "a Kubernetes object of kind Pod", id="pod"),
        pytest.param(b"implementation: {}\nname: x\n", "a component definition", id="component"),
        pytest.param(b'{"cells": [], "nbformat": 4}', "a Jupyter notebook", id="notebook"),
        pytest.param(b"platforms: {kubernetes: {}}", "without the pipeline", id="platform"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(b"- " * 100_000, "nested too deeply", id="deep list"),
        pytest.param(b"{" + b"? {" * 100_000, "nested too deeply", id="deep keys"),
        pytest.param(b"PK\x03\x04 and more", "not a readable archive", id="broken zip"),
        pytest.param(b"\x1f\x8b\x08 and more", "not a readable archive", id="broken tar"),
        pytest.param(zipped(b"a", "a.py"), "Expecting a pipeline.yaml", id="zip without"),
        pytest.param(tarred(b"a", "../../etc/passwd"), "Expecting a pipeline.yaml", id="path"),
        pytest.param(zipped(bytes(40 << 20)), "unpacks to more than", id="zip bomb"),
        pytest.param(gzip.compress(bytes(40 << 20)), "unpacks to more than", id="gzip bomb"),
        pytest.param(b"x" * ((32 << 20) + 1), "File size too large", id="large"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_with_what_it_is(send, content, message):
    packed = content[:2] in (b"PK", b"\x1f\x8b")
    answer = send(content, "pipeline.zip" if packed else "pipeline.yaml")
    assert answer.status_code == 400
    assert message in reason(answer)


UNREADABLE, UNKNOWN = "Failed to read a pipeline spec file", "unknown template format"


@pytest.mark.parametrize(
    ("file_name", "said", "message"),
    [
        pytest.param("x", UNREADABLE, "its name must end in .yaml, .yml or .json", id="none"),
        pytest.param("x.txt", UNREADABLE, "its name must end in", id="other"),
        pytest.param("x.YAML", UNREADABLE, "its name must end in", id="capitals"),
        pytest.param("x.zip", UNREADABLE, "is not an archive", id="no archive"),
        pytest.param("x.yml", "", "", id="yml"),
        pytest.param("x.json", "", "", id="json"),
    ],
)
def test_plain_text_is_a_pipeline_by_its_name(send, adder, unique, file_name, said, message):
    answer = send(adder.read_bytes(), file_name, name=unique)
    if not said:
        assert answer.status_code == 200
        return
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert (answer.status_code, answer.json()["error_message"]) == (400, said)
    assert message in reason(answer)


def test_an_archive_is_none_by_the_name_of_a_text(send, adder):
    answer = send(zipped(adder.read_bytes()), "x.yaml")
    assert answer.json()["error_message"] == UNKNOWN
    assert "an archive by another name" in reason(answer)


def test_a_second_document_that_belongs_to_no_pipeline_is_refused(send, adder):
    answer = send(adder.read_text() + "\n---\nhello\n")
    assert answer.status_code == 400
    assert answer.json()["error_message"].startswith("unable to decode yaml document")
    assert reason(answer) == (
        "One document of the file is plain text, which is not part of a pipeline."
    )


def test_a_key_that_is_there_twice_is_refused_with_its_line(send, adder):
    answer = send("sdkVersion: kfp-2.17.0\n" + adder.read_text())
    assert (answer.status_code, answer.json()["error_message"]) == (400, UNKNOWN)
    line = 2 + adder.read_text()[: adder.read_text().index("\nsdkVersion")].count("\n") + 1
    assert reason(answer) == f"The key 'sdkVersion' occurs twice (line {line})."


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_upload_is_a_form_by_whatever_method(local_kfp, method):
    answer = local_kfp.call(method, f"{API}/pipelines/upload")
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        400,
        "text/plain; charset=utf-8",
    )
    assert answer.json()["error_message"] == "Failed to read pipeline from file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda spec: spec | {"schemaVersion": "2.0.0"},
            "KFP only supports schema version 2.1.0, but the pipeline spec has version 2.0.0",
            id="version",
        ),
        pytest.param(lambda spec: spec | {"root": None}, "not valid", id="root"),
        pytest.param(
            lambda spec: spec | {"deploymentSpec": 5},
            "deploymentSpec is not an object",
            id="deployment",
        ),
        pytest.param(
            lambda spec: spec | {"pipelineInfo": {}}, "name cannot be empty", id="no name"
        ),
        pytest.param(
            lambda spec: spec | {"pipelineInfo": {"name": "My Pipeline"}},
            "pipeline's name must contain only lowercase alphanumeric characters or '-' "
            "and must start with alphanumeric characters",
            id="name",
        ),
        pytest.param(
            lambda spec: spec | {"root": {"dag": {}, "inputDefinitions": {"parameters": [1]}}},
            "root.inputDefinitions.parameters is not an object",
            id="parameters",
        ),
        pytest.param(
            lambda spec: spec | {"sdkVersion": "kfp-9.0.1", "comingField": 1},
            "comingField is a field that KFP's schema does not have. It was compiled by kfp-9.0.1; "
            "compile it with a kfp of the same release as this KFP: pip install 'kfp==2.17.*'.",
            id="newer",
        ),
    ],
)
def test_a_damaged_pipeline_is_refused_with_the_place(send, adder, change, message):
    damaged = change(yaml.safe_load(adder.read_text()))
    answer = send(yaml.safe_dump(damaged))
    assert answer.status_code == 400
    assert message in reason(answer)


def test_two_pipelines_in_one_file_are_refused(send, adder):
    answer = send(adder.read_text() + "\n---\n" + adder.read_text())
    assert answer.json()["error_message"] == "multiple pipeline specs provided"


def test_aliases_that_unfold_to_billions_are_refused_soon(local_kfp, send):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    answer = send("\n".join(lines))
    assert "expands to more than 150000 values" in reason(answer)
    assert time.monotonic() - started < 20


def test_a_form_without_a_file_is_refused(local_kfp):
    answer = local_kfp.post(f"{API}/pipelines/upload")
    assert answer.status_code == 400
    assert "Failed to read pipeline from file" in answer.json()["error_message"]


@pytest.mark.parametrize(
    ("pipeline_id", "message"),
    [
        pytest.param("", "The pipeline is missing", id="none"),
        pytest.param("x", "Pipeline x not found", id="unknown"),
    ],
)
def test_a_version_needs_its_pipeline(upload, pipeline_id, message):
    answer = upload("v", path="upload_version", pipelineid=pipeline_id)
    assert answer.status_code == 400
    assert answer.json()["error_message"] == "Failed to create a pipeline version"
    assert message in reason(answer)
