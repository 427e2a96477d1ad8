"""Run `vitripick watch`, which picks micrographs as they arrive."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from vitripick.cli import options
from vitripick.settings.filaments import FilamentSettings, check_filament_options
from vitripick.settings.pick import PickSettings
from vitripick.settings.watch import WAITING, WatchSettings

if TYPE_CHECKING:
    from vitripick.runs.watch.filaments import FilamentWatcher


@options.with_settings
def watch(
    source: Annotated[Path, typer.Argument(help="The folder they arrive in, or a RELION micrographs STAR that grows.")],
    out: Annotated[Path, typer.Option(help="Folder for the picks; run again to go on where it stopped.")],
    settings: PickSettings,
    lines: FilamentSettings,
    waiting: WatchSettings,
    model: options.ModelName = None,
    device: options.Device = "auto",
    stop_file: Annotated[
        Path | None,
        typer.Option(help="The watch stops when this file appears.", show_default="OUT/STOP", rich_help_panel=WAITING),
    ] = None,
    json_lines: options.JsonLines = False,
) -> int:
    """Pick micrographs as they arrive, for days, until it is stopped."""
    from vitripick.atomic import check_folder
    from vitripick.cli.pick import print_line
    from vitripick.models import DEFAULT_MODEL, device_name, open_model
    from vitripick.runs import FolderPicker
    from vitripick.runs.watch.watcher import Watcher

    check_folder(out)

    def tell(line: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", file=sys.stderr, flush=True)

    check_filament_options(lines, settings)
    watcher: Watcher | FilamentWatcher
    if lines.filaments:
        from vitripick.cli.filaments import filament_watcher

        place = device_name(device)
        watcher = filament_watcher(
            source, out, model, lines, settings, waiting, place, stop_file=stop_file, tell=tell, as_lines=json_lines
        )
    else:
        picker = FolderPicker(out, open_model(model or DEFAULT_MODEL), settings, device=device_name(device))
        watcher = Watcher(
            source,
            picker,
            waiting,
            stop_file=stop_file,
            tell=tell,
            on_outcome=print_line if json_lines else None,
        )

    def on_signal(number: int, frame: FrameType | None) -> None:
        # The first signal lets the current micrograph be finished; a second one stops at once.
        signal.signal(number, signal.default_int_handler)
        watcher.request_stop(signal.Signals(number).name)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        tell(f"watching {source}; to stop: Ctrl-C, or touch {stop_file or out / 'STOP'}")
        summary = watcher.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    tell("stopped")
    for line in summary.lines():
        tell(line)
    return 4 if summary.failures else 0
