#!/usr/bin/env bash
# With pytest 9.2 pytest-xdist 3.8 no longer keeps the tests of an xdist_group on one worker, and says
# nothing: --dist loadgroup does what --dist load does. xdist's workers put the group behind each
# test's private _nodeid, from which its scheduler takes it; pytest 9.2 makes nothing of that any more.
# With pytest 8.4 the same test file runs on one worker. Tests that share what is slow to start, or
# must not run beside each other, have to see to it themselves.
#
# Exits with 1 if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_group.py" <<'PYTHON'
import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_in_a_group(number):
    pass
PYTHON

# Prints how many workers have run the eight tests of the one group.
workers() {
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  (cd "$folder" && "$folder/$1/bin/python" -m pytest -p no:cacheprovider -v -n 2 --dist loadgroup) |
    sed -n 's/^\(\[gw[0-9]*\]\).* PASSED .*/\1/p' | sort -u | wc -l
}

before=$(workers 8.4.2)
now=$(workers 9.2.0)
echo "pytest-xdist 3.8.0, one xdist_group: on $before worker with pytest 8.4.2, on $now with 9.2.0"
[ "$before" = 1 ] && [ "$now" = 2 ]
