"""Tasks in containers: with a stand-in for Docker, and with the machine's engine if one answers.

That needs an image with a shell, which KFP_MT_TEST_IMAGE names.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.local_kfp import LocalKfp
from harness.own_executor import component
from harness.paths import ROOT
from harness.running import Runs
from harness.waiting import wait_until
from kfp import dsl, kubernetes

from jupyter_kfp_mt.local.execution.executors import containers
from jupyter_kfp_mt.local.execution.executors.containers import (
    ContainerRefused,
    Engines,
    NoEngine,
    TaskContainer,
)
from jupyter_kfp_mt.local.execution.executors.input_folders import input_folders
from jupyter_kfp_mt.local.execution.executors.volumes import Volume, why_not

STAND_IN = Path(__file__).parents[1] / "fakes" / "docker"
IMAGE = os.environ.get("KFP_MT_TEST_IMAGE", "docker.io/library/busybox")


def script(folder, name, text):
    """A command in a folder of its own, and the PATH with it in front."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", containers.CHOICE: name}


def standing_in(folder):
    """The environment in which `docker` and `podman` are the stand-in."""
    state = folder / "state"
    state.mkdir()
    for name in ("docker", "podman"):
        command = f"STANDS_FOR={name} PYTHONPATH={ROOT} exec {sys.executable} {STAND_IN}"
        script(folder, name, f'{command} "$@"')
    return {"PATH": f"{folder}:/usr/bin:/bin", "DOCKER_CONFIG": str(state)}


@pytest.fixture
def stand_in(tmp_path):
    return standing_in(tmp_path)


@pytest.fixture(scope="session")
def real_engine():
    """The machine's own, if it can run a container."""
    engines = Engines(os.environ)
    if reason := engines.why_none():
        pytest.skip(reason)
    program = engines.engine().program
    if subprocess.run([program, "image", "inspect", IMAGE], capture_output=True).returncode:
        pytest.skip(f"for tests with the machine's container engine: {program} pull {IMAGE}")
    with containers.launch(
        engines.engine(), TaskContainer("a", "r", "t", IMAGE, ["true"])
    ) as trial:
        code, output = said(*trial)
    if code:
        pytest.skip(f"the machine's container engine cannot run {IMAGE}: {output.splitlines()[-1]}")
    return engines.engine()


@pytest.fixture(params=["stand-in", "real"])
def engine(request):
    if request.param == "real":
        return request.getfixturevalue("real_engine")
    return Engines(request.getfixturevalue("stand_in")).engine()


@pytest.fixture
def container(tmp_path, unique):
    """Return the request of a task in a container; keywords change it."""
    folder = tmp_path / "task"
    folder.mkdir()

    def container(*command, **keywords):
        defaults = {"run_id": unique, "task_id": "t", "folders": [str(folder)], "image": IMAGE}
        return TaskContainer("alice", command=[*command], **{**defaults, **keywords})

    return container


def start(command, environment):
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def said(command, environment):
    """Exit code and output."""
    with start(command, environment) as process:
        output = process.communicate(timeout=60)[0]
    return process.returncode, output


def ended(engine, container):
    with containers.launch(engine, container) as (command, environment):
        return said(command, environment)


def processes(text):
    """Return the processes with the text among their arguments, but the engine's own."""
    found = subprocess.run(["pgrep", "-f", f"^sleep {text}"], capture_output=True, text=True)
    return found.stdout.split()


@pytest.fixture
def nap():
    """Seconds to sleep by which this test's sleeper can be told from all others."""
    return f"60.{os.getpid()}{id(object())}"


NO_ENGINE = [
    pytest.param({"PATH": "/none"}, "neither docker nor podman is on PATH", id="none on PATH"),
    pytest.param({containers.CHOICE: "none"}, f"{containers.CHOICE} is 'none'", id="switched off"),
    pytest.param({containers.CHOICE: "crio"}, "is 'crio', which is not a command", id="no command"),
]


