"""That a token is found wherever a test shows one."""

import asyncio
import os
import subprocess
import sys

import pytest
import requests
from harness import secrecy
from harness.paths import ROOT
from IPython.core.interactiveshell import InteractiveShell
from tornado import httpserver, web

from jupyter_kfp_mt import errors


@pytest.fixture
def token(local_kfp):
    return local_kfp.token("alice/default-editor")


@pytest.fixture
def found():
    """Where a token has been shown; this test may."""
    yield lambda: [secrecy.SHOWN.pop() for _ in secrecy.SHOWN[:]]
    secrecy.SHOWN.clear()


def test_a_token_is_known_when_it_is_seen(token):
    assert secrecy.tells_token(f"Authorization: Bearer {token}\n") is True
    assert secrecy.tells_token(token.rpartition(".")[0]) is False  # nobody can use it so


def test_a_log_with_a_token_is_found(local_kfp, tmp_path, monkeypatch):
    monkeypatch.setattr(secrecy, "LOGS", {tmp_path / "good", tmp_path / "bad", tmp_path / "none"})
    (tmp_path / "good").write_text("a request")
    (tmp_path / "bad").write_text(f"a request by {local_kfp.token('users/bob@example.com')}")
    assert secrecy.telling_logs() == [tmp_path / "bad"]


def test_an_error_with_a_token_is_found(token, found):
    error = errors.KfpError("Cannot.", server_text=token)
    assert found() == []
    assert str(error) and found() == ["KfpError.__str__"]
    assert error.to_dict() and found() == ["KfpError.to_dict"]


async def test_an_answer_with_a_token_is_found(token, found):
    class Telling(web.RequestHandler):
        def get(self):
            self.write(token)

    server = httpserver.HTTPServer(web.Application([("/", Telling)]))
    server.listen(0, "127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]
    answered = await asyncio.to_thread(requests.get, f"http://127.0.0.1:{port}/", timeout=10)
    assert answered.text == token
    assert found()
    server.stop()


def test_a_cell_with_a_token_in_its_html_is_found(token, found):
    class Value:
        def _repr_html_(self):
            return token

    shell = InteractiveShell()
    shell.register_magic_function(lambda line: Value(), magic_name="telling")
    shell.run_line_magic("telling", "")
    assert found() == ["InteractiveShell.run_line_magic"]


def test_what_a_program_says_with_a_token_is_found(token, found):
    subprocess.run(["echo", token], capture_output=True)
    assert found() == ["subprocess.run"]


def test_a_test_that_logs_a_token_fails(tmp_path, token):
    file = tmp_path / "test_telling.py"
    code = f"logging.getLogger('a library').debug({token!r})"
    file.write_text(f"import logging\ndef test_telling():\n    {code}\n")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", ROOT / "pyproject.toml"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([*command, file], capture_output=True, text=True, env=environment)
    assert "A token is in what this test shows: its log or output." in done.stdout
    assert token not in done.stdout
