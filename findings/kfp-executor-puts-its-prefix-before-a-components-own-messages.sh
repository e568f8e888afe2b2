#!/usr/bin/env bash
# kfp's executor sets up Python's root logger with the format `[KFP Executor TIME LEVEL]: ...`, and a
# component runs in the same process. So what a component tells `logging` has that prefix, too, and a
# line that begins with it may be either's. A good guess was that the prefix tells the executor's
# lines from the component's; only the text of a message does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# As in a task's pod, where _KFP_RUNTIME is set and kfp needs none of its dependencies.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps kfp==2.17.0
cat > "$folder/component.py" <<'PYTHON'
import logging


def train():
    logging.info("epoch 1 of 3")
PYTHON
_KFP_RUNTIME=true "$folder/venv/bin/python" -m kfp.dsl.executor_main \
    --component_module_path "$folder/component.py" --function_to_execute train \
    --executor_input "{\"outputs\": {\"outputFile\": \"$folder/out.json\"}}" > "$folder/log"
"$folder/venv/bin/pip" list 2> /dev/null | grep '^kfp '
cat "$folder/log"
grep -q '^\[KFP Executor .* INFO\]: Looking for component `train`' "$folder/log"
grep -q '^\[KFP Executor .* INFO\]: epoch 1 of 3$' "$folder/log"
