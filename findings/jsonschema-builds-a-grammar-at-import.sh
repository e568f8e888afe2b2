#!/usr/bin/env bash
# A Jupyter server starts most of a second later with jsonschema 4.25 and newer, and nothing says why.
# jupyter_events asks for jsonschema[format-nongpl]. With that extra jsonschema 4.25 looks for
# rfc3987-syntax, a package that builds its grammar with lark while it is imported, and jsonschema
# imports it as soon as it is imported itself, whether or not a format is ever checked. The guess was
# that an extra for formats costs nothing until a format is checked, as with 4.24.
#
# Exits with 1 if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

loads() {
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" install --quiet --disable-pip-version-check "jsonschema[format-nongpl]==$1"
  "$folder/$1/bin/python" - <<'PYTHON'
import sys
import time
from importlib.metadata import version

began = time.perf_counter()
import jsonschema

took = time.perf_counter() - began
loaded = "lark" in sys.modules
print(f"jsonschema {version('jsonschema')}: import {took:.2f} s, lark is loaded: {loaded}")
sys.exit(loaded)
PYTHON
}

loads 4.24.0 || { echo "4.24.0 loads it as well."; exit 1; }
if loads 4.26.0; then
  echo "The behaviour has changed: 4.26.0 does not load it."
  exit 1
fi
