"""Reads the commands of a page, and compares what they print with what the page shows."""

import re
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r"^<!-- (not run|not compared): (.+) -->$")
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
        found.append(Step(command, tuple(block[first:at]), marks.get("not run"), marks.get("not compared")))
    return found


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
