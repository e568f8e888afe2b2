"""Tasks are forked: they find what a fresh interpreter would find, and end as it would end."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness.own_executor import SECONDS, Kfp, compiled, component, make_wheel
from harness.paths import ROOT
from harness.waiting import wait_until
from kfp import dsl

from jupyter_kfp_mt.local.execution import forking
from jupyter_kfp_mt.local.execution.executors import task_server
from jupyter_kfp_mt.local.execution.executors.task_server import forkable
from jupyter_kfp_mt.local.execution.server import fork_server

pytestmark = pytest.mark.skipif(not forking.AVAILABLE, reason="nothing is forked on this system")


@component
def look_around() -> dict:
    import gc
    import os
    import signal
    import site
    import sys
    import sysconfig
    import tempfile
    import threading
    import time
    import warnings

    main = sys.modules["__main__"]
    names = sorted(set(vars(main)) - {"__annotations__", "__cached__"})
    return {
        "prefix": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
        "executable": [sys.executable, sys._base_executable, sys.orig_argv[1:3]],
        "path": [path for path in sys.path if os.path.isdir(path)],
        "site": [site.getsitepackages(), site.ENABLE_USER_SITE, sysconfig.get_path("purelib")],
        "main": [main.__name__, main.__spec__.name, main.__package__, main.__file__, names],
        "arguments": [sys.argv[0], sys.argv[1], sys.argv[3]],
        "environment": dict(os.environ),
        "folders": [os.getcwd(), os.path.dirname(tempfile.gettempdir()), os.umask(0o22)],
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": [
            threading.active_count(),
            threading.main_thread() is threading.current_thread(),
        ],
        "streams": [str(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "descriptors": sorted(os.listdir("/proc/self/fd"), key=int)[:-1],
        "hooks": [sys.displayhook is sys.__displayhook__, sys.flags.utf8_mode],
        "modules": sorted(
            name
            for name in sys.modules
            if name.startswith(("google", "kfp", "msgspec", "packaging"))
        ),
        "contents of kfp": sorted(vars(sys.modules["kfp"])),
        "warnings": str(warnings.filters),
        "gc": [gc.isenabled(), gc.get_threshold()],
        "zone": time.tzname,
    }


@dsl.pipeline
def looking():
    look_around().set_env_variable("TZ", "Asia/Tokyo").set_caching_options(False)


@dsl.pipeline
def looking_afresh():
    # Only the start of an interpreter reads this, so it gets one.
    task = look_around().set_env_variable("TZ", "Asia/Tokyo").set_caching_options(False)
    task.set_env_variable("PYTHONASYNCIODEBUG", "")


@pytest.fixture(scope="module")
def forked(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("forked"), home=home)
    yield kfp
    kfp.close()


def seen(kfp, pipeline):
    """Return the task's surroundings, without what is different each time."""
    run_id = kfp.finish(pipeline)
    assert kfp.runs.errors[run_id] == ""
    text = json.dumps(kfp.outputs(run_id, "look-around").parameters["Output"])
    text = text.replace(run_id, "RUN").replace(kfp.task(run_id, "look-around").task_id, "TASK")
    return json.loads(re.sub(r"kfp-mt-\w+(/tmp[\w.]+)*", "SCRATCH", text))


def test_a_forked_task_sees_what_a_fresh_one_sees(forked):
    there, fresh = seen(forked, looking), seen(forked, looking_afresh)
    assert fresh["environment"].pop("PYTHONASYNCIODEBUG") == ""
    assert there == fresh


@component
def say_when_it_ends(how: str):
    import atexit
    import ctypes
    import os
    import sys
    import threading
    import time

    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    if how == "thread":
        atexit.register(print, "at the very end")
        threading.Thread(target=lambda: time.sleep(0.1) or print("the thread, too")).start()
    if how == "words":
        sys.exit("enough of it")
    if how == "code":
        os._exit(4)
    if how == "error":
        raise KeyError("rate")
    if how == "streams":
        sys.stdout = sys.stderr = open(os.devnull, "w")
        sys.exit(5)
    if how == "descriptors":
        os.closerange(0, 1000)
    if how == "signal":
        os.abort()


@dsl.pipeline
def ending(how: str):
    say_when_it_ends(how=how).set_caching_options(False)


@pytest.mark.parametrize(
    ("how", "failure", "said"),
    [
        pytest.param("thread", "", "the thread, too\nat the very end\n", id="thread"),
        pytest.param("words", "SystemExit: enough of it", "enough of it\n", id="exit with words"),
        pytest.param("code", "exit code 4", "from C", id="exit at once"),
        pytest.param("error", "KeyError: 'rate'", "from C", id="error"),
        pytest.param("streams", "exit code 5", "from C", id="other streams"),
        pytest.param("descriptors", "", "from C", id="no descriptors"),
        pytest.param("signal", "killed by SIGABRT", "from C", id="signal"),
    ],
)
def test_a_forked_task_ends_as_an_interpreter_does(forked, how, failure, said):
    run_id = forked.finish(ending, how=how)
    assert forked.runs.errors[run_id] == (failure and f"Task 'say-when-it-ends' failed: {failure}")
    assert said in forked.log(run_id, "say-when-it-ends")


