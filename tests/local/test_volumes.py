"""Volumes for tasks that are plain processes: as this user, and as an ordinary one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.own_executor import component
from harness.paths import ROOT
from harness.running import Runs
from kfp import dsl, kubernetes

from jupyter_kfp_mt.local.execution.executors.volumes import (
    Volume,
    VolumeRefused,
    launch,
    misplaced,
    why_not,
    with_files,
)
from jupyter_kfp_mt.local.execution.task import private_mounts

NOBODY = 65534
# A Python that other users may execute, too.
EVERYBODYS_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")

needs_mounts = pytest.mark.skipif(
    bool(reason := why_not(["/kfp-mt-trial"], [])), reason=f"not on this machine: {reason}"
)
needs_user_namespaces = pytest.mark.skipif(
    bool(subprocess.run("unshare -Ur setpriv true", shell=True, capture_output=True).returncode),
    reason="needs user namespaces, and util-linux",
)


@pytest.fixture
def folder():
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="secret-volumes-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(params=["this user", "nobody"])
def user(request, folder, monkeypatch):
    """Options of subprocess to start something as this user, or as an ordinary one."""
    if request.param == "this user":
        return {}
    if os.getuid() or not EVERYBODYS_PYTHON:
        pytest.skip("only root can become another user, who needs a Python")
    launcher = shutil.copy(private_mounts.__file__, folder)
    monkeypatch.setattr(private_mounts, "__file__", launcher)
    monkeypatch.setattr(sys, "executable", EVERYBODYS_PYTHON)
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


@pytest.fixture
def start(user):
    """Starts a shell script with secrets as files."""

    @contextmanager
    def start(script, *volumes):
        with launch(["sh", "-c", script], volumes, Path("/tmp")) as (command, descriptors):
            streams = dict.fromkeys(["stdin", "stdout"], subprocess.PIPE)
            streams["stderr"] = subprocess.STDOUT
            with subprocess.Popen(
                command, pass_fds=descriptors, text=True, cwd="/tmp", **streams, **user
            ) as process:
                yield process

    return start


@pytest.fixture
def said(start):
    """Return the script's output, as one text."""

    def said(script, *volumes):
        with start(script, *volumes) as process:
            return process.communicate(timeout=30)[0]

    return said


def warehouse(path, password="s3cret"):
    return Volume(path, {"password": password})


PATHS = [
    pytest.param("/kfp-mt-secrets/warehouse", id="below the root"),
    pytest.param("/usr/kfp-mt-secrets", id="in a folder of the system"),
    pytest.param("/var/run/secrets/kfp-mt/a", id="behind a symbolic link"),
    pytest.param("/tmp/kfp-mt-secrets", id="in a folder for all"),
    pytest.param("/opt", id="over a folder"),
]


@needs_mounts
@pytest.mark.parametrize("path", PATHS)
def test_a_task_finds_its_secret_in_a_file_that_it_alone_may_read(said, path):
    script = f"cat {path}/password; stat -c ' %a' {path}/password; ls -A {path}"
    assert said(script, warehouse(path)) == "s3cret 400\npassword\n"


@needs_mounts
@pytest.mark.parametrize("path", PATHS)
def test_the_machine_has_nothing_of_it_while_the_task_runs_and_after(start, path):
    there = os.path.exists(path)
    with start(f"ls {path}; read wait", warehouse(path)) as process:
        assert process.stdout.readline() == "password\n"
        assert not os.path.exists(f"{path}/password")
        process.communicate("go\n", timeout=30)
    assert os.path.exists(path) == there


@needs_mounts
def test_two_tasks_have_each_their_own_at_the_same_path(start):
    path = "/kfp-mt-secrets/warehouse"
    script = f"echo; read wait; cat {path}/password"
    with start(script, warehouse(path, "alice's")) as one, start(script, warehouse(path)) as other:
        assert one.stdout.readline() == other.stdout.readline() == "\n"
        answers = [process.communicate("go\n", timeout=30)[0] for process in (one, other)]
    assert answers == ["alice's", "s3cret"]


@needs_mounts
def test_several_secrets_can_be_in_one_new_folder(said):
    volumes = [warehouse(f"/kfp-mt-secrets/{name}", name) for name in ("one", "two")]
    volumes.append(warehouse("/mnt/kfp-mt-secrets", "three"))
    script = "cat /kfp-mt-secrets/*/password /mnt/kfp-mt-secrets/password; echo"
    assert said(script, *volumes) == "onetwothree\n"


@needs_mounts
def test_an_optional_secret_that_is_not_there_is_an_empty_folder(said):
    path = "/kfp-mt-secrets/none"
    assert said(f"ls -A {path} && echo empty", Volume(path, {})) == "empty\n"


@needs_mounts
@pytest.mark.parametrize("file", ["/kfp-mt-secrets/a/password", "/kfp-mt-secrets/a/new", "/new"])
def test_what_would_be_lost_or_is_secret_cannot_be_written(said, file):
    answer = said(f"echo x > {file} && echo written", warehouse("/kfp-mt-secrets/a"))
    assert "ead-only" in answer or "ermission denied" in answer


