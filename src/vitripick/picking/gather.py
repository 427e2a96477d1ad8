"""Gather what a run of picking left on disk: for the report, and as the picks side of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError, MicrographError
from vitripick.evaluation import evaluate
from vitripick.formats import (
    holds_run,
    pair_labels,
    read_all_picks,
    read_micrograph,
    read_picks,
)
from vitripick.geometry import Boxes, Image
from vitripick.picking.export import RunLayout
from vitripick.picking.junk import read_junk
from vitripick.picking.paired_sets import GatheredSets, by_micrographs, by_names
from vitripick.picking.quality import in_words, within_run
from vitripick.picking.record import RECORDS, Record, read_log, read_record, record_path
from vitripick.pictures import ReportMicrograph, ReportRun, montage_png, overlay_png

# Overlays in a report; at about 300 kB each, a few dozen keep it small enough to send by mail.
MAX_OVERLAYS = 24
_OVERLAY_SIDE_PX = 1100


@dataclass(frozen=True, eq=False)
class RunFolder:
    """The output folder of `pick`, read back.

    Attributes
    ----------
    run
        What `run.json` holds.
    records
        One for each micrograph of the run that is done, by name.
    failures
        `{"micrograph", "path", "error"}` for each that failed.
    """

    folder: Path
    run: dict[str, Any]
    records: dict[str, Record]
    failures: list[dict[str, Any]]

    @property
    def threshold(self) -> float | None:
        """The one picks were exported with."""
        threshold = self.run.get("threshold")
        return None if threshold is None else float(threshold)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the micrographs that failed."""
        return tuple(failure["micrograph"] for failure in self.failures if "micrograph" in failure)

    @property
    def diameter_px(self) -> float | None:
        """The particle's, median over its micrographs; None where no record tells it."""
        told = [r.quality.diameter_px for r in self.records.values() if r.quality is not None]
        known = [d for d in told if d is not None]
        return float(np.median(known)) if known else None

    def read_picks(self) -> dict[str, Boxes]:
        """All stored picks by micrograph, each with its shape and pixel size."""
        return {name: self.read_picks_of(record) for name, record in self.records.items()}

    def read_picks_of(self, record: Record) -> Boxes:
        """All stored picks of one micrograph."""
        picks = read_picks(self.folder / "cbox" / f"{record.stem}.cbox")
        return picks.of(micrograph=record.name, shape=record.shape, pixel_size=record.pixel_size)


def is_run_folder(path: str | Path) -> bool:
    """Whether `path` is the output folder of `pick`, finished or not."""
    return _run_path(path).is_file() or holds_run(Path(path))


def read_run_folder(folder: str | Path) -> RunFolder:
    """Read `run.json`, the records of its micrographs with their times from the log, and its failures.

    Records that an earlier run left in the same folder for micrographs this one was not given are left out.

    Raises
    ------
    InputError
        If the folder is not the output of `pick`, or a record is missing or damaged.
    """
    folder = Path(folder)
    if not _run_path(folder).is_file():
        raise InputError(
            f"{folder}: there is no run.json here. Give the folder `vitripick pick --out` wrote; if that "
            "was interrupted, run it again to finish, done micrographs are not picked twice."
        )
    run = _read_json(_run_path(folder))
    wanted = _wanted(run, _run_path(folder))
    records: dict[str, Record] = {}
    log = read_log(folder)
    timed = {line["micrograph"]: line for line in log if "micrograph" in line}
    for path in _record_paths(folder, wanted):
        record = read_record(path)
        if record is None:
            raise InputError(f"{path}: this is not a record that this version of vitripick wrote. Run pick again.")
        if record.name in wanted:
            line = timed.get(record.name)
            if line is not None:
                record = replace(record, seconds=line["seconds"], timings=line["timings"])
            records[record.name] = record
    lost = sorted(set(wanted) - set(records))
    if lost:
        raise InputError(
            f"{folder}: run.json names {len(lost)} micrographs that have no record in micrographs/, first "
            f"{lost[0]!r}. Run pick again, done micrographs are not picked twice."
        )
    records = {name: records[name] for name in wanted}
    seconds = [line["run"]["seconds"] for line in log if "run" in line]
    if seconds:
        run = {**run, "seconds": seconds[-1]}
    return RunFolder(folder, run, records, _read_failures(folder / "failures.jsonl"))


