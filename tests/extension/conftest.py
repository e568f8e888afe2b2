"""Fixtures that the tests of the extension share."""

import pytest
from harness.jupyter_server import server_config


@pytest.fixture
def jp_server_config(behind, token_file):
    """The configuration of a Jupyter server before the KFP of the test, in alice's namespace."""
    return server_config(endpoint=behind.endpoint, token_file=str(token_file), namespace="alice")


@pytest.fixture
def home(door, jp_serverapp, jp_base_url):
    """The address of the same server for browsers."""
    return f"http://127.0.0.1:{jp_serverapp.port}{jp_base_url.rstrip('/')}"
