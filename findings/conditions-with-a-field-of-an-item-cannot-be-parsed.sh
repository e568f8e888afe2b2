#!/usr/bin/env bash
# kfp's compiler writes a comparison of a loop item's field with a number parameter as a condition
# that no server can parse: `item > 'inputs.parameter_values['limit']'`, with the reference in quotes
# and quotes within. The compiler says nothing; the run fails when the loop has begun. A field has no
# type, so kfp takes it as a text and puts the other side between quotes, whatever that is. A good
# guess was that a parameter is compared like a constant. To compare in a component avoids it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kfp==2.17.0 cel-python==0.5.0
cat > "$folder/pipelines.py" <<'PYTHON'
import sys
import warnings

import yaml

warnings.simplefilter("ignore")
import celpy
import kfp
from kfp import compiler, dsl


@dsl.component(base_image="python:3.11")
def say():
    print("large")


@dsl.pipeline
def loop(rows: list = [{"size": 1}, {"size": 3}], limit: float = 2.0):
    with dsl.ParallelFor(rows) as row:
        with dsl.If(row.size > limit):
            say()


compiler.Compiler().compile(loop, sys.argv[1])
components = yaml.safe_load(open(sys.argv[1]))["components"]
(task,) = components["comp-for-loop-1"]["dag"]["tasks"].values()
condition = task["triggerPolicy"]["condition"]
print("kfp", kfp.__version__)
print(condition)
try:
    celpy.Environment().compile(condition)
except celpy.CELParseError:
    print("CEL cannot parse it.")
    sys.exit(0)
sys.exit("The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/pipelines.py" "$folder/loop.yaml"
