"""Many simulated micrographs into a folder, on all cores.

micrographs/NAME.mrc     the images
labels/NAME.cbox         the true particles
star/NAME.star           the same for RELION
csv/NAME.csv             and for scripts
parameters/NAME.json     everything that was drawn; written last
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
from typing import Any, Literal

import numpy as np

from vitripick.atomic import write_text_atomically
from vitripick.errors import InputError, UsageError
from vitripick.formats import write_mrc, write_picks
from vitripick.simulation.micrograph import simulate_micrograph
from vitripick.simulation.reading import bundled_structures, find_structures, index_entry, read_structure
from vitripick.simulation.recipe import Recipe
from vitripick.simulation.structure import Kind, Structure
from vitripick.simulation.workers import run_in_processes
from vitripick.version import VERSION

log = logging.getLogger("vitripick")


@dataclass(frozen=True)
class SimulationSummary:
    """What a run did.

    Attributes
    ----------
    out
        The folder.
    names
        Of all micrographs, in order.
    n_skipped
        Of these, found done already.
    n_particles
        True particles in all micrographs.
    """

    out: Path
    names: tuple[str, ...]
    n_skipped: int
    n_particles: int


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know once."""

    recipe: Recipe
    structures: tuple[Path, ...]
    kind: Kind | None
    assembly: str
    seed: int
    dtype: str
    out: Path
    key: str


