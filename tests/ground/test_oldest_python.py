"""The package on Python 3.10, as far as a newer one can tell."""

import ast

from harness.paths import ROOT

# Generic in typeshed, but not when they are executed: they take a type since Python 3.11
# (https://docs.python.org/3.11/library/logging.html).
UNTYPED = {"logging.LoggerAdapter", "logging.StreamHandler"}


def typed_bases(source):
    """The classes that classes are made of with a type in brackets."""
    for node in ast.walk(ast.parse(source)):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            if isinstance(base, ast.Subscript):
                yield ast.unparse(base.value)


def test_no_base_class_gets_a_type_that_it_does_not_take():
    for path in (ROOT / "jupyter_kfp_mt").rglob("*.py"):
        assert UNTYPED.isdisjoint(typed_bases(path.read_text())), path
