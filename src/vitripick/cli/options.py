"""The options that `pick` and `watch` share: said once, so that they mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vitripick.models.architecture_names import names_that_scale_by

if TYPE_CHECKING:
    from vitripick.runs import PickSettings

ModelName = Annotated[
    str | None, typer.Option("--model", help="A released model's name or a bundle; `vitripick models` lists them.")
]
DiameterAngstrom = Annotated[
    float | None,
    typer.Option(
        help="The particle's diameter in Å. Where a model needs one and none is given, or one that does not fit what "
        "is seen, it is estimated."
    ),
]
DiameterPx = Annotated[float | None, typer.Option(help="The particle's diameter in full-size pixels.")]
KeepDiameter = Annotated[
    bool,
    typer.Option("--keep-diameter", help="Use the diameter that is given even where the network sees another size."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Lowest confidence to export. By default that of a model's own particle; for a general model it is chosen "
        "from the scores on up to five micrographs.",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        help="star, cbox, box, csv, eman2, warp, particles-star, cs, cryosparc-star, topaz or cistem; repeat for "
        "several.  [default: star, cbox]",
    ),
]
BoxSizePx = Annotated[float | None, typer.Option(help="Box size to export; the diameter by default.")]
MinimumDistance = Annotated[
    float, typer.Option(min=0, help="Of picks closer than this, in diameters, the most confident stays.")
]
MinimumSizePx = Annotated[
    float | None, typer.Option(help="Leave out what the network saw smaller than this, in full-size pixels.")
]
MaximumSizePx = Annotated[
    float | None, typer.Option(help="Leave out what the network saw larger than this, in full-size pixels.")
]
PatchGrid = Annotated[
    str | None,
    typer.Option(
        "--patches",
        help=f"{names_that_scale_by('long_side')}: rows x columns of patches, such as 2x2; as trained by default.",
    ),
]
EdgeRule = Annotated[str, typer.Option(help="centre: a box may stick out of the micrograph; box: it may not.")]
PixelSize = Annotated[float | None, typer.Option(help="Å per pixel, where the headers are silent or wrong.")]
Overlays = Annotated[bool, typer.Option(help="Draw a PNG of every micrograph with its picks.")]
Thumbnails = Annotated[bool, typer.Option(help="Draw a small JPEG of every micrograph with its picks.")]
JunkMasks = Annotated[
    bool, typer.Option(help="Write a PNG of every micrograph's size that says where it is junk, 0-255.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … or auto.")]
Engine = Annotated[
    str, typer.Option(help="What runs the network on a CPU: openvino, onnxruntime or torch; auto takes the fastest.")
]
Precision = Annotated[str, typer.Option(help="Numbers the network is computed in: fp32, int8 or auto.")]
JsonLines = Annotated[bool, typer.Option("--json-lines", help="Print one line of JSON a micrograph as it is done.")]


def pick_settings(
    *,
    diameter_px: float | None,
    diameter_angstrom: float | None,
    keep_diameter: bool,
    box_size_px: float | None,
    threshold: float | None,
    minimum_distance: float,
    minimum_size_px: float | None,
    maximum_size_px: float | None,
    edge: str,
    patches: str | None,
    pixel_size: float | None,
    formats: list[str] | None,
    overlays: bool,
    thumbnails: bool,
    junk_masks: bool = False,
    engine: str = "auto",
    precision: str = "auto",
) -> PickSettings:
    """The settings that these options mean, or a complaint about the one that cannot be."""
    if edge not in ("centre", "box"):
        raise typer.BadParameter(f"{edge!r} is neither centre nor box", param_hint="--edge")
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
    from vitripick.images import parse_patches
    from vitripick.models.engines import ENGINES, PRECISIONS
    from vitripick.runs import PickSettings

    for option, given, known in (("--engine", engine, ENGINES), ("--precision", precision, PRECISIONS)):
        if given not in known:
            raise typer.BadParameter(f"{given!r} is none of {', '.join(known)}", param_hint=option)
    return PickSettings(
        diameter_px=diameter_px,
        diameter_angstrom=diameter_angstrom,
        keep_diameter=keep_diameter,
        box_size_px=box_size_px,
        threshold=threshold,
        minimum_distance_diameters=minimum_distance,
        minimum_size_px=minimum_size_px,
        maximum_size_px=maximum_size_px,
        patches=None if patches is None else parse_patches(patches),
        edge=edge,  # type: ignore[arg-type]
        pixel_size=pixel_size,
        engine=engine,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        formats=tuple(formats or ("star", "cbox")),
        overlays=overlays,
        thumbnails=thumbnails,
        junk_masks=junk_masks,
    )
