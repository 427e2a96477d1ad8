"""Run `vitripick classes`, which sorts the picks of a run into two-dimensional classes."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from vitripick.cli import options
from vitripick.settings.classes import GOOD, ClassesSettings
from vitripick.text import count

if TYPE_CHECKING:
    from vitripick.runs.class_files import RunClasses
    from vitripick.runs.cull import Culled


@options.with_settings
def classes(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Output folder of `vitripick pick` or `watch`.")],
    settings: ClassesSettings,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the classes.  [default: classes in the run folder]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads.  [default: one for each core]")] = None,
    as_json: options.Json = False,
) -> int:
    """Sort the picks of a run into 2-D classes, to see what was picked, and keep the good ones."""
    from vitripick.cli.progress import progress_bar
    from vitripick.run_layout import RunLayout
    from vitripick.runs.class_files import SHEET, write_sheet
    from vitripick.runs.classes import Steps, classify_run
    from vitripick.runs.cull import keep_classes
    from vitripick.runs.folder import read_run_folder

    folder = RunLayout(run).classes if out is None else out
    with progress_bar("reading picks", "micrographs") as bar:
        found = classify_run(run, folder, settings, n_threads=jobs, steps=Steps(bar.stage, bar.update))
        culled = None
        if settings.keep_classes is not None:
            whole = read_run_folder(run)
            wanted = settings.formats or tuple(whole.run.get("settings", {}).get("formats", ())) or ("star", "cbox")
            culled = keep_classes(
                found,
                settings.keep_classes,
                folder,
                formats=wanted,
                recentre=settings.recentre,
                box_size_px=whole.box_size_px,
            )
            write_sheet(found, folder, kept=culled.numbers)
    if as_json:
        print(json.dumps(_told(found, culled, folder), indent=1, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
        print(found.about_contrast)
        print(f"sheet: {folder / SHEET}")
        print("\n".join(_next(run, culled)))
    for failure in found.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 4 if found.failures else 0


def sort_run(run: Path, *, to: TextIO) -> None:
    """Sort the picks of a run into classes, and print where they are."""
    from vitripick.cli.progress import progress_bar
    from vitripick.run_layout import RunLayout
    from vitripick.runs.class_files import SHEET
    from vitripick.runs.classes import Steps, classify_run

    with progress_bar("reading picks", "micrographs") as bar:
        found = classify_run(run, steps=Steps(bar.stage, bar.update))
    print(f"classes: {_head(found)}; sheet: {RunLayout(run).classes / SHEET}", file=to)


def _told(found: RunClasses, culled: Culled | None, folder: Path) -> dict[str, object]:
    summary: dict[str, object] = {
        "out": str(folder),
        "n_particles": found.n_particles,
        "n_micrographs": len(found.members),
        "n_phases_flipped": found.n_flipped,
        "classes": [dataclasses.asdict(one) for one in found.classes],
        "failures": list(found.failures),
    }
    if culled is not None:
        paths = {"folder": str(culled.folder), "labels": str(culled.kept), "rejected": str(culled.rejected)}
        counts = {"classes": list(culled.numbers), "n_kept": culled.n_kept, "n_rejected": culled.n_rejected}
        summary["kept"] = {**paths, **counts}
    return summary


def _lines(found: RunClasses) -> list[str]:
    """Return a line for each class, below a line with the names of the columns."""
    lines = [_head(found), "class  particles  share  confidence  resolution  guess"]
    for one in found.classes:
        finest = "–" if one.resolution_px is None else f"{one.resolution_px:.0f} px"
        finest = finest if one.resolution_angstrom is None else f"{one.resolution_angstrom:.0f} Å"
        sure = "–" if one.mean_confidence is None else f"{one.mean_confidence:.2f}"
        lines.append(
            f"{one.number:5}  {one.n_particles:9}  {100 * one.share:4.1f}%  {sure:>10}  {finest:>10}  {one.guess}"
        )
    return lines


def _head(found: RunClasses) -> str:
    classes = f"{len(found.classes)} class{'' if len(found.classes) == 1 else 'es'}"
    n = sum(one.n_particles for one in found.classes if one.guess == "particle")
    seem = f"{len(found.good)} seem{'s' if len(found.good) == 1 else ''} to show particles"
    return f"{count('particle', found.n_particles)} in {classes}; {seem}, with {count('pick', n)}"


def _next(run: Path, culled: Culled | None) -> list[str]:
    if culled is None:
        return [f"look at the sheet, then keep classes: --keep-classes 1,3,5, or --keep-classes {GOOD} as guessed"]
    typed = shlex.join(["--labels", str(culled.kept), "--rejected", str(culled.rejected)])
    return [
        f"{culled.n_kept} picks kept in {culled.folder}, {culled.n_rejected} left out",
        f"teach a model: vitripick train --micrographs MICROGRAPHS {typed} --out MODEL",
    ]
