"""`%%kfp task`: a cell as a task, with the notebook's variables in and out."""

from pathlib import Path
from tempfile import gettempdir

import pytest

from jupyter_kfp_mt.errors import BadRequest, RunFailed
from jupyter_kfp_mt.notebook.verbs import cell_task
from jupyter_kfp_mt.notebook.verbs.cell_task import CellTask

pytestmark = pytest.mark.usefixtures("as_alice")


def test_a_cell_takes_variables_and_gives_some_back(shell, cell):
    from datetime import date
    from fractions import Fraction

    given = {"rate": 0.5, "rows": [1, {"a": None}], "name": 'it\'s "odd"\n', "part": Fraction(1, 3)}
    shell.push({**given, "day": date(2026, 1, 2)})
    run = cell(
        "task -i rate rows name -i part day -o doubled whole -o following",
        "from datetime import timedelta\n"
        "doubled = 2 * rate\n"
        "whole = [rows, name, part * 3]\n"
        "following = day + timedelta(days=1)\n",
    )
    assert run.state == "SUCCEEDED"
    found = shell.user_ns
    assert found["doubled"] == 1.0 and found["following"] == date(2026, 1, 3)
    assert found["whole"] == [given["rows"], given["name"], 1]


def test_a_cell_that_fails_changes_no_variable_and_shows_its_own_line(shell, cell):
    shell.push({"made": "before"})
    with pytest.raises(RunFailed) as error:
        cell("task -o made", "made = 1\nraise ValueError('no ' + 'more')\n")
    assert "raise ValueError('no ' + 'more')" in str(error.value)
    assert 'cell.py", line 2' in str(error.value) and shell.user_ns["made"] == "before"
    told = error.value.cause.splitlines()[1:]
    assert [line for line in told if "Executor" in line or "exec(" in line or "{" in line] == []
    assert told[-1] == "ValueError: no more" and len(told) == 4


class OfThisFile:
    pass


@pytest.mark.parametrize(
    "line, body, sentence",
    [
        pytest.param("task -i nope", "1", "There is no variable nope", id="no variable"),
        pytest.param("task", "print(number)", "Add -i number", id="not named"),
        pytest.param("task -o made", "other = 1", "never assigns made", id="never assigned"),
        pytest.param("task", "made = (", "The cell is not Python", id="no Python"),
        pytest.param("task", "  ", "There is no code to run", id="nothing"),
        pytest.param("task -i module", "module", "module is a module", id="module"),
        pytest.param("task -i opened", "opened", "opened cannot be an input", id="an open file"),
        pytest.param("task -i mine", "mine", "its code is in this notebook", id="own class"),
        pytest.param("task --secret x", "1", "not of the form SECRET:KEY", id="secret"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(shell, cell, line, body, sentence):
    import json

    own = type("Own", (), {"__module__": "__main__"})()
    with open(__file__) as opened:
        shell.push({"number": 1, "module": json, "opened": opened, "mine": own})
        before = shell.run_line_magic("kfp", "runs").total_size
        with pytest.raises(BadRequest) as error:
            cell(line, body)
        assert sentence in str(error.value)
        assert shell.run_line_magic("kfp", "runs").total_size == before


def test_names_that_a_cell_makes_itself_need_no_input():
    code = "import os.path as p\nfor x in [1]:\n    def f(y): return y + x\nprint(f(1), p, len)\n"
    names = dict.fromkeys(["x", "f", "y", "p", "os", "len"])
    assert cell_task.missing_inputs(code, [], names) == []
    assert cell_task.missing_inputs("a.b[c]", ["c"], {"a": 1, "c": 2}) == ["a"]


def test_for_a_cluster_values_are_in_the_pipeline_and_come_back_by_the_log(
    shell, cell, monkeypatch
):
    """The same program, on the local KFP as if its files could not be read from here."""
    from fractions import Fraction

    shell.push({"part": Fraction(1, 3), "times": 3})
    shell.run_line_magic("kfp", "ns")
    client = shell.magics_manager.registry["KfpMagics"].client
    task = CellTask(
        code="whole = part * times\nlong = 'x' * 10_000",
        inputs={"part": Fraction(1, 3), "times": 3},
        outputs=["whole", "long"],
    )
    run = client.wait(client.start_run(task.source()).run_id)
    monkeypatch.setattr(client, "task_values", lambda run_id: {})
    assert cell_task.collected(client, run, ["whole", "long"]) == {
        "whole": 1,
        "long": "x" * 10_000,
    }


def test_for_a_cluster_the_pipeline_is_valid_and_has_nothing_of_this_machine():
    from fractions import Fraction

    from google.protobuf.json_format import ParseDict
    from kfp.pipeline_spec import pipeline_spec_pb2

    from jupyter_kfp_mt.local.pipelines.pipeline_schema import faults

    task = CellTask(
        code="made = part * rate",
        inputs={"part": Fraction(1, 3), "rate": 2.5, "rows": [1, {"a": 2}]},
        outputs=["made"],
        packages=["rich==13.9.4"],
        image="registry.example.com/team/python:3.11",
        secrets=[("registry", "password", "PASSWORD")],
    )
    wire = task.source().specification
    spec = wire["pipeline_spec"]
    assert [*faults(spec)] == []
    ParseDict(spec, pipeline_spec_pb2.PipelineSpec())  # raises for a field that it does not know
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == "registry.example.com/team/python:3.11"
    assert "rich==13.9.4" in str(executor) and "importer" not in str(spec)
    (component,) = spec["components"].values()
    parameters = component["inputDefinitions"]["parameters"]
    kinds = {name: each["parameterType"] for name, each in parameters.items()}
    assert kinds == {"part": "STRING", "rate": "NUMBER_DOUBLE", "rows": "LIST"}
    assert [*component["outputDefinitions"]["artifacts"]] == ["output_made"]
    secret = wire["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert "PASSWORD" in str(secret)
    assert not any(here in str(wire) for here in (str(Path.home()), gettempdir(), "file://"))


def test_frames_and_arrays_bring_the_package_that_reads_them():
    numpy = pytest.importorskip("numpy")
    task = CellTask(code="made = rows.sum()", inputs={"rows": numpy.arange(5)}, outputs=["made"])
    (executor,) = task.source().specification["deploymentSpec"]["executors"].values()
    assert f"numpy=={numpy.__version__}" in str(executor)


def test_what_is_too_long_for_a_cluster_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(cell_task, "MOST_INLINE", 100)
    task = CellTask(code="small, large", inputs={"small": {1}, "large": {*range(200)}}, outputs=[])
    with pytest.raises(BadRequest, match="large is too large an input: .* bytes of inputs exceed"):
        task.source()
