"""Pipes, devices and links where a task's files should be: nobody waits for them."""

import os

import pytest
from harness.own_executor import Kfp, component
from kfp import dsl


@pytest.fixture(scope="module")
def kfp(tmp_path_factory, home):
    kfp = Kfp(tmp_path_factory.mktemp("special"), home=home)
    yield kfp
    kfp.close()


@component
def put(kind: str, name: dsl.OutputPath(str)):
    import os
    import socket

    os.makedirs(os.path.dirname(name), exist_ok=True)
    os.chdir(os.path.dirname(name))
    if kind == "pipe":
        os.mkfifo("name")
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind("name")
    else:
        os.symlink(kind, "name")


@component
def leave(kind: str, data: dsl.Output[dsl.Dataset]):
    import os

    os.makedirs(os.path.dirname(data.path), exist_ok=True)
    os.mkfifo(data.path) if kind == "pipe" else os.symlink(kind, data.path)


@component
def report(content: str = ""):
    import json
    import os
    import sys

    (told,) = [json.loads(text) for text in sys.argv if text.startswith("{")]
    path = told["outputs"]["outputFile"]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not content:
        os.mkfifo(path)
    else:
        with open(path, "w") as file:
            file.write(content * 5000)
    os._exit(0)


@component
def hide_log(code: int):
    import os

    print("before", flush=True)
    os.remove("task.log")
    os.mkfifo("task.log")
    os._exit(code)


@component
def name_elsewhere(uri: str, data: dsl.Output[dsl.Dataset]):
    data.uri = uri


@dsl.pipeline
def naming(uri: str):
    name_elsewhere(uri=uri)


@dsl.pipeline
def putting(kind: str):
    put(kind=kind)


@dsl.pipeline
def leaving(kind: str):
    leave(kind=kind)


@dsl.pipeline
def reporting(content: str = ""):
    report(content=content)


@dsl.pipeline
def hiding(code: int):
    hide_log(code=code).set_retry(1, backoff_duration="0s")


NOT_A_FILE = "its output 'name' cannot be read: Not a file"


def test_an_output_that_is_no_file_fails_its_task_at_once(kfp):
    runs = {
        kfp.start(putting, kind="pipe"): NOT_A_FILE,
        kfp.start(putting, kind="socket"): "its output 'name' cannot be read: No such device",
        kfp.start(putting, kind="/dev/null"): NOT_A_FILE,
        kfp.start(putting, kind="name"): "its output 'name' cannot be read: Too many levels",
        kfp.start(leaving, kind="pipe"): "its output 'data' is neither a file nor a folder",
        kfp.start(leaving, kind="/dev/null"): "its output 'data' is neither a file nor a folder",
        kfp.start(reporting): "its executor output cannot be read: Not a file",
        kfp.start(reporting, content="["): "its executor output is nested too deeply",
    }
    kfp.wait(*runs)
    for run_id, message in runs.items():
        assert message in kfp.runs.errors[run_id]


def test_a_link_to_a_file_or_to_nothing_is_an_artifact_as_any_other_and_so_is_a_long_uri(
    kfp, tmp_path
):
    (tmp_path / "there").touch()
    runs = [kfp.start(leaving, kind=str(tmp_path / name)) for name in ("there", "not-there")]
    runs.append(kfp.start(naming, uri=f"https://example.com/{'x' * 5000}"))
    runs.append(kfp.start(naming, uri="gs://bucket/a\0b"))
    kfp.wait(*runs)
    assert [kfp.runs.errors[run_id] for run_id in runs] == [""] * 4


def test_a_log_that_is_no_file_any_more_holds_up_no_attempt(kfp):
    fine, failed = kfp.start(hiding, code=0), kfp.start(hiding, code=3)
    kfp.wait(fine, failed)
    assert kfp.runs.errors[fine] == ""
    assert "exit code 3" in kfp.runs.errors[failed]


def test_an_output_has_a_length(kfp, monkeypatch, tmp_path):
    from jupyter_kfp_mt.local.execution.run import task_outputs

    monkeypatch.setattr(task_outputs, "LONGEST_OUTPUT", 10)
    path = tmp_path / "output"
    path.write_text("x" * 10)
    assert task_outputs.read_output(path) == "x" * 10
    path.write_text("x" * 11)
    with pytest.raises(OSError, match="longer than 10 bytes"):
        task_outputs.read_output(path)
    assert os.path.exists(path)
