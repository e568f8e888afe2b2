"""The layers: who may import whom, and what stays unloaded until it is needed."""

import ast
import subprocess
import sys
from functools import cache
from itertools import combinations

import pytest
from harness.paths import ROOT

PACKAGE = ROOT / "jupyter_kfp_mt"
# The rooms from the ground up; each imports only those before it. "." is the package's own files.
ORDER = [
    *(".", "network", "credentials", "cluster", "client", "connection", "namespaces", "doctor"),
    *("extension", "notebook/verbs", "notebook"),
    *("local/wire", "local/machine", "local/schedules", "local/pipelines"),
    *("local/execution", "local/execution/task", "local/execution/executors"),
    *("local/execution/run", "local/execution/server"),
    *("local/database", "local/data", "local/tenants", "local/operations", "local/api", "local"),
]
# Each is a process of its own, and meets the others over HTTP.
PROCESSES = ("extension", "notebook", "local")
# All that the local KFP knows of the rest.
KNOWN_TO_LOCAL = {"errors", "models", "log_lines", "argo_nodes", "cron"}
# The package's own file and the command line open the doors of every room.
DOORS = {PACKAGE / "__init__.py", PACKAGE / "cli.py"}


def files(package=PACKAGE):
    return [path for path in package.rglob("*.py") if "labextension" not in path.parts]


def imported(path, package=PACKAGE):
    """The file of each module of the package that a file imports, wherever in it that stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = [package.name, *path.relative_to(package).parts][: -node.level or None]
            base = ".".join([*(parts if node.level else []), *filter(None, [node.module])])
            modules = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            if module.partition(".")[0] == package.name:
                yield file_of(module, package)


def file_of(module, package):
    """Where a module is, or the module of which it is a name."""
    path = package.parent.joinpath(*module.split("."))
    if path.is_dir():
        return path / "__init__.py"
    file = path.with_suffix(".py")
    return file if file.exists() else file_of(module.rpartition(".")[0], package)


def room(path, package=PACKAGE):
    return path.parent.relative_to(package).as_posix()


def process(name):
    return name.partition("/")[0] if name.startswith(PROCESSES) else ""


@cache
def arrows(package=PACKAGE):
    """Each import of another room: from which file, and which."""
    return {
        (path, found)
        for path in files(package)
        if path not in DOORS
        for found in imported(path, package)
        if room(path, package) != room(found, package)
    }


def circles(found, package):
    """Pairs of rooms that import each other."""
    pairs = {(room(importer, package), room(target, package)) for importer, target in found}
    rooms = sorted({name for pair in pairs for name in pair})
    return [pair for pair in combinations(rooms, 2) if pair in pairs and pair[::-1] in pairs]


def package_of(folder, texts):
    package = folder / "a_package"
    for name, text in texts.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return package


def test_imports_are_found_however_they_are_written(tmp_path):
    text = (
        "import os, a_package.a\n"
        "from a_package import b\n"
        "from a_package.c.d import e\n"
        "from .. import f\n"
        "from . import g\n"
        "def h():\n    from ..i import j\n"
        "if TYPE_CHECKING:\n    from ..k import l\n"
    )
    found = ("a.py", "b.py", "c/d.py", "f.py", "room/g.py", "i.py", "k/__init__.py")
    package = package_of(tmp_path, {"room/file.py": text, **dict.fromkeys(found, "")})
    names = [
        path.relative_to(package).as_posix() for path in imported(package / "room/file.py", package)
    ]
    assert sorted(names) == sorted(found)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("from ..b import c\n", id="at the top"),
        pytest.param("def f():\n    from ..b.c import D\n", id="in a function"),
        pytest.param("if TYPE_CHECKING:\n    from ..b.c import D\n", id="for types"),
    ],
)
def test_rooms_that_import_each_other_are_found(tmp_path, text):
    package = package_of(tmp_path, {"a/d.py": text, "b/c.py": "from a_package.a.d import E\n"})
    assert circles(arrows(package), package) == [("a", "b")]


def test_every_room_has_its_place_in_the_order():
    assert {room(path) for path in files()} == set(ORDER)


def test_a_room_imports_only_what_is_below_it():
    above = {name: ORDER[place + 1 :] for place, name in enumerate(ORDER)}
    assert [arrow for arrow in arrows() if room(arrow[1]) in above[room(arrow[0])]] == []


def test_no_two_rooms_import_each_other():
    assert circles(arrows(), PACKAGE) == []


def test_processes_meet_over_http_alone():
    between = [
        (importer, found)
        for importer, found in arrows()
        if process(room(found)) and process(room(found)) != process(room(importer))
    ]
    assert between == []


def test_the_local_kfp_knows_only_what_stands_on_nothing():
    known = {PACKAGE / f"{name}.py" for name in KNOWN_TO_LOCAL}
    of_others = {
        found
        for importer, found in arrows()
        if process(room(importer)) == "local" and process(room(found)) != "local"
    }
    assert of_others == known


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
