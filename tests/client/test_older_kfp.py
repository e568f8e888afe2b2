"""A pipeline that a newer kfp compiled, on a KFP that does not know all that is in it."""

import pytest
import yaml
from fakes.guarded_kfp import Answer, GuardedKfp, refusal

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client import releases
from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.doctor import run_checks
from jupyter_kfp_mt.models import Health
from jupyter_kfp_mt.settings import Kfp

UNREAD = "InvalidInputError: unknown template format: pipeline spec is invalid"


class OlderKfp(GuardedKfp):
    """It says that it is 2.5.0; `reads`: whether it can read what it is given."""

    reads = False

    def answer(self, request):
        if request.path.endswith("/healthz"):
            return Answer(200, {"multi_user": True, "tag_name": "2.5.0"})
        return super().answer(request)

    def found(self, request, path):
        if path == "experiments":
            there = {"experiment_id": "e", "display_name": "Default", "namespace": "alice"}
            return Answer(200, {"experiments": [there]})
        if path == "pipelines":
            return Answer(200, {})
        if path == "runs" and request.method == "POST":
            return Answer(200, {"run_id": "r"}) if self.reads else refusal(500, 13, UNREAD)
        if path == "pipelines/upload":
            said = {"error_message": UNREAD, "error_details": UNREAD}
            return Answer(500, said)
        return super().found(request, path)


@pytest.fixture
def older_kfp(serve):
    return serve(OlderKfp)


@pytest.fixture
def client(older_kfp):
    client = Client(older_kfp.endpoint, namespace="alice")
    yield client
    client.close()


@pytest.fixture
def compiled(adder, tmp_path):
    """A pipeline compiled by kfp 2.17.3, with a workspace and a deadline."""
    spec = yaml.safe_load(adder.read_text()) | {"sdkVersion": "kfp-2.17.3"}
    config = {"workspace": {"size": "1Gi"}, "activeDeadlineSeconds": 60}
    platform = {"platforms": {"kubernetes": {"pipelineConfig": config}}}
    path = tmp_path / "compiled.yaml"
    path.write_text(yaml.safe_dump_all([spec, platform]))
    return path


@pytest.mark.parametrize(
    ("act", "asked"),
    [
        pytest.param(
            lambda client, file: client.start_run(file, {"x": 1}), "start adder", id="run"
        ),
        pytest.param(
            lambda client, file: client.upload_pipeline(file), "upload compiled.yaml", id="upload"
        ),
    ],
)
def test_what_an_older_kfp_cannot_read_names_both_releases(client, compiled, act, asked):
    with pytest.raises(errors.BadRequest, match=f"Cannot {asked}.*: KFP cannot read") as e:
        act(client, compiled)
    assert e.value.cause.startswith("It was compiled by kfp 2.17, and this KFP is 2.5,")
    assert "pip install 'kfp==2.5.*'" in e.value.cure


def test_what_an_older_kfp_leaves_out_is_warned_of(client, older_kfp, compiled):
    older_kfp.reads = True
    client.start_run(compiled, {"x": 1})
    (warning,) = client.warnings
    assert "silently ignore its workspace and its deadline" in warning
    assert "pip install 'kfp==2.5.*'" in warning


def test_doctor_names_both_releases(older_kfp, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    monkeypatch.setattr(run_checks, "version", lambda package: "2.17.3")
    report = run_checks.examine(Kfp(endpoint=older_kfp.endpoint, auth="none"), "alice")
    (found,) = [each.found for each in report.findings if each.check == "versions"]
    assert "kfp 2.17.3" in found and "KFP is 2.5.0" in found and "'kfp==2.5.*'" in found


@pytest.mark.parametrize(
    ("tag", "sdk", "expected"),
    [
        pytest.param("2.5.0", "kfp-2.17.3", ("2.5", "2.17"), id="older"),
        pytest.param("v2.9.1", "kfp-2.10.0", ("2.9", "2.10"), id="as numbers"),
        pytest.param("2.17.0", "kfp-2.17.3", None, id="same"),
        pytest.param("2.18.0", "kfp-2.17.3", None, id="newer"),
        pytest.param("", "kfp-2.17.3", None, id="no version"),
        pytest.param("2.5.0", "", None, id="no sdk"),
        pytest.param("jupyter-kfp-mt-0.1", "kfp-2.17.3", None, id="local"),
    ],
)
def test_releases_are_compared(tag, sdk, expected):
    assert releases.older(Health(tag_name=tag), sdk) == expected
