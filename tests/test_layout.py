"""Imports run one way.

geometry <- formats, images, evaluation <- models, simulation <- training, picking <- web <- cli
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "vitripick"
# What each part may import, besides itself, errors, settings and atomic.
ALLOWED = {
    "geometry": set(),
    "formats": {"geometry"},
    "images": {"geometry"},
    "evaluation": {"geometry"},
    "pictures": {"geometry", "evaluation"},
    "models": {"geometry", "formats", "images"},
    "simulation": {"geometry", "formats", "images"},
    "training": {"geometry", "formats", "images", "evaluation", "pictures", "models", "simulation"},
    "picking": {"geometry", "formats", "images", "evaluation", "pictures", "models"},
    "web": {"geometry", "formats", "images", "evaluation", "pictures", "models", "training", "picking"},
    "cli": {
        "geometry",
        "formats",
        "images",
        "evaluation",
        "pictures",
        "models",
        "simulation",
        "training",
        "picking",
        "web",
    },
}
EVERYWHERE = {"errors", "settings", "atomic", "timing", "cores"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vitripick."):
            yield node.module.split(".")[1]
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("vitripick."))


def test_every_part_is_in_the_table():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    part = path.relative_to(PACKAGE).parts[0]
    if part not in ALLOWED:
        return
    outside = set(imported_parts(path)) - ALLOWED[part] - EVERYWHERE - {part}
    assert not outside, f"{path} imports {outside}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_grows_into_the_one_that_knows_everything(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_torch_stays_below_the_parts_that_need_it():
    for part in ("geometry", "formats", "images", "evaluation", "pictures", "simulation", "web", "cli"):
        for path in (PACKAGE / part).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                assert "torch" not in [*names, module.split(".")[0]], path
