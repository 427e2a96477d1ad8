"""A bar on a terminal, with its stage from the first second; in a log nothing, or a line a minute if asked for."""

import os
import pty
import subprocess
import sys

import pytest

from vitripick.cli import progress
from vitripick.cli.progress import progress_bar

CODE = """
from vitripick.cli.progress import progress_bar
with progress_bar("starting", "micrographs") as bar:
    bar.stage("looking at 5 micrographs")
    bar.stage("picking")
    print("a result")
    bar.update(1, 2, "a.mrc")
"""


def on_a_terminal(code):
    """Return what a program writes to a terminal on stderr, and to a pipe on stdout."""
    reader, writer = pty.openpty()
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    shown = b""
    while True:
        try:
            part = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    out, _ = running.communicate(timeout=60)
    os.close(reader)
    return shown.decode(), out


def test_a_terminal_shows_each_stage_and_results_go_where_stdout_goes():
    shown, out = on_a_terminal(CODE)
    assert shown.index("starting") < shown.index("looking at 5 micrographs") < shown.index("picking")
    assert out == "a result\n"
    assert "a result" not in shown


def test_a_log_gets_no_bar(capsys):
    with progress_bar("starting", "micrographs") as bar:
        bar.stage("picking")
        bar.update(1, 2, "a.mrc")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_long_job_writes_its_stage_at_once_and_a_line_a_minute_with_the_time_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_bar("starting", "steps", in_log=True) as bar:
        bar.stage("reading micrographs and labels")
        for step in range(1, 301):
            now[0] += 1
            bar.update(step, 1000, "loss 0.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading micrographs and labels"
    assert lines[1] == "60 of 1000 steps, loss 0.5, about 16 min left"
    assert len(lines) == 1 + 300 // 60


def test_what_is_said_meanwhile_puts_off_the_next_line(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress_bar("starting", "steps", in_log=True) as bar:
        bar.stage("training")
        for step in range(1, 100):
            now[0] += 1
            bar.update(step, 1000, "")
            if step == 50:
                bar.say("validation F1 0.9")
    assert capsys.readouterr().err.splitlines() == ["training", "validation F1 0.9"]


@pytest.mark.parametrize("in_log", [True, False])
def test_of_several_processes_the_first_one_talks(capsys, monkeypatch, in_log):
    monkeypatch.setenv("RANK", "1")
    with progress_bar("starting", "steps", in_log=in_log) as bar:
        bar.stage("training")
    assert capsys.readouterr().err == ""
