#!/usr/bin/env bash
# Notebook 7.6.5 as it is installed, without an extension, raises an error in the page of each notebook
# that is opened: a setting's plugin is told to load before its schema is there. The page works. A test
# that expects a page without errors, as one writes for an extension and as holds for Notebook 7.5.8,
# fails for a reason that is not its own.
# Needs Chromium (CHROMIUM names another).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >page.py <<'PYTHON'
import os, secrets, shutil, socket, subprocess, sys, time
from urllib.request import urlopen
from playwright.sync_api import sync_playwright

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
token = secrets.token_hex(16)
server = subprocess.Popen(
    [sys.executable, "-m", "jupyter", "notebook", "--no-browser", "--allow-root", f"--port={port}"],
    env=os.environ | {"JUPYTER_TOKEN": token, "HOME": os.getcwd()},
    stderr=subprocess.DEVNULL,
)
errors = []
try:
    for _ in range(300):
        try:
            urlopen(f"http://127.0.0.1:{port}/api", timeout=5)
            break
        except OSError:
            time.sleep(0.2)
    with sync_playwright() as playwright:
        chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/notebooks/empty.ipynb?token={token}")
        page.locator(".jp-NotebookPanel-toolbar").wait_for(timeout=120_000)
        page.locator(".jp-Cell").first.wait_for(timeout=120_000)
        page.wait_for_load_state("networkidle")
        browser.close()
finally:
    server.terminate()
    server.wait()
print(errors or "no error")
PYTHON
cat >empty.ipynb <<'JSON'
{"cells": [{"cell_type": "code", "id": "a", "execution_count": null, "metadata": {}, "outputs": [],
"source": ""}], "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}
JSON

shows() {
  python3 -m venv --clear environment
  environment/bin/pip install --quiet --disable-pip-version-check "notebook==$1" "jupyterlab==$2" \
    playwright==1.55.0
  environment/bin/python page.py
}

older=$(shows 7.5.8 4.5.11)
echo "Notebook 7.5.8: $older"
newer=$(shows 7.6.5 4.6.6)
echo "Notebook 7.6.5: $newer"
[ "$older" = 'no error' ] && [ "$newer" = "[\"Cannot read properties of undefined (reading 'schema')\"]" ]