def simulate_folder(
    recipe: Recipe,
    out: str | Path,
    *,
    n_micrographs: int,
    structures: Sequence[str | Path] = (),
    kind: Kind | None = None,
    assembly: str = "1",
    seed: int = 1,
    prefix: str = "simulated",
    dtype: Literal["float32", "float16"] = "float32",
    n_workers: int | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> SimulationSummary:
    """Simulate micrographs with their true particles.

    The same recipe, structures and seed give the same bytes, whatever the number of workers; micrograph i is the
    same however many there are. Called again, it goes on where it stopped; with another recipe or seed it makes its
    micrographs anew, and refuses to leave earlier ones of this prefix among them.

    Parameters
    ----------
    recipe
        From `load_recipe`.
    out
        Folder; made if it is missing.
    n_micrographs
        How many.
    structures
        Files, folders or bundled names; by default the recipe's own, or else all bundled ones.
    kind, assembly
        As in `read_structure`, for all of them.
    seed
        Not negative.
    prefix
        Micrographs are called PREFIX_0001 and so on; `grid1/mic` puts them in subfolders.
    dtype
        Of the MRC files.
    n_workers
        Processes; all cores by default, 1 for none besides this one.
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
        raise InputError(f"{out}: is a file; simulated micrographs need a folder.")
    start = Path(prefix)
    if not start.name or start.is_absolute() or ".." in start.parts:
        raise UsageError(f"--prefix {prefix!r}: micrographs stay inside {out}; give a name, such as mic or grid1/mic.")
    sources = list(structures) or list(recipe.structures)
    paths = tuple(find_structures(sources)) if sources else tuple(bundled_structures().values())
    molecules = [read_structure(path, kind=kind, assembly=assembly) for path in paths]  # a bad one is an error now
    key = _key(recipe, paths, molecules, kind, assembly, seed, dtype)
    job = _Job(recipe, paths, kind, assembly, seed, dtype, out, key)
    names = tuple(f"{prefix}_{index + 1:04d}" for index in range(n_micrographs))
    _check_what_stays(job, prefix, n_micrographs)
    done = {name: n for name in names if (n := _done(job, name)) is not None}
    to_do = [(index, name) for index, name in enumerate(names) if name not in done]
    write_text_atomically(out / "simulation.json", json.dumps(_provenance(job, n_micrographs), indent=1) + "\n")

    n_particles, n_done = sum(done.values()), len(done)
    for name, n in _run(job, molecules, to_do, n_workers or os.cpu_count() or 1):
        n_particles += n
        n_done += 1
        if on_progress is not None:
            on_progress(n_done, len(names), name)
    return SimulationSummary(out, names, len(done), n_particles)


def _run(
    job: _Job, molecules: list[Structure], to_do: list[tuple[int, str]], n_workers: int
) -> Iterator[tuple[str, int]]:
    n_workers = min(n_workers, len(to_do))
    if n_workers <= 1:
        for index, name in to_do:
            yield name, _simulate_one(job, molecules, index, name)
        return
    for (_, name), n in run_in_processes(_work, to_do, n_workers, start=_start_worker, told=(job,)):
        yield name, n


_worker: tuple[_Job, list[Structure]] | None = None


def _start_worker(job: _Job) -> None:
    global _worker
    _worker = job, [read_structure(path, kind=job.kind, assembly=job.assembly) for path in job.structures]


def _work(entry: tuple[int, str]) -> int:
    if _worker is None:
        raise RuntimeError("this worker was never started")
    return _simulate_one(*_worker, *entry)


def _simulate_one(job: _Job, structures: list[Structure], index: int, name: str) -> int:
    rng = np.random.default_rng([job.seed, index])
    simulated = simulate_micrograph(job.recipe, structures, rng, name=f"{name}.mrc")
    out, record_path = job.out, job.out / "parameters" / f"{name}.json"
    # Of the same name an earlier recipe may have left one: it must not vouch for the image that comes now.
    record_path.unlink(missing_ok=True)
    write_mrc(out / "micrographs" / f"{name}.mrc", simulated.image, pixel_size=simulated.pixel_size, dtype=job.dtype)
    for folder, suffix in (("labels", ".cbox"), ("star", ".star"), ("csv", ".csv")):
        write_picks(simulated.boxes, out / folder / f"{name}{suffix}")
    record = {"micrograph": f"{name}.mrc", "seed": job.seed, "index": index, **simulated.parameters, "key": job.key}
    write_text_atomically(record_path, json.dumps(record, indent=1) + "\n")
    return len(simulated.boxes)


def _done(job: _Job, name: str) -> int | None:
    """How many particles a micrograph has that is there already, made by the same recipe and seed."""
    record = job.out / "parameters" / f"{name}.json"
    if not record.is_file() or not (job.out / "micrographs" / f"{name}.mrc").is_file():
        return None
    table = _record(record)
    return len(table["particles"]) if table.get("key") == job.key else None


def _record(path: Path) -> dict[str, Any]:
    """What was drawn for a micrograph; nothing where the file is cut short or edited."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _check_what_stays(job: _Job, prefix: str, n_micrographs: int) -> None:
    """Refuse to leave micrographs of another recipe or seed, which training would take for this one's.

    Those of another prefix may stay: who gives one wants both.
    """
    start = job.out / "parameters" / prefix
    if not start.parent.is_dir():
        return
    named = re.compile(re.escape(start.name) + r"_(\d{4,})\.json")
    numbers = {path: int(match[1]) for path in start.parent.iterdir() if (match := named.fullmatch(path.name))}
    staying = sorted(path for path, number in numbers.items() if number > n_micrographs)
    others = [path.stem for path in staying if _record(path).get("key") != job.key]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise UsageError(
            f"{job.out}: holds micrographs of another recipe, seed or version ({shown}) that would stay beside the new "
            "ones; give another --out, or remove them."
        )
    if staying:
        log.warning(
            "%s: holds %d more micrographs of the same recipe and seed (from %s on); they stay",
            job.out,
            len(staying),
            staying[0].stem,
        )


def _key(
    recipe: Recipe,
    paths: Sequence[Path],
    molecules: Sequence[Structure],
    kind: Kind | None,
    assembly: str,
    seed: int,
    dtype: str,
) -> str:
    """Of everything that decides the bytes of a micrograph, besides its index."""
    settings = [recipe.model_dump(), kind, assembly, seed, dtype, VERSION]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path, molecule in zip(paths, molecules, strict=True):
        digest.update(path.stem.encode() + path.read_bytes())
        if index_entry(path):
            digest.update(f"{molecule.kind} {molecule.mass_kda}".encode())
    return digest.hexdigest()


def _provenance(job: _Job, n_micrographs: int) -> dict[str, Any]:
    return {
        "recipe": job.recipe.model_dump(),
        "seed": job.seed,
        "n_micrographs": n_micrographs,
        "structures": [path.name for path in job.structures],
        "kind": job.kind,
        "assembly": job.assembly,
        "dtype": job.dtype,
        "vitripick": VERSION,
        "key": job.key,
    }
