"""`%kfp connect`: another connection, and the one before where that does not work."""

import pytest

from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.notebook import render


@pytest.fixture
def bad_token(tmp_path):
    path = tmp_path / "token"
    path.write_text("nobody")
    return path


def refused(kfp, line):
    with pytest.raises(KfpError) as error:
        kfp(line)
    return str(error.value)


@pytest.mark.parametrize(
    "options, sentence",
    [
        pytest.param("--endpoint http://127.0.0.1:1", "connection refused", id="nobody there"),
        pytest.param("--token-file BAD", "", id="a token that KFP refuses"),
        pytest.param("--token-file BAD.not", "cannot be read", id="no file"),
    ],
)
def test_a_connection_that_does_not_work_is_refused_at_once(kfp, bad_token, options, sentence):
    before = kfp("ns").namespace, kfp().status.endpoint
    told = refused(kfp, f"connect {options.replace('BAD', str(bad_token))}")
    assert sentence in told
    assert f"Nothing has changed: %kfp still uses {before[1]} as before." in told
    assert (kfp("ns").namespace, kfp().status.endpoint) == before
    assert kfp("runs -l 1") is not None


def test_the_way_back_is_named(kfp):
    told = render.text(kfp("connect --as bob/default-editor"))
    assert "%kfp connect" in told and "the default connection again" in told
    assert "the default connection again" not in render.text(kfp("connect"))


def test_a_local_kfp_that_is_asked_for_and_does_not_run_is_told_so(shell, monkeypatch, tmp_path):
    monkeypatch.delenv("KFP_MT_DOOR", raising=False)
    monkeypatch.setenv("KFP_MT_ENDPOINT", "local")
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path))
    with pytest.raises(KfpError) as error:
        shell.run_line_magic("kfp", "runs")
    assert error.value.message.startswith("KFP_MT_ENDPOINT selects the local KFP, and no local")


def test_each_setting_about_credentials_can_be_given_for_the_session(kfp, guarded_kfp, tmp_path):
    cookie = tmp_path / "cookie"
    cookie.write_text("authservice_session=abc")
    there = f"connect --endpoint {guarded_kfp.endpoint} -n alice"
    shown = kfp(f"{there} --cookie-file {cookie}")
    assert "session cookie" in render.text(shown)
    assert guarded_kfp.asked[-1].cookies == {"authservice_session": "abc"}
    shown = kfp(f"{there} --token-command 'echo t0ken'")
    assert guarded_kfp.asked[-1].headers["Authorization"] == "Bearer t0ken"
    assert not guarded_kfp.asked[-1].cookies
