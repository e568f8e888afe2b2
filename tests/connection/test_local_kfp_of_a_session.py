"""`%kfp connect --endpoint local` without a Jupyter server."""

import os
import signal
import subprocess
import sys

import pytest
from harness.paths import ROOT
from harness.waiting import PATIENCE, wait_until

from jupyter_kfp_mt.connection.local_kfp import LocalKfpUse, running
from jupyter_kfp_mt.errors import KfpError


@pytest.fixture
def folder(tmp_path, profiles, monkeypatch):
    for name in ("KFP_MT_DOOR", "KFP_MT_ENDPOINT", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KFP_MT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KFP_MT_PROFILES", str(profiles))
    return tmp_path / "data"


def test_one_is_started_for_the_session_and_stops_with_it(folder, shell, capsys):
    overview = shell.run_line_magic("kfp", "connect --endpoint local")
    assert (overview.status.namespace, overview.status.local) == ("alice", True)
    assert "Started a local KFP in ~/data. It stops when this session ends" in (
        capsys.readouterr().out
    )
    assert shell.run_line_magic("kfp", "connect --as bob/default-editor").status.namespace == "bob"
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    wait_until(lambda: running(folder) is None)
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")


def test_one_that_runs_is_used_without_a_word(folder, shell, profiles, capsys):
    use = LocalKfpUse(folder, str(profiles))
    overview = shell.run_line_magic("kfp", "connect --endpoint local")
    assert overview.status.endpoint == use.kfp.endpoint
    assert capsys.readouterr().out == ""
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    assert running(folder).pid == use.kfp.pid
    use.close()
    wait_until(lambda: running(folder) is None)
    shell.run_line_magic("load_ext", "jupyter_kfp_mt")


def test_one_that_was_killed_is_started_again_with_all_that_it_kept(folder, shell):
    shell.run_line_magic("kfp", "connect --endpoint local")
    shell.run_line_magic("kfp", "experiment create kept")
    os.kill(running(folder).pid, signal.SIGKILL)
    with pytest.raises(KfpError, match="The local KFP has stopped or crashed") as told:
        shell.run_line_magic("kfp", "experiments")
    assert "%kfp connect --endpoint local" in told.value.cure
    shell.run_line_magic("kfp", "connect --endpoint local")
    experiments = shell.run_line_magic("kfp", "experiments")
    assert [each.display_name for each in experiments] == ["kept"]


def test_where_none_is_configured_and_none_runs_it_is_said_what_to_type(folder, shell):
    with pytest.raises(KfpError, match="no local KFP runs in ~/data") as told:
        shell.run_line_magic("kfp", "runs")
    assert "%kfp connect --endpoint local starts one" in str(told.value)
    assert not folder.exists()


def test_one_that_cannot_be_started_says_why(folder, shell):
    folder.mkdir()
    (folder / "mine.txt").write_text("not a data folder")
    with pytest.raises(KfpError, match="The local KFP cannot start"):
        shell.run_line_magic("kfp", "connect --endpoint local")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_session_that_dies_leaves_none_behind(folder, how):
    ready = folder.parent / "ready"
    code = (
        "%load_ext jupyter_kfp_mt\n%kfp connect --endpoint local\n"
        f"open({str(ready)!r}, 'w').close()\nimport time; time.sleep(600)"
    )
    script = folder.parent / "session.ipy"
    script.write_text(code)
    command = [sys.executable, "-m", "IPython", "--no-banner", str(script)]
    session = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    # A local KFP waits for its first user for half a minute.
    wait_until(ready.exists, what="a session that uses a local KFP")
    assert running(folder)
    session.send_signal(how)
    session.wait(timeout=PATIENCE)
    wait_until(lambda: running(folder) is None)
