"""`vitripick watch`: pick micrographs as they arrive."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from vitripick.cli import options


def watch(
    source: Annotated[Path, typer.Argument(help="The folder they arrive in, or a RELION micrographs STAR that grows.")],
    out: Annotated[Path, typer.Option(help="Folder for the picks; run again to go on where it stopped.")],
    model: options.ModelName = None,
    diameter_angstrom: options.DiameterAngstrom = None,
    diameter_px: options.DiameterPx = None,
    keep_diameter: options.KeepDiameter = False,
    threshold: options.Threshold = None,
    format: options.Formats = None,
    box_size_px: options.BoxSizePx = None,
    minimum_distance: options.MinimumDistance = 0.5,
    minimum_size_px: options.MinimumSizePx = None,
    maximum_size_px: options.MaximumSizePx = None,
    edge: options.EdgeRule = "centre",
    patches: options.PatchGrid = None,
    pixel_size: options.PixelSize = None,
    overlays: options.Overlays = False,
    thumbnails: options.Thumbnails = False,
    junk_masks: options.JunkMasks = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds between two looks that must find a file unchanged.")
    ] = 5.0,
    poll: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks into the folder.")] = 2.0,
    tries: Annotated[
        int, typer.Option(min=1, help="A file that still cannot be picked then is recorded as failed.")
    ] = 5,
    retry: Annotated[
        float, typer.Option(min=0, help="Seconds before the second try; twice as long before each further one.")
    ] = 10.0,
    survey_wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for five micrographs to find threshold and diameter on.")
    ] = 40.0,
    idle_timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Stop when nothing has arrived for so many seconds.")
    ] = None,
    stop_file: Annotated[
        Path | None, typer.Option(help="Stop when this file appears.  [default: OUT/STOP]", show_default=False)
    ] = None,
    report: Annotated[bool, typer.Option(help="Rebuild OUT/report.html now and then, and at the end.")] = False,
    json_lines: options.JsonLines = False,
) -> int:
    """Pick micrographs as they arrive, for days, until told to stop."""
    settings = options.pick_settings(
        diameter_px=diameter_px,
        diameter_angstrom=diameter_angstrom,
        keep_diameter=keep_diameter,
        box_size_px=box_size_px,
        threshold=threshold,
        minimum_distance=minimum_distance,
        minimum_size_px=minimum_size_px,
        maximum_size_px=maximum_size_px,
        edge=edge,
        patches=patches,
        pixel_size=pixel_size,
        formats=format,
        overlays=overlays,
        thumbnails=thumbnails,
        junk_masks=junk_masks,
        engine=engine,
        precision=precision,
    )
    from vitripick.cli.pick import print_line
    from vitripick.models import DEFAULT_MODEL, device_name, open_model
    from vitripick.runs import FolderPicker
    from vitripick.runs.suspects import summary_lines
    from vitripick.runs.watch.watcher import Watcher, WatchSettings

    def tell(line: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", file=sys.stderr, flush=True)

    picker = FolderPicker(out, open_model(model or DEFAULT_MODEL), settings, device=device_name(device))
    watcher = Watcher(
        source,
        picker,
        WatchSettings(
            settle_seconds=settle,
            poll_seconds=poll,
            tries=tries,
            retry_seconds=retry,
            survey_wait_seconds=survey_wait,
            idle_timeout_seconds=idle_timeout,
            report=report,
        ),
        stop_file=stop_file,
        tell=tell,
        on_outcome=print_line if json_lines else None,
    )

    def on_signal(number: int, frame: FrameType | None) -> None:
        # The first one lets the micrograph in hand be finished; who cannot wait asks again.
        signal.signal(number, signal.default_int_handler)
        watcher.request_stop(signal.Signals(number).name)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        tell(f"watching {source}; to stop: Ctrl-C, or touch {stop_file or out / 'STOP'}")
        summary = watcher.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for line in summary_lines(summary.records):
        tell(line)
    tell(f"stopped; picks of {len(summary.records)} micrographs are in {out}")
    return 4 if summary.failures else 0
