"""The layers: who may import whom, and what stays unloaded until it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jupyter_kfp_mt"

# Each room, and the rooms of this package that its files never import.
FORBIDDEN = {
    "extension": {"notebook", "local"},
    "notebook": {"extension", "local"},
    "local": {"extension", "notebook", "client", "connection", "credentials", "settings"},
    ".": {"extension", "notebook", "local"},
}
# The package's own file and the command line open the doors of every room.
DOORS = {"__init__.py", "cli.py"}


def imported(path):
    """The first name below the package of each module of it that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = ["jupyter_kfp_mt", *path.relative_to(PACKAGE).parts][: -node.level or None]
            base = ".".join([*(parts if node.level else []), *filter(None, [node.module])])
            modules = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            package, _, rest = module.partition(".")
            if package == "jupyter_kfp_mt":
                yield rest.partition(".")[0]


def test_imports_are_found_however_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    file = tmp_path / "room" / "file.py"
    file.write_text(
        "import os, jupyter_kfp_mt.a\n"
        "from jupyter_kfp_mt import b\n"
        "from jupyter_kfp_mt.c.d import e\n"
        "from .. import f\n"
        "from ..g import h\n"
        "from . import i\n"
    )
    assert list(imported(file)) == ["a", "b", "c", "f", "g", "room"]


def files(room):
    """The Python files of a room and of the rooms in it; "." is the package's own files."""
    return (PACKAGE / room).glob("*.py" if room == "." else "**/*.py")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_is_below_it(room):
    for path in files(room):
        if room != "." or path.name not in DOORS:
            assert not FORBIDDEN[room] & set(imported(path)), path


def test_the_local_kfp_knows_only_what_stands_on_nothing():
    for path in files("local"):
        assert set(imported(path)) <= {"local", "errors", "models", "log_lines", "argo_nodes"}, path


def loaded_by(code):
    """The modules that are loaded in a fresh interpreter after some code."""
    program = f"{code}\nimport sys; print(' '.join(sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", program], text=True).split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = loaded_by("import jupyter_kfp_mt")
    assert not loaded & {"kfp", "kubernetes", "ipywidgets", "IPython", "requests", "msgspec"}


def test_loading_the_magic_loads_nothing_heavy():
    loaded = loaded_by(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance().run_line_magic('load_ext', 'jupyter_kfp_mt')"
    )
    assert not loaded & {"kfp", "kubernetes", "ipywidgets", "requests", "msgspec", "jinja2", "yaml"}


def test_a_jupyter_server_starts_without_what_only_requests_need():
    loaded = loaded_by("import jupyter_kfp_mt.extension.app")
    assert not loaded & {"aiohttp", "kubernetes", "kfp", "yarl"}


def test_the_local_kfp_serves_without_the_sdk():
    assert "kfp" not in loaded_by("import jupyter_kfp_mt.local.__main__")