@pytest.mark.parametrize("environment, reason", NO_ENGINE)
def test_it_says_why_there_is_no_engine_and_what_to_do(environment, reason):
    said = Engines(environment).why_none()
    assert said.startswith("no container engine answers: ") and reason in said
    cure = "Correct KFP_MT_CONTAINER_ENGINE and start the local KFP again"
    if "not a command" not in reason:
        cure = "Install and start Docker or Podman"
    assert said.endswith(f". {cure}, or make it a Python component.")


SILENT = [
    pytest.param("echo Is it running? >&2; exit 1", "does not answer: Is it running.", id="down"),
    pytest.param("exec sleep 60", "docker did not answer in 0 seconds", id="hangs"),
    pytest.param("echo hello", "does not respond like a container engine", id="something else"),
    pytest.param("""echo '{"ServerErrors": ["down"]}'""", "answer: down", id="only the client"),
]


@pytest.mark.parametrize("text, reason", SILENT)
def test_it_says_what_an_engine_said_that_does_not_answer(tmp_path, monkeypatch, text, reason):
    monkeypatch.setattr(containers, "ANSWER_SECONDS", 0.4)
    environment = script(tmp_path, "docker", text)
    assert reason in Engines(environment).why_none()


def test_an_engine_once_found_is_remembered(stand_in, tmp_path):
    engines = Engines(stand_in)
    engine = engines.engine()
    for name in ("docker", "podman"):
        (tmp_path / name).unlink()
    assert engines.engine() is engine


def test_an_engine_started_later_is_found(stand_in, tmp_path, monkeypatch):
    docker = tmp_path / "docker"
    engines = Engines(stand_in | {containers.CHOICE: str(docker)})
    docker.rename(tmp_path / "stopped")
    assert engines.why_none()
    (tmp_path / "stopped").rename(docker)
    assert engines.why_none(), "it asks again only after a while"
    monkeypatch.setattr(engines, "_look_again_at", 0.0)
    assert engines.engine().program == str(docker)


def test_the_next_engine_is_taken_if_the_first_does_not_answer(stand_in, tmp_path):
    script(tmp_path, "docker", "exit 1")
    assert Engines(stand_in).engine().is_podman


def test_the_engines_command_gets_nothing_of_the_servers_environment_that_it_does_not_need():
    environment = {"DOCKER_HOST": "ssh://me@there", "HOME": "/home/me", "AWS_SECRET": "x"}
    assert containers.client_environment(environment).keys() == {"DOCKER_HOST", "HOME"}


def test_output_and_exit_code_are_the_containers(engine, container):
    assert ended(engine, container("sh", "-c", "echo hello; exit 3")) == (3, "hello\n")


def test_what_it_writes_is_in_the_same_folder_and_belongs_to_us(engine, container, tmp_path):
    file = tmp_path / "task" / "deep" / "out"
    script = f"mkdir {file.parent} && echo done > {file}"
    assert ended(engine, container("sh", "-c", script)) == (0, "")
    assert (file.read_text(), file.stat().st_uid) == ("done\n", os.getuid())


def test_its_environment_arrives_whole(engine, container):
    given = {"KEY": "two\nlines ", "LD_PRELOAD": "", "DOCKER_HOST": "tcp://x", "HTTP_PROXY": "#'\""}
    asked = " ".join(f'"${name}"' for name in given)
    code, output = ended(engine, container("sh", "-c", f"printf '<%s>' {asked}", environment=given))
    assert (code, output) == (0, "".join(f"<{value}>" for value in given.values()))


def test_its_environment_changes_nothing_for_the_engines_command(engine, container):
    given = {"PATH": "/bin", "LD_PRELOAD": "x.so", "DOCKER_HOST": "tcp://x", "https_proxy": "x"}
    with containers.launch(engine, container("true", environment=given)) as (_, environment):
        assert containers.client_environment(environment) == engine.environment


