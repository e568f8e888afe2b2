"""README and docs/: links lead somewhere, code can be read, and the reference is whole and true."""

import ast
import importlib.util
import inspect
import json
import re
import shlex
from pathlib import Path

import msgspec
import pytest
import yaml
from harness.paths import ROOT

from jupyter_kfp_mt.extension import routes as extension_routes
from jupyter_kfp_mt.extension import task_log_handler
from jupyter_kfp_mt.notebook.line import words
from jupyter_kfp_mt.notebook.parser import parse, verb_of
from jupyter_kfp_mt.notebook.verbs import VERBS
from jupyter_kfp_mt.settings import Kfp

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
]
SETTINGS = list(Kfp.class_own_traits(config=True))
# The other end of a link is nothing that a file of ours could miss.
OUTSIDE = re.compile(r"[a-z]+:")
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
BLOCK = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
MAGIC = re.compile(r"(?:\w+ = )?(%%?)kfp(?: (.*))?")
INLINE = re.compile(r"`%%?kfp ([^`]+)`")


def id_of(path):
    return str(path.relative_to(ROOT))


def each_page(test):
    return pytest.mark.parametrize("page", PAGES, ids=id_of)(test)


def without_code(text):
    return BLOCK.sub("", text)


def blocks(page, language):
    return [code for said, code in BLOCK.findall(page.read_text()) if said == language]


@pytest.fixture(scope="module")
def generated():
    """The module that fills the pages of the reference."""
    spec = importlib.util.spec_from_file_location("generated_docs", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page):
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@each_page
def test_relative_links_lead_to_files_and_headings(page):
    links = [
        link for link in LINK.findall(without_code(page.read_text())) if not OUTSIDE.match(link)
    ]
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_links_of_the_readme_say_their_paths_where_no_link_works():
    """PyPI shows the README, too, and has none of the files."""
    links = re.findall(r"(?<!!)\[([^\]]*)\]\(([^()\s]+)\)", without_code(README.read_text()))
    assert [link for link in links if not OUTSIDE.match(link[1]) and link[0] != link[1]] == []


@each_page
def test_python_code_compiles(page):
    for code in blocks(page, "python"):
        ast.parse(code)


def magic_lines(page):
    """The lines of `%kfp` in the blocks of a page: whether they take a cell, and what is said."""
    for language, code in BLOCK.findall(page.read_text()):
        for line in code.splitlines() if not language else []:
            if found := MAGIC.fullmatch(line):
                yield found[1] == "%%", found[2] or ""


@each_page
def test_lines_of_kfp_in_blocks_are_understood(page):
    for has_cell, line in magic_lines(page):
        parse(words(line, {}, lambda said: None), "" if has_cell else None)


@each_page
def test_verbs_and_options_in_sentences_exist(page):
    for said in INLINE.findall(without_code(page.read_text()).replace("\n", " ")):
        typed = shlex.split(said)
        if typed[0] in ("help", "VERB"):
            continue
        verb, rest = verb_of(typed)
        flags = {flag for option in verb.options for flag in option.flags}
        named = {word for word in rest if word.startswith("-")}
        assert named <= flags, said


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_example_of_a_verb_is_understood(verb):
    for line, _ in verb.examples:
        typed = words(line.removeprefix("%%kfp "), {}, lambda said: None)
        told = parse(typed, "" if verb.takes_cell else None)
        assert told.verb is verb


def test_a_list_is_sorted_the_other_way_round():
    assert parse(["runs", "--sort", "-name", "--mine"]).sort == "-name"
    assert parse(["runs", "--sort=-name"]).sort == "-name"


def test_there_are_lines_of_kfp_to_try():
    assert sum(len([*magic_lines(page)]) for page in PAGES) > 30


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_has_its_place_in_the_reference(verb, generated):
    page = generated.filled((DOCS / "reference/verbs.md").read_text())
    assert page.count(f"### {verb.name}\n") == 1


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_has_its_place_in_the_reference(name, generated):
    page = generated.filled((DOCS / "reference/settings.md").read_text())
    assert page.count(f"### c.Kfp.{name}\n") == 1
    assert f"`KFP_MT_{name.upper()}`" in page


@each_page
def test_what_is_generated_is_known(page, generated):
    filled = generated.filled(page.read_text())
    assert "<!-- generated" not in filled


def test_settings_and_variables_in_sentences_exist():
    text = "\n".join(page.read_text() for page in PAGES)
    code = "\n".join(path.read_text() for path in (ROOT / "jupyter_kfp_mt").rglob("*.py"))
    for name in set(re.findall(r"c\.Kfp\.(\w+)", text)):
        assert name in SETTINGS
    for name in set(re.findall(r"KFP_MT_(\w*[A-Z])", text)) - {"TEST_IMAGE"}:
        assert name.lower() in SETTINGS or f"KFP_MT_{name}" in code


# The door's REST, and its OpenAPI file.


@pytest.fixture(scope="module")
def openapi():
    return yaml.safe_load((DOCS / "openapi.yaml").read_text())


METHODS = ("get", "post", "put", "patch", "delete")


def open_path(pattern):
    """A route's pattern without its groups."""
    return re.sub(r"\((?:\[\^/\]\+|/\.\*)\)", "{}", pattern)


def named_path(path):
    return re.sub(r"\{\w+\}", "{}", path).replace("api/{}", "api{}")


