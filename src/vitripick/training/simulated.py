"""Make simulated samples for training once, on all cores, and read them from the disk.

A field is a small square, simulated at the scale that the network sees, with the truth about particles and junk. Fields
are kept in half precision in a folder named after everything that decides them, so that a run that was stopped, or
another one on the same samples, finds them there.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vitripick.atomic import write_bytes_atomically
from vitripick.cores import usable_cores
from vitripick.errors import InputError, UsageError
from vitripick.images import Preparation
from vitripick.models.card import file_sha256
from vitripick.settings.train import SimulatedSet
from vitripick.simulation import (
    Structure,
    bundled_structures,
    find_structures,
    load_scene_recipe,
    read_structure,
    simulate_crops,
)
from vitripick.simulation.workers import run_in_processes
from vitripick.training.samples import Knowledge, Sample, TrainingData, join_data

# Fields per file: few, so that little is lost when a run is stopped.
_CHUNK = 250


def with_simulated(
    data: TrainingData,
    sets: Sequence[SimulatedSet],
    folder: Path,
    preparation: Preparation,
    *,
    on_chunk: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Return the data with simulated sets after the labelled ones.

    Raises
    ------
    InputError, UsageError
        As in `load_simulated`; or if the network does not see every particle at one size.
    """
    if sets and preparation.scale_by != "particle":
        raise UsageError(
            "[[simulated]] fields are made at the size at which a network sees every particle, and this architecture "
            "sees whole micrographs: train it on micrographs of `vitripick simulate`."
        )
    parts = [data]
    for index, entry in enumerate(sets, start=len(data.split)):
        own = load_simulated(
            entry, index, folder, working_diameter_px=preparation.working_diameter_px, on_chunk=on_chunk
        )
        fields = [f"{len(own.training)} fields, recipe {entry.recipe}, seed {entry.seed}"]
        parts.append(
            TrainingData(
                training=tuple(own.training),
                validation=tuple(own.validation),
                split=({"train": fields, "structures": own.structures, "left_out": list(entry.leave_out)},),
                diameters_angstrom=own.diameter_range_angstrom,
            )
        )
    return join_data(parts)


@dataclass(frozen=True, eq=False)
class SimulatedSamples:
    """Holds the samples of one simulated set.

    Attributes
    ----------
    training, validation
        Fields, as samples.
    structures
        Names of the molecules they were drawn from.
    diameter_range_angstrom
        Of these molecules.
    """

    training: list[Sample]
    validation: list[Sample]
    structures: list[str]
    diameter_range_angstrom: tuple[float, float]


def load_simulated(
    entry: SimulatedSet,
    set_index: int,
    folder: Path,
    *,
    working_diameter_px: float,
    on_chunk: Callable[[int, int], None] | None = None,
) -> SimulatedSamples:
    """Return the samples of a simulated set; those that are not in `folder` yet are simulated.

    Parameters
    ----------
    entry
        What to simulate.
    set_index
        For the samples.
    folder
        Where fields are kept, each set in a folder of its own.
    working_diameter_px
        The size at which the network sees every particle.
    on_chunk
        Called with (done, wanted) fields.

    Raises
    ------
    InputError, UsageError
        If recipe or structures cannot be read, or a structure to leave out is not there.
    """
    chosen = _chosen(entry)
    job = _Job(entry, tuple(str(path) for path in chosen), working_diameter_px)
    own = folder / job.key
    wanted = entry.samples + entry.validation_samples
    starts = list(range(0, wanted, _CHUNK))
    missing = [start for start in starts if not (own / f"{start:06d}.npz").is_file()]
    done = wanted - sum(min(_CHUNK, wanted - start) for start in missing)
    for start in _simulate(job, own, missing):
        done += min(_CHUNK, wanted - start)
        if on_chunk is not None:
            on_chunk(done, wanted)
    samples: list[Sample] = []
    diameters: list[float] = []
    for start in starts:
        more, angstrom = _read(own, start, entry, set_index)
        samples += more
        diameters += angstrom
    return SimulatedSamples(
        samples[: entry.samples],
        samples[entry.samples : wanted],
        sorted(path.stem for path in chosen),
        (min(diameters), max(diameters)),
    )


@dataclass(frozen=True)
class _Job:
    """Holds everything that decides the fields."""

    entry: SimulatedSet
    paths: tuple[str, ...]
    working_diameter_px: float

    @property
    def key(self) -> str:
        """Return a name for the folder; the number of fields is not part of it, since it changes none of them."""
        decides = self.entry.model_dump(include={"field_px", "scale_jitter", "seed"})
        decides["recipe"] = load_scene_recipe(self.entry.recipe, changes=self.entry.changes).model_dump()
        decides["structures"] = [file_sha256(path) for path in self.paths]
        decides["working_diameter_px"] = self.working_diameter_px
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
        return f"{Path(self.entry.recipe).stem}-{digest}"