def test_a_traceback_shows_the_task_and_not_what_forked_it(forked):
    run_id = forked.finish(ending, how="error")
    traceback = forked.log(run_id, "say-when-it-ends").partition("Traceback")[2]
    assert traceback.splitlines()[1].endswith("in _run_module_as_main")
    assert "fork_process" not in traceback


@component
def compute(method: str) -> int:
    import math
    import multiprocessing

    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        return sum(pool.map(math.factorial, [3, 4]))


@dsl.pipeline
def computing(method: str):
    compute(method=method)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_task_may_use_several_processes(forked, method):
    run_id = forked.finish(computing, method=method)
    assert forked.runs.errors[run_id] == ""
    assert forked.outputs(run_id, "compute").parameters == {"Output": 30}


@component
def install(wheel: str):
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wheel], check=True)
    import only_here

    print("installed in", only_here.__file__)


@dsl.pipeline
def installing(wheel: str):
    install(wheel=wheel)


def test_what_a_task_installs_itself_is_its_own(forked, tmp_path):
    run_id = forked.finish(installing, wheel=str(make_wheel(tmp_path)))
    assert forked.runs.errors[run_id] == ""
    assert f"installed in {forked.folder}" in forked.log(run_id, "install")


@component
def import_again() -> int:
    import msgspec
    from google.protobuf import json_format, struct_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict({"root": {}}, pipeline_spec_pb2.PipelineSpec())
    assert spec.HasField("root") and msgspec.json.decode(b"[1]") == [1]
    return int(json_format.ParseDict({"a": 30}, struct_pb2.Struct())["a"])


@dsl.pipeline
def importing():
    import_again()


def test_a_task_imports_what_its_runs_process_uses(forked):
    run_id = forked.finish(importing)
    assert forked.runs.errors[run_id] == ""
    assert forked.outputs(run_id, "import-again").parameters == {"Output": 30}


@component
def read_environment() -> str:
    return open("/proc/self/environ").read()


@dsl.pipeline
def reading_environment():
    read_environment()


def test_a_forked_task_is_known_by_its_runs_folder_for_temporary_files(forked):
    """Not only what it starts: it is cleared away, however it has left its run."""
    run_id = forked.finish(reading_environment)
    told = forked.outputs(run_id, "read-environment").parameters["Output"]
    assert re.fullmatch(r"TMPDIR=/\S+/kfp-mt-\w+", told.strip("\0"))


@component
def wait(marker: str):
    import os
    import time

    print("waiting")
    print("in several lines")
    open(marker, "w").write(str(os.getpid()))
    time.sleep(600)


@dsl.pipeline
def waiting(marker: str):
    wait(marker=marker)


def pid_in(path):
    return wait_until(lambda: path.exists() and path.read_text())


def test_the_log_shows_what_a_task_says_while_it_runs(kfp, tmp_path):
    run_id = kfp.start(waiting, marker=str(tmp_path / "marker"))
    pid_in(tmp_path / "marker")
    wait_until(lambda: "waiting\nin several lines\n" in kfp.log(run_id, "wait"))


def test_a_task_killed_by_the_system_says_so(kfp, tmp_path):
    run_id = kfp.start(waiting, marker=str(tmp_path / "marker"))
    os.kill(int(pid_in(tmp_path / "marker")), signal.SIGKILL)
    kfp.wait(run_id)
    assert kfp.runs.errors[run_id] == "Task 'wait' failed: killed by SIGKILL (out of memory?)"


@component
def daemonize(lifeline: str):
    import os
    import time

    if os.fork():
        os.wait()
        time.sleep(600)
    os.setsid()
    if os.fork():
        os._exit(0)
    file = open(lifeline, "w")
    file.write("0")
    file.flush()
    time.sleep(600)


@dsl.pipeline
def daemonizing(lifeline: str):
    daemonize(lifeline=lifeline)


def test_a_daemon_ends_with_its_run(kfp, lifeline):
    run_id = kfp.start(daemonizing, lifeline=lifeline.path)
    lifeline.holder()
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    assert lifeline.released()


@component
def flood() -> str:
    import sys

    print("first")
    for _ in range(12_000):
        sys.stderr.write("y" * 999 + "\n")
    print("last")
    from kfp import local

    return str(local.SubprocessRunner(use_venv=False))


@dsl.pipeline
def flooding():
    flood()


def test_a_forked_task_may_say_much_and_use_kfp_local(forked):
    run_id = forked.finish(flooding)
    assert forked.runs.errors[run_id] == ""
    log = forked.log(run_id, "flood")
    assert "first\n" in log and "[This log holds 10 MB." in log and "last\n" in log


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_without_the_process_that_starts_them_tasks_fail_with_a_sentence(kfp, tmp_path):
    run_id = kfp.start(waiting, marker=str(tmp_path / "marker"))
    os.kill(parent_of(pid_in(tmp_path / "marker")), signal.SIGKILL)
    kfp.wait(run_id)
    assert kfp.runs.errors[run_id] == f"Task 'wait' failed: {task_server.LOST}"


