"""Pick many micrographs into a run folder: a loop around `pick` in which one bad micrograph never stops the rest.

The run folder (docs/picking.md shows it):

    run.json                   settings, model, counts; written last
    micrographs/STEM.json      one record for each micrograph that is done
    cbox/STEM.cbox             all its picks down to the floor confidence: the store everything else is made from
    star/, box/, csv/ …        the formats asked for
    distributions/             confidences and sizes of all picks, as CSV and PNG
    failures.jsonl             one line for each micrograph that failed
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

import vitripick
from vitripick.atomic import write_text_atomically
from vitripick.errors import ResourceError, UsageError, VitripickError
from vitripick.formats import MicrographFile, find_micrographs, output_stems, read_micrograph, read_picks
from vitripick.geometry import Boxes, Micrograph
from vitripick.images import Patches
from vitripick.models import Model
from vitripick.models.run import FLOOR_CONFIDENCE, MINIMUM_DISTANCE_DIAMETERS, for_inference
from vitripick.picking.devices import on_devices
from vitripick.picking.distributions import write_distributions
from vitripick.picking.export import check_formats, export_path, write_exports, write_run_exports
from vitripick.picking.one import Edge, pick
from vitripick.pictures import draw_overlay
from vitripick.settings import Settings


class PickSettings(Settings):
    """What a run of picking is told; see `pick` for what each means.

    `threshold` acts on export only; `pixel_size` goes before what the headers say; `formats` are names of
    `vitripick.formats.FORMATS`; with `overlays`, a PNG a micrograph is drawn.
    """

    diameter_px: float | None = Field(None, gt=0)
    diameter_angstrom: float | None = Field(None, gt=0)
    box_size_px: float | None = Field(None, gt=0)
    threshold: float | None = Field(None, ge=0, le=1)
    minimum_distance_diameters: float = Field(MINIMUM_DISTANCE_DIAMETERS, ge=0)
    edge: Edge = "centre"
    minimum_size_px: float | None = Field(None, gt=0)
    maximum_size_px: float | None = Field(None, gt=0)
    patches: Patches | None = None
    pixel_size: float | None = Field(None, gt=0)
    formats: tuple[str, ...] = ("star", "cbox")
    overlays: bool = False


@dataclass(frozen=True)
class Record:
    """One micrograph that is done; what `micrographs/STEM.json` holds."""

    name: str
    path: str
    stem: str
    shape: tuple[int, int]
    pixel_size: float | None
    n_stored: int
    n_picks: int
    seconds: float
    timings: dict[str, float]
    warnings: tuple[str, ...]
    key: str
    overlay_threshold: float | None = None


@dataclass
class RunSummary:
    """What a run did.

    Attributes
    ----------
    records
        One for each micrograph that is done, in the order of the input.
    failures
        `{"micrograph", "path", "error"}` for each that failed.
    n_skipped
        Of the records, those found done already.
    threshold
        Picks at or above this were exported.
    seconds
        Of the whole run.
    """

    out: Path
    threshold: float
    records: list[Record] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    n_skipped: int = 0
    seconds: float = 0.0

    @property
    def n_picks(self) -> int:
        """Exported picks of all micrographs."""
        return sum(record.n_picks for record in self.records)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "out": str(self.out),
            "threshold": self.threshold,
            "n_micrographs": len(self.records),
            "n_skipped": self.n_skipped,
            "n_failed": len(self.failures),
            "n_picks": self.n_picks,
            "n_stored": sum(record.n_stored for record in self.records),
            "seconds": round(self.seconds, 3),
            "micrographs": [{"name": r.name, "n_picks": r.n_picks, "n_stored": r.n_stored} for r in self.records],
            "failures": self.failures,
        }


def pick_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: Model,
    settings: PickSettings | None = None,
    *,
    device: str | torch.device | Sequence[str] = "cpu",
    on_done: Callable[[int, int, str], None] | None = None,
) -> RunSummary:
    """Pick every micrograph that `inputs` name into the folder `out`.

    A micrograph whose record and picks are there, made from the same file with the same model and settings, is not
    picked again; threshold and formats may differ, its files are then written anew from the stored picks.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The run folder.
    model
        From `load_model`.
    settings
        Defaults where None.
    device
        To run the network on; several share the micrographs.
    on_done
        Called with (done, total, name) after each micrograph, failed ones too.

    Raises
    ------
    InputError, UsageError
        Before anything is picked, if `inputs` name nothing or the settings cannot work for any micrograph.
    ResourceError
        If disk, memory or GPU run out; what is done stays.
    """
    started = time.perf_counter()
    settings = settings or PickSettings()
    _check_diameter(model, settings)
    out = Path(out)
    # Left out, or a run folder inside the input folder would offer its own overlays as micrographs next time.
    files = find_micrographs(inputs, leave_out=[out])
    check_formats(settings.formats, [file.name for file in files])
    stems = output_stems(files)
    threshold = model.card.threshold if settings.threshold is None else settings.threshold
    summary = RunSummary(out=out, threshold=threshold)
    failures_path = out / "failures.jsonl"
    try:
        out.mkdir(parents=True, exist_ok=True)
        failures_path.unlink(missing_ok=True)
        devices = [device] if isinstance(device, str | torch.device) else list(device)

        def on_device(one: str | torch.device) -> Callable[[MicrographFile], tuple[Record, bool] | VitripickError]:
            ready = Model(for_inference(model.detector, one), model.card, model.sha256)

            def attempt(file: MicrographFile) -> tuple[Record, bool] | VitripickError:
                try:
                    return _pick_file(file, stems[file.name], out, ready, settings, threshold)
                except ResourceError:
                    raise
                except VitripickError as error:
                    return error

            return attempt

        outcomes = on_devices(files, [on_device(one) for one in devices])
        for done, (file, outcome) in enumerate(zip(files, outcomes, strict=True), start=1):
            if isinstance(outcome, VitripickError):
                error = outcome
                failure = {"micrograph": file.name, "path": str(file.path), "error": str(error)}
                summary.failures.append(failure)
                with failures_path.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(failure, ensure_ascii=False) + "\n")
            else:
                record, skipped = outcome
                summary.records.append(record)
                summary.n_skipped += skipped
            if on_done is not None:
                on_done(done, len(files), file.name)
        _finish(summary, files, model, settings, started)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{out}: the disk is full; make room and run again to go on from here.") from error
        if isinstance(error, PermissionError):
            raise UsageError(f"{error.filename or out}: not allowed to write here; give another --out.") from error
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(
            f"out of memory while picking ({error}); run again on --device cpu, or with a smaller network."
        ) from error
    return summary


def _check_diameter(model: Model, settings: PickSettings) -> None:
    if settings.diameter_px is not None and settings.diameter_angstrom is not None:
        raise UsageError("give the diameter in Å or in pixels, not both.")
    card = model.card
    card.preparation.with_patches(settings.patches or card.preparation.patches)
    known = (settings.diameter_px, settings.diameter_angstrom, card.diameter_px, card.diameter_angstrom)
    if card.preparation.scale_by == "particle" and not any(known):
        raise UsageError(
            f"model {card.name!r} sees every particle at one size and was trained on several particles: "
            "give --diameter-angstrom or --diameter-px."
        )


def _pick_file(
    file: MicrographFile, stem: str, out: Path, model: Model, settings: PickSettings, threshold: float
) -> tuple[Record, bool]:
    """The record of one micrograph, and whether its picks were there already."""
    record_path, store = out / "micrographs" / f"{stem}.json", out / "cbox" / f"{stem}.cbox"
    key = _key(file, model, settings)
    record = read_record(record_path)
    if record is not None and record.key == key and store.is_file():
        picks = read_picks(store).of(micrograph=file.name, shape=record.shape, pixel_size=record.pixel_size)
        n_picks = len(picks.above(threshold))
        write_exports(picks, out, stem, settings.formats, threshold)
        overlay_threshold = record.overlay_threshold
        if settings.overlays and overlay_threshold != threshold:
            _draw(read_micrograph(file.path, name=file.name), picks, out, stem, threshold)
            overlay_threshold = threshold
        record = Record(**{**vars(record), "n_picks": n_picks, "overlay_threshold": overlay_threshold})
        _write_record(record, record_path)
        return record, True

    clock = [time.perf_counter()]
    micrograph = read_micrograph(file.path, name=file.name, pixel_size=settings.pixel_size)
    clock.append(time.perf_counter())
    picks = pick(
        micrograph,
        model,
        threshold=0.0,
        diameter_px=settings.diameter_px,
        diameter_angstrom=settings.diameter_angstrom,
        box_size_px=settings.box_size_px,
        minimum_distance_diameters=settings.minimum_distance_diameters,
        edge=settings.edge,
        minimum_size_px=settings.minimum_size_px,
        maximum_size_px=settings.maximum_size_px,
        patches=settings.patches,
    )
    clock.append(time.perf_counter())
    # The store first, the record last: a record promises that everything before it is there.
    write_exports(picks, out, stem, ("cbox", *settings.formats), threshold)
    if settings.overlays:
        _draw(micrograph, picks, out, stem, threshold)
    clock.append(time.perf_counter())
    record = Record(
        name=file.name,
        path=str(file.path),
        stem=stem,
        shape=micrograph.shape,
        pixel_size=micrograph.pixel_size,
        n_stored=len(picks),
        n_picks=len(picks.above(threshold)),
        seconds=round(clock[-1] - clock[0], 4),
        timings={
            name: round(after - before, 4)
            for name, before, after in zip(("read", "pick", "write"), clock, clock[1:], strict=False)
        },
        warnings=micrograph.warnings,
        key=key,
        overlay_threshold=threshold if settings.overlays else None,
    )
    _write_record(record, record_path)
    return record, False


def _draw(micrograph: Micrograph, picks: Boxes, out: Path, stem: str, threshold: float) -> None:
    path = out / "overlays" / f"{stem}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_overlay(micrograph.image, picks.above(threshold), path, title=micrograph.name)


def read_record(path: Path) -> Record | None:
    """A micrograph's record; None if there is none, or none that this version wrote."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["shape"] = tuple(fields["shape"])
        fields["warnings"] = tuple(fields["warnings"])
        return Record(**fields)
    except (FileNotFoundError, json.JSONDecodeError, TypeError, KeyError):
        return None