def _chosen(entry: SimulatedSet) -> list[Path]:
    bundled = list(bundled_structures().values())
    paths = bundled if entry.structures is None else find_structures([entry.structures])
    names = {path.stem for path in paths}
    unknown = sorted(set(entry.leave_out) - names)
    if unknown:
        raise UsageError(
            f"cannot leave out {', '.join(unknown)}: no such structure in {entry.structures or 'vitripick'}."
        )
    chosen = [path for path in paths if path.stem not in entry.leave_out]
    if not chosen:
        raise UsageError("every structure is left out; there is nothing to simulate.")
    if entry.heaviest_kda is None:
        return chosen
    light = [path for path in chosen if read_structure(path).mass_kda <= entry.heaviest_kda]
    if not light:
        raise UsageError(f"no structure is as light as {entry.heaviest_kda:g} kDa; there is nothing to simulate.")
    return light


def _simulate(job: _Job, own: Path, missing: Sequence[int]) -> Iterator[int]:
    """Yield chunks as they are written."""
    if not missing:
        return
    own.mkdir(parents=True, exist_ok=True)
    n_workers = min(usable_cores(), len(missing))
    for start, _ in run_in_processes(_work, missing, n_workers, start=_start_worker, shared=(job, own)):
        yield start


_worker: tuple[_Job, Path, list[Structure]] | None = None


def _start_worker(job: _Job, own: Path) -> None:
    global _worker
    _worker = job, own, [read_structure(path) for path in job.paths]


def _work(start: int) -> None:
    if _worker is None:
        raise RuntimeError("this worker was never started")
    _write_chunk(*_worker, start)


def _write_chunk(job: _Job, own: Path, structures: list[Structure], start: int) -> None:
    entry = job.entry
    fields = list(
        islice(
            simulate_crops(
                load_scene_recipe(entry.recipe, changes=entry.changes),
                structures,
                working_diameter_px=job.working_diameter_px,
                crop_px=entry.field_px,
                scale_jitter=entry.scale_jitter,
                seed=entry.seed,
                first=start,
            ),
            _CHUNK,
        )
    )
    pixels = io.BytesIO()
    np.save(pixels, np.stack([field.image for field in fields]).astype(np.float16))
    has_junk = np.array([field.junk.any() for field in fields])
    junk = io.BytesIO()
    np.save(junk, np.array([field.junk for field in fields if field.junk.any()], bool))
    truth = io.BytesIO()
    np.savez_compressed(
        truth,
        labels=np.concatenate([field.labels for field in fields]),
        n_labels=np.array([len(field.labels) for field in fields]),
        has_junk=has_junk,
        diameters_px=np.array([field.diameter_px for field in fields]),
        pixel_sizes=np.array([field.pixel_size for field in fields]),
        structures=np.array([field.structure for field in fields]),
    )
    write_bytes_atomically(own / f"{start:06d}.pixels.npy", pixels.getvalue())
    write_bytes_atomically(own / f"{start:06d}.junk.npy", junk.getvalue())
    # It is written last, so if it exists, the others do, too.
    write_bytes_atomically(own / f"{start:06d}.npz", truth.getvalue())


def _read(own: Path, start: int, entry: SimulatedSet, set_index: int) -> tuple[list[Sample], list[float]]:
    """Return the samples of a chunk, and the diameter of each one's molecule in Å."""
    path = own / f"{start:06d}.npz"
    try:
        pixels = np.load(own / f"{start:06d}.pixels.npy", mmap_mode="r")
        with np.load(path) as file:
            truth = dict(file)
        junk = iter(np.load(own / f"{start:06d}.junk.npy", mmap_mode="r" if truth["has_junk"].any() else None))
        clean = np.zeros(pixels.shape[1:], bool)
        labels = np.split(truth["labels"].astype(np.float32), np.cumsum(truth["n_labels"])[:-1])
        samples = [
            Sample(
                f"simulated {truth['structures'][i]} {start + i}",
                set_index,
                pixels[i],
                labels[i],
                float(truth["diameters_px"][i]),
                Knowledge(
                    complete=True,
                    empty=not len(labels[i]),
                    junk=next(junk) if truth["has_junk"][i] else clean,
                ),
                set_weight=entry.weight,
            )
            for i in range(len(labels))
        ]
        return samples, list(truth["diameters_px"] * truth["pixel_sizes"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: these simulated samples cannot be read ({error}); remove {own} and they are made again."
        ) from error
