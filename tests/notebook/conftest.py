"""`%kfp` for the tests of the notebook, as alice on the local KFP."""

import pytest


@pytest.fixture
def kfp(shell, as_alice):
    """Return a function that runs `%kfp LINE`."""
    return lambda line="": shell.run_line_magic("kfp", line)


@pytest.fixture
def cell(shell, as_alice):
    """Return a function that runs `%%kfp LINE` with a body."""
    return lambda line, body: shell.run_cell_magic("kfp", line, body)