def _write_record(record: Record, path: Path) -> None:
    write_text_atomically(path, json.dumps(vars(record), indent=1, ensure_ascii=False) + "\n")


def _key(file: MicrographFile, model: Model, settings: PickSettings) -> str:
    """Of everything that decides which picks are stored: the file as it is now, the model, the settings."""
    try:
        status = file.path.stat()
        identity = [status.st_size, status.st_mtime_ns]
    except OSError:
        identity = []
    decides = settings.model_dump(exclude={"threshold", "formats", "overlays"})
    text = json.dumps([str(file.path), identity, model.sha256, decides, FLOOR_CONFIDENCE, vitripick.__version__])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _finish(
    summary: RunSummary, files: Sequence[MicrographFile], model: Model, settings: PickSettings, started: float
) -> None:
    by_name = {file.name: file for file in files}
    entries = [(by_name[record.name], record.stem, record.shape) for record in summary.records]
    write_run_exports(summary.out, entries, settings.formats, summary.threshold)
    stored = (read_picks(export_path(summary.out, record.stem, "cbox")) for record in summary.records)
    write_distributions(summary.out, stored, summary.threshold)
    summary.seconds = time.perf_counter() - started
    run = {
        "vitripick": vitripick.__version__,
        "model": model.card.name,
        "model_sha256": model.sha256,
        "threshold": summary.threshold,
        "settings": settings.model_dump(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **summary.to_dict(),
    }
    write_text_atomically(summary.out / "run.json", json.dumps(run, indent=1, ensure_ascii=False) + "\n")