@needs_mounts
def test_temporary_files_can_be_written_beside_a_secret(said):
    assert (
        said("echo x > /tmp/kfp-mt-new && cat /tmp/kfp-mt-new", warehouse("/tmp/secrets")) == "x\n"
    )
    assert not os.path.exists("/tmp/kfp-mt-new")


@needs_mounts
def test_a_folder_of_the_machine_can_be_anywhere_for_the_task(said, folder):
    (folder / "in").write_text("kept\n")
    folder.chmod(0o777)
    volumes = [Volume("/kfp-mt-data/a", folder=str(folder)), warehouse("/kfp-mt-data/b")]
    script = "cat /kfp-mt-data/a/in /kfp-mt-data/b/password; echo new > /kfp-mt-data/a/out"
    assert said(script, *volumes) == "kept\ns3cret"
    assert (folder / "out").read_text() == "new\n"
    assert not os.path.exists("/kfp-mt-data")


@needs_mounts
def test_what_the_task_writes_elsewhere_stays(said, folder):
    folder.chmod(0o777)
    assert said(f"echo done > {folder}/out", warehouse("/kfp-mt-secrets/a")) == ""
    assert (folder / "out").read_text() == "done\n"


@needs_mounts
def test_the_task_is_the_same_user_in_the_same_folder_with_the_same_rights(said):
    script = "id -u; pwd; grep -E 'Cap(Eff|Prm)' /proc/self/status"
    assert said(script, warehouse("/kfp-mt-secrets/a")) == said(script)


@needs_mounts
def test_a_task_that_is_killed_by_a_signal_ends_so_with_a_secret_too(start):
    with start("kill -PIPE $$; exit 7", warehouse("/kfp-mt-secrets/a")) as process:
        assert process.wait(timeout=30) == -signal.SIGPIPE


@needs_mounts
def test_the_task_has_no_descriptor_with_its_secrets(said):
    script = "ls /proc/self/fd | wc -l"
    assert said(script, warehouse("/kfp-mt-secrets/a")) == said(script)


@needs_mounts
def test_a_command_that_is_not_there_is_named():
    volumes = [warehouse("/kfp-mt-secrets/a")]
    with launch(["/no/such"], volumes, Path("/tmp")) as (command, descriptors):
        answer = subprocess.run(command, pass_fds=descriptors, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (1, "/no/such: No such file or directory\n")


@needs_mounts
def test_a_forked_process_can_have_a_secret_and_keeps_its_rights(user):
    script = (
        "import os, private_mounts\n"
        "def rights(): return [line for line in open('/proc/self/status') if 'Cap' in line][:3]\n"
        "before = rights()\n"
        "if os.fork() == 0:\n"
        "    private_mounts.mount({'/kfp-mt-secrets/a': {'password': 's3cret'}})\n"
        "    password = open('/kfp-mt-secrets/a/password').read()\n"
        "    print(password, rights() == before, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(os.path.exists('/kfp-mt-secrets'))\n"
    )
    folder = Path(private_mounts.__file__).parent
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, **user
    )
    assert (answer.stdout, answer.stderr) == ("s3cret True\nFalse\n", "")


MISPLACED = [
    pytest.param(["secrets"], "'secrets' is not a plain absolute path", id="relative"),
    pytest.param([""], "'' is not a plain absolute path", id="none"),
    pytest.param(["/a/../b"], "'/a/../b' is not a plain absolute path", id="not plain"),
    pytest.param(["//a"], "'//a' is not a plain absolute path", id="two slashes"),
    pytest.param(["/"], "/dev must not be changed", id="the root"),
    pytest.param(["/proc/x"], "/proc must not be changed", id="the kernel's"),
    pytest.param(["/run-1/in"], "/run-1 must not be changed", id="in the task's folder"),
    pytest.param(["/a", "/a"], "both at /a and at /a", id="twice"),
    pytest.param(["/a/b", "/c", "/a"], "both at /a/b and at /a", id="one in the other"),
]


@pytest.mark.parametrize("paths, reason", MISPLACED)
def test_a_path_for_no_secret_is_refused_in_a_sentence(paths, reason):
    assert reason in misplaced(paths, ["/run-1"])


@needs_mounts
@pytest.mark.parametrize(
    "path", ["/usr", "/etc", sys.prefix, str(Path.home()), tempfile.gettempdir()]
)
def test_a_secret_does_not_hide_what_a_task_needs(path):
    assert f"mounted at {path} would hide " in why_not([path], [])


@needs_mounts
def test_a_file_in_the_way_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert why_not([f"{file}"], []).startswith(f"it cannot mount {file}: {file} exists and is no")


@needs_mounts
@needs_user_namespaces
def test_a_machine_without_mounts_for_users_is_told_and_what_works_instead():
    ask = (
        "from jupyter_kfp_mt.local.execution.executors import volumes\n"
        "print(volumes.why_not(['/a'], []))"
    )
    without = 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "$@"'
    answer = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", without, "-", sys.executable, "-c", ask],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (
        "it cannot mount /a: this machine does not allow private mounts for user 0" in answer.stdout
    )
    assert "use kubernetes.use_secret_as_env" in answer.stdout


