"""`vitripick denoise`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vitripick.cli import options


def denoise(
    micrographs: Annotated[list[str], typer.Argument(help="Files, globs, folders or a RELION micrographs STAR.")],
    out: Annotated[Path, typer.Option(help="Folder; run again to go on where it stopped.")],
    pixel_size: options.PixelSize = None,
    include: options.Include = None,
    as_json: options.Json = False,
) -> int:
    """Write micrographs without most of their noise, to look at: not for picking, and not to process."""
    from vitripick.cli.progress import progress_bar
    from vitripick.runs.denoise import denoise_many

    with progress_bar("denoising", "micrographs") as bar:
        summary = denoise_many(micrographs, out, pixel_size=pixel_size, include=include or (), on_done=bar.update)
    for failure in summary.failures:
        print(f"failed: {failure['error']}", file=sys.stderr)
    if as_json:
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False))
    else:
        print(f"{len(summary.files)} denoised micrographs in {out}, to look at")
        if summary.n_skipped:
            print(f"{summary.n_skipped} of them were there already")
    if summary.failures:
        return 3 if not summary.files else 4
    return 0
