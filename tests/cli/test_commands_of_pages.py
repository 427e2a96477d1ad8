"""Every `vitripick` command of the pages: its options exist, and it runs on small data, or is marked why not."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer

from made import rings
from vitripick.cli.app import app, run
from vitripick.formats import write_mrc, write_picks
from vitripick.geometry import Boxes

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *(page for name in ("docs", "examples", "install", "benchmarks") for page in sorted((ROOT / name).rglob("*.md"))),
    *(ROOT / name for name in ("tests/live/README.md", "integrations/scipion-em-vitripick/README.md")),
]
COMMANDS = typer.main.get_command(app).commands
# Tutorials run whole, in tests/test_tutorials.py and tests/live/tutorial.
TUTORIALS = {"first_hour.md", "hard_sample.md"}
# Commands that do not run here, by a part of their text, with the reason. Where another test runs it, it is named.
NOT_RUN = {
    " | watch | ": "it is the list of the commands",
    "vitripick label": "it serves until Ctrl-C; tests/web runs it in a real browser",
    "vitripick watch": "it runs for days; tests/runs/watch runs it",
    "vitripick train": "it takes minutes; tests/cli/test_train.py runs it",
    "vitripick cryosparc": "it needs files of a cryoSPARC project; tests/cli/test_cryosparc.py makes some",
    "vitripick handover": "it needs a project of RELION or cryoSPARC; tests/cli/test_handover.py makes one",
    "--cluster": "it needs a batch system or Dask; tests/programs/test_dask.py runs it",
    "--shard auto": "it needs an array job; tests/live/slurm runs it",
    "CtfFind/": "it needs a RELION project; tests/test_tutorials.py makes one",
    "--filaments": "tests/cli/test_filaments.py runs it",
    "--model ": "it needs a model of one's own; tests/cli/test_train.py makes one",
    "6dvw.cif": "it needs a file of the PDB; tests/simulation reads small ones",
    "--micrographs 20": "it makes 20 micrographs; tests/cli/test_simulate.py makes fewer",
    "convert topaz.txt": "it needs a file of Topaz; tests/cli/test_convert.py makes one",
    "a.xyz": "its format is made up, to show how one is added",
    "--format xyz": "its format is made up, to show how one is added",
    "--adapt": "it trains for a minute; tests/cli/test_pick.py runs it",
    "vitripick classes": "it needs enough particles for classes; tests/cli/test_classes.py makes them",
    "picks/classes/kept.star": "it follows from `vitripick classes`; tests/cli/test_classes.py runs that",
    "vitripick doctor": "tests/cli/test_doctor.py runs it",
    "vitripick simulate --out sim ": "tests/cli/test_simulate.py runs it",
    "vitripick pick examples/apoferritin/micrographs": "tests/test_tutorials.py runs it",
}


def commands():
    """Yield page and words of each command in the blocks of the pages, comments left out."""
    for page in PAGES:
        if page.name in TUTORIALS:
            continue
        fenced = False
        for line in re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8")).splitlines():
            if line.lstrip().startswith("```"):
                fenced = not fenced
            found = re.match(r"\s*(?:\$ )?(?:\.venv/bin/)?vitripick (?=[a-z])(.*)$", line)
            if found and (fenced or line.startswith("    ")):
                yield page.name, "vitripick " + re.split(r"\s+#", found[1])[0].strip()


ALL = sorted(set(commands()))


def inline():
    """Yield page and text of each command with an option that stands in a sentence."""
    for page in PAGES:
        text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
        for command in re.findall(r"`(vitripick [a-z-]+ [^`]*--[^`]*)`", text):
            if not command.endswith("--help"):
                yield page.name, command


def reason_not_to_run(command):
    return next((reason for part, reason in NOT_RUN.items() if part in command + " "), None)


def test_the_pages_have_commands():
    assert len(ALL) > 40


@pytest.mark.parametrize(("page", "command"), ALL)
def test_each_command_of_a_page_has_only_options_that_exist(page, command):
    name, *words = shlex.split(command)[1:]
    if "|" in words:
        assert {word for word in [name, *words] if word != "|"} == set(COMMANDS)
        return
    COMMANDS[name].make_context(name, words)


@pytest.mark.parametrize(("page", "command"), sorted(set(inline())))
def test_each_command_in_a_sentence_has_only_options_that_exist(page, command):
    name, *words = command.split()[1:]
    known = {typed for parameter in COMMANDS[name].params for typed in (*parameter.opts, *parameter.secondary_opts)}
    assert [word for word in words if word.startswith("--") and word.split("=")[0] not in known] == []


def test_every_reason_not_to_run_a_command_is_still_needed():
    texts = [command + " " for _, command in ALL]
    assert [part for part in NOT_RUN if not any(part in text for text in texts)] == []


@pytest.fixture(scope="module")
def small_project(tmp_path_factory):
    """Return a folder with small micrographs, labels and a run under the names that the pages use."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("micrographs/a.mrc", "grid3/a.mrc", "all/a.mrc", "mics/a.mrc", "MotionCorr/a.mrc", "a.mrc"):
        write_mrc(folder / name, rings(), pixel_size=2.0)
    boxes = Boxes.at(np.array([100.0, 200.0]), np.array([100.0, 200.0]), size_px=60, micrograph="a.mrc")
    for name in ("labels/a.csv", "a.box"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_picks(boxes, folder / name)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.mark.parametrize("command", sorted({c for _, c in ALL if reason_not_to_run(c) is None}))
def test_each_other_command_of_a_page_runs(command, small_project, monkeypatch):
    monkeypatch.chdir(small_project)
    words = shlex.split(command)[1:]
    if words[0] in ("convert", "evaluate", "extract", "report") and not Path("picks").exists():
        assert run(["pick", "micrographs", "--diameter-px", "60", "--out", "picks"]) == 0
    if words[0] == "pick" and "--out" in words:
        shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
    if words[0] == "evaluate":
        assert run(["pick", "examples/apoferritin/micrographs", "--diameter-px", "80", "--out", "picks"]) == 0
    assert run(words) == 0
