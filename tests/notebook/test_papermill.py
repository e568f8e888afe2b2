"""papermill and nbconvert: a failure ends them with its reason, and what is saved can be read."""

import nbformat
import papermill
import pytest
from harness.paths import ROOT
from nbconvert.exporters import HTMLExporter, MarkdownExporter


@pytest.fixture
def execute(as_alice, monkeypatch, tmp_path):
    """Executes cells with papermill: the notebook that it saves, and how it ends."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def execute(*cells, **parameters):
        source, saved = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
        cells = [nbformat.v4.new_code_cell(cell) for cell in ["%load_ext jupyter_kfp_mt", *cells]]
        metadata = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), source)
        error = None
        try:
            papermill.execute_notebook(
                str(source), str(saved), parameters, cwd=str(tmp_path), progress_bar=False
            )
        except papermill.PapermillExecutionError as raised:
            error = raised
        return nbformat.read(saved, 4), error

    return execute


def test_a_run_that_fails_ends_papermill_with_its_reason(execute, failing):
    notebook, error = execute(f"%kfp run {failing} --wait", "print('not reached')")
    assert error.ename == "RunFailed" and "ValueError: no more" in error.evalue
    told = str(error)
    assert "magics.py" not in told and "KFP Executor" not in told
    assert "not reached" not in str(notebook.cells[-1].outputs)


def test_a_run_that_is_kept_ends_nothing_and_is_saved_with_its_last_state(execute, failing):
    notebook, error = execute(f"run = %kfp run {failing} --wait --keep", "print(run.state)")
    assert error is None
    shown, said = [cell.outputs for cell in notebook.cells[-2:]]
    assert said[0].text == "FAILED\n"
    saved = next(output.data for output in shown if "data" in output)
    assert "Failed" in saved["text/plain"] and "no more" in saved["text/html"]


def test_a_parameter_of_papermill_is_one_of_a_run(execute, adder):
    notebook, error = execute(f"run = %kfp run {adder} -p x=$number --wait", number=4)
    assert error is None
    saved = str(notebook.cells[-1].outputs)
    assert "Succeeded" in saved and "Parameter x" in saved


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter])
def test_what_is_saved_is_readable_without_a_kernel(execute, adder, exporter):
    notebook, _ = execute(
        f"%kfp run {adder} -p x=1 --name 'the first' --wait", f"%kfp run {adder} --form"
    )
    body, _ = exporter().from_notebook_node(notebook)
    assert "Succeeded" in body and "Parameter x" in body
    assert "To fill in the form, run its cell in a notebook." in body
    assert "_esm" not in str(notebook.metadata)  # the whole program of a widget
