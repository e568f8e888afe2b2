"""Daemons of a task end with its run: with sessions of their own and without its environment."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.own_executor import Kfp, component
from harness.paths import ROOT
from harness.waiting import wait_until
from kfp import dsl

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells what a process was that has left its parent"
)


@component
def daemonize(lifeline: str, stay: bool):
    import os
    import time

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            pipe = os.open(lifeline, os.O_WRONLY)
            os.set_inheritable(pipe, True)
            os.write(pipe, b"%d" % os.getpid())
            for descriptor in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.execve("/bin/sleep", ["sleep", "600"], {})
        os._exit(0)
    os.wait()
    while stay:
        time.sleep(1)
    time.sleep(0.5)


@dsl.pipeline
def forked(lifeline: str, stay: bool):
    daemonize(lifeline=lifeline, stay=stay).set_caching_options(False)


@dsl.pipeline
def in_an_interpreter(lifeline: str, stay: bool):
    task = daemonize(lifeline=lifeline, stay=stay).set_caching_options(False)
    task.set_env_variable("PYTHONHASHSEED", "1")


both = pytest.mark.parametrize("pipeline", [forked, in_an_interpreter], ids=lambda one: one.name)


@both
def test_a_daemon_is_gone_when_its_run_has_ended(kfp, lifeline, pipeline):
    run_id = kfp.finish(pipeline, lifeline=lifeline.path, stay=False)
    assert kfp.runs.errors[run_id] == ""
    assert lifeline.holder() and lifeline.released()


@both
def test_a_daemon_is_gone_when_its_run_has_been_terminated(kfp, lifeline, pipeline):
    run_id = kfp.start(pipeline, lifeline=lifeline.path, stay=True)
    assert lifeline.holder()
    kfp.call(kfp.executor.terminate, run_id)
    kfp.wait(run_id)
    assert lifeline.released()


@both
def test_a_daemon_is_gone_when_its_runs_process_has_been_killed(kfp, lifeline, pipeline):
    run_id = kfp.start(pipeline, lifeline=lifeline.path, stay=True)
    assert lifeline.holder()
    (worker,) = kfp.executor._workers.values()
    os.kill(worker._process.pid, signal.SIGKILL)
    kfp.wait(run_id)
    assert lifeline.released()


def test_a_daemon_is_gone_when_the_server_has_been_killed(tmp_path, lifeline):
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
    assert lifeline.holder()
    server.kill()
    server.wait()
    assert lifeline.released()
    wait_until(lambda: not list(scratch.iterdir()))


@component
def leave_zombies() -> int:
    import os
    import pathlib

    for _ in range(20):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    states = [path.read_text() for path in pathlib.Path("/proc").glob("[0-9]*/stat")]
    parent = f" {os.getppid()} "
    return sum(parent in state and ") Z" in state for state in states)


@dsl.pipeline
def leaving_zombies():
    leave_zombies()


def test_orphans_that_end_by_themselves_do_not_pile_up(kfp):
    run_id = kfp.finish(leaving_zombies)
    assert kfp.outputs(run_id, "leave-zombies").parameters["Output"] < 20


ADOPT_AND_KILL = """
import os, pathlib, signal, subprocess, sys, time
from jupyter_kfp_mt.local.execution.leftover_processes import adopt_orphans, kill_orphans

adopt_orphans()
script = 'for name; do "$name" 600 >/dev/null & echo $!; done'
started = subprocess.run(["sh", "-c", script, "sh", *sys.argv[1:]], stdout=subprocess.PIPE)
engines, other = map(int, started.stdout.split())
while pathlib.Path(f"/proc/{engines}/comm").read_text() != "conmon\\n":
    time.sleep(0.01)
kill_orphans([])
os.waitpid(other, 0)
print(os.waitpid(engines, os.WNOHANG | os.WUNTRACED))
os.kill(engines, signal.SIGKILL)
"""


def test_what_a_container_engine_keeps_for_all_its_containers_is_no_orphan(tmp_path):
    sleep = shutil.which("sleep")
    (tmp_path / "conmon").symlink_to(sleep)
    command = [sys.executable, "-c", ADOPT_AND_KILL, str(tmp_path / "conmon"), sleep]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(0, 0)\n", "")


LOOKED_AT = """
import os, subprocess, sys
from jupyter_kfp_mt.local.execution.leftover_processes import adopt_orphans, kill_orphans

opened = []
sys.addaudithook(lambda event, given: event == "open" and opened.append(str(given[0])))
adopt_orphans()
kill_orphans([])
before = len(opened)
with subprocess.Popen(["sleep", "600"]) as child:
    kill_orphans([child.pid])
    print(before, child.poll(), f"/proc/{child.pid}/stat" in opened)
    child.kill()
"""


def test_processes_are_looked_at_only_if_there_are_children():
    command = [sys.executable, "-c", LOOKED_AT]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0 None True\n", "")


if __name__ == "__main__":
    kfp = Kfp(Path(sys.argv[1]))
    kfp.start(forked, lifeline=sys.argv[2], stay=True)
    kfp.home.thread.join()
