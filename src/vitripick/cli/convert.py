"""`vitripick convert`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from vitripick.cli import options
from vitripick.settings.convert import READING, WRITING, ConvertSettings
from vitripick.text import count

T = TypeVar("T")


@options.with_settings
def convert(
    source: Annotated[Path, typer.Argument(help="A picks file, a folder of them, or the output folder of `pick`.")],
    settings: ConvertSettings,
    target: Annotated[Path | None, typer.Argument(help="The same as --out.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, or a folder (then give --format).", show_default=False)
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="Format to write; by default, what the suffix says. There are {formats}.", rich_help_panel=WRITING
        ),
    ] = None,
    to: Annotated[str | None, typer.Option(help="The same as --format.", rich_help_panel=WRITING)] = None,
    micrograph: Annotated[
        Path | None,
        typer.Option(
            help="The micrograph, or the folder or RELION STAR of them: names, shapes, pixel sizes, optics.",
            rich_help_panel=READING,
        ),
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Draw the picks on the micrograph into this PNG; needs --micrograph.")
    ] = None,
    filaments: Annotated[bool, typer.Option("--filaments", help="Convert filaments.", rich_help_panel=READING)] = False,
    spacing_angstrom: Annotated[
        float | None,
        typer.Option(min=0.001, help="Distance of segments along a filament in Å.", rich_help_panel=WRITING),
    ] = None,
    spacing_px: Annotated[
        float | None,
        typer.Option(min=0.001, help="The same in full-size pixels.", rich_help_panel=WRITING),
    ] = None,
    width_px: Annotated[
        float | None,
        typer.Option(min=0.001, help="Width of filaments in full-size pixels.", rich_help_panel=WRITING),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Convert picks or labels from one format to another."""
    if preview is not None and (micrograph is None or not micrograph.is_file() or micrograph.suffix == ".star"):
        raise typer.BadParameter("needs one micrograph to draw on: --micrograph FILE", param_hint="--preview")
    written_to = _one_of(out, "--out", target, "TARGET")
    if written_to is None:
        raise typer.BadParameter("say where to write: a file, or a folder", param_hint="--out")
    name = _one_of(format, "--format", to, "--to")
    if filaments:
        from vitripick.cli.filaments import convert_filaments

        convert_filaments(
            source,
            written_to,
            settings,
            to=name,
            spacing_angstrom=spacing_angstrom,
            spacing_px=spacing_px,
            width_px=width_px,
            micrographs=micrograph,
            as_json=as_json,
        )
        return
    from vitripick.atomic import check_file
    from vitripick.formats import read_micrograph
    from vitripick.formats.passed_by import passed_by_collected
    from vitripick.runs.convert import convert as convert_picks

    if preview is not None:
        check_file(preview, option="preview")
    with passed_by_collected() as passed_by:
        done = convert_picks(source, written_to, settings, to=name, micrographs=micrograph)
    hint = None
    if preview is not None and micrograph is not None:
        from vitripick.evaluation import Seen, check_frame
        from vitripick.images import spot_maps
        from vitripick.pictures import draw_overlay

        image, boxes = read_micrograph(micrograph).image, done.parts[0]
        draw_overlay(image, boxes, preview, threshold=done.threshold)
        size = boxes.box_size_px if boxes.box_size_px > 0 else None
        seen = Seen(boxes, (image.shape[0], image.shape[1]), spot_maps(image, diameter_px=size))
        hint = check_frame([seen], half_box_px=None if size is None else size / 2)
        if hint is not None:
            print(f"note: {hint}", file=sys.stderr)
    if as_json:
        files = [str(path) for path in done.files]
        told = {
            "micrographs": len(done.parts),
            "picks": done.n_picks,
            "files": files,
            "passed_by": [one.to_dict() for one in passed_by],
        }
        told |= {} if done.threshold is None else {"threshold": done.threshold}
        told |= {} if hint is None else {"hint": str(hint)}
        print(json.dumps(told, ensure_ascii=False))
    else:
        what = done.files[0] if len(done.files) == 1 else f"{len(done.files)} files in {written_to}"
        print(f"{done.n_picks} picks of {count('micrograph', len(done.parts))}: {what}")
        if done.threshold is not None and settings.threshold is None:
            print(f"at the run's threshold of {done.threshold:g}; --threshold 0 takes all its stored picks")


def _one_of(first: T | None, first_name: str, second: T | None, second_name: str) -> T | None:
    """Return what was given under one of two names; two different values are an error."""
    if first is not None and second is not None and first != second:
        raise typer.BadParameter(
            f"{second_name} says {second}; give one of the two", param_hint=f"{first_name} {first}"
        )
    return second if first is None else first
