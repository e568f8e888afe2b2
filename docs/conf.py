"""The settings by which sphinx builds the documentation: `make docs`."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generated

project = "jupyter-kfp-mt"
author = "The authors of jupyter-kfp-mt"
copyright = author
version = release = installed("jupyter-kfp-mt")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"jupyter-kfp-mt {version}"
html_extra_path = ["openapi.yaml"]
html_copy_source = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Docstrings have code in single backticks, as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Types in signatures are not links: most are of other packages.
nitpick_ignore_regex = [("py:.*", ".*")]


def setup(app):
    app.connect("source-read", fill)


def fill(app, name, source):
    """Put what is generated from the code into a page."""
    source[0] = generated.filled(source[0])
