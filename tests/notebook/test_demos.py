"""The demo's notebooks, run from top to bottom as alice on a local KFP."""

import nbformat
import pytest
from harness.paths import ROOT
from nbclient import NotebookClient

NOTEBOOKS = sorted(path.name for path in (ROOT / "binder").glob("*.ipynb"))
# A text that only a notebook whose story went well shows.
SHOWN = {
    "a-cell-as-a-task.ipynb": ["49999", "lock cannot be an input", "True"],
    "first-steps.ipynb": ["rate 2.5 is too high", "metric", "(reused)"],
    "schedule-and-compare.ipynb": [
        "mean wait",
        "At 02:30, Monday through Friday",
        "Deleted recurring run nightly",
    ],
}
# It needs a JupyterLab that runs the local KFP: the browser runs it.
IN_BROWSER = {"two-tenants.ipynb"}


@pytest.fixture
def demo_kfp(local_kfp, monkeypatch):
    """The local KFP, as a kernel finds it in its environment."""
    monkeypatch.setenv("KFP_MT_ENDPOINT", local_kfp.endpoint)
    monkeypatch.setenv("KFP_MT_TOKEN_FILE", str(local_kfp.token_file("alice/default-editor")))
    monkeypatch.setenv("KFP_MT_NAMESPACE", "alice")


def texts(notebook):
    """All that the cells of a notebook have shown, as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text") or output.get("data", {}).get("text/plain", "")
            yield output.get("evalue", "")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_the_outputs_of_some_machine(name):
    cells = nbformat.read(ROOT / "binder" / name, 4).cells
    assert [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.parametrize("name", sorted({*NOTEBOOKS} - IN_BROWSER))
def test_a_notebook_runs_from_top_to_bottom(name, demo_kfp, tmp_path):
    notebook = nbformat.read(ROOT / "binder" / name, 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = "\n".join(texts(notebook))
    assert [text for text in SHOWN[name] if text not in shown] == []
