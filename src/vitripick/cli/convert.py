"""`vitripick convert`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from vitripick.text import count


def convert(
    source: Annotated[Path, typer.Argument(help="A picks file, or a folder of them.")],
    target: Annotated[Path, typer.Argument(help="The file to write, or a folder (then give --to).")],
    to: Annotated[
        str | None,
        typer.Option(help="Format to write; by default, what the suffix says. There are {formats}."),
    ] = None,
    source_format: Annotated[
        str | None, typer.Option("--from", help="Format of the source, where suffix and content do not say.")
    ] = None,
    micrograph: Annotated[
        Path | None,
        typer.Option(help="The micrograph, or the folder or RELION STAR of them: names, shapes, pixel sizes, optics."),
    ] = None,
    box_size_px: Annotated[float | None, typer.Option(help="Give all boxes this size, in full-size pixels.")] = None,
    flip_y: Annotated[
        bool, typer.Option("--flip-y", help="Turn y round: the source counts from the other end.")
    ] = False,
    scale: Annotated[float, typer.Option(help="Full-size pixels per pixel of the source: 4 after binning by 4.")] = 1.0,
    threshold: Annotated[float | None, typer.Option(help="Leave out picks of a lower confidence; labels stay.")] = None,
    minimum_size_px: Annotated[
        float | None, typer.Option(help="Leave out picks that the network saw smaller than this, in full-size pixels.")
    ] = None,
    maximum_size_px: Annotated[
        float | None, typer.Option(help="Leave out picks that the network saw larger than this, in full-size pixels.")
    ] = None,
    minimum_distance_px: Annotated[
        float, typer.Option(min=0, help="Of picks closer than this, in full-size pixels, the most confident stays.")
    ] = 0.0,
    float_coordinates: Annotated[
        bool, typer.Option("--float-coordinates", help="Keep fractions of pixels in .box files.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Draw the picks on the micrograph into this PNG; needs --micrograph.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Convert picks or labels from one format to another."""
    for name, value in (
        ("--box-size-px", box_size_px),
        ("--scale", scale),
        ("--minimum-size-px", minimum_size_px),
        ("--maximum-size-px", maximum_size_px),
    ):
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"must be a positive number, not {value}", param_hint=name)
    # Other programs' scores, such as Topaz's, lie outside 0 to 1.
    if threshold is not None and not math.isfinite(threshold):
        raise typer.BadParameter(f"must be a number, not {threshold}", param_hint="--threshold")
    if preview is not None and (micrograph is None or not micrograph.is_file() or micrograph.suffix == ".star"):
        raise typer.BadParameter("needs one micrograph to draw on: --micrograph FILE", param_hint="--preview")
    from vitripick.formats.picks.convert import as_written, read_for_conversion, target_format, write_converted
    from vitripick.geometry import keep_sizes, remove_overlaps

    target_format(target, to)
    parts = read_for_conversion(source, source_format=source_format, micrographs=micrograph, flip_y=flip_y, scale=scale)
    parts = [keep_sizes(boxes, minimum_px=minimum_size_px, maximum_px=maximum_size_px) for boxes in parts]
    if minimum_distance_px > 0:
        parts = [remove_overlaps(boxes, minimum_distance_px=minimum_distance_px) for boxes in parts]
    if box_size_px is not None:
        parts = [boxes.with_size(box_size_px) for boxes in parts]
    kept = as_written(parts, target, to=to, threshold=threshold)
    written = write_converted(kept, target, to=to, micrographs=micrograph, float_coordinates=float_coordinates)
    if preview is not None and micrograph is not None:
        from vitripick.formats.micrographs.files import read_micrograph
        from vitripick.pictures import draw_overlay

        draw_overlay(read_micrograph(micrograph).image, parts[0], preview, threshold=threshold)
    n_picks = sum(map(len, kept))
    if as_json:
        files = [str(path) for path in written]
        print(json.dumps({"micrographs": len(parts), "picks": n_picks, "files": files}, ensure_ascii=False))
    else:
        what = written[0] if len(written) == 1 else f"{len(written)} files in {target}"
        print(f"{n_picks} picks of {count('micrograph', len(parts))}: {what}")