def test_no_secret_is_among_the_arguments(engine, container):
    secrets = {"TOKEN": "s3cret", "HTTP_PROXY": "http://me:s3cret@proxy"}
    volumes = [Volume("/secrets/warehouse", {"password": "s3cret"})]
    what = container("true", environment=secrets, volumes=volumes)
    with containers.launch(engine, what) as (command, _):
        assert not [word for word in command if "s3cret" in word]


def test_what_it_only_reads_it_cannot_change(engine, container, tmp_path, request):
    if "stand-in" in request.node.name:
        pytest.skip("only an engine can keep a process from it")
    (tmp_path / "input").write_text("as it was")
    what = container("sh", "-c", f"echo x > {tmp_path}/input", read_only=[f"{tmp_path}/input"])
    code, output = ended(engine, what)
    assert code and "ead-only" in output
    assert (tmp_path / "input").read_text() == "as it was"


def test_a_secret_is_a_file_in_it_and_nowhere_afterwards(engine, container, monkeypatch, tmp_path):
    if why_not(["/secrets/warehouse"], []) and engine.environment.get("DOCKER_CONFIG"):
        pytest.skip("the stand-in needs mounts of its own for that")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    volumes = [Volume("/secrets/warehouse", {"password": "s3cret"})]
    what = container("cat", "/secrets/warehouse/password", volumes=volumes)
    assert ended(engine, what) == (0, "s3cret")
    assert not [file for file in tmp_path.rglob("*") if file.name == "password"]


def test_the_command_is_left_to_the_image_if_there_are_only_arguments(engine, container):
    with containers.launch(engine, container(args=["a", "b"])) as (command, _):
        assert command[-3:] == [IMAGE, "a", "b"]
        assert not [word for word in command if word.startswith("--entrypoint")]


FAILURES = [
    pytest.param(["nope"], {}, f"its command is not in the image '{IMAGE}': ", id="no command"),
    pytest.param(
        ["true"],
        {"image": "localhost:9/none/such"},
        "no container could be started from the image 'localhost:9/none/such': ",
        id="no image",
    ),
    pytest.param(["sh", "-c", "echo lost; exit 127"], {}, "", id="a program's own code"),
    pytest.param(["sh", "-c", "echo Error: lost; exit 1"], {}, "", id="a program's own words"),
]


@pytest.mark.parametrize("command, keywords, reason", FAILURES)
def test_a_failure_to_run_the_command_is_in_words(
    engine, container, tmp_path, command, keywords, reason
):
    what = container(*command, **keywords)
    code, output = ended(engine, what)
    log = tmp_path / "log"
    log.write_text(output)
    said = containers.failure(code, what.image, log)
    assert said.startswith(reason) and len(said) > len(reason) if reason else said == ""


def test_stopping_kills_the_container_for_good(engine, container, nap):
    what = container("sh", "-c", f"echo up; trap '' TERM; sleep {nap}")
    with containers.launch(engine, what) as (command, environment):
        with start(command, environment) as process:
            assert process.stdout.readline() == "up\n"
            containers.stop(engine, what)
            assert process.wait(timeout=30) == 128 + signal.SIGKILL
    wait_until(lambda: not processes(nap), what="the end of the container")


def test_nothing_is_left_when_the_engines_command_is_killed(engine, container, nap):
    what = container("sh", "-c", f"echo up; sleep {nap}")
    with containers.launch(engine, what) as (command, environment):
        with start(command, environment) as process:
            assert process.stdout.readline() == "up\n"
            process.kill()
    wait_until(lambda: not processes(nap), what="the end of the container")


def test_stopping_a_run_leaves_other_runs_alone(engine, container, nap, unique):
    command = ("sh", "-c", f"echo up; sleep {nap}")
    ours, other = container(*command), container(*command, run_id=f"{unique}-other")
    with (
        containers.launch(engine, other) as there,
        containers.launch(engine, ours) as here,
        start(*there) as staying,
        start(*here) as stopped,
    ):
        assert staying.stdout.readline() == stopped.stdout.readline() == "up\n"
        containers.stop_run(engine, unique)
        assert stopped.wait(timeout=30) == 128 + signal.SIGKILL
        assert staying.poll() is None
        containers.stop(engine, other)


