"""The demo and the sidebar in a real JupyterLab, in a real Chromium."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys

import nbformat
import pytest
import requests
import secrecy
from conftest import ROOT, wait_until
from playwright.sync_api import expect, sync_playwright

from jupyter_kfp_mt import lease
from jupyter_kfp_mt.client import Client
from jupyter_kfp_mt.credentials import TokenFile

# In milliseconds; the limit of a page does not reach what is expected of it.
expect.set_options(timeout=60_000)

# Chromium asks for things outside at its start unless it is told not to.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def jp_asyncio_loop():
    """None: no Jupyter server runs in this process, and Playwright has a loop of its own."""


@pytest.fixture
def jp_server_cleanup():
    """Nothing to clean up, likewise."""


def chromium():
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next(filter(None, map(shutil.which, filter(None, names))), None)
    return found or pytest.fail("Install Chromium, or name one in the variable CHROMIUM.")


# A namespace of others, in which alice may work: the demo's two have nothing in common.
TEAM = """
- namespace: team
  owner: carol@example.com
  contributors: {"system:serviceaccount:alice:default-editor": edit}
"""


class Lab:
    """A JupyterLab of its own, on the demo's configuration and a copy of its notebook."""

    def __init__(self, folder):
        self.root = folder / "notebooks"
        self.data = folder / "data"
        self.root.mkdir()
        shutil.copy(ROOT / "binder/demo.ipynb", self.root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.log = folder / "lab.log"
        secrecy.LOGS.update({self.log, self.data / "server.log"})
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("KFP_MT")},
            "HOME": str(folder),
            "JUPYTER_TOKEN": self.token,
            "IPYTHONDIR": str(folder / "ipython"),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", "--allow-root", "--no-browser"]
                + [f"--config={self._config(folder)}"],
                stdout=log,
                stderr=log,
                env=environment,
            )
        wait_until(self.answers, 60, "JupyterLab's start")

    def _config(self, folder):
        config, profiles = folder / "config.py", folder / "profiles.yaml"
        profiles.write_text((ROOT / "binder/profiles.yaml").read_text().rstrip() + TEAM)
        config.write_text(
            f"load_subconfig('jupyter_lab_config.py', {str(ROOT / 'binder')!r})\n"
            "c = get_config()\n"
            f"c.Kfp.data = {str(self.data)!r}\n"
            f"c.Kfp.profiles = {str(profiles)!r}\n"
            f"c.ServerApp.root_dir = {str(self.root)!r}\n"
            f"c.ServerApp.port = {self.port}\n"
            "c.ServerApp.port_retries = 0\n"
        )
        return config

    def url(self, path, **parameters):
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"http://127.0.0.1:{self.port}/{path}?{query}"

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(self.url("api"), timeout=1).ok
        except requests.RequestException:
            return False

    def client(self, identity):
        found = wait_until(lambda: lease.running(self.data))
        return Client(found.endpoint, TokenFile(found.token_file(identity)), identity.split("/")[0])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()
    # Its local KFP was started for it, and goes with it.
    wait_until(lambda: lease.running(lab.data) is None, what="the end of the local KFP")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, tmp_path):
    """A page; whatever the Jupyter server has answered it is searched for tokens in the end."""
    traffic = tmp_path / "traffic.har"
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        record_har_path=traffic,
        record_har_url_filter="**/kfp-mt/**",
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()
    assert not secrecy.tells_token(traffic.read_text())


def outputs(notebook):
    """What each code cell of a notebook has shown, as one text a cell."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts = [output.get("text", "") for output in cell.outputs]
            data = [str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
            yield cell, "".join(texts + data)


def saved(path):
    """The notebook, once all of its cells have run and that was saved; None before."""
    try:
        notebook = nbformat.read(path, 4)
    except nbformat.reader.NotJSONError:  # it is being written
        return None
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    return notebook if all(counts) else None


def test_the_demo_runs_from_top_to_bottom(lab, page):
    path = lab.root / "demo.ipynb"
    fresh = nbformat.read(path, 4)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(fresh, path)

    page.goto(lab.url("lab/tree/demo.ipynb", token=lab.token))
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


def test_the_notebook_in_the_repository_was_run():
    """It is read as a page, too: with the outputs of its cells."""
    notebook = nbformat.read(ROOT / "binder/demo.ipynb", 4)
    assert all(cell.outputs for cell, _ in outputs(notebook) if "%kfp" in cell.source)


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
    with page.expect_request(lambda sent: "/api/workspaces/" in sent.url and sent.method == "PUT"):
        page.keyboard.press("Enter")
        row = panel.get_by_role("row").filter(has_text="of the team")
        expect(row).to_contain_text("Succeeded")
    expect(panel.get_by_role("button", name=re.compile("^team"))).to_be_focused()

    page.goto(lab.url("lab", token=lab.token))
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
