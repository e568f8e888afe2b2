#!/usr/bin/env bash
# kfp's compiler loses the branches of a pipeline that is a task of another one, if both have a
# dsl.If. The components of the groups have the same names (comp-condition-2), so the tasks of both
# go into one of them, where those of one name replace each other, and the other stays empty. The
# compiler says nothing; whatever runs it executes the wrong branch, or nothing. A good guess was that
# each pipeline keeps its own. To move the conditions of one of the two into a component avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.0
cat > "$folder/pipelines.py" <<'PYTHON'
import sys
import warnings

import yaml

warnings.simplefilter("ignore")
import kfp
from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def say(text: str):
    print(text)


@dsl.pipeline
def inner(size: str):
    with dsl.If(size == "small"):
        say(text="inner, small")
    with dsl.Else():
        say(text="inner, large")


@dsl.pipeline
def outer(size: str):
    inner(size=size)
    with dsl.If(size == "small"):
        say(text="outer, small")
    with dsl.Else():
        say(text="outer, large")


compiler.Compiler().compile(outer, sys.argv[1])
components = yaml.safe_load(open(sys.argv[1]))["components"]
branches = {
    name: sorted(
        task["inputs"]["parameters"]["text"]["runtimeValue"]["constant"]
        for task in component.get("dag", {}).get("tasks", {}).values()
    )
    for name, component in sorted(components.items())
    if name.startswith("comp-condition-") and "branches" not in name
}
print("kfp", kfp.__version__)
for name, texts in branches.items():
    print(name, texts)
sys.exit(0 if [] in branches.values() else "The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/pipelines.py" "$folder/outer.yaml"
