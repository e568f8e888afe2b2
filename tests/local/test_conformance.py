"""The tool that runs a folder's pipelines: it knows how each is meant to end, and what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.own_executor import component
from harness.pipelines import compiled
from kfp import dsl

FOLDER = Path(__file__).parents[1]


@component
def work(seconds: int, succeed: bool, source: str = ""):
    import time

    time.sleep(seconds)
    if not succeed:
        raise ValueError("not today")


@dsl.pipeline
def good(seconds: int = 0):
    work(seconds=seconds, succeed=True)


@dsl.pipeline
def bad():
    work(seconds=0, succeed=False)


@dsl.pipeline
def slow():
    work(seconds=600, succeed=True)


@dsl.pipeline
def fetching():
    work(seconds=0, succeed=False, source="gs://bucket/data")


@dsl.pipeline
def given(number: int, text: str, flag: bool, names: list, fields: dict):
    work(seconds=0, succeed=flag, source=text)


@dsl.container_component
def contain():
    return dsl.ContainerSpec(image="busybox", command=["true"])


@dsl.pipeline
def contained():
    contain()


@component
def read(data: dsl.Input[dsl.Artifact]):
    pass


@pytest.fixture
def run(tmp_path):
    """Runs pipelines that are compiled into a folder; the status, and the lines by their file."""

    def run(*pipelines, options=()):
        (tmp_path / "pipelines").mkdir(exist_ok=True)
        for pipeline in pipelines:
            compiled(tmp_path / "pipelines", pipeline)
        ended = subprocess.run(
            [sys.executable, "-m", "conformance", str(tmp_path / "pipelines"), *options],
            cwd=FOLDER,
            env={**os.environ, "KFP_MT_CONTAINER_ENGINE": "none", "PYTHONPATH": str(FOLDER.parent)},
            capture_output=True,
            text=True,
        )
        assert ended.stderr == ""
        return ended.returncode, ended.stdout

    return run


def line(said, name):
    (found,) = [one for one in said.splitlines() if f" {name}" in one]
    return found


def test_pipelines_that_end_as_they_are_meant_to_or_cannot_here_are_told_so(run, tmp_path):
    (tmp_path / "pipelines" / "failing").mkdir(parents=True)
    compiled(tmp_path / "pipelines" / "failing", bad)
    (tmp_path / "pipelines" / "values.yaml").write_text("a: 1")
    (tmp_path / "pipelines" / "broken.json").write_text("{")
    status, said = run(good, given, read, contained, fetching)
    assert (status, "6 pipelines" in said) == (0, True), said
    assert "4 as meant, 2 not here" in said
    assert "succeeded  succeeded" in line(said, "good.yaml")
    assert "succeeded  succeeded" in line(said, "given.yaml")
    assert "failed     failed" in line(said, "failing/bad.yaml")
    assert "failed     failed" in line(said, "read.yaml"), "it takes artifacts alone"
    assert "(a container engine: it is a container component)" in line(said, "contained.yaml")
    assert "(a foreign network: gs://bucket)" in line(said, "fetching.yaml")


def test_one_that_fails_and_is_not_meant_to_is_wrong_and_its_reason_is_told(run):
    status, said = run(bad, good)
    assert status == 1 and "1 WRONG, 1 as meant" in said
    assert "Task 'work' failed: ValueError: not today" in said


def test_one_that_takes_too_long_is_stopped(run):
    status, said = run(slow, options=["--seconds", "1"])
    assert status == 1 and "it was stopped after 1 s" in said
