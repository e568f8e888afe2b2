"""Read a kubeconfig without the kfp SDK: `python kubeconfig.py FOLDER`.

The SDK allows one release of Kubernetes' own client; where it is not installed, any may be there.
"""

import json
import sys
from pathlib import Path

from jupyter_kfp_mt.credentials.kubeconfig import Kubeconfig

PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": sys.executable,
    "interactiveMode": "Never",
}
CREDENTIAL = {
    "apiVersion": PLUGIN["apiVersion"],
    "kind": "ExecCredential",
    "status": {"token": "from-the-plugin"},
}


def kubeconfig(folder, user):
    cluster = {"server": "https://127.0.0.1:1/", "tls-server-name": "kubernetes"}
    context = {"cluster": "c", "user": "u", "namespace": "alice"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return Kubeconfig(str(file))


def main(folder):
    folder = Path(folder)
    found = kubeconfig(folder, {"token": "from-the-file"})
    assert found.headers()["Authorization"] == "Bearer from-the-file"
    assert (found.server, found.tls.server_name) == ("https://127.0.0.1:1", "kubernetes")
    args = ["-c", f"print({json.dumps(CREDENTIAL)!r})"]
    found = kubeconfig(folder, {"exec": {**PLUGIN, "args": args}})
    assert found.headers()["Authorization"] == "Bearer from-the-plugin"


if __name__ == "__main__":
    main(*sys.argv[1:])
