#!/usr/bin/env bash
# Since IPython 9.8 get_ipython().execution_count, which was the number of the running cell, is already
# that of the next one while a cell runs: code in the cell In [1] reads 2, and what it writes down as
# "cell 2" is the wrong place to look. The number that both agree on while a cell runs is
# get_ipython().displayhook.prompt_count.
#
# Exits with 1 if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Prints what the first cell of a shell reads: execution_count, prompt_count, and the cell's own number.
counts() {
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" install --quiet --disable-pip-version-check "ipython==$1"
  IPYTHONDIR="$folder/$1/ipython" "$folder/$1/bin/python" - <<'PYTHON'
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
cell = "seen = (get_ipython().execution_count, get_ipython().displayhook.prompt_count)"
result = shell.run_cell(cell, store_history=True)
print(*shell.user_ns["seen"], result.execution_count)
PYTHON
}

before=$(counts 9.7.0)
now=$(counts 9.18.1)
echo "execution_count, displayhook.prompt_count and number of the first cell, while it runs:"
echo "IPython 9.7.0: $before; IPython 9.18.1: $now"
[ "$before" = "1 1 1" ] && [ "$now" = "2 1 1" ]
