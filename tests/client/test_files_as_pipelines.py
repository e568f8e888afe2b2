"""Every file that KFP takes is taken, and what is no pipeline is told what it is."""

import io
import tarfile
import zipfile

import pytest
from kfp import compiler, dsl

from jupyter_kfp_mt import errors
from jupyter_kfp_mt.client import pipeline_files
from jupyter_kfp_mt.errors import KfpError


@pytest.fixture
def kfp(shell, as_alice):
    return lambda line: shell.run_line_magic("kfp", line)


def zipped(text, name="pipeline.yaml"):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


def tarball(text, name="pipeline.yaml"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


PLATFORM = "platforms:\n  kubernetes: {}\n"
FORMS = [
    pytest.param("p.zip", zipped, id="zip"),
    pytest.param("p.tar.gz", tarball, id="tarball"),
    pytest.param("p.tgz", lambda text: tarball(text, "other.yml"), id="another name in it"),
    pytest.param("p.yaml", lambda text: f"{PLATFORM}---\n{text}".encode(), id="platform first"),
    pytest.param("p.yml", lambda text: f"{text}---\n{PLATFORM}".encode(), id="platform last"),
    pytest.param("p.yaml", lambda text: b"\xef\xbb\xbf" + text.encode(), id="with a mark"),
    pytest.param("p.yaml", lambda text: f"---\n---\n{text}".encode(), id="empty documents"),
]


@pytest.mark.parametrize("name, form", FORMS)
def test_whatever_kfp_takes_is_run_and_uploaded(kfp, adder, tmp_path, unique, name, form):
    path = tmp_path / name
    path.write_bytes(form(adder.read_text()))
    assert kfp(f"run {path} -p x=1").run_id
    assert kfp(f"upload {path} --name {unique}").pipeline_id


def test_what_is_uploaded_out_of_an_archive_is_run_by_its_name(kfp, adder, tmp_path, unique):
    path = tmp_path / "p.zip"
    path.write_bytes(zipped(adder.read_text()))
    kfp(f"upload {path} --name {unique}")
    assert kfp(f"run {unique} -p x=1").pipeline_version_reference


COMPONENT = "name: Add\nimplementation: {container: {image: python}}"


@pytest.mark.parametrize(
    "name, content, what, cure",
    [
        pytest.param(
            "v.json", b'{"pipelineSpec": {"root": {}}}', "Vertex AI", "pipeline.yaml", id="Vertex"
        ),
        pytest.param("c.yaml", COMPONENT.encode(), "component", "load_component", id="component"),
        pytest.param(
            "k.yaml",
            b"apiVersion: tekton.dev/v1\nkind: PipelineRun",
            "a Kubernetes object of kind PipelineRun",
            "Compile",
            id="Kubernetes",
        ),
        pytest.param(
            "e.pipeline",
            b'{"doc_type": "pipeline", "pipelines": []}',
            "Elyra",
            "Export",
            id="Elyra",
        ),
        pytest.param(
            "a.yaml",
            b"pipeline_spec: {pipelineInfo: {name: p}}",
            "KFP's API response",
            "field pipeline_spec",
            id="API",
        ),
        pytest.param(
            "n.json",
            b'{"nbformat": 4, "cells": []}',
            "a Jupyter notebook",
            "Compile",
            id="notebook",
        ),
        pytest.param(
            "f.yaml", PLATFORM.encode(), "the platform part", "Compile", id="platform alone"
        ),
        pytest.param("s.txt", b"import kfp\n", "Python source", "Compile", id="source"),
        pytest.param("b.yaml", b"a: 1\nb: [1,\n", "line 3", "Compile", id="broken YAML"),
        pytest.param("t.yaml", b"a: 1\n\tb: 2\n", "line 2", "Compile", id="a tab"),
        pytest.param("x.zip", zipped("hi", "notes.txt"), "'notes.txt'", "Compile", id="a zip"),
        pytest.param("y.zip", b"PK and no more", "cannot be read", "Compile", id="broken zip"),
        pytest.param(
            "z.tar.gz", b"\x1f\x8b and no more", "cannot be read", "Compile", id="broken tar"
        ),
        pytest.param("m.bin", b"\x80\x04\x95\xff", "binary data", "Compile", id="binary"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "upload"])
def test_what_is_no_pipeline_is_told_what_it_is(kfp, tmp_path, verb, name, content, what, cure):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(KfpError) as error:
        kfp(f"{verb} {path}")
    told = str(error.value)
    assert "is not a compiled pipeline" in told and what in told and cure in told


def test_two_pipelines_in_one_file_are_told(adder, tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(f"{adder.read_text()}---\n{adder.read_text()}")
    with pytest.raises(errors.NotAPipeline, match="holds 2 pipelines"):
        pipeline_files.read(path)


@pytest.mark.parametrize("text", ["one\ntwo", "a: 1\nb: 2", "\n", "ends\n"])
def test_a_default_with_a_line_break_is_told_as_that(tmp_path, text):
    @dsl.component(base_image="python:3.11")
    def show(x: str):
        print(x)

    @dsl.pipeline
    def broken(first: str = "well", x: str = text):
        show(x=x)

    path = tmp_path / "broken.yaml"
    compiler.Compiler().compile(broken, str(path))
    with pytest.raises(
        errors.NotAPipeline, match="default of parameter x has a line break"
    ) as error:
        pipeline_files.read(path)
    assert "compile again" in error.value.cure


# --- a pipeline whose name looks like a file's ---------------------------------------------------


@pytest.mark.parametrize("name", ["team/{}", "{}.yaml", "a/b/{}.py", "./{}", "{}.zip", "{}.tar.gz"])
def test_an_uploaded_pipeline_is_run_where_there_is_no_such_file(kfp, adder, unique, name):
    name = name.format(unique)
    kfp(f"upload {adder} --name {name}")
    assert kfp(f"run {name} -p x=1").pipeline_version_reference


def test_a_file_comes_before_a_pipeline_of_its_name(kfp, adder, tmp_path, monkeypatch, unique):
    monkeypatch.chdir(tmp_path)
    kfp(f"upload {adder} --name {unique}.yaml")
    (tmp_path / f"{unique}.yaml").write_text(COMPONENT)
    with pytest.raises(KfpError, match="definition of a component"):
        kfp(f"run {unique}.yaml -p x=1")


@pytest.mark.parametrize("name", ["nosuch/train", "nosuch.yaml", "nosuch.zip", "nosuch.py"])
def test_where_there_is_neither_both_are_told(kfp, name):
    with pytest.raises(KfpError) as error:
        kfp(f"run {name}")
    assert f"Cannot read {name}: No such file" in str(error.value)
    assert f"No pipeline {name} in namespace alice." in str(error.value)
