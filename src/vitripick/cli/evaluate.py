"""Run `vitripick evaluate`, which compares picks with labels."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    picks: Annotated[
        Path,
        typer.Argument(help="Output folder of `vitripick pick`, or a file or folder of picks in any format."),
    ],
    labels: Annotated[Path, typer.Argument(help="File or folder of labels in any format.")],
    diameter_px: Annotated[
        float | None,
        typer.Option(help="Particle diameter d in full-size pixels.  [default: median size of the labels' boxes]"),
    ] = None,
    iou: Annotated[float, typer.Option(help="IoU of the boxes from which a pick is right.")] = 0.6,
    distance_fraction: Annotated[
        float, typer.Option(help="Largest distance of the centres at which a pick is right, as a share of d.")
    ] = 0.25,
    threshold: Annotated[
        float | None,
        typer.Option(help="Lowest confidence of the picks to judge.  [default: the run's; else all picks]"),
    ] = None,
    border_px: Annotated[
        float | None,
        typer.Option(
            help="Ignore picks and labels closer to the border than this, in full-size pixels; 0: none.  [default: d/2]"
        ),
    ] = None,
    ignored: Annotated[
        Path | None,
        typer.Option(
            help="File or folder of boxes in any format. A pick in one of them that finds no label is not judged.",
        ),
    ] = None,
    micrographs: Annotated[
        Path | None,
        typer.Option(help="Folder of the micrographs, for their shapes; a run of `pick` knows them."),
    ] = None,
    label_box_size_px: Annotated[
        float | None, typer.Option(help="Size of the labels' boxes, if their file has none.")
    ] = None,
    keep_coordinates: Annotated[
        bool,
        typer.Option(
            help="Take the coordinates as they stand, even if RELION or cryoSPARC found a shift of the particle. By "
            "default the shift is applied."
        ),
    ] = False,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="Å per pixel of the micrographs, which such shifts need, if nothing else says it."
        ),
    ] = None,
    pr_png: Annotated[Path | None, typer.Option(help="Draw the precision-recall curves to this file.")] = None,
    leak: Annotated[
        str | None,
        typer.Option(help="Say whether any of this data was used in training; shown with the figures."),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Print the whole table: each criterion, intervals, calibration.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the random draws for the intervals and the chance level.")
    ] = 0,
    filaments: Annotated[
        bool, typer.Option("--filaments", help="Compare filaments, by length, within a quarter of their width.")
    ] = False,
    width_px: Annotated[
        float | None,
        typer.Option(min=0.001, help="Width of the labelled filaments in full-size pixels, if their file has none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare picks with labels: precision, recall, F1, AUC and more."""
    # Confidences of other programs, such as Topaz, lie outside 0 to 1, so any finite number is allowed.
    if threshold is not None and not math.isfinite(threshold):
        raise typer.BadParameter(f"must be a number, not {threshold}", param_hint="--threshold")
    if filaments:
        from vitripick.cli.filaments import evaluate_files

        evaluate_files(picks, labels, width_px=width_px, as_json=as_json)
        return
    from vitripick import evaluation
    from vitripick.atomic import check_file, write_bytes_atomically
    from vitripick.formats.passed_by import passed_by_collected
    from vitripick.pictures import precision_recall_png
    from vitripick.runs.gather import gather_sets, read_ignored
    from vitripick.text import listed

    if pr_png is not None:
        check_file(pr_png, option="pr_png")
    with passed_by_collected() as passed_by:
        sets = gather_sets(
            picks,
            labels,
            micrographs=micrographs,
            label_box_size_px=label_box_size_px,
            pixel_size=pixel_size,
            keep_coordinates=keep_coordinates,
        )
        ignored_sets, strangers = (None, ()) if ignored is None else read_ignored(ignored, list(sets.labels))
    for names, what in (
        (sets.unmatched_picks, "picks without labels, not judged"),
        (sets.unmatched_labels, "labels of a micrograph that was not picked, not judged"),
        (sets.failed_labels, "labels of a micrograph that failed in this run, not judged"),
        (sets.without_picks, "labels without picks, judged as zero picks"),
        (strangers, "boxes to ignore on a micrograph that is not judged, not used"),
    ):
        if names:
            typer.echo(f"{len(names)} with {what}: {listed(names)}", err=True)
    result = evaluation.evaluate(
        sets.picks,
        sets.labels,
        diameter_px=sets.diameter_px if diameter_px is None else diameter_px,
        iou=iou,
        distance_fraction=distance_fraction,
        threshold=sets.threshold if threshold is None else threshold,
        border_px=border_px,
        ignored=ignored_sets,
        seed=seed,
        leak=leak,
    )
    if pr_png is not None:
        write_bytes_atomically(pr_png, precision_recall_png({picks.name or str(picks): result}))
    if result.frame_hint is not None and (as_json or not details):
        typer.echo(f"note: {result.frame_hint}", err=True)
    told = {**result.to_dict(), "passed_by": [one.to_dict() for one in passed_by]}
    if as_json:
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    typer.echo(result.headline())
    if details:
        typer.echo(f"\n{result.table()}")
        return
    better = result.better_threshold()
    if better is not None:
        typer.echo(better)
    bound = "labels are rarely complete, so this is a lower bound; " if result.n_labels else ""
    typer.echo(f"{bound}--details shows all figures")
