import json
import subprocess
import sys

import pytest

COMMANDS = [
    "pick",
    "watch",
    "relion",
    "cryosparc",
    "cryosparc-job",
    "extract",
    "train",
    "label",
    "evaluate",
    "simulate",
    "convert",
    "report",
    "models",
    "doctor",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_is_in_the_docs(vitripick, command):
    outcome = vitripick(command, "--help")
    assert outcome.code == 0
    assert "--help" in outcome.out
    with open("docs/command_line.md", encoding="utf-8") as page:
        assert command in page.read()


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


def test_models_are_listed_with_all_a_user_asks_for(vitripick):
    rows = json.loads(vitripick("models", "--json").out)
    assert rows[0]["name"] == "general"
    for key in ("diameters", "description", "licence", "megabytes", "sha256"):
        assert rows[0][key]
    assert "general (default)" in vitripick("models").out


def test_a_model_shows_its_whole_card(vitripick):
    assert json.loads(vitripick("models", "general").out)["training"]["split"]
