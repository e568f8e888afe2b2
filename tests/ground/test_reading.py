"""Rules that keep the code easy to read: short functions, and a guide that names existing files."""

import ast
import re

import pytest
from harness.paths import ROOT

PACKAGE = ROOT / "jupyter_kfp_mt"
LONGEST = 40
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def files():
    return [path for path in PACKAGE.rglob("*.py") if "labextension" not in path.parts]


def functions(source):
    """Each function of a module, and how many lines its body has, without its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            described = isinstance(first, ast.Expr) and ast.get_docstring(node) is not None
            begins = first.end_lineno + 1 if described else first.lineno
            yield node.name, node.end_lineno - begins + 1


def test_the_lines_of_a_function_are_counted_without_its_docstring():
    source = 'def f(a):\n    """It\n    is.\n    """\n    return a\n\ndef g():\n    return 1\n'
    assert list(functions(source)) == [("f", 1), ("g", 1)]


def test_no_function_is_longer_than_a_screen():
    long = {
        f"{path.relative_to(ROOT)}: {name}": lines
        for path in files()
        for name, lines in functions(path.read_text())
        if lines > LONGEST
    }
    assert long == {}


def test_no_docstring_begins_with_half_a_question():
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [
        f"{path.relative_to(ROOT)}: {docstring[:60]}"
        for path in [*files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node) or "")
        if re.match(r"(What|Whether|Why|Those|How|Who)\b", docstring)
    ]
    assert found == []


CHANGES = GUIDE.partition("## The eight commonest changes")[2].partition("\n## ")[0]


def test_the_guide_says_how_to_do_eight_changes():
    assert len(re.findall(r"^- \*\*.+?\*\*", CHANGES, re.M)) == 8


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w./]+/[\w./]*)`", CHANGES))))
def test_the_files_of_a_change_are_there(name):
    assert (ROOT / name).exists() or (PACKAGE / "notebook" / name).exists()


def rooms():
    """Return the guide's text on each room: from its line in the tree to the next room's."""
    tree = GUIDE.partition("jupyter_kfp_mt/      the ground")[2].partition("\nlabextension/src/")[0]
    parts = re.split(r"^( +)(\w+)/ ", tree, flags=re.M)
    folders, path = {}, []
    for indent, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        path = [*path[: len(indent) // 2 - 1], name]
        folders["/".join(path)] = text
    return folders


def test_the_tree_has_every_room():
    there = {path.parent.relative_to(PACKAGE).as_posix() for path in files()} - {"."}
    assert there - {"notebook/verbs"} <= set(rooms())


def test_the_tree_names_the_files_of_the_rooms():
    """Rooms with a file for each noun or kind are named by that, and left out."""
    of_nouns = {"credentials", "client", "local/database", "local/operations", "notebook/verbs"}
    unnamed = [
        path.relative_to(PACKAGE).as_posix()
        for path in files()
        if (room := path.parent.relative_to(PACKAGE).as_posix()) not in {".", *of_nouns}
        and not path.name.startswith("__")
        and not re.search(rf"\b{path.stem}\b", rooms()[room])
    ]
    assert unnamed == []


FRONT_END = ROOT / "labextension/src"


def front_end_rooms():
    """Return the guide's text on each room of the front end."""
    tree = GUIDE.partition("\nlabextension/src/ ")[2].partition("\ntests/ ")[0]
    parts = re.split(r"^  (\w+)/ ", tree, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def front_end_files():
    found = {path for path in FRONT_END.glob("*/*.ts*") if path.stem != "index"}
    return sorted(path for path in found if path.parent.name != "__tests__")


def test_the_tree_names_the_files_of_the_front_ends_rooms():
    told = front_end_rooms()
    unnamed = [
        path.relative_to(FRONT_END).as_posix()
        for path in front_end_files()
        if not re.search(rf"\b{path.stem}\b", told.get(path.parent.name, ""))
    ]
    assert unnamed == []


def test_the_order_holds_every_room_of_the_front_end():
    config = (ROOT / "labextension/eslint.config.mjs").read_text()
    order = config.partition("const ROOMS = {")[2].partition("\n};")[0]
    assert set(re.findall(r"^  (\w+):", order, re.M)) == set(front_end_rooms())
