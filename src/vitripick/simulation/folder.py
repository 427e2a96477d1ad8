"""Simulate many micrographs into a folder, on all cores.

micrographs/NAME.mrc     the images
labels/NAME.cbox         the true particles
star/NAME.star           the same for RELION
csv/NAME.csv             and for scripts
                         (of filaments, labels are NAME.csv, and star and cbox hold segments)
parameters/NAME.json     everything that was drawn; written last
overlays/NAME.png        with `overlays`: the image with its particles
simulation.json          recipe, seed, structures
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.errors import InputError, UsageError, parameter
from vitripick.formats import read_micrograph, read_picks, write_mrc, write_picks
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.json_toml import read_json_object
from vitripick.settings.simulate import OF_LINES, SimulateSettings
from vitripick.simulation.filament_sample import filaments_by
from vitripick.simulation.filaments import SimulatedFilaments
from vitripick.simulation.micrograph import Simulated, simulate_micrograph
from vitripick.simulation.scene_recipe import SceneRecipe
from vitripick.simulation.structures import bundled_structures, find_structures, read_structure
from vitripick.simulation.structures.index import index_entry
from vitripick.simulation.structures.structure import Structure
from vitripick.simulation.workers import run_in_processes
from vitripick.text import listed
from vitripick.version import VERSION

log = logging.getLogger("vitripick")


@dataclass(frozen=True)
class SimulationSummary:
    """Holds what a call of `simulate_folder` did.

    Attributes
    ----------
    out
        The folder.
    names
        Names of all micrographs, in order.
    n_skipped
        Number of these that existed already.
    n_particles
        True particles in all micrographs, or filaments.
    """

    out: Path
    names: tuple[str, ...]
    n_skipped: int
    n_particles: int


@dataclass(frozen=True)
class _Job:
    """Holds what every worker needs.

    `key` stands for everything that decides the bytes of a micrograph, besides its index.
    """

    recipe: SceneRecipe
    structures: tuple[Path, ...]
    settings: SimulateSettings
    out: Path
    key: str


def simulate_folder(
    recipe: SceneRecipe,
    out: str | Path,
    structures: Sequence[str | Path] = (),
    settings: SimulateSettings | None = None,
    *,
    n_workers: int | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> SimulationSummary:
    """Simulate micrographs with their true particles.

    The same recipe, structures and seed give the same bytes with any number of workers; micrograph i is the same in
    every number of micrographs. A second call goes on where the first one stopped. With another recipe or seed it
    replaces its micrographs; it is an error if earlier ones of this prefix would stay among the new ones.

    Parameters
    ----------
    recipe
        From `load_scene_recipe`.
    out
        Folder; made if it is missing.
    structures
        Files, folders or bundled names; by default the recipe's own, or else all bundled ones.
    settings
        All other options; by default `SimulateSettings()`.
    n_workers
        Number of processes; by default as many as there are cores. With 1, this process does the work.
    on_progress
        Called with (done, all, name).

    Raises
    ------
    InputError, UsageError
        If a structure cannot be read, particles do not fit, the prefix leads out of the folder, or the folder holds
        micrographs of another recipe or seed that would stay.
    ResourceError
        If a worker dies, as when memory runs out.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(
            f"{out}: this is a file, but simulated micrographs need a folder; give another {parameter('out')}."
        )
    settings = settings or SimulateSettings()
    prefix = settings.prefix
    start = Path(prefix)
    if not start.name or start.is_absolute() or ".." in start.parts:
        raise UsageError(
            f"{parameter('prefix', prefix, quoted=True)}: micrographs stay inside {out}; give a name, such as mic or "
            "grid1/mic."
        )
    changes = {"pixel_size": settings.pixel_size, "shape": settings.shape}
    recipe = recipe.model_copy(update={key: value for key, value in changes.items() if value is not None})
    sources = list(structures) or list(recipe.structures)
    paths = tuple(find_structures(sources)) if sources else tuple(bundled_structures().values())
    molecules = _read_structures(paths, settings)  # a bad file is an error now, before anything is written
    job = _Job(recipe, paths, settings, out, _key(recipe, paths, molecules, settings))
    names = tuple(f"{prefix}_{index + 1:04d}" for index in range(settings.n_micrographs))
    _check_what_stays(job)
    done = {name: n for name in names if (n := _done(job, name)) is not None}
    to_do = [(index, name) for index, name in enumerate(names) if name not in done]
    write_text_atomically(out / "simulation.json", json.dumps(_provenance(job), indent=1) + "\n")

    n_particles, n_done = sum(done.values()), len(done)
    for name, n in _run(job, molecules, to_do, n_workers or os.cpu_count() or 1):
        n_particles += n
        n_done += 1
        if on_progress is not None:
            on_progress(n_done, len(names), name)
    if settings.overlays:
        _draw_overlays(out, names, filaments=settings.filaments)
    return SimulationSummary(out, names, len(done), n_particles)


