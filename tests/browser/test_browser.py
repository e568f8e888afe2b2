"""The demo and the sidebar in a real JupyterLab, in a real Chromium."""

import re

import nbformat
from harness.waiting import wait_until
from playwright.sync_api import expect


def outputs(notebook):
    """Yield each code cell of a notebook, and all that it has shown as one text."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts = [output.get("text", "") for output in cell.outputs]
            data = [str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
            errors = [output.get("evalue", "") for output in cell.outputs]
            yield cell, "".join(texts + data + errors)


def saved(path):
    """The notebook, once all of its cells have run and that was saved; None before."""
    try:
        notebook = nbformat.read(path, 4)
    except nbformat.reader.NotJSONError:  # it is being written
        return None
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    return notebook if all(counts) else None


def test_the_demo_runs_from_top_to_bottom(lab, page):
    path = lab.root / "two-tenants.ipynb"
    page.goto(lab.url("lab/tree/two-tenants.ipynb", token=lab.token))
    # Not before it has its kernel: JupyterLab would ask for one, or drop the cells.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output")
    expect(last).to_contain_text("quarterly", timeout=90_000)
    page.keyboard.press("Control+s")
    notebook = wait_until(lambda: saved(path), what="the notebook's end")

    shown = [text for _, text in outputs(notebook)]
    errors = [
        (cell.source, output)
        for cell, _ in outputs(notebook)
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
        if "raises-exception" not in cell.metadata.get("tags", [])
    ]
    assert errors == []
    everything = "\n".join(shown)
    assert "Identity     system:serviceaccount:alice:default-editor" in everything
    assert "epoch 20" in everything
    assert "No runs found in namespace bob." in everything
    refusal = "system:serviceaccount:bob:default-editor may not list runs in namespace alice"
    assert refusal in everything
    assert "connecting to the warehouse as bob_reader" in everything
    assert "alice_reader" not in everything
    # Neither identity's token is anywhere in the notebook.
    for identity in ("alice/default-editor", "bob/default-editor"):
        assert (lab.data / "tokens" / identity / "token").read_text() not in path.read_text()


def test_the_sidebar_names_who_and_where_and_lists_runs_as_they_go(lab, page, adder):
    client = lab.client("alice/default-editor")
    page.goto(lab.url("lab", token=lab.token, reset=""))
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    panel = page.get_by_role("region", name="Kubeflow Pipelines")
    expect(panel).to_contain_text("Local KFP")
    expect(panel).to_contain_text("alice / default-editor")

    run = client.start_run(adder, {"x": 1}, name="seen <b>live</b>")
    row = panel.get_by_role("row").filter(has_text="seen <b>live</b>")
    expect(row).to_contain_text("Succeeded")
    assert client.run(run.run_id).state == "SUCCEEDED"
    client.close()


def test_another_namespace_is_chosen_by_keyboard_and_still_is_in_the_next_session(lab, page, adder):
    client = lab.client("team/default-editor")
    client.start_run(adder, {"x": 1}, name="of the team")
    page.goto(lab.url("lab", token=lab.token, reset=""))
    # The launcher takes the focus when it opens.
    page.locator(".jp-LauncherCard").first.wait_for()
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    panel = page.get_by_role("region", name="Kubeflow Pipelines")
    panel.get_by_role("button", name=re.compile("^alice")).first.press("Enter")
    expect(panel.get_by_role("option", name="bob")).to_be_disabled()
    page.keyboard.type("tea")
    expect(panel.get_by_role("option").first).to_have_text(re.compile("^team"))
    with page.expect_response("**/kfp-mt/namespace?namespace=team"):
        page.keyboard.press("Enter")
        row = panel.get_by_role("row").filter(has_text="of the team")
        expect(row).to_contain_text("Succeeded")
    expect(panel.get_by_role("button", name=re.compile("^team"))).to_be_focused()

    # A page that is left at once may not have saved that the panel was open.
    page.goto(lab.url("lab", token=lab.token, reset=""))
    page.locator(".jp-LauncherCard").first.wait_for()
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    expect(row).to_be_visible()
    expect(panel).to_contain_text("alice / default-editor")
    client.close()


def test_the_browser_holds_no_token_of_kfp(lab, page):
    answers = []
    page.on("response", lambda answer: answers.append(answer) if "kfp-mt" in answer.url else None)
    page.goto(lab.url("lab", token=lab.token, reset=""))
    page.get_by_role("tab", name="Kubeflow Pipelines").click()
    with page.expect_response("**/kfp-mt/api/apis/v2beta1/runs*"):
        page.locator(".jp-KfpMt-refresh").click()
    # A stream of events has no end to wait for; what it brings is in the page.
    whole = [answer for answer in answers if "/kfp-mt/events" not in answer.url]
    held = [answer.text() + str(answer.all_headers()) for answer in whole]
    held += [page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")]
    held += [str(page.context.cookies()), page.content()]
    assert any('"namespace":"alice"' in text for text in held)
    signatures = [
        path.read_text().split(".")[2] for path in (lab.data / "tokens").glob("*/*/token")
    ]
    assert signatures
    assert not [text for text in held for signature in signatures if signature in text]
