import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from vitripick.cli.app import app

COMMANDS = list(get_command(app).commands)


def test_the_app_has_commands():
    assert {"pick", "train", "cryosparc-job"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(vitripick, command):
    outcome = vitripick(command, "--help")
    assert outcome.code == 0
    assert f"vitripick {command}" in outcome.out
    assert "--help" in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_docs(command):
    page = Path("docs/command_line.md").read_text(encoding="utf-8")
    # An entry of the list begins with the command: a link to its page, or the name alone.
    name = re.escape(command)
    entry = rf"^- (\[`{name}`\]\((?P<page>[\w.]+)(#[\w-]+)?\)|`{name}`): "
    found = re.search(entry, page, re.MULTILINE)
    assert found is not None
    assert found["page"] is None or (Path("docs") / found["page"]).is_file()


def test_the_usage_in_the_docs_names_every_command_in_their_order():
    page = Path("docs/command_line.md").read_text(encoding="utf-8")
    (usage,) = re.findall(r"^    vitripick (.*\|.*)$", page, re.MULTILINE)
    assert usage.split(" | ") == COMMANDS


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from vitripick.cli.app import run; run(['--help']); "
        "sys.exit([m for m in ('torch', 'matplotlib', 'scipy') if m in sys.modules] != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_the_version_is_printed(vitripick):
    assert vitripick("--version").out.startswith("vitripick ")


def test_an_unknown_command_ends_with_2(vitripick):
    assert vitripick("pikc").code == 2


@pytest.mark.parametrize("target", ["file/a.box", "file/more/a.box", "folder.box"])
def test_a_path_that_cannot_be_written_is_told_in_one_sentence(vitripick, tmp_path, target):
    (tmp_path / "a.csv").write_text("x,y,width,height\n5,6,8,8\n")
    (tmp_path / "file").touch()
    (tmp_path / "folder.box" / "a.box").mkdir(parents=True)
    to = ["--to", "box"] if target == "folder.box" else []
    outcome = vitripick("convert", tmp_path / "a.csv", tmp_path / target, *to)
    assert outcome.code == 2
    assert str((tmp_path / target).parent) in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_folder_that_may_not_be_written_is_told_with_the_file_that_was_asked_for(vitripick, tmp_path, monkeypatch):
    def refuse(**options):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "some-temporary-name"))

    (tmp_path / "a.csv").write_text("x,y,width,height\n5,6,8,8\n")
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    outcome = vitripick("convert", tmp_path / "a.csv", tmp_path / "a.box")
    assert (outcome.code, outcome.err.split(": ")[1]) == (2, str(tmp_path / "a.box"))


@pytest.mark.parametrize("command", ["pick", "watch"])
def test_a_file_in_the_place_of_the_run_folder_is_a_usage_error(vitripick, ring_micrograph, command):
    source = ring_micrograph if command == "pick" else ring_micrograph.parent
    outcome = vitripick(command, source, "--out", ring_micrograph, "--diameter-px", 60)
    assert outcome.code == 2
    assert f"{ring_micrograph}" in outcome.err
    assert "give another --out" in outcome.err


def test_models_are_listed_with_all_a_user_asks_for(vitripick):
    rows = json.loads(vitripick("models", "--json").out)
    assert rows[0]["name"] == "general"
    for key in ("diameters", "description", "licence", "megabytes", "sha256"):
        assert rows[0][key]
    assert "general (default)" in vitripick("models").out


def test_a_model_shows_its_whole_card(vitripick):
    assert json.loads(vitripick("models", "general").out)["training"]["split"]


def raising(monkeypatch, error):
    """Let `vitripick models` end with this error."""
    from vitripick.models import released

    def fails(*_):
        raise error

    monkeypatch.setattr(released, "released_path", fails)
    monkeypatch.setattr("vitripick.models.card.released_path", fails)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EOFError("x"), 3, "cut short"),
        (MemoryError("x"), 5, "out of memory"),
        (RuntimeError("std::bad_alloc"), 5, "out of memory"),
        (OSError(errno.EFBIG, "x", "f"), 5, "ulimit -f"),
        (OSError(errno.EMFILE, "x", "f"), 5, "ulimit -n"),
        (OSError(errno.ENOSPC, "x", "f"), 5, "the disk is full"),
        (FileNotFoundError(errno.ENOENT, "x", "gone"), 2, "gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_runs_out_or_ends_too_early_is_told_in_one_sentence(vitripick, monkeypatch, error, code, words):
    raising(monkeypatch, error)
    run = vitripick("models", "general")
    assert (run.code, run.err.count("\n")) == (code, 1)
    assert words in run.err
