"""Failures in cells: a `KfpError`, without our frames, that whoever executes the cell sees."""

import nbformat
import pytest
from harness.paths import ROOT
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_kfp_mt.errors import BadRequest, KfpError, from_dict


@pytest.fixture
def execute(as_alice, monkeypatch, tmp_path):
    """Executes cells as papermill and nbconvert do: the notebook with its outputs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def execute(*cells, **options):
        cells = ["%load_ext jupyter_kfp_mt", *cells]
        notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
        resources = {"metadata": {"path": str(tmp_path)}}
        client = NotebookClient(notebook, timeout=300, resources=resources, **options)
        return client.execute()

    return execute


def outputs(notebook, kind):
    """All outputs of a kind, in the order of the cells."""
    found = [output for cell in notebook.cells for output in cell.outputs]
    return [output for output in found if output.output_type == kind]


def test_a_notebook_that_is_executed_stops_at_what_kfp_refuses(execute):
    with pytest.raises(CellExecutionError) as error:
        execute("%kfp runs -n bob")
    assert error.value.ename == "Forbidden"
    assert "list runs in bob" in error.value.evalue and "namespace: bob" in error.value.evalue
    assert "magics.py" not in str(error.value)


def test_a_mistyped_line_is_an_error_of_the_cell(execute):
    with pytest.raises(CellExecutionError) as error:
        execute("%kfp rum pipeline")
    assert error.value.ename == "Misunderstood" and "Did you mean %kfp run?" in str(error.value)


def test_code_catches_what_a_magic_raises(execute):
    notebook = execute(
        "from jupyter_kfp_mt import KfpError\n"
        "try:\n    %kfp logs nope\nexcept KfpError as error:\n    print('caught', error.message)"
    )
    (said,) = outputs(notebook, "stream")
    assert said.text.startswith("caught No run 'nope' in namespace alice.")


def test_the_calls_of_a_person_are_shown_and_ours_are_not(execute):
    notebook = execute(
        "import jupyter_kfp_mt\n"
        "def launch():\n    return jupyter_kfp_mt.connect().pipeline_named('nope')\n"
        "launch()",
        allow_errors=True,
    )
    (error,) = outputs(notebook, "error")
    *calls, told, _, cure = "\n".join(error.traceback).splitlines()
    assert [call.partition(", in ")[2] for call in calls] == [
        "<module>: launch()",
        "launch: return jupyter_kfp_mt.connect().pipeline_named('nope')",
    ]
    assert told == "NotFound: No pipeline nope in namespace alice." and "%kfp pipelines" in cure


def test_an_error_is_the_same_after_it_was_json():
    error = from_dict(BadRequest("No.", cause="So.", cure="Do.").to_dict())
    assert type(error) is BadRequest and str(error) == "No.\nSo.\nDo."
    assert error._render_traceback_() == ["BadRequest: No.\nSo.\nDo."]
    assert isinstance(error, KfpError)
