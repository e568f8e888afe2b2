"""Runs carry which notebook, cell and commit started them, and a notebook finds its own again."""

import subprocess

import pytest
from harness.paths import ROOT
from harness.waiting import wait_until
from nbclient import NotebookClient
from nbformat import v4

from jupyter_kfp_mt.client.client import Client
from jupyter_kfp_mt.client.provenance import Provenance, read, without
from jupyter_kfp_mt.credentials import TokenFile

NAME = "work/train.ipynb"


@pytest.fixture
def alice(local_kfp):
    with_token = TokenFile(str(local_kfp.token_file("alice/default-editor")))
    client = Client(local_kfp.endpoint, with_token, "alice")
    yield client
    client.close()


@pytest.fixture
def execute(as_alice, monkeypatch, tmp_path):
    """Executes cells in a new kernel, as a session of a Jupyter server has one: the notebook."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JPY_SESSION_NAME", NAME)

    def execute(*cells):
        cells = ["%load_ext jupyter_kfp_mt", *cells]
        notebook = v4.new_notebook(cells=[*map(v4.new_code_cell, cells)])
        resources = {"metadata": {"path": str(tmp_path)}}
        return NotebookClient(notebook, timeout=300, resources=resources).execute()

    return execute


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The working folder as a git repository: its commit."""
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "test")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "test@example.com")

    def git(*arguments):
        return subprocess.check_output(["git", *arguments], cwd=tmp_path, text=True).strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    return git("rev-parse", "HEAD")


def test_a_run_tells_its_notebook_cell_and_commit(execute, alice, adder, unique, repository):
    execute(f"%kfp run {adder} -p x=1 --name {unique} --description 'Mine: all'")
    run = alice.find_run(unique)
    origin = read(run.description)
    assert origin.notebook == NAME and repository.startswith(origin.commit)
    assert origin.cell.split()[0] == "2"  # `execution_count` is 3 meanwhile since IPython 9.8
    assert origin.by == "alice/default-editor" and without(run.description) == "Mine: all"


def test_a_new_kernel_finds_what_the_notebook_has_started(execute, alice, adder, unique):
    execute(
        f"%kfp run {adder} -p x=1 --name {unique}-magic",
        "import jupyter_kfp_mt\nclient = jupyter_kfp_mt.connect()",
        f"run = client.start_run({str(adder)!r}, {{'x': 2}}, name='{unique}-code')",
        f"client.clone(run.run_id, name='{unique}-clone')",
    )
    alice.start_run(adder, {"x": 1}, name=f"{unique}-elsewhere")
    notebook = execute(
        f"found = %kfp runs --notebook --name {unique}",
        "print(*[run.display_name for run in found])",
    )
    said = notebook.cells[-1].outputs[0].text.split()
    assert said == [f"{unique}-clone", f"{unique}-code", f"{unique}-magic"]


def test_my_own_runs_are_found(execute, adder, alice, unique):
    alice.start_run(adder, {"x": 1}, name=f"{unique}-theirs")
    notebook = execute(
        f"%kfp run {adder} -p x=1 --name {unique}-mine",
        f"found = %kfp runs --mine --name {unique}",
        "print(*[run.display_name for run in found])",
    )
    assert notebook.cells[-1].outputs[0].text.split() == [f"{unique}-mine"]


def test_a_clone_is_of_who_clones(alice, adder, unique):
    alice.origin = lambda: Provenance("one.ipynb", "1", "", "ann")
    run = alice.start_run(adder, {"x": 1}, name=unique, description="Why")
    alice.origin = lambda: Provenance("two.ipynb", "2", "", "ben")
    clone = alice.run(alice.clone(run.run_id).run_id)
    assert without(clone.description) == "Why" and read(clone.description).by == "ben"
    assert read(clone.description).notebook == "two.ipynb"
    wait_until(lambda: alice.run(clone.run_id).finished)
