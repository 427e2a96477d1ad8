"""Do what `pick`, `watch`, `convert`, `train` and `evaluate` do with `--filaments`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vitripick.errors import InputError, UsageError, parameter
from vitripick.geometry import Filaments
from vitripick.settings.convert import ConvertSettings
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings
from vitripick.settings.watch import WatchSettings
from vitripick.text import listed

if TYPE_CHECKING:
    from vitripick.runs.watch.filaments import FilamentWatcher

_MOST_SAID = 5


def trace_into(
    micrographs: Sequence[str],
    out: Path,
    model: str | None,
    lines: FilamentSettings,
    settings: PickSettings,
    *,
    device: str,
    jobs: int | None,
    shard: str | None,
    cluster: str | None,
    json_lines: bool,
    as_json: bool,
) -> int:
    """Trace filaments into a folder, print what was found, and return the exit code."""
    from vitripick.cli.progress import progress_bar
    from vitripick.runs.shards import parse_shard

    share = None if shard is None else parse_shard(shard)

    def on_found(row: dict[str, Any]) -> None:
        if json_lines:
            print(json.dumps(row, ensure_ascii=False), flush=True)

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json or json_lines else sys.stdout, flush=True)

    with progress_bar("starting", "micrographs") as bar:
        from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL

        chosen = model or DEFAULT_FILAMENT_MODEL
        if cluster is not None:
            from vitripick.programs.dask_filaments import trace_on_cluster

            summary = trace_on_cluster(
                micrographs,
                out,
                chosen,
                lines,
                settings,
                cluster=cluster,
                device=device,
                on_done=bar.update,
                on_found=on_found,
                on_width=say,
                on_note=lambda line: print(line, file=sys.stderr),
            )
        else:
            from vitripick.models import device_name
            from vitripick.models.engines import available_cores, load_on_engine
            from vitripick.models.filament_card import open_filament_model
            from vitripick.runs.filaments import trace_many

            jobs = available_cores() if jobs is None else jobs
            loaded = load_on_engine(
                open_filament_model(chosen),
                engine=settings.engine,
                precision=settings.precision,
                device=device_name(device),
                jobs=jobs,
                filaments=True,
            )
            summary = trace_many(
                micrographs,
                out,
                loaded,
                lines,
                settings,
                jobs=jobs,
                shard=share,
                on_done=bar.update,
                on_found=on_found,
                on_width=say,
            )
    for failure in summary.failures[:_MOST_SAID]:
        print(f"failed: {failure['error']}", file=sys.stderr)
    for note in summary.notes[:_MOST_SAID]:
        print(f"note: {note}", file=sys.stderr)
    more = max(0, len(summary.failures) - _MOST_SAID) + max(0, len(summary.notes) - _MOST_SAID)
    if more:
        print(f"{more} more in {out / 'filaments.json'}", file=sys.stderr)
    if json_lines:
        told = {key: value for key, value in summary.to_dict().items() if key not in ("micrographs", "failures")}
        print(json.dumps({"summary": told}, ensure_ascii=False))
    else:
        sentences = "\n".join([*summary.quality, summary.line()])
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False) if as_json else sentences)
    if share is not None and not (json_lines or as_json):
        print(f"this was share {share}; when all are done, the same command without --shard joins them")
    return 4 if summary.failures else 0


def filament_watcher(
    source: Path,
    out: Path,
    model: str | None,
    lines: FilamentSettings,
    settings: PickSettings,
    waiting: WatchSettings,
    device: str,
    *,
    stop_file: Path | None,
    tell: Callable[[str], None],
    as_lines: bool,
) -> FilamentWatcher:
    """Return the function that traces filaments on micrographs as they arrive; with `as_lines` it prints a line for
    each."""
    from vitripick.models.engines import load_on_engine
    from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL, open_filament_model
    from vitripick.runs.filament_folder import FilamentFolder
    from vitripick.runs.watch.filaments import FilamentWatcher

    loaded = load_on_engine(
        open_filament_model(model or DEFAULT_FILAMENT_MODEL),
        engine=settings.engine,
        precision=settings.precision,
        device=device,
        filaments=True,
    )

    def on_found(row: dict[str, Any]) -> None:
        if as_lines:
            print(json.dumps(row, ensure_ascii=False), flush=True)

    folder = FilamentFolder(out, loaded, lines, settings)
    return FilamentWatcher(source, folder, waiting, stop_file=stop_file, tell=tell, on_found=on_found)


def convert_filaments(
    source: Path,
    target: Path,
    settings: ConvertSettings,
    *,
    to: str | None,
    spacing_angstrom: float | None,
    spacing_px: float | None,
    width_px: float | None,
    micrographs: Path | None,
    as_json: bool,
) -> None:
    """Read filaments, change what is asked for, and write them."""
    from vitripick.formats.filaments import read_filaments, write_filaments
    from vitripick.formats.filaments.files import filament_format
    from vitripick.runs.filament_pairs import stored_filaments
    from vitripick.runs.folder import is_filament_folder

    if is_filament_folder(source):
        parts = [
            dataclasses.replace(one, pixel_size=settings.pixel_size or one.pixel_size)
            for one in stored_filaments(source)
        ]
    else:
        parts = read_filaments(source, format=settings.source_format, pixel_size=settings.pixel_size)
    parts = [_changed(one, settings, width_px) for one in _with_headers(parts, micrographs, settings.pixel_size)]
    spacing = {"spacing_angstrom": spacing_angstrom, "spacing_px": spacing_px}
    files = [target]
    if len(parts) == 1 and target.suffix:
        write_filaments(parts[0], target, format=to, **spacing)
    elif target.suffix and (to is None or filament_format(to).joined):
        write_filaments(parts, target, format=to, **spacing)
    elif to is None:
        raise UsageError(f"{target}: to write into a folder, give {parameter('to')}.")
    else:
        entry = filament_format(to)
        files = [target / f"{Path(one.micrograph or 'filaments').stem}{entry.suffix}" for one in parts]
        if len(set(files)) < len(files):
            raise UsageError(f"{target}: two micrographs of one name would share a file; convert them one by one.")
        for one, file in zip(parts, files, strict=True):
            write_filaments(one, file, format=to, **spacing)
    n = sum(map(len, parts))
    if as_json:
        print(json.dumps({"micrographs": len(parts), "filaments": n, "files": [str(file) for file in files]}))
    else:
        print(f"{n} filaments of {len(parts)} micrographs: {files[0] if len(files) == 1 else target}")


def _stored(path: Path) -> Path:
    """Return the folder of polylines of a run folder, or the path itself."""
    from vitripick.runs.folder import is_filament_folder

    return path / "filaments" if is_filament_folder(path) else path


def _with_headers(parts: list[Filaments], micrographs: Path | None, pixel_size: float | None) -> list[Filaments]:
    """Return the filaments with name, shape and pixel size of their micrographs, where these are given."""
    if micrographs is None:
        return parts
    from vitripick.formats import find_micrographs, read_header

    files = find_micrographs([micrographs], include=["*"])
    by_stem = {Path(file.name).stem: file for file in files}
    result = []
    for one in parts:
        file = by_stem.get(Path(one.micrograph or "").stem) or (files[0] if len(files) == len(parts) == 1 else None)
        if file is None:
            result.append(one)
            continue
        header = read_header(file.path)
        size = pixel_size or one.pixel_size or file.pixel_size or header.pixel_size
        result.append(dataclasses.replace(one, micrograph=file.name, shape=header.shape, pixel_size=size))
    return result


def _changed(one: Filaments, settings: ConvertSettings, width_px: float | None) -> Filaments:
    """Return the filaments in full-size pixels, as the options of converting say."""
    if settings.scale != 1:
        pixel_size, shape = one.pixel_size, one.shape
        one = dataclasses.replace(one.scaled(settings.scale), pixel_size=pixel_size, shape=shape)
    if settings.flip_y:
        if one.shape is None:
            raise UsageError(f"{one.micrograph}: flipping y needs the number of rows; give {parameter('micrograph')}.")
        one = one.flipped(one.shape[0])
    if settings.threshold is not None:
        one = one.above(settings.threshold)
    return one if width_px is None else one.with_width(width_px)


def train_on_labels(
    micrographs: Sequence[str],
    labels: Sequence[str],
    out: Path,
    *,
    start: str | None,
    width_px: float | None,
    width_angstrom: float | None,
    steps: int | None,
    seed: int,
    pixel_size: float | None,
    device: str,
    as_json: bool,
) -> None:
    """Train on labelled filaments, and write OUT/model.safetensors."""
    from vitripick.cli.progress import progress_bar
    from vitripick.formats import find_micrographs, read_micrograph
    from vitripick.formats.filaments import read_filaments
    from vitripick.models.bundle import choose_device
    from vitripick.models.filament_bundle import load_filament_model, save_filament_model
    from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL
    from vitripick.training.filament_labels import train_filaments

    if not micrographs or len(micrographs) != len(labels):
        raise UsageError("each --micrographs needs its --labels.")
    if width_px is not None and width_angstrom is not None:
        raise UsageError("give the width in Å or in pixels, not both.")
    pairs = []
    unused: list[str] = []
    for images, own in zip(micrographs, labels, strict=True):
        known = {Path(one.micrograph or "").stem: one for one in read_filaments(_stored(Path(own)))}
        for file in find_micrographs([images], include=["*"]):
            if Path(file.name).stem in known:
                size = pixel_size or file.pixel_size
                one = read_micrograph(file.path, name=file.name, pixel_size=size)
                pairs.append((one, known.pop(Path(file.name).stem)))
            else:
                unused.append(file.name)
        unused += sorted(known)
    if unused and pairs:
        typer.echo(f"not used, without labels or without a micrograph: {len(unused)} ({listed(unused)})", err=True)
    if not pairs:
        raise InputError(f"{', '.join(labels)}: no labels belong to any of the micrographs.")
    with progress_bar("training", "steps", in_log=True) as bar:
        model = train_filaments(
            pairs,
            start=load_filament_model(start or DEFAULT_FILAMENT_MODEL),
            width_px=width_px,
            width_angstrom=width_angstrom,
            steps=steps or 400,
            device=str(choose_device(device)),
            seed=seed,
            name=out.name,
            on_step=lambda step, total, loss: bar.update(step, total, f"loss {loss:.3f}"),
        )
    path = out / "model.safetensors"
    save_filament_model(model, path)
    if as_json:
        print(json.dumps({"model": str(path), "micrographs": len(pairs), **model.card.training}, ensure_ascii=False))
    else:
        print(f"model written to {path}, from {len(pairs)} micrographs")
        print(f"trace with: vitripick pick MICROGRAPHS --filaments --model {path} --out PICKS")


def evaluate_files(picks: Path, labels: Path, *, width_px: float | None, as_json: bool) -> None:
    """Compare filaments of files or folders, micrograph by micrograph, and print what was found."""
    from vitripick.runs.filament_pairs import pair_filaments

    pairs = pair_filaments(picks, labels, width_px=width_px)
    for names, what in (
        (pairs.unlabelled, "filaments and without labels, not judged"),
        (pairs.not_traced, "labels of a micrograph that was not traced, not judged"),
    ):
        if names:
            typer.echo(f"{len(names)} with {what}: {listed(names)}", err=True)
    found = pairs.judged(width_px=width_px)
    typer.echo(json.dumps(found.to_dict(), indent=1) if as_json else "\n".join(found.lines()))
