"""Uploads are read at the door, before KFP gets them."""

import pytest
from fakes.guarded_kfp import Answer, GuardedKfp
from harness.jupyter_server import call, server_config

from jupyter_kfp_mt.client import upload_reader
from jupyter_kfp_mt.errors import NotAPipeline
from jupyter_kfp_mt.extension import request_body as body_module

API = "/api/apis/v2beta1/pipelines/"
ARGO = b"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n"


class ReceivingKfp(GuardedKfp):
    """It takes whatever is uploaded."""

    def found(self, request, path):
        if path.startswith("pipelines/upload"):
            return Answer(200, {"pipeline_id": "p"})
        return super().found(request, path)

    @property
    def received(self):
        return [asked for asked in self.asked if "/upload" in asked.path]


@pytest.fixture
def kfp(serve):
    return serve(ReceivingKfp)


@pytest.fixture
def jp_server_config(kfp):
    return server_config(endpoint=kfp.endpoint, auth="none", namespace="alice")


@pytest.fixture
def upload(door):
    """Uploads one file through the door."""
    address, key = door

    async def upload(content, name="p.yaml", path="upload?name=x&namespace=alice"):
        headers = {"Authorization": f"Bearer {key}"}
        files = {"uploadfile": (name, content)}
        return await call("POST", address + API + path, headers=headers, files=files)

    return upload


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"a: 1\nb: [\n", "it is not YAML", id="broken"),
        pytest.param(b"a: b: c", "(line 1)", id="line"),
        pytest.param(b"kind: Pod\napiVersion: v1\n", "a Kubernetes object of kind Pod", id="pod"),
        pytest.param(b"hello", "it is not a mapping", id="text"),
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"PK\x03\x04 and more", "an archive that cannot be read", id="archive"),
    ],
)
@pytest.mark.parametrize("path", ["upload?name=x", "upload_version?pipelineid=p"])
async def test_what_is_no_pipeline_is_refused_and_never_reaches_kfp(
    upload, kfp, content, why, path
):
    answer = await upload(content, path=path)
    assert answer.status_code == 400
    assert answer.json()["kind"] == "NotAPipeline"
    assert answer.json()["message"].startswith("p.yaml is not a compiled pipeline: ")
    assert why in answer.json()["message"]
    assert kfp.received == []


async def test_a_pipeline_reaches_kfp_as_it_was_sent(upload, kfp, adder):
    answer = await upload(adder.read_bytes())
    assert answer.status_code == 200, answer.text
    assert len(kfp.received) == 1


async def test_a_long_one_does_as_well(upload, kfp, adder):
    content = adder.read_bytes() + b"# a comment\n" * 200_000
    assert (await upload(content)).status_code == 200
    assert len(kfp.received) == 1


async def test_an_argo_workflow_is_for_kfp_to_judge(upload, kfp):
    assert (await upload(ARGO)).status_code == 200
    assert len(kfp.received) == 1


async def test_an_upload_that_is_too_long_is_refused(upload, kfp, monkeypatch):
    monkeypatch.setattr(body_module, "LONGEST_UPLOAD", 1000)
    answer = await upload(b"a" * 2000)
    assert (answer.status_code, answer.json()["kind"]) == (413, "TooLong")
    assert kfp.received == []


def form(content):
    edge = b'--b\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n'
    return edge + content + b"\r\n--b--\r\n"


def test_what_takes_too_long_to_read_is_given_up(tmp_path):
    with (tmp_path / "form").open("w+b") as file:
        file.write(form(b"a: 1"))
        fault = upload_reader.fault("multipart/form-data; boundary=b", file, seconds=0.001)
    assert isinstance(fault, NotAPipeline)
    assert "cannot be read in 0.001 s and 512 MB of memory" in fault.message


def test_a_module_of_the_users_is_not_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "yaml.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "form").open("w+b") as file:
        file.write(form(b"a: 1"))
        fault = upload_reader.fault("multipart/form-data; boundary=b", file)
    assert "pipelineInfo" in fault.message


def test_what_is_no_such_form_is_left_to_kfp(tmp_path):
    with (tmp_path / "form").open("w+b") as file:
        file.write(b"nothing")
        assert upload_reader.fault("multipart/form-data; boundary=b", file) is None
