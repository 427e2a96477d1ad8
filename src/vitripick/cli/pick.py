"""`vitripick pick`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vitripick.picking import RunSummary


def pick(
    micrographs: Annotated[list[str], typer.Argument(help="Files, globs, folders or a RELION micrographs STAR.")],
    out: Annotated[Path, typer.Option(help="Folder for the picks; run again to go on where it stopped.")],
    model: Annotated[
        str | None, typer.Option(help="A released model's name or a bundle; `vitripick models` lists them.")
    ] = None,
    diameter_angstrom: Annotated[float | None, typer.Option(help="The particle's diameter in Å.")] = None,
    diameter_px: Annotated[float | None, typer.Option(help="The particle's diameter in full-size pixels.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Lowest confidence to export; the model's own by default."),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="star, cbox, box, csv, eman2, cs, cryosparc-star or topaz; repeat for several."),
    ] = None,
    box_size_px: Annotated[float | None, typer.Option(help="Box size to export; the diameter by default.")] = None,
    minimum_distance: Annotated[
        float, typer.Option(min=0, help="Of picks closer than this, in diameters, the most confident stays.")
    ] = 0.5,
    minimum_size_px: Annotated[
        float | None, typer.Option(help="Leave out what the network saw smaller than this, in full-size pixels.")
    ] = None,
    maximum_size_px: Annotated[
        float | None, typer.Option(help="Leave out what the network saw larger than this, in full-size pixels.")
    ] = None,
    edge: Annotated[
        str, typer.Option(help="centre: a box may stick out of the micrograph; box: it may not.")
    ] = "centre",
    patches: Annotated[
        str | None,
        typer.Option(help="yolo, inception_resnet: rows x columns of patches, such as 2x2; as trained by default."),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(help="Å per pixel, where the headers are silent or wrong.")
    ] = None,
    overlays: Annotated[bool, typer.Option(help="Draw a PNG of every micrograph with its picks.")] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1 …, several (cuda:0,cuda:1), all CUDA devices (all), or auto.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Find the particles in micrographs and write them for the next program."""
    if edge not in ("centre", "box"):
        raise typer.BadParameter(f"{edge!r} is neither centre nor box", param_hint="--edge")
    from vitripick.cli.progress import progress_bar
    from vitripick.images import parse_patches
    from vitripick.models import DEFAULT_MODEL, load_model
    from vitripick.picking import PickSettings, choose_devices, pick_many

    for name, value in (
        ("--diameter-angstrom", diameter_angstrom),
        ("--diameter-px", diameter_px),
        ("--box-size-px", box_size_px),
        ("--pixel-size", pixel_size),
        ("--minimum-size-px", minimum_size_px),
        ("--maximum-size-px", maximum_size_px),
    ):
        if value is not None and not 0 < value < float("inf"):
            raise typer.BadParameter(f"must be a positive number, not {value}", param_hint=name)
    settings = PickSettings(
        diameter_px=diameter_px,
        diameter_angstrom=diameter_angstrom,
        box_size_px=box_size_px,
        threshold=threshold,
        minimum_distance_diameters=minimum_distance,
        minimum_size_px=minimum_size_px,
        maximum_size_px=maximum_size_px,
        edge=edge,  # type: ignore[arg-type]
        patches=None if patches is None else parse_patches(patches),
        pixel_size=pixel_size,
        formats=tuple(format or ("star", "cbox")),
        overlays=overlays,
    )
    target = choose_devices(device)
    bundle = load_model(model or DEFAULT_MODEL)
    with progress_bar("picking", "micrographs") as update:
        summary = pick_many(micrographs, out, bundle, settings, device=target, on_done=update)
    if as_json:
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False))
    else:
        print(_in_words(summary, bundle.card.name))
    for failure in summary.failures[:5]:
        print(f"failed: {failure['error']}", file=sys.stderr)
    if summary.failures:
        print(
            f"{len(summary.failures)} of {len(summary.failures) + len(summary.records)} micrographs failed; "
            f"all are listed in {summary.out / 'failures.jsonl'}",
            file=sys.stderr,
        )
    return 4 if summary.failures else 0


def _in_words(summary: RunSummary, model_name: str) -> str:
    n = len(summary.records)
    lines = [
        f"{summary.n_picks} picks on {n} micrograph{'' if n == 1 else 's'} with {model_name} at threshold "
        f"{summary.threshold:g}"
    ]
    if summary.n_skipped:
        lines.append(f"{summary.n_skipped} of them were picked before and not picked again")
    picked = n - summary.n_skipped
    if picked:
        network = sum(record.seconds for record in summary.records[-picked:]) / picked
        lines.append(f"{summary.seconds:.1f} s in all, {network:.2f} s a micrograph")
    counts = sorted(record.n_picks for record in summary.records)
    if n > 1:
        lines.append(f"picks a micrograph: {counts[0]} to {counts[-1]}, median {counts[n // 2]}")
    empty = sum(count == 0 for count in counts)
    if empty:
        lines.append(f"{empty} without a pick")
    if n and empty == n:
        lines.append(
            f"fainter candidates are stored in {summary.out / 'cbox'}: look at them with --threshold 0.1, check the "
            "diameter, or train on one labelled micrograph (docs/training.md)"
        )
    lines.append(f"written to {summary.out}")
    warned = [(record.name, warning) for record in summary.records for warning in record.warnings]
    lines += [f"note: {name}: {warning}" for name, warning in warned[:5]]
    if len(warned) > 5:
        lines.append(f"note: {len(warned) - 5} more in {summary.out / 'micrographs'}")
    return "\n".join(lines)