def _run_path(folder: str | Path) -> Path:
    return Path(folder) / "run.json"


def _wanted(run: dict[str, Any], path: Path) -> dict[str, str | None]:
    """The names of the run's micrographs, each with its stem where `run.json` tells it."""
    listed = run.get("micrographs")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "name" in entry for entry in listed):
        raise InputError(f"{path}: this does not list the run's micrographs. Run pick again to write it anew.")
    return {entry["name"]: entry.get("stem") for entry in listed}


def _record_paths(folder: Path, wanted: dict[str, str | None]) -> Iterable[Path]:
    """The records of a run; where two are of one micrograph, the one that holds comes last."""
    stems = [stem for stem in wanted.values() if stem is not None]
    if wanted and len(stems) == len(wanted):
        return [path for path in (record_path(folder, stem) for stem in stems) if path.is_file()]
    # A run.json of before it named the stems: a micrograph whose stem changed left its older record behind.
    # Hidden ones are being written by a watcher, or were left by a killed one.
    paths = [path for path in (folder / RECORDS).rglob("*.json") if not path.name.startswith(".")]
    return sorted(sorted(paths), key=lambda path: path.stat().st_mtime_ns)


def gather_sets(
    picks: str | Path,
    labels: str | Path,
    *,
    micrographs: str | Path | None = None,
    label_box_size_px: float | None = None,
) -> GatheredSets:
    """Read picks and labels and pair them by the micrograph's name.

    Parameters
    ----------
    picks
        The output folder of `pick`, or a file or folder in any format we read.
    labels
        A file or folder in any format we read.
    micrographs
        Folder of the micrographs, for their shapes, which tell where the border is. A run knows them already.
    label_box_size_px
        Size of the labels' boxes, where their format has none.

    Raises
    ------
    InputError
        If nothing can be read, or no labels belong to any picks.
    """
    label_parts = read_all_picks(labels, box_size_px=label_box_size_px)
    if is_run_folder(picks):
        run = read_run_folder(picks)
        picked = run.read_picks()
        failed = set(run.failed) - set(picked)
        # Together, or the labels of one that failed might go to another of nearly its name.
        pairing = pair_labels([*picked, *sorted(failed)], label_parts)
        judged = {name: own for name, own in pairing.pairs.items() if name not in failed}
        compared = [boxes for name, own in judged.items() for boxes in (picked[name], own)]
        sets = GatheredSets(
            picks=picked,
            labels=judged,
            threshold=run.threshold,
            unmatched_picks=tuple(name for name in pairing.unmatched_micrographs if name not in failed),
            unmatched_labels=pairing.unmatched_labels,
            failed_labels=tuple(name for name in pairing.pairs if name in failed),
            diameter_px=None if any(map(len, compared)) else run.diameter_px,
        )
    elif micrographs is not None:
        sets = by_micrographs(read_all_picks(picks), label_parts, Path(micrographs))
    else:
        sets = by_names(read_all_picks(picks), label_parts, both_files=Path(picks).is_file() and Path(labels).is_file())
    if sets.failed_labels and not sets.labels:
        raise InputError(
            f"{labels}: every micrograph that these labels belong to failed, {sets.failed_labels[0]} for one; "
            f"{picks}/failures.jsonl says why."
        )
    if not sets.labels or not set(sets.labels) - set(sets.without_picks):
        raise InputError(
            f"{labels}: none of these labels belongs to any of the picks in {picks}. They are matched by the "
            "micrograph's name: the same stem, with or without an ending such as _autopick or _DW."
        )
    return sets


