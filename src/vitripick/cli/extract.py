"""Run `vitripick extract`, which cuts out particle images to inspect."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vitripick.cli import options
from vitripick.settings.optics import OpticsSettings


@options.with_settings
def extract(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Output folder of `vitripick pick` or `watch`.")],
    optics: OpticsSettings,
    out: Annotated[Path, typer.Option(help="The stack to write, ending in .mrcs; its STAR goes beside it.")],
    box_size_px: Annotated[int, typer.Option(min=4, help="Side of the square to cut, in full-size pixels; even.")],
    scaled_size_px: Annotated[
        int | None, typer.Option(min=4, help="Side of the images that are written, if binned; even.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest confidence to take; the run's by default.")
    ] = None,
    max_particles: Annotated[
        int | None, typer.Option(min=1, help="Most particles to write, the most confident of each micrograph.")
    ] = None,
    normalise: Annotated[
        bool, typer.Option(help="Scale each image so that its background has mean 0 and standard deviation 1.")
    ] = True,
    invert: Annotated[bool, typer.Option(help="Write particles white, as RELION expects them.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> int:
    """Cut the picked particles into an MRC stack with its STAR, to inspect or for a first 2-D classification."""
    from vitripick.cli.progress import progress_bar
    from vitripick.runs.extract import extract_particles

    with progress_bar("extracting", "micrographs") as bar:
        done = extract_particles(
            run,
            out,
            box_size_px=box_size_px,
            scaled_size_px=scaled_size_px,
            threshold=threshold,
            normalise=normalise,
            invert=invert,
            max_particles=max_particles,
            optics=optics,
            on_done=bar.update,
        )
    if as_json:
        fields = {"stack": str(done.stack), "star": str(done.star), "n_particles": done.n_particles}
        print(json.dumps({**fields, "n_at_edge": done.n_at_edge, "failures": done.failures}, ensure_ascii=False))
    else:
        print(f"{done.n_particles} particles in {done.stack}, listed in {done.star}")
        if done.n_at_edge:
            print(f"{done.n_at_edge} picks left out: their box reaches beyond the micrograph")
    for failure in done.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 4 if done.failures else 0
