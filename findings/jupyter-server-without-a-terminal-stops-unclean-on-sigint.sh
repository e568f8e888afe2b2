#!/usr/bin/env bash
# Jupyter Server ends on SIGINT without stopping its extensions and kernels where its standard input
# is no terminal: as a service, in a container, under JupyterHub, whose spawner sends SIGINT first. It
# sets its handler for SIGINT only at a terminal, so Python raises KeyboardInterrupt in the event
# loop, and what follows is the end of the process: no stop_extension is called, and the file that
# lists the server as running stays. JupyterHub's single-user server overrides the handler to stop at
# once, which never takes effect for the same reason. A good guess was that SIGINT stops it as SIGTERM
# does. An extension that has something to end with the server needs a way of its own, such as atexit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jupyter_server==2.21.1
mkdir "$folder/extension"
cat > "$folder/extension/says_when_stopped.py" <<'PYTHON'
from jupyter_server.extension.application import ExtensionApp


class SaysWhenStopped(ExtensionApp):
    name = "says_when_stopped"

    async def stop_extension(self):
        print("the extension was stopped", flush=True)


def _jupyter_server_extension_points():
    return [{"module": "says_when_stopped", "app": SaysWhenStopped}]
PYTHON
cat > "$folder/stop.py" <<'PYTHON'
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jupyter_server


def ended_by(sent):
    """Starts a server, sends it a signal; returns whether its extension and its file were ended."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "runtime")
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0", "--allow-root"]
        settings = Path(folder, "settings.json")
        settings.write_text('{"ServerApp": {"jpserver_extensions": {"says_when_stopped": true}}}')
        command += [f"--config={settings}"]
        environment = {**os.environ, "HOME": folder, "JUPYTER_RUNTIME_DIR": str(files)}
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output = ""
        while "is running at" not in output:
            line = server.stdout.readline()
            output += line or sys.exit(f"The server did not start:\n{output}")
        server.send_signal(sent)
        output += server.communicate(timeout=30)[0]
        left = [file.name for file in files.glob("jpserver-*.json")]
    return "the extension was stopped" in output, not left


print("jupyter_server", jupyter_server.__version__)
terminated, interrupted = ended_by(signal.SIGTERM), ended_by(signal.SIGINT)
print("SIGTERM: extension stopped, file of the running server removed:", *terminated)
print("SIGINT:  extension stopped, file of the running server removed:", *interrupted)
as_found = terminated == (True, True) and interrupted == (False, False)
sys.exit(0 if as_found else "The behaviour has changed.")
PYTHON
PYTHONPATH="$folder/extension" "$folder/venv/bin/python" "$folder/stop.py"
