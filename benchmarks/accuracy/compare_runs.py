"""Compare folders of `vitripick pick` file by file, byte for byte: do two versions give the same picks?

    python benchmarks/accuracy/compare_runs.py BEFORE AFTER
    python benchmarks/accuracy/compare_runs.py BEFORE/a AFTER/a BEFORE/b AFTER/b

Not compared are the times in log/, when a micrograph's file was written (two checkouts differ in that), and where the
run folder lies, which run.json, the records and autopick.star hold; nor is the order of the keys in run.json.
Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

LOG = "log"


def main() -> int:
    """Print what differs in each pair of runs; return 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders: two, or more pairs of two")
    runs = parser.parse_args().runs
    if len(runs) % 2:
        parser.error(f"{len(runs)} run folders do not make pairs; the last one, {runs[-1]}, has no other to compare.")
    for run in runs:
        if not (run / "run.json").is_file():
            parser.error(f"{run}: holds no run.json, so no run of `vitripick pick` ended there.")
    n_different = 0
    for first, second in zip(runs[::2], runs[1::2], strict=True):
        differences = compare(first, second)
        n_different += len(differences)
        print(f"{first} and {second}: {len(files_of(first) | files_of(second))} files, {len(differences)} differ")
        for line in differences:
            print(f"  {line}")
    return 1 if n_different else 0


def compare(first: Path, second: Path) -> list[str]:
    """Return one line for each file that differs or is only in one of two run folders."""
    here, there = files_of(first), files_of(second)
    lines = []
    for name in sorted(here | there):
        if name not in there:
            lines.append(f"{name}: only in {first}")
        elif name not in here:
            lines.append(f"{name}: only in {second}")
        elif (difference := _difference(content(first, name), content(second, name))) is not None:
            lines.append(f"{name}: {difference}")
    return lines


def files_of(run: Path) -> set[str]:
    """Return the paths of all files of a run folder, relative to it, without those of its log."""
    paths = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != LOG}


def content(run: Path, name: str) -> bytes:
    """Return what a file of a run folder holds, without that folder's place and without the micrograph's time."""
    data = (run / name).read_bytes()
    summary = json.loads((run / "run.json").read_bytes())
    out = str(summary["out"])
    if name == "run.json":
        return json.dumps({**summary, "out": ""}, indent=1, sort_keys=True).encode()
    if name == "autopick.star":
        return data.replace(os.fsencode(f"{out}/star/"), b"RUN/star/")
    if name.startswith("micrographs/"):
        # The micrograph's place is counted from the run folder, so it changes with that folder's.
        from_out = str(json.loads(data)["from_out"])
        start = out if os.path.isabs(out) else os.path.abspath(run)
        data = re.sub(rb'"mtime_ns": \d+', b'"mtime_ns": 0', data)
        return _with_value(data, "from_out", os.path.normpath(os.path.join(os.path.realpath(start), from_out)))
    return data


def _with_value(data: bytes, key: str, value: str) -> bytes:
    """Return a JSON file with one string replaced; everything else keeps its bytes and its order."""
    new = f'"{key}": {json.dumps(value)}'.encode()
    return re.sub(rb'"%b": ".*"' % key.encode(), lambda _: new, data, count=1)


def _difference(one: bytes, other: bytes) -> str | None:
    if one == other:
        return None
    try:
        lines, others = one.decode().splitlines(), other.decode().splitlines()
    except UnicodeDecodeError:
        return f"{len(one)} and {len(other)} bytes"
    for number, (line, its) in enumerate(zip(lines, others, strict=False), start=1):
        if line != its:
            return f"line {number}: {line.strip()!r} and {its.strip()!r}"
    return f"{len(lines)} and {len(others)} lines" if len(lines) != len(others) else "line ends"


if __name__ == "__main__":
    sys.exit(main())