@pytest.mark.parametrize("key", ["../x", "."])
def test_a_key_that_leads_elsewhere_is_no_file(key):
    with pytest.raises(VolumeRefused, match=f"'{key}' in 'warehouse' cannot be"):
        with_files("/secrets/w", {key: ""}, "warehouse")


def test_a_secret_is_in_no_description_of_its_volume():
    assert "s3cret" not in repr([warehouse("/secrets/w")])


# Whole runs, on a local KFP that is asked over HTTP.

PLACE = "/kfp-mt-secrets/warehouse"


@component
def look(path: str, pipe: str = ""):
    import os

    names = os.listdir(path) if os.path.isdir(path) else ["nothing"]
    print("found:", {name: open(f"{path}/{name}").read() for name in names if name != "nothing"})
    print("there:", names, flush=True)
    if pipe:
        open(pipe).read()  # as long as nobody has opened it for writing, the task stays


@component
def name_it() -> str:
    return "warehouse"


@dsl.pipeline
def reading(secret: str = "warehouse", pipe: str = ""):
    task = look(path=PLACE, pipe=pipe).set_caching_options(False)
    kubernetes.use_secret_as_volume(task, secret, PLACE)


@dsl.pipeline
def reading_in_an_interpreter_of_its_own():
    task = look(path=PLACE).set_caching_options(False).set_env_variable("PYTHONHASHSEED", "0")
    kubernetes.use_secret_as_volume(task, "warehouse", PLACE)


@dsl.pipeline
def reading_what_another_task_names():
    kubernetes.use_secret_as_volume(look(path=PLACE), name_it().output, PLACE)


@dsl.pipeline
def reading_perhaps(secret: str = "absent"):
    kubernetes.use_secret_as_volume(look(path=PLACE), secret, PLACE, optional=True)


@dsl.pipeline
def looking():
    look(path=PLACE).set_caching_options(False)


@dsl.pipeline
def reading_in_etc():
    kubernetes.use_secret_as_volume(look(path="/etc"), "warehouse", "/etc")


@dsl.pipeline
def reading_twice():
    task = look(path=PLACE)
    kubernetes.use_secret_as_volume(task, "warehouse", PLACE)
    kubernetes.use_secret_as_volume(task, "warehouse", f"{PLACE}/inner")


@pytest.fixture
def alice(local_kfp):
    return Runs(local_kfp)


@needs_mounts
@pytest.mark.parametrize(
    "pipeline",
    [
        pytest.param(reading, id="forked"),
        pytest.param(reading_in_an_interpreter_of_its_own, id="interpreter"),
        pytest.param(reading_what_another_task_names, id="name from a task"),
    ],
)
def test_a_run_reads_its_namespaces_secret_in_a_file(alice, pipeline):
    run_id, error = alice.finish(pipeline)
    assert error == ""
    assert "found: {'password': 's3cret'}" in alice.log(run_id, "look")
    assert not os.path.exists(PLACE)


@needs_mounts
def test_nobody_else_finds_the_secret_of_a_run_while_it_has_it(alice, local_kfp, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    run_id = alice.start(reading, pipe=str(pipe))
    alice.wait_for_log(run_id, "look", "there: ['password']")
    bob = Runs(local_kfp, "bob")
    for runs in (alice, bob):
        other, error = runs.finish(looking)
        assert error == "" and "there: ['nothing']" in runs.log(other, "look")
    assert not os.path.exists(PLACE)
    assert not local_kfp.written("password")
    pipe.write_text("")
    assert alice.end(run_id) == ""


@needs_mounts
def test_an_optional_secret_that_a_namespace_lacks_is_an_empty_folder_for_a_run(alice):
    run_id, error = alice.finish(reading_perhaps)
    assert error == "" and "there: []" in alice.log(run_id, "look")


@needs_mounts
def test_a_run_is_told_which_secret_its_namespace_lacks_and_what_would_help(local_kfp):
    _, error = Runs(local_kfp, "bob").finish(reading)
    assert error == (
        "Task 'look' failed: no secret 'warehouse' in namespace bob; add it to the `secrets` of "
        "that namespace's profile, or request it with optional=True"
    )


MISPLACED_IN_RUNS = [
    pytest.param(reading_in_etc, "a volume mounted at /etc would hide /etc", id="the system's"),
    pytest.param(reading_twice, f"both at {PLACE} and at {PLACE}/inner", id="one in the other"),
]


@needs_mounts
@pytest.mark.parametrize("pipeline, reason", MISPLACED_IN_RUNS)
def test_a_run_is_refused_that_wants_a_secret_where_none_can_be(alice, pipeline, reason):
    run_id, error = alice.finish(pipeline)
    assert error.startswith("Task 'look' cannot run here: ") and reason in error
    assert alice.log(run_id, "look") == ""
