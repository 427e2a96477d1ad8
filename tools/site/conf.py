"""Sphinx settings of the documentation's site; `make docs` builds it.

The pages are the Markdown files of the repository where they are, so that their links lead somewhere on a forge, too.
`docs/index.md` is the only list of pages: each of its headings becomes a part of the site's menu.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

from vitripick.version import VERSION  # noqa: E402

project = "vitripick"
author = "The vitripick developers"
copyright = author
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "*/README.md",
    "integrations/*/README.md",
    "benchmarks/*/README.md",
    "tests/live/README.md",
]
exclude_patterns = [".*", "node_modules", "src", "demo", "dist", "build", "site"]
myst_enable_extensions: list[str] = []
myst_heading_anchors = 4

# In a docstring, a shape such as (n_picks, 2) stands where Sphinx expects a type, and it looks for `n_picks`.
suppress_warnings = ["ref.python"]

# Docstrings are numpy's, and their text is nearly Markdown: `name` is code.
default_role = "code"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "alphabetical"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "mixed"
add_module_names = False

html_theme = "furo"
html_title = f"vitripick {VERSION}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
# Summaries of search results are fetched from a server, and the site has none.
html_show_search_summary = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

_LIST_LINK = re.compile(r"^- \[[^\]]*\]\(([^)#]+)\.md\)", re.MULTILINE)
_FRONT = '<!doctype html><meta charset="utf-8"><title>vitripick</title><meta http-equiv="refresh" content="0; url={0}">'
_FRONT += '<a href="{0}">vitripick</a>\n'


def add_menu(_app: Any, name: str, source: list[str]) -> None:
    """Add the site's menu to the front page: a hidden table of contents for each of its headings."""
    if name != root_doc:
        return
    for part in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        title, text = part.split("\n", 1)
        pages = "\n".join(f"{page}" for page in _LIST_LINK.findall(text))
        if pages:
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n"


def write_front(app: Any, error: Exception | None) -> None:
    """Write `index.html`, which leads to the front page below `docs/`."""
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "index.html").write_text(_FRONT.format(f"{root_doc}.html"), encoding="utf-8")


def setup(app: Any) -> None:
    """Connect what this page adds to Sphinx."""
    app.connect("source-read", add_menu)
    app.connect("build-finished", write_front)
