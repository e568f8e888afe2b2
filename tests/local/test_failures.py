"""Reasons for a failed task: its exception or its exit code, whatever else it wrote."""

import subprocess
import sys

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl

from jupyter_kfp_mt.local.execution.executors.failures import of_process, raised, shortened
from jupyter_kfp_mt.local.execution.executors.task_process import run_command

since_python_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")


@component
def fail(how: str):
    import atexit
    import builtins
    import sys

    atexit.register(print, "closing the session")
    if how == "several lines":
        raise ValueError("1 problem in the settings:\nrate: must be a number\n  More on this")
    if how == "first line empty":
        raise ValueError("\n  rate must be a number\n")
    if how == "group":
        folds = [ValueError("fold 1"), ValueError("fold 2")]
        raise builtins.ExceptionGroup("2 folds failed", folds)
    if how == "cause":
        try:
            {}["rate"]
        except KeyError as error:
            raise RuntimeError("no settings") from error
    if how == "note":
        error = ValueError("no such column: age")
        error.add_note("columns: name")
        raise error
    if how == "code":
        print("read 10 rows")
        raise SystemExit(3)
    if how == "syntax":
        exec("def f(:")
    if how == "handled":
        import traceback

        try:
            {}["rate"]
        except KeyError:
            traceback.print_exc()
        sys.exit(2)
    if how == "class":

        class Refused(Exception):
            pass

        raise Refused
    if how == "another hook":
        sys.excepthook = lambda *_: print("it went wrong")
        raise ValueError("no such column: age")
    if how == "long":
        raise ValueError("word " * 400)


@dsl.pipeline
def forked(how: str):
    fail(how=how).set_caching_options(False)


