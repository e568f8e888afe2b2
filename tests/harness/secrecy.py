"""Whatever a test run shows - logs, errors, answers, cells - is searched for tokens."""

import functools
import re
import subprocess

from IPython.core.interactiveshell import InteractiveShell
from tornado.http1connection import HTTP1Connection

from jupyter_kfp_mt.errors import KfpError
from jupyter_kfp_mt.extension.kernel_door import Keys

# A JSON Web Token with its signature.
TOKEN = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}")
# Other secrets that this run has made: keys of Jupyter servers, cookies of sessions.
SECRETS = set()
# The logs of the servers that were started, and of those that they started.
LOGS = set()
# Where something secret was shown in this process, since the last test.
SHOWN = []


def tells_token(text):
    return TOKEN.search(text) is not None or any(secret in text for secret in SECRETS)


def telling_logs():
    """Return the texts that a token is in."""
    there = [path for path in LOGS if path.exists()]
    return [path for path in there if tells_token(path.read_text(errors="replace"))]


def watch():
    """Look from now on at each error, answer of a server here, output of a cell or a program."""
    for name in ("__str__", "to_dict"):
        _look_at(KfpError, name, lambda error, said, *_: f"{said} {vars(error)}")
    for name in ("write", "write_headers"):
        _look_at(HTTP1Connection, name, _answered)
    _look_at(InteractiveShell, "run_line_magic", _displayed)
    _look_at(subprocess, "run", lambda _, done: f"{done.stdout} {done.stderr}")
    _look_at(Keys, "renew", _remembered)


def _look_at(owner, name, words):
    """After each call of a method, at the words that its object, result and arguments make."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def looked_at(self, *arguments, **options):
        result = method(self, *arguments, **options)
        if tells_token(words(self, result, *arguments)):
            SHOWN.append(f"{owner.__name__}.{name}")
        return result

    setattr(owner, name, looked_at)


def _answered(connection, _, *parts):
    """Look at all that a server sends: the lines of a head, and the pieces of a body."""
    if connection.is_client:
        return ""
    pieces = (bytes(each) if isinstance(each, (bytes, memoryview)) else each for each in parts)
    return " ".join(
        each.decode("latin1") if isinstance(each, bytes) else str(each) for each in pieces
    )


def _remembered(keys, _):
    """A new key of a Jupyter server of this process is secret, too."""
    SECRETS.add(keys.file.read_text())
    return ""


def _displayed(shell, result, *_):
    return str(shell.display_formatter.format(result))
