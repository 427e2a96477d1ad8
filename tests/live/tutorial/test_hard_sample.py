"""The second tutorial: every command runs, and prints what the page shows; the model of one's own finds more."""

from pathlib import Path

from console import printed_by, run_all, steps

PAGE = Path(__file__).parents[3] / "docs" / "hard_sample.md"


def recall(run, labels):
    (step,) = [step for step in steps(PAGE) if step.command == f"vitripick evaluate {run} {labels}"]
    (line,) = [line for line in printed_by(step).splitlines() if "labelled particles found" in line]
    found, of = line.split()[0:3:2]
    return int(found) / int(of)


def test_the_commands_of_the_hard_sample_run_and_the_new_model_finds_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "600")
    assert run_all(PAGE) == {}
    assert recall("after", "others") > 1.5 * recall("before", "others")