REFUSED = [
    pytest.param({"image": "--privileged"}, "not the name of an image", id="an option as image"),
    pytest.param({"image": ""}, "not the name of an image", id="no image"),
    pytest.param({"folders": ["/data/a,b"]}, "cannot be mounted", id="a comma in a path"),
    pytest.param({"environment": {"PATH": "a\nb"}}, "several lines", id="lines in the PATH"),
    pytest.param({"volumes": [Volume("/proc/x", {})]}, "/proc must not be changed", id="in /proc"),
]


@pytest.mark.parametrize("keywords, reason", REFUSED)
def test_what_cannot_be_told_to_an_engine_is_refused(stand_in, container, keywords, reason):
    engine = Engines(stand_in).engine()
    with pytest.raises(ContainerRefused, match=reason):
        with containers.launch(engine, container("true", **keywords)):
            pass


SHORT_NAMES = [
    pytest.param("python:3.12", "docker.io/library/python:3.12", id="official"),
    pytest.param("kubeflow/kfp", "docker.io/kubeflow/kfp", id="of a user"),
    pytest.param("ghcr.io/a/b", "ghcr.io/a/b", id="with a registry"),
    pytest.param("localhost/a", "localhost/a", id="of this machine"),
    pytest.param("registry:5000/a", "registry:5000/a", id="with a port"),
]


@pytest.mark.parametrize("image, full", SHORT_NAMES)
def test_podman_takes_an_image_from_where_a_cluster_does(stand_in, container, image, full):
    engine = Engines(stand_in | {containers.CHOICE: "podman"}).engine()
    with containers.launch(engine, container("true", image=image)) as (command, _):
        assert command[-1] == full


def test_in_an_engine_without_root_the_containers_root_is_the_user(stand_in, container):
    for name, user in {"podman": "0:0", "docker": f"{os.getuid()}:{os.getgid()}"}.items():
        engine = Engines(stand_in | {containers.CHOICE: name}).engine()
        with containers.launch(engine, container("true")) as (command, _):
            assert command[command.index("--user") + 1] == user


def test_an_engine_that_is_gone_is_an_error_in_words(stand_in, container, tmp_path):
    engine = Engines(stand_in).engine()
    shutil.move(tmp_path / "docker", tmp_path / "gone")
    with pytest.raises(ContainerRefused, match="no longer responds"):
        containers.stop_run(engine, "r")


def test_an_engine_may_say_what_is_no_text(tmp_path):
    said = r"printf '\377' >&2; exit 1"
    environment = script(tmp_path, "docker", f'[ "$1" = info ] && echo {{}} || {{ {said}; }}')
    with pytest.raises(ContainerRefused, match="no longer responds: \ufffd"):
        containers.stop_run(Engines(environment).engine(), "r")


def test_no_engine_is_an_error_of_ours():
    with pytest.raises(NoEngine):
        Engines({"PATH": "/none"}).engine()


# Whole runs, on a local KFP that is asked over HTTP.


@component
def write(rows: dsl.Output[dsl.Dataset]):
    with open(rows.path, "w") as file:
        file.write("three rows")


@dsl.container_component
def train(
    rows: dsl.Input[dsl.Dataset],
    rate: float,
    model: dsl.Output[dsl.Model],
    steps: dsl.OutputPath(int),
):
    script = 'echo "$(cat "$0") at $1" > "$2"; echo 7 > "$3"; echo trained; touch "$0" || true'
    return dsl.ContainerSpec(
        image=IMAGE, command=["sh"], args=["-c", script, rows.path, rate, model.path, steps]
    )


@component
def check(model: dsl.Input[dsl.Model], steps: int):
    with open(model.path) as file:
        print("checked:", file.read().strip(), steps)


@dsl.pipeline
def training(rate: float):
    trained = train(rows=write().outputs["rows"], rate=rate)
    check(model=trained.outputs["model"], steps=trained.outputs["steps"])


