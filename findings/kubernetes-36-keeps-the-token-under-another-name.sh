#!/usr/bin/env bash
# The Python client of Kubernetes keeps a kubeconfig's token under another name since release 36.
#
# Up to 35 `Configuration.api_key` has it as `authorization`, the name of the header, and so did the
# documentation's examples. From 36 on it is `BearerToken`. What asks for the old name, such as
# `get_api_key_with_prefix("authorization")`, gets None, no error, and goes on without a token.
# One would expect both names to be understood for a while, or a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >kubeconfig <<'END'
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: of-the-file}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
cat >read.py <<'END'
from importlib.metadata import version
from kubernetes import client, config

found = client.Configuration()
config.load_kube_config("kubeconfig", client_configuration=found)
print(version("kubernetes"), sorted(found.api_key), found.get_api_key_with_prefix("authorization"))
END
for version in 35.0.0 36.0.3; do
  python3 -m venv "v$version"
  "v$version/bin/pip" install --quiet --disable-pip-version-check "kubernetes==$version"
  "v$version/bin/python" read.py | tee -a seen
done
diff seen - <<'END'
35.0.0 ['authorization'] Bearer of-the-file
36.0.3 ['BearerToken'] None
END
