"""The local KFP's executor: real worker processes that run really compiled pipelines."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import List, Optional  # noqa: UP035

import msgspec
import pytest
from harness.own_executor import SECONDS, Kfp, component, make_wheel
from harness.own_executor import compiled as compile_once
from harness.paths import ROOT
from harness.waiting import wait_until
from kfp import dsl, kubernetes

from jupyter_kfp_mt.local.execution.executors import task_process
from jupyter_kfp_mt.local.execution.run_request import Assignment, RunRequest
from jupyter_kfp_mt.local.execution.server import run_queue, unwritten_states, worker_process
from jupyter_kfp_mt.local.execution.server.worker_process import WorkerProcess
from jupyter_kfp_mt.models import Task

one_at_once = pytest.mark.parametrize("kfp", [(1,)], indirect=True, ids=["one at once"])


# What the tasks do.


@component
def say(
    number: int,
    share: float,
    text: str,
    flag: bool,
    items: list,
    options: dict,
    nothing: Optional[str] = None,  # noqa: UP045
    count: Optional[int] = None,  # noqa: UP045
) -> int:
    import json

    print("said:" + json.dumps([number, share, text, flag, items, options, nothing, count]))
    return number + 1


@component
def double(number: int) -> int:
    return number * 2


@component
def save(number: int, saved: dsl.Output[dsl.Dataset]):
    with open(saved.path, "w") as file:
        file.write(str(number))


@component
def add_up(saved: dsl.Input[List[dsl.Dataset]]) -> int:  # noqa: UP006
    import json

    numbers = [int(open(one.path).read()) for one in saved]
    print("said:" + json.dumps(numbers))
    return sum(numbers)


@component
def fail(message: str):
    print("about to fail")
    raise ValueError(message)


@component
def conclude(status: dsl.PipelineTaskFinalStatus):
    import json

    print("said:" + json.dumps(status.state))


@component
def environment():
    import json
    import os

    print("said:" + json.dumps(dict(os.environ, cwd=os.getcwd())))


@component
def hang(lifeline: str, deaf: bool = False):
    import signal
    import subprocess
    import sys

    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hold = "import os, sys, time; f = open(sys.argv[1], 'w'); f.write(str(os.getpgrp())); f.flush()"
    subprocess.run([sys.executable, "-c", f"{hold}; time.sleep(600)", lifeline])


@component
def be_odd():
    import subprocess
    import sys

    sys.stdout.buffer.write(b"\xff\xfe is no UTF-8\n")
    sys.stdout.buffer.write(b"x" * 3_000_000 + b"\n")
    sys.stdout.flush()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


@component
def kill_itself():
    import os

    os.kill(os.getpid(), 9)


@component
def leave():
    raise SystemExit(3)


@component
def fail_once():
    import pathlib

    marker = pathlib.Path.home() / "tried"
    if not marker.exists():
        marker.touch()
        raise OSError("not yet")


@dsl.container_component
def container():
    return dsl.ContainerSpec(image="alpine", command=["echo", "hello"])


@dsl.component(base_image="python:3.11", target_image="ghcr.io/team/trained:1")
def in_image():
    print("hello")


@dsl.pipeline
def inner(number: int) -> int:
    return double(number=number).output


@dsl.pipeline
def everything(
    number: int,
    share: float = 0.5,
    text: str = "python3 -c 'x'",
    flag: bool = True,
    items: list = [1, 2],  # noqa: B006
    options: dict = {"a": "b"},  # noqa: B006
    nothing: Optional[str] = None,  # noqa: UP045
    count: Optional[int] = None,  # noqa: UP045
):
    said = say(  # outside, for KFP's driver refuses a null that enters a group
        number=number,
        share=share,
        text=text,
        flag=flag,
        items=items,
        options=options,
        nothing=nothing,
        count=count,
    )
    with dsl.ExitHandler(conclude()):
        first = inner(number=said.output)
        inner(number=first.output)
        with dsl.If(text == "other"):
            double(number=1)
        with dsl.Else():
            double(number=2)
        with dsl.ParallelFor([10, 20, 30]) as item:
            saved = save(number=item)
        add_up(saved=dsl.Collected(saved.outputs["saved"]))
        fail_once().set_retry(1, backoff_duration="0s")
        dsl.importer(artifact_uri="/etc/hostname", artifact_class=dsl.Dataset)


@dsl.pipeline
def failing():
    with dsl.ExitHandler(conclude()):
        bad = fail(message="bad rate")
        double(number=1).after(bad)


@dsl.pipeline
def wordless():
    leave()


@dsl.pipeline
def killed():
    kill_itself()


@dsl.pipeline
def odd():
    be_odd()


@dsl.pipeline
def hanging(lifeline: str, deaf: bool = False):
    double(number=1).after(hang(lifeline=lifeline, deaf=deaf))


@dsl.pipeline
def quick():
    double(number=1)


@dsl.pipeline
def secretive(secret: str = "warehouse"):
    task = environment().set_env_variable("OWN", "component's")
    kubernetes.use_secret_as_env(task, secret, {"password": "PASSWORD"})
    kubernetes.use_secret_as_env(task, "absent", {"password": "ABSENT"}, optional=True)


@dsl.pipeline
def with_container():
    with dsl.ParallelFor([1, 2]):
        container()


@dsl.pipeline
def with_code_in_image():
    in_image()


# What they show.


@pytest.fixture
def without_engine(monkeypatch):
    monkeypatch.setenv("KFP_MT_CONTAINER_ENGINE", "none")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, home):
    """A run of a pipeline that has a bit of everything."""
    kfp = Kfp(tmp_path_factory.mktemp("whole"), home=home)
    kfp.run_id = kfp.finish(everything, number=3.0, options={"a": None})
    yield kfp
    kfp.close()


def test_a_run_goes_from_pending_over_running_to_succeeded(whole):
    assert whole.runs.errors[whole.run_id] == ""
    assert whole.runs.histories[whole.run_id] == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_every_task_shows_with_a_name_of_its_own(whole):
    skipped = {name for name, state in whole.states(whole.run_id).items() if state == "SKIPPED"}
    assert skipped == {"double"}
    assert set(whole.states(whole.run_id)) == {
        *("say", "inner/double", "inner-2/double", "double", "double-2"),
        *("save[0]", "save[1]", "save[2]", "add-up", "fail-once", "importer", "conclude"),
    }
    assert len(whole.runs.tasks(whole.run_id)) == 12


def test_a_task_has_its_times_and_its_history(whole):
    task = whole.task(whole.run_id, "say")
    assert [change.state for change in task.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert task.create_time < task.start_time < task.end_time


def test_parameters_arrive_as_they_were_given_and_with_their_types(whole):
    said = whole.said(whole.run_id, "say")
    assert said == [3, 0.5, "python3 -c 'x'", True, [1, 2], {"a": None}, None, None]
    assert isinstance(said[0], int)


def test_each_iteration_of_a_loop_keeps_its_own_artifact(whole):
    assert whole.said(whole.run_id, "add-up") == [10, 20, 30]


def test_an_exit_handler_learns_how_it_went(whole):
    assert whole.said(whole.run_id, "conclude") == "COMPLETE"


def test_a_retried_task_logs_each_attempt(whole):
    assert "OSError: not yet" in whole.log_file(whole.run_id, "fail-once").read_text()
    assert whole.states(whole.run_id)["fail-once"] == "SUCCEEDED"


def test_a_failing_task_fails_the_run_and_says_why(kfp):
    run_id = kfp.finish(failing)
    assert kfp.states(run_id) == {"fail": "FAILED", "double": "SKIPPED", "conclude": "SUCCEEDED"}
    assert kfp.runs.states[run_id] == "FAILED"
    assert kfp.runs.errors[run_id] == "Task 'fail' failed: ValueError: bad rate"
    assert kfp.task(run_id, "fail").error.message == "ValueError: bad rate"
    assert "about to fail" in kfp.log_file(run_id, "fail").read_text()
    assert kfp.said(run_id, "conclude") == "FAILED"


def test_a_task_that_ends_without_a_word_is_known_by_its_exit_code(kfp):
    run_id = kfp.finish(wordless)
    assert kfp.runs.errors[run_id] == "Task 'leave' failed: exit code 3"


def test_a_killed_task_says_so(kfp):
    run_id = kfp.finish(killed)
    assert kfp.runs.errors[run_id].startswith("Task 'kill-itself' failed: killed by SIGKILL")


def test_odd_output_is_kept_as_text_and_a_child_left_behind_holds_nothing_up(kfp):
    run_id = kfp.finish(odd)
    assert kfp.runs.states[run_id] == "SUCCEEDED"
    log = kfp.log_file(run_id, "be-odd").read_text()
    assert "\ufffd\ufffd is no UTF-8" in log
    assert "x" * 3_000_000 in log


def test_a_task_has_only_its_own_namespaces_secrets_and_none_of_ours(alone, monkeypatch):
    monkeypatch.setenv("MY_OWN_TOKEN", "the user's")
    run_id = alone.finish(secretive)
    said = alone.said(run_id, "environment")
    namespace = alone.folder / "namespaces" / "alice"
    assert "MY_OWN_TOKEN" not in said and "ABSENT" not in said
    assert (said["PASSWORD"], said["OWN"]) == ("alices-own", "component's")
    assert (said["HOME"], said["KF_PIPELINES_ENDPOINT"]) == (
        str(namespace),
        "http://127.0.0.1:8888",
    )
    assert said["KF_PIPELINES_SA_TOKEN_PATH"] == f"{alone.folder}/tokens/alice/default-editor/token"
    assert Path(said["cwd"]).is_relative_to(namespace / "runs" / run_id)
    assert "alices-own" not in (namespace / "runs" / run_id / "run.log").read_text()


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        pytest.param("vault", "no secret 'vault' in namespace bob", id="secret"),
        pytest.param("warehouse", "no 'password' in 'warehouse' in namespace bob", id="key"),
    ],
)
def test_a_secret_that_the_namespace_lacks_is_named(kfp, secret, reason):
    run_id = kfp.finish(secretive, namespace="bob", secret=secret)
    assert kfp.runs.errors[run_id].startswith(f"Task 'environment' failed: {reason}; add it to")
    assert kfp.log_file(run_id, "environment").read_text().startswith(reason)


NO_ENGINE = (
    "no container engine answers: KFP_MT_CONTAINER_ENGINE is 'none'. Install and start Docker or "
    "Podman, or make it a Python component."
)
REFUSED = [
    pytest.param(
        with_container,
        f"'container' cannot run here: it is a container component, and {NO_ENGINE}",
        id="container component",
    ),
    pytest.param(
        with_code_in_image,
        f"'in-image' cannot run here: its code is in the image ghcr.io/team/trained:1, "
        f"and {NO_ENGINE}",
        id="target image",
    ),
]


@pytest.mark.parametrize(("pipeline", "reason"), REFUSED)
def test_what_needs_a_container_or_a_cluster_is_refused_in_a_sentence(
    without_engine, kfp, pipeline, reason
):
    assert kfp.runs.errors[kfp.finish(pipeline)] == f"Task {reason}"


def test_packages_are_installed_for_their_task_alone(kfp, tmp_path):
    wheel = make_wheel(tmp_path)

    @component(packages_to_install=[wheel.as_uri()])
    def use_package():
        import json

        import kfp
        import only_here

        print("said:" + json.dumps([only_here.__file__, kfp.__file__]))

    @dsl.pipeline(name="with-packages")
    def with_packages():
        use_package()

    run_id = kfp.finish(with_packages)
    assert kfp.runs.errors[run_id] == ""
    installed, shared = kfp.said(run_id, "use-package")
    assert Path(installed).is_relative_to(kfp.folder)
    assert not Path(shared).is_relative_to(kfp.folder)
    check = subprocess.run([sys.executable, "-c", "import only_here"], capture_output=True)
    assert check.returncode != 0


def test_terminate_stops_every_process_of_the_run(kfp, lifeline):
    run_id = kfp.start(hanging, lifeline=lifeline.path)
    lifeline.holder()
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    assert lifeline.released()
    assert (kfp.runs.states[run_id], kfp.runs.errors[run_id]) == ("FAILED", run_queue.TERMINATED)
    assert kfp.states(run_id) == {"hang": "FAILED", "double": "SKIPPED"}


def test_terminate_does_not_need_the_processes_to_obey(kfp, lifeline, monkeypatch):
    monkeypatch.setattr(worker_process, "GRACE_SECONDS", 0.5)
    run_id = kfp.start(hanging, lifeline=lifeline.path, deaf=True)
    os.kill(lifeline.holder(), signal.SIGSTOP)
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    assert lifeline.released()
    assert kfp.runs.errors[run_id] == run_queue.TERMINATED


@pytest.mark.parametrize("alone", [(8,)], indirect=True, ids=["eight at once"])
def test_a_run_terminated_before_its_process_is_there_does_not_begin(alone, monkeypatch):
    monkeypatch.setattr(worker_process, "GRACE_SECONDS", 0)
    run_ids = [alone.start(quick) for _ in range(8)]
    alone.until(lambda: all(alone.runs.states[run_id] == "RUNNING" for run_id in run_ids))
    for run_id in run_ids:
        alone.call(alone.executor.terminate, run_id)
    alone.wait(*run_ids)
    assert {alone.runs.errors[run_id] for run_id in run_ids} == {run_queue.TERMINATED}
    assert not any(alone.runs.tasks(run_id) for run_id in run_ids)


def test_a_killed_worker_leaves_a_failed_run_and_no_process(kfp, lifeline):
    run_id = kfp.start(hanging, lifeline=lifeline.path)
    os.kill(lifeline.holder(), signal.SIGKILL)
    kfp.wait(run_id)
    assert lifeline.released()
    assert "process ended before the run did: killed by SIGKILL" in kfp.runs.errors[run_id]
    assert kfp.states(run_id) == {"hang": "FAILED", "double": "SKIPPED"}


class KilledAmidAReport:
    """Starts processes that are killed while they write."""

    async def start(self, assignment, reports, environment):
        return await asyncio.create_subprocess_exec(
            *("sh", "-c", f"printf '{{\"state\":' > /dev/fd/{reports}; kill -9 $$"),
            pass_fds=[reports],
            start_new_session=True,
        )


def test_half_a_report_does_not_hide_how_the_process_ended(tmp_path):
    assignment = Assignment(RunRequest("r", "alice", "", msgspec.Raw(b"{}")), {}, {})
    run = WorkerProcess(KilledAmidAReport()).work(assignment, tmp_path, print)
    assert "killed by SIGKILL" in asyncio.run(run).error


def test_no_process_and_no_scratch_folder_outlives_a_killed_server(tmp_path, lifeline):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    server = subprocess.Popen(
        [sys.executable, __file__, str(tmp_path / "data"), lifeline.path],
        env={
            **os.environ,
            "TMPDIR": str(scratch),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        },
    )
    lifeline.holder()
    assert list(scratch.iterdir())
    server.kill()
    server.wait()
    assert lifeline.released()
    wait_until(lambda: not list(scratch.iterdir()))


@one_at_once
def test_only_so_many_runs_execute_at_once_and_the_namespaces_take_turns(kfp, lifeline):
    first = kfp.start(hanging, lifeline=lifeline.path)
    lifeline.holder()
    queue = ["alice-1", "alice-2", "alice-3", "bob-1"]
    for run_id in queue:
        kfp.start(quick, run_id=run_id, namespace=run_id.split("-")[0])
    assert [kfp.runs.states[run_id] for run_id in queue] == ["PENDING"] * 4
    kfp.call(kfp.executor.terminate, "alice-2")
    assert kfp.runs.histories["alice-2"] == ["PENDING", "FAILED"]
    kfp.call(kfp.executor.terminate, first)
    kfp.wait(first, *queue)
    assert kfp.runs.finished == ["alice-2", first, "alice-1", "bob-1", "alice-3"]


@one_at_once
def test_closing_fails_what_was_executing_and_keeps_what_was_waiting(kfp, lifeline):
    running = kfp.start(hanging, lifeline=lifeline.path)
    lifeline.holder()
    waiting = kfp.start(quick)
    asyncio.run_coroutine_threadsafe(kfp.executor.close(), kfp.loop).result(SECONDS)
    assert lifeline.released()
    assert (kfp.runs.states[running], kfp.runs.errors[running]) == ("FAILED", run_queue.STOPPED)
    assert kfp.runs.states[waiting] == "PENDING"


def test_closing_does_not_need_an_answer_of_the_process_that_starts_runs(alone, monkeypatch):
    monkeypatch.setattr(run_queue, "_MOST_SECONDS_TO_END", 0.5)
    alone.executor._fork_server = fork_server = alone.home.fork_server
    alone.finish(quick)
    os.kill(fork_server._process.pid, signal.SIGSTOP)
    run_id = alone.start(quick)
    alone.until(lambda: alone.runs.states[run_id] == "RUNNING")
    asyncio.run_coroutine_threadsafe(alone.executor.close(), alone.loop).result(SECONDS)
    assert (alone.runs.states[run_id], alone.runs.errors[run_id]) == ("FAILED", run_queue.STOPPED)


def test_what_is_submitted_to_an_executor_that_closes_waits_for_the_next(kfp, lifeline):
    kfp.start(hanging, lifeline=lifeline.path)
    lifeline.holder()
    closing = asyncio.run_coroutine_threadsafe(kfp.executor.close(), kfp.loop)
    late = kfp.start(quick)
    closing.result(SECONDS)
    assert kfp.runs.histories[late] == ["PENDING"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("loop", id="link to itself"),
        pytest.param("a" * 300, id="too long"),
        pytest.param("a\0b", id="null byte"),
        pytest.param("../bob/file", id="elsewhere"),
        pytest.param("out", id="link out"),
    ],
)
def test_what_is_no_file_of_the_namespace_is_no_artifact(kfp, name):
    for namespace in ("alice", "bob"):
        (kfp.folder / "namespaces" / namespace).mkdir(parents=True)
        (kfp.folder / "namespaces" / namespace / "file").touch()
    folder = kfp.folder / "namespaces" / "alice"
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to("../bob/file")
    assert kfp.executor.artifact_file("alice", f"file://{folder}/file") == folder / "file"
    assert kfp.executor.artifact_file("alice", f"{folder}/{name}") is None


def test_recovery_ends_what_was_executing_and_goes_on_with_what_was_waiting(kfp):
    lost = kfp.add(quick, state="RUNNING")
    canceling = kfp.add(quick, state="CANCELING")
    waiting = kfp.add(quick)
    kfp.call(kfp.executor.recover)
    kfp.wait(waiting)
    assert (kfp.runs.states[lost], kfp.runs.errors[lost]) == ("FAILED", run_queue.LOST)
    assert kfp.runs.errors[canceling] == run_queue.TERMINATED
    assert kfp.runs.states[waiting] == "SUCCEEDED"


def refusing(kfp, name, refused):
    """Has the store not write what `refused` gives an error for."""
    write = getattr(kfp.runs, name)

    def refusing_write(*arguments):
        if error := refused(*arguments):
            raise error
        write(*arguments)

    setattr(kfp.runs, name, refusing_write)


@pytest.mark.parametrize(
    "name, refused",
    [
        pytest.param(
            "set_run_state",
            lambda run_id, state, *_: state == "SUCCEEDED" and KeyError("no"),
            id="its state",
        ),
        pytest.param(
            "put_task",
            lambda task, *_: task.state == "SKIPPED" and ValueError("no"),
            id="one of its tasks",
        ),
    ],
)
def test_a_run_whose_end_cannot_be_written_fails(kfp, name, refused):
    refusing(kfp, name, refused)
    run_id = kfp.start(quick)
    if name == "put_task":
        task = Task(run_id=run_id, task_id="t", display_name="t", state="PENDING")
        kfp.call(kfp.runs.put_task, task)
    kfp.wait(run_id)
    assert kfp.runs.states[run_id] == "FAILED"
    assert "the end of the run could not be recorded" in kfp.runs.errors[run_id]


@one_at_once
@pytest.mark.parametrize(
    "name, refused, state",
    [
        pytest.param(
            "set_run_state", lambda _, state, *__: state == "SUCCEEDED", "FAILED", id="the end"
        ),
        pytest.param(
            "put_task", lambda task, *_: task.state == "SUCCEEDED", "SUCCEEDED", id="a task"
        ),
    ],
)
def test_what_waits_starts_though_a_report_from_before_is_never_written(
    kfp, monkeypatch, name, refused, state
):
    monkeypatch.setattr(unwritten_states, "RETRY_SECONDS", (0.02,))
    problems = [OSError(errno.ENOSPC, "full")] * 50 + [KeyError("never")]
    refusing(kfp, name, lambda *report: refused(*report) and problems and problems.pop(0))
    first, second = kfp.start(quick), kfp.start(quick)
    kfp.wait(first, second)
    assert (kfp.runs.states[first], kfp.runs.states[second]) == (state, "SUCCEEDED")


def test_what_waits_is_queued_without_its_specification(kfp):
    for number in range(100):
        kfp.add(quick, run_id=f"r{number}")
    kfp.executor._limit = 0
    kfp.call(kfp.executor.recover)
    assert kfp.runs.asked == []


def test_another_kfp_is_named_with_the_cure(alone, tmp_path, monkeypatch):
    (tmp_path / "other" / "kfp").mkdir(parents=True)
    (tmp_path / "other" / "kfp" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    run_id = alone.finish(quick)
    assert "the local KFP needs kfp 2.14 or newer" in alone.runs.errors[run_id]
    assert "pip install 'jupyter-kfp-mt[local]'" in alone.runs.errors[run_id]


def test_the_server_does_not_import_kfp():
    check = (
        "import sys, jupyter_kfp_mt.local.execution.server.run_queue; "
        "sys.exit('kfp' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_log_keeps_the_beginning_and_the_end_of_very_much_output(tmp_path):
    script = "print('first'); [print('y' * 999) for _ in range(50_000)]; print('last')"
    assert task_process.run_command([sys.executable, "-c", script], {}, tmp_path) == ""
    log = (tmp_path / task_process.LOG_NAME).read_text()
    assert log.startswith("first\n") and log.endswith("last\n")
    assert "[This log holds 10 MB." in log
    assert len(log) < task_process.MAX_LOG_BYTES + 200_000


def test_a_task_goes_on_when_its_log_cannot_and_its_last_words_are_told(tmp_path):
    task = "[print('y' * 999) for _ in range(500)]; raise ValueError('last words')"
    limited = (
        "import pathlib, resource, sys\n"
        "from jupyter_kfp_mt.local.execution.executors.task_process import run_command\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))\n"
        "print(run_command([sys.executable, '-c', sys.argv[1]], {}, pathlib.Path(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", limited, task, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("ValueError: last words\n", "")
    assert (tmp_path / task_process.LOG_NAME).stat().st_size == 100_000


def test_a_run_without_a_place_for_temporary_files_says_so(kfp, tmp_path, monkeypatch):
    compile_once(quick)  # which takes such a place
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    run_id = kfp.finish(quick)
    assert kfp.runs.errors[run_id].startswith(
        f"the run's process could not start: No such file or directory: {tmp_path}/none/"
    )


if __name__ == "__main__":
    kfp = Kfp(Path(sys.argv[1]))
    kfp.start(hanging, lifeline=sys.argv[2])
    kfp.home.thread.join()