@dsl.container_component
def shell(script: str, argument: str = ""):
    return dsl.ContainerSpec(image=IMAGE, args=["sh", "-c", script, argument])


@dsl.pipeline
def scripted(script: str, argument: str = ""):
    task = shell(script=script, argument=argument).set_caching_options(False)
    kubernetes.use_secret_as_env(task, "warehouse", {"password": "PASSWORD"})


@dsl.pipeline
def with_timeout(script: str, argument: str):
    task = shell(script=script, argument=argument).set_caching_options(False)
    kubernetes.set_timeout(task, 3)


@dsl.pipeline
def with_secret_files():
    task = shell(script="cat /secrets/warehouse/password").set_caching_options(False)
    kubernetes.use_secret_as_volume(task, "warehouse", "/secrets/warehouse")


@component
def read(path: str):
    with open(f"{path}/note") as file:
        print("read:", file.read())


@dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
def with_workspace():
    place = dsl.WORKSPACE_PATH_PLACEHOLDER
    read(path=place).after(shell(script='echo noted > "$0/note"', argument=place))


@dsl.container_component
def show(data: dsl.Input[dsl.Dataset]):
    return dsl.ContainerSpec(image=IMAGE, command=["ls"], args=[data.path])


@dsl.pipeline
def importing(uri: str):
    show(data=dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset).output)


@dsl.container_component
def absent():
    return dsl.ContainerSpec(image=IMAGE, command=["no-such-program"])


@dsl.component(base_image="python:3.12", target_image="localhost:9/none/such")
def in_image():
    print("hello")


@dsl.pipeline
def with_absent_command():
    absent()


@dsl.pipeline
def with_absent_image():
    in_image()


# Deaf, so that it takes more than being asked to end it.
SLEEP = """trap '' TERM; echo "up with $PASSWORD"; sleep $0"""


@pytest.fixture(scope="module", params=["stand-in", "real"])
def with_engine(request, tmp_path_factory):
    """The variables with which a local KFP has the engine."""
    if request.param == "real":
        request.getfixturevalue("real_engine")
        return {}
    return standing_in(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="module")