def test_a_lost_fork_server_fails_its_runs_and_the_next_run_has_another(alone, tmp_path):
    run_id = alone.start(waiting, marker=str(tmp_path / "marker"))
    task = int(pid_in(tmp_path / "marker"))
    server = parent_of(parent_of(parent_of(task)))
    os.kill(server, signal.SIGKILL)
    alone.wait(run_id)
    assert alone.runs.errors[run_id] == fork_server.LOST
    wait_until(lambda: not Path(f"/proc/{task}").exists())
    assert alone.runs.states[alone.finish(ending, how="")] == "SUCCEEDED"


@component
def leave_a_daemon(lifeline: str):
    import os
    import time

    if os.fork() == 0:
        os.setsid()
        with open(lifeline, "w") as pipe:
            pipe.write(str(os.getpid()))
            pipe.flush()
            time.sleep(600)
    time.sleep(600)


@dsl.pipeline
def leaving_a_daemon(lifeline: str):
    leave_a_daemon(lifeline=lifeline)


def test_a_daemon_ends_with_its_run_even_if_the_fork_server_is_lost(alone, lifeline):
    run_id = alone.start(leaving_a_daemon, lifeline=lifeline.path)
    assert lifeline.holder()
    (worker,) = alone.executor._workers.values()
    alone.home.fork_server._process.kill()
    os.kill(worker._process.pid, signal.SIGKILL)
    alone.wait(run_id)
    assert lifeline.released()


def test_a_server_without_descriptors_left_keeps_its_fork_server(alone):
    alone.finish(ending, how="")
    server = alone.home.fork_server
    process = server._process

    async def start_without_descriptors():
        ends = os.pipe()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(ends) + 1, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                await server.start(*ends, {})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for end in ends:
                os.close(end)

    asyncio.run_coroutine_threadsafe(start_without_descriptors(), alone.loop).result(SECONDS)
    assert server._process is process and process.returncode is None


def test_a_server_with_many_descriptors_can_start_runs(alone):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    held = [os.dup(0) for _ in range(1100)]
    run_id = alone.finish(ending, how="")
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (alone.runs.states[run_id], alone.runs.errors[run_id]) == ("SUCCEEDED", "")


def test_an_idle_fork_server_goes(alone, monkeypatch):
    monkeypatch.setattr(fork_server, "IDLE_SECONDS", 0)
    alone.finish(ending, how="")
    process = alone.home.fork_server._process
    wait_until(lambda: process.returncode is not None)
    assert alone.runs.states[alone.finish(ending, how="")] == "SUCCEEDED"


def test_the_fork_server_knows_no_secret(alone, monkeypatch):
    monkeypatch.setenv("MY_OWN_TOKEN", "the user's")
    alone.finish(ending, how="")
    environment = Path(f"/proc/{alone.home.fork_server._process.pid}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment and b"MY_OWN_TOKEN" not in environment


SCRIPT = compiled(ending)[0]["deploymentSpec"]["executors"]["exec-say-when-it-ends"]["container"]


@pytest.mark.parametrize(
    ("change", "environment", "forked"),
    [
        pytest.param(lambda command: command, {}, True, id="as compiled"),
        pytest.param(lambda command: command, {"PYTHONHASHSEED": "1"}, False, id="hash seed"),
        pytest.param(lambda command: command, {"LD_PRELOAD": "x"}, False, id="other libraries"),
        pytest.param(lambda c: [*c[:2], c[2] + "rm x\n", *c[3:]], {}, False, id="another step"),
        pytest.param(lambda command: ["bash", *command[1:]], {}, False, id="another shell"),
        pytest.param(lambda command: ["python3", "x.py"], {}, False, id="another program"),
    ],
)
def test_only_what_is_known_for_sure_is_forked(change, environment, forked):
    command = change([*SCRIPT["command"][-4:], *SCRIPT["args"]])
    assert (forkable(command, environment) is not None) == forked


def test_a_library_may_mend_signals_in_what_is_forked():
    """As asyncio does, which from Python 3.12 on forgets in a child whom signals wake."""
    serving = (
        "import os, signal, socket, sys\n"
        "from jupyter_kfp_mt.local.execution import forking\n"
        "os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))\n"
        "forking.serve(socket.socket(fileno=int(sys.argv[1])), lambda children: None)\n"
    )
    control, other = socket.socketpair()
    command = [sys.executable, "-c", serving, str(other.fileno())]
    with other, subprocess.Popen(command, pass_fds=[other.fileno()], cwd=ROOT):
        with control, open(forking.ask(control, []), "rb") as fate:
            assert [int(line) for line in fate][1:] == [0]
