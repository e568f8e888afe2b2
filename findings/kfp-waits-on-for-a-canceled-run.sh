#!/usr/bin/env bash
# kfp's Client.wait_for_run_completion ends when a run has succeeded, failed or was skipped, but not
# when it was canceled: it goes on asking until its timeout, which RunPipelineResult sets to for ever.
# CANCELED is one of the final states of KFP's API (V2beta1RuntimeState). Exits 0 while that is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet kfp==2.17.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kfp

STATE = {"final": "CANCELED"}


class OneRun(BaseHTTPRequestHandler):
    """Answers as KFP does for a run that has ended, in the state that is asked about."""

    def do_GET(self):
        body = {"run_id": "r", "display_name": "r", "state": STATE["final"]}
        content = json.dumps(body if "/runs/" in self.path else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), OneRun)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = kfp.Client(host=f"http://127.0.0.1:{server.server_port}")


def ending(state):
    STATE["final"] = state
    try:
        return client.wait_for_run_completion("r", timeout=3, sleep_duration=1).state
    except TimeoutError:
        return "TimeoutError after 3 s"


found = {state: ending(state) for state in ("SUCCEEDED", "FAILED", "CANCELED")}
print("kfp", kfp.__version__)
for state, ended in found.items():
    print(f"waiting for a run that is {state}: {ended}")
expected = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "CANCELED": "TimeoutError after 3 s"}
sys.exit(found != expected)
PYTHON
