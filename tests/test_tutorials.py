"""The tutorials of the documentation: every command runs, and prints what the page shows."""

import os
from pathlib import Path

import pytest

from console import Step, differences, run_all, steps

ROOT = Path(__file__).parent.parent
FIRST_HOUR = ROOT / "docs" / "first_hour.md"


def test_every_command_of_the_first_hour_prints_what_the_page_shows(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    assert sum(step.not_run is None for step in steps(FIRST_HOUR)) >= 9
    assert run_all(FIRST_HOUR) == {}
    for name in ("picks/overlays/May08_03.05.02.png", "report.html", "relion_picks/autopick.star"):
        assert os.path.exists(name)


def test_a_command_that_is_not_run_says_why():
    assert [step.not_run for step in steps(FIRST_HOUR) if "vitripick label" in step.command] == [
        "it serves until Ctrl-C; tests/web runs it in a real browser"
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        (("298 picks", "2.0 s in all"), "297 picks\n9.1 s in all\n", True),
        (("298 picks",), "150 picks\n", False),
        (("298 picks",), "298 labels\n", False),
        (("298 picks", "..."), "298 picks\nmore\n", True),
        (("298 picks",), "298 picks\nmore\n", False),
    ],
)
def test_numbers_may_differ_a_little_and_words_may_not(shown, printed, agree):
    assert (differences(shown, printed) == []) == agree


def test_a_step_keeps_the_text_that_goes_into_a_file(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ cat > a <<'END'\nrow\nEND\n$ cat a\nrow\n```\n")
    assert steps(page) == [Step("cat > a <<'END'\nrow\nEND", ()), Step("cat a", ("row",))]
