"""Run `vitripick report`, which writes one HTML file about one or more runs."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vitripick.pictures import ReportFilaments, ReportRun


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Output folders of `vitripick pick`.")],
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="Labels to judge the picks by; once for all runs, or once for each in order."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="Heading.  [default: the runs' names]")] = None,
    diameter_px: Annotated[
        float | None,
        typer.Option(help="Particle diameter in full-size pixels.  [default: median size of the labels' boxes]"),
    ] = None,
    label_box_size_px: Annotated[
        float | None, typer.Option(help="Size of the labels' boxes, if their file has none.")
    ] = None,
    width_px: Annotated[
        float | None,
        typer.Option(min=0.001, help="Width of labelled filaments in full-size pixels, if their file has none."),
    ] = None,
    leak: Annotated[
        str | None,
        typer.Option(help="Say whether any of this data was used in training; shown with the figures."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a self-contained HTML report: overlays, counts, precision and recall, settings, failures."""
    from vitripick.atomic import check_file
    from vitripick.errors import UsageError, parameter
    from vitripick.formats.passed_by import passed_by_collected
    from vitripick.pictures import write_report
    from vitripick.runs.filament_report import gather_filaments
    from vitripick.runs.folder import is_filament_folder
    from vitripick.runs.report import gather_run

    check_file(out)
    given = labels or []
    if len(given) not in (0, 1, len(runs)):
        raise UsageError(f"--labels is given {len(given)} times for {len(runs)} runs; give it once, or once for each.")
    of_filaments = [is_filament_folder(run) for run in runs]
    of_particles = {"diameter_px": diameter_px, "label_box_size_px": label_box_size_px}
    for name, value, idle in (
        *((name, value, all(of_filaments)) for name, value in of_particles.items()),
        ("width_px", width_px, not any(of_filaments)),
    ):
        if value is not None and idle:
            what = "filaments" if name == "width_px" else "particles"
            raise UsageError(f"{parameter(name)} acts on {what}, and no run here holds {what}; leave it out.")
    of_run = [given[0] if len(given) == 1 else given[i] if given else None for i in range(len(runs))]
    with passed_by_collected() as passed_by:
        gathered: list[ReportRun | ReportFilaments] = [
            gather_filaments(run, own, width_px=width_px, leak=leak)
            if filaments
            else gather_run(run, own, diameter_px=diameter_px, label_box_size_px=label_box_size_px, leak=leak)
            for run, own, filaments in zip(runs, of_run, of_filaments, strict=True)
        ]
    gathered = _with_names_of_their_own(gathered, runs)
    heading = "Filaments" if all(of_filaments) else "Picks"
    write_report(out, gathered, title=title or f"{heading}: " + ", ".join(run.name for run in gathered))
    written = {
        "report": str(out),
        "runs": [_counts(run) for run in gathered],
        "passed_by": [one.to_dict() for one in passed_by],
    }
    typer.echo(json.dumps(written, indent=1, ensure_ascii=False) if as_json else f"{out}")


def _counts(run: ReportRun | ReportFilaments) -> dict[str, Any]:
    """Return the entry of a run for `--json`."""
    from vitripick.pictures import ReportFilaments

    found: dict[str, float]
    if isinstance(run, ReportFilaments):
        lengths = [length for micrograph in run.micrographs for length in micrograph.lengths_px]
        found = {"n_filaments": len(lengths), "length_px": round(sum(lengths), 1)}
    else:
        found = {"n_picks": sum(one.n_picks for one in run.micrographs)}
    return {"name": run.name, "n_micrographs": len(run.micrographs), **found, "n_failed": len(run.failures)}


def _with_names_of_their_own(
    gathered: list[ReportRun | ReportFilaments], folders: list[Path]
) -> list[ReportRun | ReportFilaments]:
    """Return runs with distinct names: where several have the same name (often `picks`), as much of their paths as is
    needed is added."""
    paths = [folder.resolve() for folder in folders]
    names = [run.name for run in gathered]
    for n_parts in range(2, max(len(path.parts) for path in paths) + 1):
        count = Counter(names)
        names = [
            "/".join(path.parts[-n_parts:]) if count[name] > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return [dataclasses.replace(run, name=name) for run, name in zip(gathered, names, strict=True)]