def gather_run(
    folder: str | Path,
    labels: str | Path | None = None,
    *,
    diameter_px: float | None = None,
    label_box_size_px: float | None = None,
    leak: str | None = None,
    max_overlays: int = MAX_OVERLAYS,
) -> ReportRun:
    """All that a report tells of a run, with overlays drawn anew from the micrographs.

    Parameters
    ----------
    folder
        The output folder of `pick`.
    labels
        Labels to judge the picks by, a file or folder in any format we read.
    diameter_px, label_box_size_px, leak
        For the evaluation; see `evaluate` and `gather_sets`.
    max_overlays
        With more micrographs than this, overlays are drawn of so many, taken evenly.
    """
    run = read_run_folder(folder)
    picks = run.read_picks()
    notes: list[str] = []
    evaluation, own_labels = None, dict[str, Boxes]()
    if labels is not None:
        sets = gather_sets(folder, labels, label_box_size_px=label_box_size_px)
        own_labels = sets.labels
        d = sets.diameter_px if diameter_px is None else diameter_px
        evaluation = evaluate(picks, own_labels, diameter_px=d, threshold=run.threshold, leak=leak)
        if sets.unmatched_labels:
            notes.append(_named("Labels of micrographs that are not in this run, not judged", sets.unmatched_labels))
        if sets.failed_labels:
            notes.append(_named("Labels of micrographs that failed in this run, not judged", sets.failed_labels))
        if sets.unmatched_picks:
            notes.append(_named("Micrographs without labels, not judged", sets.unmatched_picks))

    # Labelled micrographs are the ones worth looking at; without labels, every so-many-th.
    candidates = [name for name in picks if name in own_labels] or list(picks)
    indices = np.linspace(0, len(candidates) - 1, min(max_overlays, len(candidates))).astype(int)
    overlays: dict[str, bytes] = {}
    layout = RunLayout(run.folder)
    montage, n_in_montage = None, -1
    for name in [candidates[i] for i in np.unique(indices)]:
        record = run.records[name]
        try:
            image = _image(record)
        except MicrographError as error:
            notes.append(f"No overlay of {name}: {error}")
            continue
        overlays[name] = overlay_png(
            image,
            picks[name],
            labels=own_labels.get(name),
            threshold=run.threshold,
            max_side=_OVERLAY_SIDE_PX,
            title=name,
            junk=read_junk(layout.path(record.stem, "junk")),
        )
        if record.n_picks > n_in_montage:
            montage, n_in_montage = (montage_png(image, picks[name], threshold=run.threshold), record.n_picks)
    return ReportRun(
        name=run.folder.resolve().name,
        micrographs=[
            ReportMicrograph(
                name=name,
                n_picks=record.n_picks,
                n_stored=record.n_stored,
                seconds=record.seconds,
                overlay_png=overlays.get(name),
                warnings=record.warnings,
                mean_confidence=None if record.quality is None else record.quality.mean_confidence,
                junk_share=None if record.quality is None else record.quality.junk_share,
                suspected=() if record.quality is None else record.quality.suspected,
            )
            for name, record in zip(run.records, within_run(list(run.records.values())), strict=True)
        ],
        picks=picks,
        evaluation=evaluation,
        threshold=run.threshold,
        settings=_settings(run.run),
        timings=_timings(run),
        failures=run.failures,
        montage_png=montage if n_in_montage > 0 else None,
        notes=tuple(notes),
        quality=tuple(in_words(list(run.records.values()))),
    )


def _image(record: Record) -> Image:
    return read_micrograph(Path(record.path), name=record.name).image


def _settings(run: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` says of model and settings, as one flat table."""
    told = ("model", "model_sha256", "vitripick", "engines")
    shown: dict[str, Any] = {key: run[key] for key in told if key in run}
    settings = run.get("settings", {})
    for key, value in settings.items():
        shown[key] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return {**shown, "threshold": run.get("threshold")}


def _timings(run: RunFolder) -> dict[str, float]:
    """Seconds of each step over all micrographs, and of the whole run."""
    timings: dict[str, float] = {}
    for record in run.records.values():
        for step, seconds in record.timings.items():
            timings[step] = timings.get(step, 0.0) + seconds
    if "seconds" in run.run:
        timings["the last run, all in all"] = float(run.run["seconds"])
    return timings


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this should be JSON, but: {error}. Run pick again to write it anew.") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path}: this should be a JSON object. Run pick again to write it anew.")
    return fields


def _read_failures(path: Path) -> list[dict[str, Any]]:
    """One JSON object a line; a last line cut short by a crash is kept as it is, for somebody to see."""
    if not path.is_file():
        return []
    failures: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            failure = json.loads(line)
        except json.JSONDecodeError:
            failure = None
        failures.append(failure if isinstance(failure, dict) else {"error": line})
    return failures


def _named(what: str, names: tuple[str, ...], n: int = 5) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return f"{what}: {', '.join(names[:n])}{more}."
