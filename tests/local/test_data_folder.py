"""The data folder of the local KFP: whose it is, and that nothing of anybody else's is lost."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness.local_kfp import API, LocalKfp
from harness.paths import ROOT

from jupyter_kfp_mt.local.data import data_folder_mark
from jupyter_kfp_mt.local.data.data_folder_mark import MARK, claim


@pytest.fixture
def refused():
    """Return the words of a start that must be refused."""

    def refused(data, *arguments, cwd=ROOT, within=()):
        command = [
            *within,
            sys.executable,
            "-m",
            "jupyter_kfp_mt.local",
            "--data",
            str(data),
            *arguments,
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
        )
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        assert "Traceback" not in result.stderr
        return result.stderr

    return refused


def tree(folder):
    """Everything in a folder: kind, mode and content of each."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(folder))] = (stat.S_IFMT(path.lstat().st_mode), content)
    return found


@pytest.fixture
def project(tmp_path):
    """A folder of somebody who works in it, with files that are called as ours are."""
    folder = tmp_path / "my project"
    for name in ("tokens/en/words.txt", "tokens/en/vocabulary/token", "keys/a", "namespaces/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in ("server.json", "in-use", "profiles.yaml", "lock", "kfp.db", "server.log"):
        (folder / name).write_text(name)
    return folder


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(refused, project, profiles):
    before = tree(project)
    for arguments in ([], ["--profiles", str(profiles)], ["--log-file"]):
        error = refused(project, *arguments)
        assert f"The data folder {project} cannot be used: it is not empty" in error
        assert "Name an empty folder" in error
    assert tree(project) == before


def test_the_current_folder_is_refused_as_any_other(refused, project):
    before = tree(project)
    assert f"The data folder {project} cannot be used" in refused(".", cwd=project)
    assert tree(project) == before


@pytest.mark.parametrize("name", ["tokens", "notes.txt", "server.json", "kfp.db", "lock", ".git"])
def test_one_thing_of_somebody_elses_is_enough(refused, tmp_path, name):
    (tmp_path / "data" / name).mkdir(parents=True)
    assert "it is not empty" in refused(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [name]


def test_a_lease_leaves_a_folder_of_something_else_as_it_is(project, profiles):
    from jupyter_kfp_mt import errors
    from jupyter_kfp_mt.connection.local_kfp import LocalKfpUse

    before = tree(project)
    with pytest.raises(errors.Misconfigured, match="it is not empty") as refusal:
        LocalKfpUse(project, str(profiles))
    assert "KFP_MT_DATA" in str(refusal.value)
    assert tree(project) == before


@pytest.mark.parametrize("name", ["data", "with spaces", "Läuße-данные-数据", "100%'\"?#;"])
def test_an_empty_folder_of_any_name_is_taken_and_is_nobody_elses_then(
    start_local_kfp, tmp_path, name
):
    data = tmp_path / name
    data.mkdir(mode=0o755)
    (data / "lost+found").mkdir()
    server = start_local_kfp(data=data)
    assert server.get(f"{API}/experiments", namespace="alice").status_code == 200
    assert (data / MARK).is_file()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert server.stop() == 0


def without_mark(data):
    (data / MARK).unlink()


def without_key(data):
    without_mark(data)
    shutil.rmtree(data / "keys")


def without_database(data):
    without_mark(data)
    for path in data.glob("kfp.db*"):
        path.unlink()


def test_a_new_folder_in_which_another_server_begins_just_now_is_its_own(tmp_path, monkeypatch):
    looked = data_folder_mark._is_empty

    def after_another_has_begun(folder):
        monkeypatch.setattr(data_folder_mark, "_is_empty", looked)
        claim(folder)
        (folder / "lock").touch()
        return looked(folder)

    monkeypatch.setattr(data_folder_mark, "_is_empty", after_another_has_begun)
    claim(tmp_path)
    assert (tmp_path / "lock").is_file()


@pytest.mark.parametrize("before_marks", [without_mark, without_key, without_database])
@pytest.mark.parametrize("end", [LocalKfp.stop, LocalKfp.kill], ids=["stopped", "killed"])
def test_a_folder_from_before_there_were_marks_is_known_and_marked(
    start_local_kfp, before_marks, end
):
    server = start_local_kfp()
    body = {"display_name": "kept", "namespace": "alice"}
    server.post(f"{API}/experiments", body).raise_for_status()
    end(server)
    before_marks(server.data)
    again = start_local_kfp()
    assert (again.data / MARK).is_file()
    listed = again.get(f"{API}/experiments", namespace="alice").json()
    assert bool(listed) == (before_marks is not without_database)


@pytest.mark.parametrize("left", [["server.log"], ["lock", "profiles.yaml", "server.log"]])
def test_what_a_failed_start_left_before_there_were_marks_is_known(start_local_kfp, tmp_path, left):
    data = tmp_path / "data"
    data.mkdir()
    for name in left:
        (data / name).touch()
    if "lock" in left:
        (data / "tokens").mkdir()
        (data / "namespaces").mkdir()
    start_local_kfp(data=data)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, profiles):
    server = LocalKfp(tmp_path_factory.mktemp("stopped") / "data", "--profiles", str(profiles))
    assert server.stop() == 0
    return server.data


@pytest.fixture
def own(stopped, tmp_path):
    """A copy of the data folder of a server that has stopped, with its pipe."""
    subprocess.run(["cp", "-a", stopped, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.mark.parametrize(
    "name",
    [
        "tokens",
        "keys",
        "namespaces",
        "namespaces/alice",
        "tokens/alice",
        "tokens/bob/default-viewer",
    ],
)
def test_a_link_in_a_folders_place_is_refused_and_not_followed(refused, own, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "gone" / "x").mkdir(parents=True)
    (elsewhere / "gone" / "x" / "token").write_text("not ours")
    (elsewhere / "token").write_text("not ours")
    before = tree(elsewhere)
    if (own / name).exists():
        shutil.rmtree(own / name)
    (own / name).symlink_to(elsewhere)
    error = refused(own)
    assert f"{own / name}" in error and "is not followed" in error
    assert tree(elsewhere) == before


@pytest.mark.parametrize(
    "name", ["lock", "in-use", "server.json", "kfp.db", "profiles.yaml", "server.log"]
)
def test_a_link_in_a_files_place_is_refused_and_not_followed(refused, own, tmp_path, name):
    (own / name).unlink(missing_ok=True)
    (tmp_path / "elsewhere").write_text("mine")
    (own / name).symlink_to(tmp_path / "elsewhere")
    assert "is not followed" in refused(own)
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_of_a_stranger_only_the_token_is_removed(start_local_kfp, own, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "x").mkdir(parents=True)
    (elsewhere / "x" / "token").write_text("not ours")
    (own / "tokens" / "linked").symlink_to(elsewhere)
    (own / "tokens" / "old" / "default-editor").mkdir(parents=True)
    for name in ("old/default-editor/token", "old/default-editor/mine", "old/readme"):
        (own / "tokens" / name).write_text("text")
    (own / "tokens" / "gone" / "default-editor").mkdir(parents=True)
    for name in ("token", ".new-half"):
        (own / "tokens" / "gone" / "default-editor" / name).write_text("text")
    start_local_kfp()
    left = tree(own / "tokens")
    assert {"old/default-editor/mine", "old/readme", "linked"} <= set(left)
    assert "old/default-editor/token" not in left and "gone" not in left
    assert (elsewhere / "x" / "token").read_text() == "not ours"


@pytest.mark.parametrize("name", ["tokens", "namespaces", "tokens/alice/default-editor"])
def test_a_file_in_a_folders_place_is_named_and_kept(refused, own, name):
    shutil.rmtree(own / name)
    (own / name).write_text("mine")
    assert f"a file where a folder belongs: {own / name}" in refused(own)
    assert (own / name).read_text() == "mine"


def test_something_else_in_the_place_of_the_pipe_is_named_and_kept(refused, own):
    (own / "in-use").unlink()
    (own / "in-use").write_text("mine")
    assert "its in-use is not a named pipe" in refused(own)
    assert (own / "in-use").read_text() == "mine"


def test_a_file_in_the_place_of_the_data_folder_is_named(refused, tmp_path):
    (tmp_path / "data").write_text("mine")
    assert f"The data folder {tmp_path / 'data'} cannot be used: it is a file" in refused(
        tmp_path / "data"
    )


# Whoever is root may read and write everything, unless that right is given up.
AS_ANYBODY = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o500, 0o400])
def test_a_folder_that_cannot_be_read_or_written_is_named(refused, tmp_path, mode):
    if AS_ANYBODY and not shutil.which(AS_ANYBODY[0]):
        pytest.skip("root has no setpriv here, and may read everything")
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    error = refused(data, within=AS_ANYBODY)
    assert f"The data folder {data} cannot be used: Permission denied" in error
    assert "--data" in error


CLAIM = """
import os, pathlib, sys
from jupyter_kfp_mt.errors import Misconfigured
from jupyter_kfp_mt.local.data.data_folder_mark import claim
os.seteuid(65534)
try:
    claim(pathlib.Path(sys.argv[1]))
except Misconfigured as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_of_another_user_is_refused():
    # Not in pytest's own folder, which is for one user alone.
    with tempfile.TemporaryDirectory() as others:
        os.chmod(others, 0o755)
        data = Path(others) / "data"
        data.mkdir()
        os.chown(data, 12345, 12345)
        data.chmod(0o777)
        command = [sys.executable, "-c", CLAIM, str(data)]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "it belongs to another user" in said
        assert list(data.iterdir()) == []