def server(with_engine, tmp_path_factory, profiles):
    """A local KFP with a container engine, for all of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in with_engine.items():
            patch.setenv(name, value)
        data = tmp_path_factory.mktemp("containers") / "data"
        server = LocalKfp(data, "--profiles", str(profiles))
    yield server
    server.stop()


@pytest.fixture
def runs(server):
    return Runs(server)


def test_parameters_and_artifacts_go_into_a_container_and_come_out(runs):
    run_id, error = runs.finish(training, rate=0.5)
    assert error == ""
    assert "trained" in runs.log(run_id, "train")
    assert "checked: three rows at 0.5 7" in runs.log(run_id, "check")


def test_a_container_has_its_namespaces_token_and_secrets_and_nothing_of_the_servers(runs):
    script = 'echo "token:$(cat $KF_PIPELINES_SA_TOKEN_PATH)"; env'
    run_id, error = runs.finish(scripted, script=script)
    said = runs.log(run_id, "shell").splitlines()
    assert error == ""
    assert f"token:{runs.server.token('alice/default-editor')}" in said
    assert "PASSWORD=s3cret" in said
    assert f"KF_PIPELINES_ENDPOINT={runs.server.endpoint}" in said
    assert not [line for line in said if line.startswith(("PYTHONPATH=", "DOCKER_CONFIG="))]


def test_no_secret_can_be_seen_among_the_arguments_of_any_process(runs, nap):
    run_id = runs.start(scripted, script=SLEEP, argument=nap)
    runs.wait_for_log(run_id, "shell", "up with s3cret")
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert nap in shown and "s3cret" not in shown
    runs.terminate(run_id)
    runs.end(run_id)


def test_terminating_a_run_ends_its_container(runs, nap):
    run_id = runs.start(scripted, script=SLEEP, argument=nap)
    runs.wait_for_log(run_id, "shell", "up")
    runs.terminate(run_id)
    assert runs.end(run_id) == "terminated"
    assert not processes(nap)


def test_a_container_that_takes_too_long_is_killed(runs, nap):
    run_id, error = runs.finish(with_timeout, script=SLEEP, argument=nap)
    assert error == "Task 'shell' failed: it took longer than its timeout of 3 s"
    assert runs.log(run_id, "shell").startswith("up")
    assert not processes(nap)


def test_deleting_a_run_ends_its_container(runs, nap):
    run_id = runs.start(scripted, script=SLEEP, argument=nap)
    runs.wait_for_log(run_id, "shell", "up")
    runs.delete(run_id)
    wait_until(lambda: not processes(nap), what="the end of the container")
    wait_until(lambda: not runs.server.written(run_id), what="the removal of its files")


def test_no_container_outlives_a_killed_server_once_there_is_another(
    with_engine, start_local_kfp, nap, request, monkeypatch
):
    for name, value in with_engine.items():
        monkeypatch.setenv(name, value)
    killed = Runs(start_local_kfp())
    run_id = killed.start(scripted, script=SLEEP, argument=nap)
    killed.wait_for_log(run_id, "shell", "up")
    killed.server.kill()
    # The stand-in's is a process of the run, and ends with it.
    assert processes(nap) or "stand-in" in request.node.name
    after = Runs(start_local_kfp())
    assert "ended without warning" in after.end(run_id)
    assert not processes(nap)


def test_a_secret_is_a_file_in_a_runs_container(runs, request):
    if "stand-in" in request.node.name and why_not(["/secrets/warehouse"], []):
        pytest.skip("the stand-in needs mounts of its own for that")
    run_id, error = runs.finish(with_secret_files)
    assert (error, runs.log(run_id, "shell")) == ("", "s3cret")


def test_containers_and_processes_of_a_run_share_its_workspace(runs):
    run_id, error = runs.finish(with_workspace)
    assert error == ""
    assert "read: noted" in runs.log(run_id, "read")


def test_a_container_does_not_see_what_is_another_namespaces(runs):
    (runs.server.data / "namespaces" / "bob").mkdir(exist_ok=True)
    for path in ("namespaces/bob", "keys", "."):
        uri = str(runs.server.data / path)
        _, error = runs.finish(importing, uri=uri)
        assert "its input 'data' is " in error and "belongs to another namespace" in error


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("../../../alice", id="dots"),
        pytest.param("tasks/t/link/alice", id="link"),
    ],
)
def test_no_way_round_leads_a_container_to_what_is_around_its_namespace(tmp_path, uri):
    run_folder = tmp_path / "namespaces" / "alice" / "runs" / "r"
    (run_folder / "tasks" / "t").mkdir(parents=True)
    (run_folder / "tasks" / "t" / "link").symlink_to(tmp_path / "namespaces")
    artifact = {"uri": f"{run_folder}/{uri}"}
    executor_input = {"inputs": {"artifacts": {"data": {"artifacts": [artifact]}}}}
    (folder,) = input_folders(executor_input, run_folder)
    assert Path(folder).resolve() == tmp_path / "namespaces" / "alice"


def test_a_container_reads_what_is_imported_from_this_machine(runs, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "one.csv").touch()
    run_id, error = runs.finish(importing, uri=str(tmp_path / "rows"))
    assert (error, runs.log(run_id, "show")) == ("", "one.csv\n")


NOT_RUN = [
    pytest.param(with_absent_command, "'absent' failed: its command is not in", id="no command"),
    pytest.param(
        with_absent_image,
        "'in-image' failed: no container could be started from the image 'localhost:9/none/such'",
        id="no image",
    ),
]


@pytest.mark.parametrize("pipeline, reason", NOT_RUN)
def test_a_run_says_why_a_container_could_not_run(runs, pipeline, reason):
    _, error = runs.finish(pipeline)
    assert error.startswith(f"Task {reason}")
