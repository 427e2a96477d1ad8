"""Every command of the pages that is not `vitripick`: what it names exists, and it runs in a test or is marked why not.

`tests/cli/test_commands_of_pages.py` looks at the commands of `vitripick`.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(
        path
        for folder in ("docs", "examples", "install", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.md"))
    ),
    *(ROOT / name for name in ("tests/live/README.md", "integrations/scipion-em-vitripick/README.md")),
]
# Tutorials run whole, in tests/test_tutorials.py and tests/live/tutorial.
TUTORIALS = {"first_hour.md", "hard_sample.md"}
PROGRAMS = "make pip python python3 pytest ruff torchrun docker apptainer scipion3 relion_preprocess echo export grep"
# Where a command runs, or why it does not, by how it begins.
REASONS = {
    "make ": "its target exists (below)",
    "pip install": "it needs a network; its extras exist (below), and tests/live/python installs the wheel",
    "pytest ": "it is a test itself; its paths exist (below)",
    "ruff ": "`make lint` runs it",
    "docker ": "it needs a daemon; tests/test_install_recipes.py reads the recipe, tests/live/containers builds it",
    "apptainer ": "it needs a network; tests/test_install_recipes.py reads the recipe, tests/live/containers builds it",
    "export OMP_NUM_THREADS": "it is a part of a batch script, which tests/live/slurm submits",
    "python tools/make_general.py": "it takes days",
    "python benchmarks/speed/gpu.py": "it needs a GPU; tests/test_benchmarks.py asks for its help",
    "python3 - picks/quality.csv": "it runs below",
    "grep -v -F -f bad.txt": "it runs below",
    "echo CtfFind/": "it needs a project of RELION; tests/live/relion makes one",
    "relion_preprocess ": "it needs RELION; tests/live/relion runs it",
    "torchrun ": "tests/training/test_processes.py runs it",
    "python3 -m venv": "it is Python's own",
    "scipion3 ": "it needs Scipion; tests/live/scipion installs the plugin",
}


def commands():
    """Yield page and text of each command of another program, with what a here-document gives it."""
    starts = re.compile(rf"^\s*(?:\$ )?(?:\S*/bin/)?((?:{'|'.join(PROGRAMS.split())})\s.*)$")
    for page in PAGES:
        if page.name in TUTORIALS:
            continue
        language = None
        lines = iter(re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8")).splitlines())
        for line in lines:
            if line.lstrip().startswith("```"):
                language = line.strip()[3:] if language is None else None
                continue
            is_code = language in ("", "console", "bash", "sh") or (language is None and line.startswith("    "))
            if is_code and (found := starts.match(line)):
                command = re.split(r"\s+#", found[1])[0]
                if here := re.search(r"<<'(\w+)'", command):
                    inside = []
                    for more in lines:
                        inside.append(more.removeprefix("    "))
                        if inside[-1] == here[1]:
                            break
                    command = "\n".join([command, *inside])
                yield page.name, command


ALL = sorted(set(commands()))


@pytest.mark.parametrize(("page", "command"), ALL)
def test_each_command_of_another_program_runs_in_a_test_or_says_why_not(page, command):
    assert any(command.startswith(start) for start in REASONS)


def test_each_reason_belongs_to_a_command():
    assert [start for start in REASONS if not any(command.startswith(start) for _, command in ALL)] == []


def test_each_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    live = {f"live-{path.parent.name}" for path in ROOT.glob("tests/live/*/install.sh")}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = {c.split()[1] for _, c in ALL if c.startswith("make ")} | set(re.findall(r"`make ([a-z-]+)`", text))
    assert len(targets) > 5
    assert [t for t in targets - live if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []


def test_each_extra_of_pip_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {one for found in re.findall(r"pip install '?[^\s'\[]*\[([a-z,]+)\]", text) for one in found.split(",")}
    assert named
    assert named <= set(project["optional-dependencies"])


def test_each_path_of_a_command_of_a_developer_exists():
    words = {word for _, c in ALL if c.startswith(("pytest", "python ")) for word in shlex.split(c)}
    paths = {word for word in words if word.startswith(("tests/", "tools/", "benchmarks/"))}
    assert len(paths) > 3
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_commands_that_leave_out_bad_micrographs_leave_them_out(tmp_path):
    (tmp_path / "picks").mkdir()
    (tmp_path / "picks/quality.csv").write_text(
        "micrograph,junk_share,suspected\nm/good.mrc,0.1,\nm/full.mrc,0.6,junk\nm/bare.mrc,,empty\n"
    )
    rows = "".join(f"m/{name}.mrc picks/star/{name}_autopick.star\n" for name in ("good", "full", "bare"))
    (tmp_path / "picks/autopick.star").write_text("loop_\n" + rows)
    given = [command for page, command in commands() if page == "quality.md"]
    assert len(given) == 2
    subprocess.run(["bash", "-e", "-c", "\n".join(given)], cwd=tmp_path, check=True)
    left = (tmp_path / "picks/autopick_good.star").read_text()
    assert left == "loop_\nm/good.mrc picks/star/good_autopick.star\n"
