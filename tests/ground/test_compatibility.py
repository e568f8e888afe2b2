"""The table of `make compatibility` on a machine that does not have everything."""

import pytest
from compatibility.environments import NotHere, interpreter


def test_a_python_that_is_missing_or_does_not_run_is_left_out_with_the_reason(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(NotHere, match="there is no python3.99 in the PATH"):
        interpreter("3.99")
    shim = tmp_path / "python3.98"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.98: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    with pytest.raises(NotHere, match="does not run:\npyenv: python3.98: command not found"):
        interpreter("3.98")