@dsl.pipeline
def in_an_interpreter(how: str):
    fail(how=how).set_caching_options(False).set_env_variable("PYTHONHASHSEED", "1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("failing"), home=home)
    yield kfp
    kfp.close()


REASONS = [
    pytest.param("several lines", "ValueError: 1 problem in the settings: ..."),
    pytest.param("first line empty", "ValueError: rate must be a number"),
    pytest.param(
        "group", "ExceptionGroup: 2 folds failed (2 sub-exceptions)", marks=since_python_3_11
    ),
    pytest.param("cause", "RuntimeError: no settings"),
    pytest.param("note", "ValueError: no such column: age ...", marks=since_python_3_11),
    pytest.param("code", "exit code 3"),
    pytest.param("syntax", "SyntaxError: invalid syntax"),
    pytest.param("handled", "exit code 2"),
    pytest.param("class", "ephemeral_component.fail.<locals>.Refused"),
    pytest.param("long", "ValueError: " + "word " * 96 + "..."),
]


@pytest.mark.parametrize("pipeline", [forked, in_an_interpreter], ids=lambda one: one.name)
@pytest.mark.parametrize("how, reason", REASONS)
def test_a_component_fails_with_its_exception_or_its_exit_code(runs, pipeline, how, reason):
    run_id = runs.finish(pipeline, how=how)
    assert runs.task(run_id, "fail").error.message == reason
    assert "closing the session" in runs.log(run_id, "fail")


@dsl.pipeline
def tried_again():
    task = fail(how="code").set_caching_options(False)
    task.set_retry(3, backoff_duration="0s", backoff_factor=1e200)


def test_a_pause_that_grows_beyond_all_numbers_is_no_reason(runs):
    run_id = runs.finish(tried_again)
    assert runs.task(run_id, "fail").error.message == "exit code 3"


def test_an_exception_is_known_though_the_component_shows_none(runs):
    run_id = runs.finish(forked, how="another hook")
    assert runs.task(run_id, "fail").error.message == "ValueError: no such column: age"
    run_id = runs.finish(in_an_interpreter, how="another hook")
    assert runs.task(run_id, "fail").error.message == "exit code 1"


@component
def fail_in_a_child() -> str:
    import os
    import sys

    if os.fork() == 0:
        raise ValueError("the child's")
    os.wait()
    sys.exit(7)


@dsl.pipeline
def failing_child():
    fail_in_a_child()


@dsl.pipeline
def failing_child_of_an_interpreter():
    fail_in_a_child().set_env_variable("PYTHONHASHSEED", "1")


@pytest.mark.parametrize("pipeline", [failing_child, failing_child_of_an_interpreter])
def test_an_exception_in_a_child_is_not_the_tasks(runs, pipeline):
    run_id = runs.finish(pipeline)
    assert runs.task(run_id, "fail-in-a-child").error.message == "exit code 7"


PROGRAMS = [
    pytest.param("raise ValueError('a: b')", "ValueError: a: b", id="exception"),
    pytest.param("raise ValueError('a\\nb')", "ValueError: a", id="two lines"),
    pytest.param("raise ValueError('\\nb')", "ValueError: b", id="first line empty"),
    pytest.param("raise ValueError", "ValueError", id="no message"),
    pytest.param("import json; json.loads('{')", "json.decoder.JSONDecodeError: ", id="module"),
    pytest.param("f(", "SyntaxError: '(' was never closed", id="syntax"),
    pytest.param(
        "raise ExceptionGroup('g', [ValueError('x'), ExceptionGroup('h', [KeyError(1)])])",
        "ExceptionGroup: g (2 sub-exceptions)",
        marks=since_python_3_11,
        id="group",
    ),
    pytest.param(
        "try:\n  {}[1]\nexcept KeyError:\n  raise ExceptionGroup('g', [ValueError('x')])",
        "ExceptionGroup: g (1 sub-exception)",
        marks=since_python_3_11,
        id="group after another",
    ),
    pytest.param("def f(): f()\nf()", "RecursionError: ", id="repeated lines"),
]


@pytest.mark.parametrize("program, reason", PROGRAMS)
def test_an_exception_is_read_off_what_python_writes(program, reason):
    program = f"import atexit; atexit.register(print, 'ValueError: none')\n{program}"
    end = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert raised(f"before\n{end.stderr}{end.stdout}after: all\n").startswith(reason)
    assert raised(end.stdout) == ""


COMMANDS = [
    pytest.param("echo read 10 rows; exit 3", "exit code 3", id="exit code"),
    pytest.param("echo ValueError: none; exit 1", "exit code 1", id="no traceback"),
    pytest.param("python3 -c '{}[1]'; exit 4", "exit code 4", id="not its end"),
    pytest.param("python3 -c '{}[1]'", "KeyError: 1", id="python"),
    pytest.param("python3 -c 'exit(\"last words\")'", "exit code 1", id="last words"),
    pytest.param("kill -KILL $$", "killed by SIGKILL (out of memory?)", id="signal"),
]


@pytest.mark.parametrize("script, reason", COMMANDS)
def test_another_command_fails_with_its_exit_code_or_pythons_exception(tmp_path, script, reason):
    assert run_command(["sh", "-c", script], {}, tmp_path) == reason


def test_a_long_reason_is_cut_at_a_word_and_says_so():
    assert shortened("no such column", 14) == "no such column"
    assert shortened("no such column: age", 14) == "no such ..."
    assert shortened("an " + "x" * 20, 14) == "an " + "x" * 7 + " ..."


def test_packages_that_cannot_be_installed_are_named(tmp_path):
    install = 'python3 -m pip install --no-index none==1 && "$0" "$@"'
    assert run_command(["sh", "-c", install, "true"], {}, tmp_path) == (
        "its packages could not be installed: No matching distribution found for none==1"
    )


def test_the_exception_of_an_earlier_attempt_is_not_this_ones(tmp_path):
    assert run_command(["python3", "-c", "{}[1]"], {}, tmp_path) == "KeyError: 1"
    assert run_command(["sh", "-c", "exit 1"], {}, tmp_path) == "exit code 1"


def test_what_a_full_disk_has_not_taken_is_read_off_the_log(tmp_path):
    noted = tmp_path / "failure.txt"
    noted.touch()
    log = 'Traceback (most recent call last):\n  File "x", line 1, in f\nOSError: no space\n'
    assert of_process(1, noted, log) == "OSError: no space"
    assert of_process(5, noted, log) == "exit code 5"