def test_the_openapi_file_has_the_routes_of_the_extension_and_their_methods(openapi):
    inherited = {method: getattr(extension_routes.KfpHandler, method) for method in METHODS}
    served = {
        (open_path(pattern), method)
        for pattern, handler in extension_routes.routes
        for method in METHODS
        if getattr(handler, method) is not inherited[method]
    }
    told = {
        (named_path(path), method)
        for path, methods in openapi["paths"].items()
        for method in methods
    }
    assert told == served


ASKING = ("get_query_argument", "get_query_arguments", "_yes")


def asked_for(handler):
    """The parameters that a handler's code looks for."""
    nodes = [*ast.walk(ast.parse(inspect.getsource(handler)))]
    named = [
        call.args[0]
        for call in nodes
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in ASKING
    ]
    # A name is each of those that a comprehension goes through.
    through = {
        node.target.id: getattr(inspect.getmodule(handler), node.iter.id)
        for node in nodes
        if isinstance(node, ast.comprehension) and isinstance(node.iter, ast.Name)
        if hasattr(inspect.getmodule(handler), node.iter.id)
    }
    told = {name.value for name in named if isinstance(name, ast.Constant)}
    return told.union(*(through.get(name.id, ()) for name in named if isinstance(name, ast.Name)))


@pytest.mark.parametrize(
    "handler",
    [handler for pattern, handler in extension_routes.routes if "/api" not in pattern],
    ids=lambda handler: handler.__name__,
)
def test_the_openapi_file_has_the_parameters_of_each_route(handler, openapi):
    (pattern,) = [each for each, one in extension_routes.routes if one is handler]
    told = {
        parameter["name"]
        for path, methods in openapi["paths"].items()
        if named_path(path) == open_path(pattern)
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    }
    assert told == asked_for(handler)
    assert task_log_handler.LogsHandler is not handler or "follow" in told


def test_the_openapi_file_has_the_values_that_are_answered(openapi):
    from jupyter_kfp_mt.connection.status import ConnectionStatus, NamespaceInUse
    from jupyter_kfp_mt.doctor.check_results import CheckReport
    from jupyter_kfp_mt.models import Task
    from jupyter_kfp_mt.namespaces.contributors import Contributor
    from jupyter_kfp_mt.namespaces.list_namespaces import Found

    answered = [ConnectionStatus, CheckReport, Found, Contributor, NamespaceInUse, Task]
    _, found = msgspec.json.schema_components(answered, ref_template="#/components/schemas/{name}")
    told = openapi["components"]["schemas"]
    assert {name: fields(schema) for name, schema in told.items()} == {
        name: fields(schema) for name, schema in found.items()
    }


def fields(schema):
    """The fields of a schema and their types, without their defaults."""
    return {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in schema["properties"].items()
    }


# Words.


def banned():
    """The words on the left of the glossary's table."""
    table = (DOCS / "glossary.md").read_text().partition("## Words that are not used")[2]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)
    return [word for row in rows if row != "not" for word in row.split(", ")]


def found_in(text):
    return [word for word in banned() if re.search(rf"\b{word}s?\b", text, re.IGNORECASE)]


@each_page
def test_pages_use_no_word_that_the_glossary_bans(page):
    assert found_in(page.read_text().partition("## Words that are not used")[0]) == []


TRANSLATED = re.compile(r"trans\._\w+\(\s*(?:'([^']*)'|\"([^\"]*)\"|`([^`]*)`)")


def sentences(path):
    """The texts of several words in a file's code, or those that JupyterLab translates."""
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        texts = [text for text in texts if isinstance(text, str) and " " in text]
        return re.sub(r"`[^`]*`", "", "\n".join(texts))  # names of the code are not words
    return "\n".join("".join(texts) for texts in TRANSLATED.findall(path.read_text()))


def of_schema(part):
    """The titles and descriptions of a schema of settings."""
    if not isinstance(part, dict):
        return []
    told = [part[key] for key in ("title", "description") if isinstance(part.get(key), str)]
    return told + [text for each in part.values() for text in of_schema(each)]


def test_messages_use_no_word_that_the_glossary_bans():
    """The local KFP is left out: its refusals are in the words of Kubeflow Pipelines itself."""
    package = [
        path
        for path in (ROOT / "jupyter_kfp_mt").rglob("*.py")
        if "local" not in path.relative_to(ROOT / "jupyter_kfp_mt").parts
    ]
    front = [
        path
        for ending in ("*.ts", "*.tsx")
        for path in (ROOT / "labextension/src").rglob(ending)
        if "__tests__" not in path.parts
    ]
    said = [(id_of(path), found_in(sentences(path))) for path in [*package, *front]]
    schema = json.loads((ROOT / "labextension/schema/plugin.json").read_text())
    said.append(("schema", found_in("\n".join(of_schema(schema)))))
    assert [each for each in said if each[1]] == []


def test_the_glossary_bans_something():
    assert "endpoint" not in banned() and len(banned()) > 5
    assert found_in("A KFP host was unarchived, cancelled.") == ["KFP host", "cancelled"]


def test_the_readme_is_read_in_two_minutes():
    prose = re.sub(r"\[[\w/-]+\.md\]\([^)]*\)", "page", without_code(README.read_text()))
    prose = re.sub(r"\]\([^)]*\)", "]", prose)
    assert len(re.findall(r"[\w'-]+", prose)) < 700


def test_pictures_are_small():
    for picture in Path(DOCS / "images").iterdir():
        most = 600_000 if picture.suffix in (".gif", ".webp") else 150_000
        assert picture.stat().st_size < most, picture.name
