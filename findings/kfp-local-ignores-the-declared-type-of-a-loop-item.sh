#!/usr/bin/env bash
# kfp.local hands a loop's item to its tasks as it is, whatever type the compiled pipeline declares for
# it. A pipeline's input that is annotated as a bare list has items of type STRING in the compiled
# file: KFP's driver on a cluster turns each into text before a task gets it, so a task with `item: str`
# gets "1" there and 1.0 from kfp.local, and a task with `item: int` works in kfp.local and is refused
# there ("type mismatch: expect NUMBER_INTEGER, got string": backend/src/v2/driver/resolve.go). A good
# guess was that what has passed in kfp.local gets the same values on a cluster. Annotating the input
# as list[int] declares the items as numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.0
cat > "$folder/loop.py" <<'PYTHON'
import contextlib
import io
import sys
import warnings

import yaml

warnings.simplefilter("ignore")
import kfp
from kfp import compiler, dsl, local


@dsl.component(base_image="python:3.11")
def show(item: str):
    print("the task got", type(item).__name__, item)


@dsl.component(base_image="python:3.11")
def show_number(item: int):
    print("the task got", type(item).__name__, item)


@dsl.pipeline
def bare(items: list):
    with dsl.ParallelFor(items) as item:
        show(item=item)


@dsl.pipeline
def typed(items: list[int]):
    with dsl.ParallelFor(items) as item:
        show_number(item=item)


def declared(pipeline):
    compiler.Compiler().compile(pipeline, "pipeline.yaml")
    loop = yaml.safe_load(open("pipeline.yaml"))["components"]["comp-for-loop-1"]
    items = {
        name: parameter["parameterType"]
        for name, parameter in loop["inputDefinitions"]["parameters"].items()
        if name.endswith("loop-item")
    }
    return list(items.values())


print("kfp", kfp.__version__)
types = declared(bare), declared(typed)
print("items of list:     ", *types[0])
print("items of list[int]:", *types[1])
local.init(local.SubprocessRunner(use_venv=False))
output = io.StringIO()
with contextlib.redirect_stdout(output):
    bare(items=[1])
given = [line.strip() for line in output.getvalue().splitlines() if "the task got" in line]
print("with list, in kfp.local", *given)
as_found = types == (["STRING"], ["NUMBER_INTEGER"]) and given == ["the task got float 1.0"]
sys.exit(0 if as_found else "The behaviour has changed.")
PYTHON
cd "$folder"
"$folder/venv/bin/python" "$folder/loop.py"
