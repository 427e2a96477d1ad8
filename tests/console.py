"""Reads the commands of a page, runs them, and compares what they print with what the page shows."""

import contextlib
import io
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vitripick.cli.app import run

_MARK = re.compile(r"^<!-- (not run|not compared|ends with \d+): (.+) -->$")
_HERE = re.compile(r"<<'(\w+)'")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
# How long it took, and what ran the network: other machines are faster, or have other engines.
_OF_THE_MACHINE = re.compile(r" s in all|network run by")


@dataclass(frozen=True)
class Step:
    """One command of a page: its text, what the page shows below it, and why it is not run or compared."""

    command: str
    shown: tuple[str, ...]
    not_run: str | None = None
    not_compared: str | None = None
    ends_with: int = 0


def steps(page: Path) -> list[Step]:
    """Return the commands of a page's `console` blocks, in order."""
    found, marks, lines = [], {}, iter(page.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if mark := _MARK.match(line):
            marks = {mark[1]: mark[2]}
        elif line == "```console":
            block = []
            for inside in lines:
                if inside == "```":
                    break
                block.append(inside)
            found += _of_block(block, marks)
            marks = {}
        elif line:
            marks = {}
    return found


def _of_block(block: list[str], marks: dict[str, str]) -> list[Step]:
    found, at = [], 0
    while at < len(block):
        assert block[at].startswith("$ "), f"a block of commands begins with one, not with {block[at]!r}"
        command, at = block[at][2:], at + 1
        if here := _HERE.search(command):
            end = block.index(here[1], at) + 1
            command, at = "\n".join([command, *block[at:end]]), end
        first = at
        while at < len(block) and not block[at].startswith("$ "):
            at += 1
        code = next((int(mark.split()[-1]) for mark in marks if mark.startswith("ends with")), 0)
        found.append(Step(command, tuple(block[first:at]), marks.get("not run"), marks.get("not compared"), code))
    return found


def run_all(page: Path) -> dict[str, list[str]]:
    """Run the commands of a page here, and return what each one printed otherwise than the page shows."""
    wrong = {}
    for step in steps(page):
        if step.not_run is None:
            printed = printed_by(step)
            if step.not_compared is None and (found := differences(step.shown, printed)):
                wrong[step.command] = found
    return wrong


def printed_by(step: Step) -> str:
    """Return what a command prints on both streams; it has to end with the exit code that the page says."""
    if step.command.startswith("vitripick "):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = run(shlex.split(step.command)[1:])
    else:
        ran = subprocess.run(["bash", "-c", step.command], capture_output=True, text=True)
        text, code = io.StringIO(ran.stdout + ran.stderr), ran.returncode
    assert code == step.ends_with, text.getvalue()
    return text.getvalue()


def differences(shown: tuple[str, ...], printed: str) -> list[str]:
    """Return what a page shows and the command did not print; numbers may differ by 4 %, `...` stands for any lines."""
    lines = [line.rstrip() for line in printed.splitlines()]
    wrong, at = [], 0
    for line in shown:
        if line.strip() == "...":
            return wrong
        other = lines[at] if at < len(lines) else "nothing"
        if not _agree(line, other):
            wrong.append(f"the page shows  {line!r}\nbut printed was {other!r}")
        at += 1
    return wrong + [f"the page lacks  {line!r}" for line in lines[at:]]


def _agree(shown: str, printed: str) -> bool:
    if _OF_THE_MACHINE.search(shown):
        return bool(_OF_THE_MACHINE.search(printed))
    if _NUMBER.sub("0", shown) != _NUMBER.sub("0", printed):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    return all(abs(float(one) - float(other)) <= max(0.04 * float(one), 0.03) for one, other in pairs)
