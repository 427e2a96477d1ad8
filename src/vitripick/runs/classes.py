"""Sort the picks of a run into two-dimensional classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import check_folder
from vitripick.classes import Assigned, Classes, classify
from vitripick.errors import InputError, MicrographError, parameter
from vitripick.geometry import concatenate_boxes
from vitripick.run_layout import CLASSES_FILE
from vitripick.runs.class_files import Members, RunClass, RunClasses, read_classes, write_classes
from vitripick.runs.folder import RunFolder, read_run_folder
from vitripick.runs.particle_images import BOX_DIAMETERS, ParticleCutter, ParticleImages, contrast_of
from vitripick.runs.record import Record, digest
from vitripick.settings.classes import ClassesSettings
from vitripick.version import VERSION

# A single image says little by itself, so a pick with this confidence or more stays in its class.
_SURE = 0.5


@dataclass(frozen=True)
class Steps:
    """Holds functions that are called during the work.

    Attributes
    ----------
    on_stage
        Called with what is done next, in words.
    on_done
        Called with (done, total, name) after each micrograph.
    """

    on_stage: Callable[[str], None] = lambda words: None
    on_done: Callable[[int, int, str], None] = lambda done, total, name: None


def classify_run(
    run_folder: str | Path,
    out: str | Path | None = None,
    settings: ClassesSettings | None = None,
    *,
    n_threads: int | None = None,
    steps: Steps | None = None,
) -> RunClasses:
    """Sort the picks of a run into classes, and write them into a folder; classes that are there already are read.

    Parameters
    ----------
    run_folder
        The output folder of `pick` or `watch`.
    out
        Where to write; the folder `classes` of the run by default.
    settings
        How many classes, from how many particles; defaults if None.
    n_threads
        Threads; all cores by default. The result does not depend on it.
    steps
        Functions to call during the work.

    Raises
    ------
    InputError
        If the folder is not a run folder, no pick reaches the threshold, or no micrograph can be read.
    """
    settings, steps = settings or ClassesSettings(), steps or Steps()
    run = read_run_folder(run_folder)
    out = run.layout.classes if out is None else Path(out)
    check_folder(out)
    cutter = ParticleCutter(run, diameter_px=settings.diameter_px, threshold=settings.threshold)
    made_from = _made_from(run, cutter, settings)
    if (out / CLASSES_FILE).is_file():
        found = _as_they_are(out, run.records, made_from)
        if found is not None:
            return found
    found = _Sorting(run, cutter, settings, n_threads, steps).classes(made_from)
    steps.on_stage("writing the classes")
    write_classes(found, out)
    return found


def classes_of_run(run: RunFolder, folder: Path | None = None) -> RunClasses | None:
    """Return the classes of a run; None if there are none, or the run has other picks by now.

    Parameters
    ----------
    run
        The run.
    folder
        The folder of the classes; `classes` in the run folder by default.
    """
    folder = run.layout.classes if folder is None else folder
    if not (folder / CLASSES_FILE).is_file():
        return None
    try:
        found = read_classes(folder, run.records)
    except InputError:
        return None
    return found if found.made_from.get("picks") == _picks_of(run) else None


def _as_they_are(out: Path, records: dict[str, Record], made_from: dict[str, Any]) -> RunClasses | None:
    """Return the classes of an earlier call; None if they were made from other picks or settings, or are damaged."""
    try:
        found = read_classes(out, records)
    except InputError:
        return None
    return found if found.made_from == made_from else None


def _made_from(run: RunFolder, cutter: ParticleCutter, settings: ClassesSettings) -> dict[str, Any]:
    return {
        "vitripick": VERSION,
        "picks": _picks_of(run),
        "threshold": cutter.threshold,
        "diameter_px": round(cutter.diameter_px, 4),
        "n": settings.n,
        "max_particles": settings.max_particles,
        "seed": settings.seed,
        "contrast": digest([repr(contrast_of(record)) for record in run.records.values()]),
    }


def _picks_of(run: RunFolder) -> str:
    """Return a hash of everything that decides which picks a run has, except the threshold."""
    rows = []
    for record in run.records.values():
        narrowing = None if record.narrowing is None else record.narrowing.to_dict()
        rows.append([record.name, record.made_from, record.n_stored, narrowing])
    return digest(rows)


class _Sorting:
    """Sorts the picks of a run into classes, step by step."""

    def __init__(
        self, run: RunFolder, cutter: ParticleCutter, settings: ClassesSettings, n_threads: int | None, steps: Steps
    ) -> None:
        self.run, self.cutter, self.settings = run, cutter, settings
        self.n_threads, self.steps = n_threads, steps
        self.failures: list[str] = []
        self.picks = [cutter.picks_of(record) for record in run.records.values()]
        self.n_picks = sum(map(len, self.picks))
        if not self.n_picks:
            raise InputError(
                f"{run.folder}: this run has no picks at the threshold of {cutter.threshold:g}, so there is nothing to "
                f"sort into classes; give a lower {parameter('threshold')}, or pick again."
            )

    def classes(self, made_from: dict[str, Any]) -> RunClasses:
        """Return the classes with all picks."""
        rng = np.random.default_rng(self.settings.seed)
        chosen = np.zeros(self.n_picks, bool)
        chosen[rng.permutation(self.n_picks)[: self.settings.max_particles]] = True
        of_record = np.split(chosen, np.cumsum([len(picks) for picks in self.picks])[:-1])
        drawn = list(self._images("cutting out particles", of_record))
        if not drawn:
            raise InputError(
                f"{self.run.folder}: none of its micrographs can be read: {self.failures[0] if self.failures else ''}"
            )
        images = np.concatenate([part.images for part in drawn])
        found = classify(
            images,
            self.settings.n,
            diameter_px=images.shape[1] / BOX_DIAMETERS,
            seed=self.settings.seed,
            n_threads=self.n_threads,
            on_stage=self.steps.on_stage,
        )
        members = _members(drawn, found.assigned)
        if not chosen.all():
            rest = [~one for one in of_record]
            for part in self._images("assigning the other picks", rest):
                members += _members([part], found.assign(part.images, n_threads=self.n_threads))
        scale = drawn[0].scale
        joined = _joined(members, list(self.run.records))
        sizes = {part.record.pixel_size for part in joined}
        pixel_size = sizes.pop() if len(sizes) == 1 else None
        described = _described(found, joined, scale, pixel_size)
        return RunClasses(
            described,
            found.averages,
            scale,
            pixel_size,
            tuple(joined),
            made_from,
            tuple(dict.fromkeys(self.failures)),
        )

    def _images(self, what: str, of_record: list[np.ndarray]) -> Iterator[ParticleImages]:
        self.steps.on_stage(what)
        records = list(self.run.records.values())
        for done, (record, picks, which) in enumerate(zip(records, self.picks, of_record, strict=True), start=1):
            if which.any():
                try:
                    yield self.cutter.cut(record, picks.select(which))
                except MicrographError as error:
                    self.failures.append(str(error))
            self.steps.on_done(done, len(records), record.name)


def _members(parts: list[ParticleImages], assigned: Assigned) -> list[Members]:
    result, first = [], 0
    for part in parts:
        own = slice(first, first + len(part.picks))
        first = own.stop
        result.append(
            Members(
                part.record,
                part.picks,
                assigned.class_number[own],
                assigned.angle_degrees[own],
                # The box starts at a whole pixel, so the pick lies a fraction beside its middle.
                assigned.shift_px[own] * part.scale - part.off_px,
                assigned.score[own],
                assigned.looks_right[own] | (part.picks.confidence >= _SURE),
            )
        )
    return result


def _joined(members: list[Members], names: list[str]) -> list[Members]:
    """Return one entry for each micrograph, in the order of the run, its picks by falling confidence."""
    by_name: dict[str, list[Members]] = {}
    for part in members:
        by_name.setdefault(part.record.name, []).append(part)
    result = []
    for name in names:
        parts = by_name.get(name)
        if not parts:
            continue
        picks = concatenate_boxes([part.picks for part in parts])
        order = np.argsort(-picks.confidence, kind="stable")
        columns = [
            np.concatenate([getattr(part, field) for part in parts])[order]
            for field in ("class_number", "angle_degrees", "shift_px", "score", "fits")
        ]
        result.append(Members(parts[0].record, picks.select(order), *columns))
    return result


def _described(found: Classes, members: list[Members], scale: float, pixel_size: float | None) -> tuple[RunClass, ...]:
    numbers = np.concatenate([part.class_number for part in members])
    confidence = np.concatenate([part.picks.confidence for part in members])
    counts = Counter(numbers.tolist())
    usual = float(np.median(confidence[np.isfinite(confidence)])) if np.isfinite(confidence).any() else np.inf
    result = []
    for one in found.classes:
        own = confidence[(numbers == one.number) & np.isfinite(confidence)]
        mean = float(own.mean()) if len(own) else None
        # What the model finds as sure as most others is not thrown away for its average alone.
        guess = "particle" if mean is not None and mean >= usual - 1e-6 else one.guess
        finest = one.resolution_px * scale if np.isfinite(one.resolution_px) else None
        result.append(
            RunClass(
                one.number,
                counts[one.number],
                round(counts[one.number] / len(numbers), 6),
                guess,
                None if finest is None else round(finest, 2),
                None if finest is None or pixel_size is None else round(finest * pixel_size, 2),
                None if mean is None else round(mean, 4),
            )
        )
    return tuple(result)
