"""Completion of `%kfp` in a real IPython: what is known is offered at once, and nothing else."""

import threading

import pytest
from harness.waiting import wait_until
from IPython.core.completer import provisionalcompleter

from jupyter_kfp_mt.client.listings import Feed, Listing
from jupyter_kfp_mt.errors import Unreachable
from jupyter_kfp_mt.models import Page, Run
from jupyter_kfp_mt.notebook.known_names import KnownNames
from jupyter_kfp_mt.notebook.verbs.values import Notice


@pytest.fixture(params=[True, False], ids=["jedi", "no jedi"])
def shell(shell, as_alice, request):
    if request.param:
        pytest.importorskip("jedi")
    shell.Completer.use_jedi = request.param
    return shell


@pytest.fixture
def complete(shell):
    """The line with each of its completions in it."""

    def complete(line, cell=""):
        with provisionalcompleter():
            found = [*shell.Completer.completions(line + cell, len(line))]
        return [line[: each.start] + each.text for each in found]

    return complete


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param("%kfp ter", ["%kfp terminate"], id="verb"),
        pytest.param("x = %kfp ter", ["x = %kfp terminate"], id="after an assignment"),
        pytest.param("%%kfp ru", ["%%kfp run", "%%kfp runs"], id="cell magic"),
        pytest.param("%kfp experiment cr", ["%kfp experiment create"], id="second word"),
        pytest.param("%kfp run x --wa", ["%kfp run x --wait", "%kfp run x --watch"], id="option"),
        pytest.param("%kfp runs --wa", [], id="no option of this verb"),
        pytest.param("%kfp runs --state FAI", ["%kfp runs --state failed"], id="state"),
        pytest.param("%kfp runs --sort -na", ["%kfp runs --sort -name"], id="column"),
        pytest.param("%kfp help termi", ["%kfp help terminate"], id="help"),
        pytest.param("%kfp help recurring ena", ["%kfp help recurring enable"], id="help of two"),
        pytest.param("%kfp bogus ", [], id="no verb"),
        pytest.param("%kfp runs --since ", [], id="nothing is known"),
    ],
)
def test_verbs_options_and_their_values_are_completed(complete, line, expected):
    assert complete(line) == expected


def test_no_python_is_offered(complete):
    firsts = {line.removeprefix("%kfp ") for line in complete("%kfp ")}
    assert {"run", "runs", "pipelines", "help"} <= firsts and not firsts & {"import", "print("}
    flags = complete("%kfp run x --")
    assert all(line.startswith("%kfp run x --") for line in flags) and len(flags) < 30
    assert "import os" in complete("import o")


def test_names_are_learned_meanwhile_and_offered_then(complete, kfp, adder, unique):
    run = kfp(f"run {adder} -p x=1 --name {unique}-run -e {unique}-group")
    assert complete(f"%kfp show {unique}") == [f"%kfp show {run.display_name}"]
    kfp(f"upload {adder} --name {unique}-pipeline")

    def offered(line, wanted):
        wait_until(lambda: f"{line.rpartition(' ')[0]} {wanted}" in complete(line))

    offered(f"%kfp runs -e {unique}", f"{unique}-group")
    offered(f"%kfp run {unique}", f"{unique}-pipeline")
    offered(f"%kfp run {unique}-pipeline -p ", "x=")
    offered(f"%kfp logs {unique}-run ", "add")
    offered("%kfp ns ", "alice")


def test_what_the_notebook_has_is_offered(complete, shell, tmp_path, monkeypatch):
    from kfp import dsl

    @dsl.component(base_image="python:3.12")
    def score(rate: float):
        pass

    (tmp_path / "made.yaml").touch(), (tmp_path / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    shell.push({"my_score": score, "my_rates": {"rate": 1.0}, "my_number": 1})
    assert complete("%kfp run my_") == ["%kfp run my_score"]
    assert complete("%kfp run made") == ["%kfp run made.yaml"]
    assert complete("%kfp run my_score -p ra") == ["%kfp run my_score -p rate="]
    assert complete("%kfp run my_score --params $my_") == ["%kfp run my_score --params $my_rates"]


def test_completion_never_waits(monkeypatch):
    held = threading.Event()

    def connect():
        held.wait()
        raise AssertionError

    names = KnownNames(connect, list)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    assert names.get("run") == [] and names.get("run") == []
    (asking,) = [each for each in threading.enumerate() if each.name == "kfp-mt-learn-run"]
    held.set()
    asking.join()


def learned():
    """Wait for what is learned in the background."""
    for thread in threading.enumerate():
        if thread.name.startswith("kfp-mt-learn"):
            thread.join()


def test_what_is_fresh_is_not_asked_for_and_a_change_is_followed_behind_the_cell():
    asked = []

    def connect():
        asked.append(1)
        raise Unreachable("No answer.")

    def runs(name, namespace):
        found = Page(kind=Run, items=[Run(display_name=name)], total_size=1)
        return Listing(Run, [Feed(namespace, lambda token, size: found)])

    names = KnownNames(connect, list)
    assert names.get("run") == []
    learned()
    listed = runs("train", "alice").begun()
    names.tell(listed, "alice")
    names.tell(runs("theirs", "bob"), "alice")
    assert names.get("run") == ["latest", "train"]
    names.refresh()
    learned()
    assert len(asked) == 1
    names.tell(Notice("Deleted run train."), "alice")
    names.refresh()
    learned()
    assert len(asked) == 2


def test_loading_the_magic_again_leaves_one_matcher_and_unloading_none(shell):
    def matchers():
        found = shell.Completer.custom_matchers
        return [each for each in found if getattr(each, "matcher_identifier", "") == "kfp"]

    shell.run_line_magic("reload_ext", "jupyter_kfp_mt")
    assert len(matchers()) == 1
    shell.run_line_magic("unload_ext", "jupyter_kfp_mt")
    assert matchers() == []
