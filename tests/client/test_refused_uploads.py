"""Uploads that a real KFP 2.17 refuses without a reason: what is said of them nevertheless."""

import asyncio
import json
from pathlib import Path

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp
from fakes.kubernetes_api import ALICE
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.connection.choose_connection import decide
from jupyter_kfp_mt.settings import Kfp

REFUSALS = json.loads((Path(__file__).parents[1] / "recorded" / "refusals.json").read_text())


def recorded(name):
    found = REFUSALS[name]
    return Answer(found["status"], found["body"], found["content_type"])


class UploadingKfp(GuardedKfp):
    """It knows one token; `refuses` names a recorded answer to an upload."""

    def __init__(self):
        self.token, self.refuses, self.there = "", "", []
        super().__init__()

    def found(self, request, path):
        known = request.headers.get("Authorization") == f"Bearer {self.token}"
        if path.startswith("pipelines/upload"):
            if not known or self.refuses:
                return recorded(self.refuses or "nobody uploads")
        elif not known:
            return recorded("no identity")
        if path == "pipelines":
            return Answer(200, {"pipelines": self.there})
        return super().found(request, path)


@pytest.fixture
def uploading_kfp(serve, kubernetes_api):
    kfp = serve(UploadingKfp)
    kfp.token = kubernetes_api.token(ALICE)
    return kfp


@pytest.fixture
def token_file(tmp_path, uploading_kfp):
    path = tmp_path / "token"
    path.write_text(uploading_kfp.token)
    return path


@pytest.fixture
def settings(uploading_kfp, in_pod, token_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    in_pod()
    return Kfp(endpoint=uploading_kfp.endpoint, token_file=str(token_file), namespace="alice")


@pytest.fixture
def client(settings):
    client = decide(settings).client()
    yield client
    client.close()


@pytest.fixture
def upload(client, adder):
    return lambda: client.upload_pipeline(adder)


def told(error):
    return "\n".join(error.to_dict().values())


def test_a_right_that_is_missing_is_named_with_its_cure(upload, uploading_kfp, kubernetes_api):
    uploading_kfp.refuses = "viewer uploads"
    kubernetes_api.forbid(ALICE)
    with pytest.raises(errors.Forbidden, match="may not create pipelines in namespace alice") as e:
        upload()
    assert "--clusterrole=kubeflow-pipelines-edit" in e.value.cure
    assert ".go" not in told(e.value)


def test_where_the_right_is_there_another_cause_is_told(upload, uploading_kfp):
    uploading_kfp.refuses = "viewer uploads"
    with pytest.raises(errors.BadRequest, match="refused it without a reason") as e:
        upload()
    assert "may not create" not in told(e.value)


def test_where_nobody_tells_both_causes_are(upload, uploading_kfp, kubernetes_api):
    uploading_kfp.refuses = "viewer uploads"
    kubernetes_api.without_reviews(ALICE)
    with pytest.raises(errors.BadRequest, match="refused it without a reason") as e:
        upload()
    assert f"{ALICE} may not create pipelines there" in e.value.cause


def test_an_identity_that_is_lost_before_the_upload_is_told_as_for_a_list(upload, uploading_kfp):
    uploading_kfp.lets_in = lambda request: forgotten(request, uploading_kfp)
    with pytest.raises(
        errors.Unauthenticated, match="Cannot upload .* does not know who is asking"
    ):
        upload()


def forgotten(request, kfp):
    """From the first upload on it knows nobody."""
    kfp.token = "another" if request.path.endswith("/upload") else kfp.token
    return True


def test_a_name_that_is_taken_meanwhile_is_told_so(upload, uploading_kfp):
    uploading_kfp.refuses = "upload of a name there is"
    with pytest.raises(errors.Conflict, match="there is already one with that name"):
        upload()


def test_a_stale_token_is_renewed_and_the_upload_sent_once_more(
    upload, uploading_kfp, kubernetes_api, token_file
):
    upload()
    new = kubernetes_api.token(ALICE, seconds=7200)
    uploading_kfp.lets_in = lambda request: replaced(request, uploading_kfp, token_file, new)
    upload()
    uploads = [asked for asked in uploading_kfp.asked if asked.path.endswith("/upload")]
    assert len(uploads) == 3


def replaced(request, kfp, token_file, new):
    """From the first upload on another token counts, which the kubelet writes just then."""
    if request.path.endswith("/upload") and kfp.token != new:
        kfp.token = new
        token_file.write_text(new)
    return True


def test_the_next_version_of_a_pipeline_of_an_older_kfp_is_called_after_it(upload, uploading_kfp):
    uploading_kfp.there = [{"pipeline_id": "p", "display_name": "adder"}]
    upload()
    (asked,) = [each for each in uploading_kfp.asked if each.path.endswith("/upload_version")]
    assert asked.query["name"].startswith("adder-20")


# --- through the door -----------------------------------------------------------------------------


@pytest.fixture
def jp_server_config(settings, uploading_kfp, token_file, tmp_path, monkeypatch):
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    return server_config(
        endpoint=uploading_kfp.endpoint, token_file=str(token_file), namespace="alice"
    )


async def test_the_door_finds_the_reason_out_for_whoever_uploads(
    door, uploading_kfp, kubernetes_api, adder
):
    uploading_kfp.refuses = "viewer uploads"
    kubernetes_api.forbid(ALICE)

    def in_a_kernel():
        client = decide(Kfp()).client()
        with pytest.raises(errors.Forbidden, match="Cannot upload .* to alice: ") as e:
            client.upload_pipeline(adder)
        client.close()
        return e.value

    error = await asyncio.to_thread(in_a_kernel)
    assert f"{ALICE} may not create pipelines in namespace alice" in error.message
    assert "kubeflow-pipelines-edit" in error.cure and ".go" not in told(error)


async def test_no_stack_trace_goes_through_the_door(door, uploading_kfp):
    uploading_kfp.refuses = "viewer uploads"
    address, key = door
    url = f"{address}/api/apis/v2beta1/pipelines/upload?name=x&namespace=alice"
    answer = await call("POST", url, headers={"Authorization": f"Bearer {key}"}, data=b"x")
    body = answer.json()
    assert body["error_details"] == body["error_message"] == "Failed to create a pipeline"
    assert "refused it without a reason" in body["message"]
