"""Imports run one way, as the table in CONTRIBUTING.md says, and never in a circle."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "vitripick"
FILES = sorted(PACKAGE.rglob("*.py"))


def table():
    """What each package may import, from the table in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, flags=re.MULTILINE)
    parts = [part for part, _ in rows]
    return {
        part: set(parts) - {part} if "all packages" in allowed else set(re.findall(r"`(\w+)`", allowed))
        for part, allowed in rows
    }


def base_modules():
    """The modules that every package may import, from the sentence below that table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^The base modules [^.]*\.$", text, flags=re.MULTILINE)
    return set(re.findall(r"`(\w+)`", sentence))


ALLOWED, GROUND = table(), base_modules()


def imported_modules(path):
    """Every module of the package that a file names in an import, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vitripick":
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "vitripick")


def imported_parts(path):
    return {module.split(".")[1] for module in imported_modules(path) if "." in module}


def test_every_package_is_in_the_table():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(ALLOWED)


def test_every_module_of_the_base_modules_is_named():
    assert {p.stem for p in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == GROUND - {"settings"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    part = path.relative_to(PACKAGE).parts[0]
    if part in ("__init__.py", "__main__.py"):
        return
    allowed = GROUND if part.endswith(".py") else ALLOWED[part] | GROUND | {part}
    outside = imported_parts(path) - allowed
    assert not outside, f"{path} imports {outside}"


def test_no_part_imports_the_package_that_stands_on_all_of_them():
    for path in FILES:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        assert "vitripick" not in names, path


def test_a_package_may_not_import_what_may_import_it():
    assert not [(a, b) for a, allowed in ALLOWED.items() for b in allowed if a in ALLOWED[b]]


def test_no_imports_run_in_a_circle():
    """Imports for types only count too: a reader follows them just the same."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in FILES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    arrows = {
        name: {other for other in imported_modules(path) if other in modules and modules[other].name != "__init__.py"}
        for name, path in modules.items()
    }
    walked, done = [], set()

    def walk(name):
        assert name not in walked, " -> ".join([*walked[walked.index(name) :], name])
        if name in done:
            return
        walked.append(name)
        for other in sorted(arrows[name]):
            walk(other)
        done.add(walked.pop())

    for name in arrows:
        walk(name)


def documented_reason(path):
    """What a long file says in its first lines of why it is one thing."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.search(r"one file because", docstring, flags=re.IGNORECASE)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_long_file_says_why_it_is_one_thing(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= 400 or documented_reason(path), f"{path} has {n_lines} lines; is there a seam?"


def test_names_are_imported_from_where_they_live():
    """Only a package's `__init__.py` hands on names of other modules."""
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name == "__init__.py":
            continue
        imported = {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                handed_on = imported & set(ast.literal_eval(node.value))
                assert not handed_on, f"{path} hands on {handed_on}"


def test_torch_stays_below_the_parts_that_need_it():
    for part in ("geometry", "formats", "images", "evaluation", "pictures", "simulation", "web", "cli"):
        for path in (PACKAGE / part).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                assert "torch" not in [*names, module.split(".")[0]], path


# Who reads these reads options of the command line, whatever called the library.
SPEAKS_COMMAND_LINE = {
    "programs/handover_cryosparc.py": "a whole command that writes the file to import",
    "programs/handover_relion.py": "commands of RELION",
    "programs/relion.py": "the labels that RELION itself gives on the command line of its job",
    "runs/folder.py": "a whole command, the one that makes such a folder",
    "settings/train.py": "a description that names the option of another command",
}


def test_messages_outside_the_command_line_name_no_options():
    """`vitripick.errors.parameter` writes a parameter as the caller does: `diameter_px=` or `--diameter-px`."""
    found = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
        texts = [node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in bare]
        options = [text for text in texts if isinstance(text, str) and re.search(r"(?<![\w-])--[a-z]", text)]
        formatted = [part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values]
        options += [part.value for part in formatted if isinstance(part, ast.Constant) and part.value.endswith("--")]
        if options and path.relative_to(PACKAGE).parts[0] != "cli":
            found[path.relative_to(PACKAGE).as_posix()] = options
    assert set(found) == set(SPEAKS_COMMAND_LINE), found