def _read_structures(paths: Sequence[Path], settings: SimulateSettings) -> list[Structure]:
    """Read molecules, all of one kind and assembly if the settings say so."""
    return [read_structure(path, kind=settings.kind, assembly=settings.assembly) for path in paths]


def _run(
    job: _Job, molecules: list[Structure], to_do: list[tuple[int, str]], n_workers: int
) -> Iterator[tuple[str, int]]:
    """Simulate micrographs; yield each one's name and number of particles when it is written."""
    n_workers = min(n_workers, len(to_do))
    if n_workers <= 1:
        for index, name in to_do:
            yield name, _simulate_one(job, molecules, index, name)
        return
    for (_, name), n in run_in_processes(_work, to_do, n_workers, start=_start_worker, shared=(job,)):
        yield name, n


_worker: tuple[_Job, list[Structure]] | None = None


def _start_worker(job: _Job) -> None:
    """Read in a worker what all its micrographs need."""
    global _worker
    _worker = job, _read_structures(job.structures, job.settings)


def _work(entry: tuple[int, str]) -> int:
    """Simulate a micrograph, given by index and name, in a worker; return its number of particles."""
    if _worker is None:
        raise RuntimeError("this worker was never started")
    return _simulate_one(*_worker, *entry)


def _simulate_one(job: _Job, structures: list[Structure], index: int, name: str) -> int:
    """Simulate and write one micrograph; return its number of particles."""
    seed, dtype = job.settings.seed, job.settings.dtype
    rng = np.random.default_rng([seed, index])
    simulated: Simulated | SimulatedFilaments
    if job.settings.filaments:
        simulated = filaments_by(job.settings, job.recipe, structures, rng, name=f"{name}.mrc")
    else:
        simulated = simulate_micrograph(job.recipe, structures, rng, name=f"{name}.mrc")
    out, record_path = job.out, job.out / "parameters" / f"{name}.json"
    # An earlier recipe may have left a record of this name; it must not count for the new image.
    record_path.unlink(missing_ok=True)
    write_mrc(out / "micrographs" / f"{name}.mrc", simulated.image, pixel_size=simulated.pixel_size, dtype=dtype)
    told = dict(simulated.parameters)
    if isinstance(simulated, SimulatedFilaments):
        for folder, suffix in (("labels", ".csv"), ("star", ".star"), ("cbox", ".cbox")):
            spacing = 0.5 * simulated.width_px
            write_filaments(simulated.filaments, out / folder / f"{name}{suffix}", spacing_px=spacing)
        told["n_filaments"] = n = len(simulated.filaments)
    else:
        for folder, suffix in (("labels", ".cbox"), ("star", ".star"), ("csv", ".csv")):
            write_picks(simulated.boxes, out / folder / f"{name}{suffix}")
        n = len(simulated.boxes)
    record = {"micrograph": f"{name}.mrc", "seed": seed, "index": index, **told, "key": job.key}
    write_text_atomically(record_path, json.dumps(record, indent=1) + "\n")
    return n


