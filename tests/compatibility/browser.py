"""A front end in Chromium: the panel lists a run, and a cell shows it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from playwright.sync_api import Page, expect, sync_playwright

from .environments import Environment, clean

RUN = "seen in the browser"
PANEL = "jupyter-kfp-mt:sidebar"
SECONDS = 180
ATTEMPTS = 4
TOKEN = secrets.token_hex(16)
# Errors that a front end has in its pages without any extension: Notebook 7.6 (see findings/).
OWN = ["Cannot read properties of undefined (reading 'schema')"]
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "runs",
            "metadata": {},
            "outputs": [],
            "source": "%load_ext jupyter_kfp_mt\n%kfp runs",
        }
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def lab(environment: Environment, folder: Path, endpoint: str) -> None:
    """See a cell, the panel and its page show a run in JupyterLab, and a dialog start another."""
    with _page(environment, folder, endpoint, "lab") as (page, url):
        page.goto(url("lab/tree/runs.ipynb"))
        _check_version(page, environment.version("jupyterlab"))
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.locator(f'.lm-TabBar-tab[data-id="{PANEL}"]').click()
        _run_cell(page)
        _use_panel(page)


def notebook(environment: Environment, folder: Path, endpoint: str) -> None:
    """See a cell, the panel and its page show a run in Notebook, and a dialog start another."""
    with _page(environment, folder, endpoint, "notebook") as (page, url):
        page.goto(url("notebooks/runs.ipynb"))
        _check_version(page, environment.version("notebook"))
        _run_cell(page)
        page.get_by_role("menuitem", name="View", exact=True).click()
        page.get_by_text("Show Kubeflow Pipelines", exact=True).click()
        _use_panel(page)


def _check_version(page: Page, wanted: str) -> None:
    """Raises `AssertionError` if the page is not that of the environment, but of another one."""
    config = json.loads(page.locator("#jupyter-config-data").text_content() or "{}")
    assert config["appVersion"] == wanted, f"the page is that of {config['appVersion']}"


def _use_panel(page: Page) -> None:
    """Open the page of a run, and start a clone of it in the dialog."""
    panel = page.locator(f'[id="{PANEL}"]')
    row = panel.get_by_role("row").filter(has_text=RUN).last
    row.click()
    run = page.get_by_role("region", name=RUN)
    expect(run.get_by_role("status").first).to_have_text("Succeeded")
    expect(run.get_by_role("button", name="count Succeeded")).to_be_visible()
    panel.get_by_role("button", name="Clone…").click()
    form = page.get_by_role("dialog")
    name = f"started here {secrets.token_hex(4)}"
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_role("button", name="Start", exact=True).click()
    expect(form).to_be_hidden()
    expect(panel.get_by_role("row").filter(has_text=name)).to_contain_text("Succeeded")


def _run_cell(page: Page) -> None:
    """Run the cell and see the run. A kernel that is not connected yet lets nothing be run."""
    shown = page.locator(".jp-Cell-outputArea").first
    page.locator(".jp-CodeCell .cm-content").first.wait_for()
    page.get_by_text("Python 3 (ipykernel)").filter(visible=True).first.wait_for()
    for _ in range(ATTEMPTS):
        # By the menu: a key goes to whatever has the focus while a slow page is still made.
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu").get_by_text("Run All Cells", exact=True).click()
        with suppress(AssertionError):
            expect(shown).to_contain_text(RUN, timeout=SECONDS * 1000 / ATTEMPTS)
            return
    expect(shown).to_contain_text(RUN)


@contextmanager
def _page(environment: Environment, folder: Path, endpoint: str, app: str) -> Iterator:
    """A page, and what makes the addresses of the server; an error in the page is raised."""
    errors: list[str] = []
    with server(environment, folder, endpoint, app) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)
        page.on("pageerror", lambda error: str(error) in OWN or errors.append(str(error)))
        try:
            yield page, url
        finally:
            page.screenshot(path=folder / f"{environment.folder.name}.png")
            browser.close()
    assert not errors, f"errors in the page: {errors}"


@contextmanager
def server(
    environment: Environment,
    folder: Path,
    endpoint: str,
    app: str,
    prefix: str = "/",
    port: int = 0,
) -> Iterator:
    """A Jupyter server of alice's, as a function that makes the addresses of paths."""
    port = port or free_port()
    root = environment.folder / f"notebooks-{port}"
    root.mkdir()
    (root / "runs.ipynb").write_text(json.dumps(NOTEBOOK))
    command = [environment.python, "-m", "jupyter", app, "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", f"--ServerApp.root_dir={root}"]
    command += [f"--ServerApp.base_url={prefix}"]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=of_alice(environment, folder, endpoint), stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}{prefix}"
    try:
        _wait(f"{address}api", process)
        yield lambda path: f"{address}{path}?token={TOKEN}"
    finally:
        process.terminate()
        process.wait(60)


def of_alice(environment: Environment, folder: Path, endpoint: str) -> dict[str, str]:
    """The environment variables of a program of alice's."""
    return clean(environment.folder) | {
        "JUPYTER_TOKEN": TOKEN,
        "KFP_MT_ENDPOINT": endpoint,
        "KFP_MT_TOKEN_FILE": str(folder / "data/tokens/alice/default-editor/token"),
        "KFP_MT_NAMESPACE": "alice",
    }


def _wait(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the Jupyter server ended while it was starting"
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise TimeoutError(f"no Jupyter server after {SECONDS} s")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _chromium() -> str:
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "Install Chromium, or name one in the variable CHROMIUM."
    return found