def _done(job: _Job, name: str) -> int | None:
    """Return how many particles a micrograph has, if the same recipe and seed made it already."""
    record = job.out / "parameters" / f"{name}.json"
    if not record.is_file() or not (job.out / "micrographs" / f"{name}.mrc").is_file():
        return None
    table = _record(record)
    if table.get("key") != job.key:
        return None
    particles, n_filaments = table.get("particles"), table.get("n_filaments")
    if job.settings.filaments:
        return n_filaments if isinstance(n_filaments, int) else None
    return len(particles) if isinstance(particles, list) else None


def _record(path: Path) -> dict[str, Any]:
    """Return what was drawn for a micrograph, or nothing if the file is cut short or edited."""
    try:
        return read_json_object(path)
    except ValueError:
        return {}


def _check_what_stays(job: _Job) -> None:
    """Raise an error if micrographs of another recipe or seed would stay, because training would take them for new
    ones.

    Micrographs of another prefix stay: a prefix is there to keep both.
    """
    start = job.out / "parameters" / job.settings.prefix
    if not start.parent.is_dir():
        return
    named = re.compile(re.escape(start.name) + r"_(\d{4,})\.json")
    numbers = {path: int(match[1]) for path in start.parent.iterdir() if (match := named.fullmatch(path.name))}
    staying = sorted(path for path, number in numbers.items() if number > job.settings.n_micrographs)
    others = [path.stem for path in staying if _record(path).get("key") != job.key]
    if others:
        raise UsageError(
            f"{job.out}: holds micrographs of another recipe, seed or version ({listed(others, most=3)}) that would "
            f"stay beside the new ones; give another {parameter('out')}, or remove them."
        )
    if staying:
        log.warning(
            "%s: holds %d more micrographs of the same recipe and seed (from %s on); they stay",
            job.out,
            len(staying),
            staying[0].stem,
        )


def _key(recipe: SceneRecipe, paths: Sequence[Path], molecules: Sequence[Structure], settings: SimulateSettings) -> str:
    """Return a digest of everything that decides the bytes of a micrograph, besides its index."""
    options = [settings.kind, settings.assembly, settings.seed, settings.dtype]
    table = [recipe.model_dump(), *options, VERSION]
    if settings.filaments:
        table.append(settings.model_dump(include=set(OF_LINES)))
    digest = hashlib.sha256(json.dumps(table, sort_keys=True).encode())
    for path, molecule in zip(paths, molecules, strict=True):
        digest.update(path.stem.encode() + path.read_bytes())
        if index_entry(path):
            digest.update(f"{molecule.kind} {molecule.mass_kda}".encode())
    return digest.hexdigest()


def _provenance(job: _Job) -> dict[str, Any]:
    """Return what `simulation.json` says."""
    settings = job.settings
    return {
        "recipe": job.recipe.model_dump(),
        "seed": settings.seed,
        "n_micrographs": settings.n_micrographs,
        "structures": [path.name for path in job.structures],
        "kind": settings.kind,
        "assembly": settings.assembly,
        "dtype": settings.dtype,
        "vitripick": VERSION,
        "key": job.key,
    }


def _draw_overlays(out: Path, names: Sequence[str], *, filaments: bool) -> None:
    """Draw a PNG of each micrograph with its particles, or filaments."""
    if filaments:
        from vitripick.pictures.filaments import filaments_png

        for name in names:
            image = read_micrograph(out / "micrographs" / f"{name}.mrc").image
            (true,) = read_filaments(out / "labels" / f"{name}.csv")
            write_bytes_atomically(out / "overlays" / f"{name}.png", filaments_png(image, true))
        return
    from vitripick.pictures import draw_overlay  # matplotlib takes half a second to load, and few runs draw

    for name in names:
        image = read_micrograph(out / "micrographs" / f"{name}.mrc").image
        draw_overlay(image, read_picks(out / "labels" / f"{name}.cbox"), out / "overlays" / f"{name}.png", title=name)
