"""How many micrographs of filaments are traced a second, beyond reading, and the time of tracing in full maps."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vitripick.cores import usable_cores
from vitripick.geometry import Filament, FloatArray, Micrograph
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL, open_filament_model
from vitripick.picking.filaments import trace_filaments
from vitripick.simulation import load_scene_recipe
from vitripick.simulation.filament_shapes import random_helix, random_path
from vitripick.simulation.filaments import FilamentLayout, simulate_filaments
from vitripick.timing import timed
from vitripick.tracing import LineMaps, trace

# Widths of a filament in cells of the network's maps.
WIDTH_CELLS = 3.0


def micrographs(n: int, side: int, width_px: float) -> list[Micrograph]:
    """Return micrographs with thirty crossing filaments each; their images are simulated at a quarter and enlarged."""
    recipe = load_scene_recipe("clean")
    made = []
    for i in range(n):
        rng = np.random.default_rng([5, i])
        helix = random_helix(rng)
        small = simulate_filaments(
            recipe,
            helix,
            rng,
            layout=FilamentLayout(count=30, length_widths=(10, 60)),
            shape=(side // 4, side // 4),
            pixel_size=4 * helix.width_angstrom / width_px,
        )
        image = np.kron(small.image, np.ones((4, 4), np.float32))
        made.append(Micrograph(image, name=f"{i}.mrc", pixel_size=small.pixel_size / 4))
    return made


def maps_of(n: int, side: int) -> LineMaps:
    """Return what a network that is never wrong would say about `n` filaments."""
    rng = np.random.default_rng(1)
    heat, x, y, cosine, sine = np.zeros((5, side, side))
    for _ in range(n):
        start = rng.uniform(0, side, 2)
        heading, length = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(20, 100))
        points = random_path(rng, start=start, heading=heading, length=length, bend=0.003, step=0.25)
        one = Filament.through(points)
        at, angle = one.at(one.track)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                _splat((heat, x, y, cosine, sine), at, angle, np.rint(at).astype(int) + np.array([dx, dy]))
    return LineMaps(heat, x, y, cosine, sine, np.full((side, side), WIDTH_CELLS))


def _splat(maps: tuple[FloatArray, ...], at: FloatArray, angle: FloatArray, cells: FloatArray) -> None:
    side = len(maps[0])
    normal = np.column_stack([-np.sin(angle), np.cos(angle)])
    offset = np.sum((at - cells) * normal, axis=1)
    heat = np.exp(-0.5 * (np.maximum(np.abs(offset) - 0.5, 0) / 0.33) ** 2)
    inside = np.all((cells >= 0) & (cells < side), axis=1)
    column, row = cells[inside].T
    hotter = heat[inside] > maps[0][row, column]
    column, row = column[hotter], row[hotter]
    values = (heat, normal[:, 0] * offset, normal[:, 1] * offset, np.cos(2 * angle), np.sin(2 * angle))
    for one, value in zip(maps, values, strict=True):
        one[row, column] = value[inside][hotter]


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="of a micrograph, in pixels")
    parser.add_argument("--width-px", type=float, default=40.0, help="of a filament")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 500, 2000], help="filaments in drawn maps")
    given = parser.parse_args()
    jobs = usable_cores()
    model = load_on_engine(open_filament_model(DEFAULT_FILAMENT_MODEL), jobs=jobs, filaments=True)
    some = micrographs(given.files, given.side, given.width_px)

    def one(micrograph: Micrograph) -> tuple[dict[str, float], int]:
        with timed() as seconds:
            found = trace_filaments(micrograph, model, width_px=given.width_px)
        return dict(seconds), len(found.filaments)

    one(some[0])
    rates, cores, stages, n_found = [], [], [], 0
    for _ in range(given.repeats):
        began, used = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(jobs) as pool:
            results = list(pool.map(one, some))
        rates.append(len(some) / (time.perf_counter() - began))
        cores.append((time.process_time() - used) / len(some))
        stages += [seconds for seconds, _ in results]
        n_found = sum(n for _, n in results)
    print(f"{model.engine}, {jobs} micrographs at once, {given.side} px, width {given.width_px:g} px\n")
    # Where others use the cores, too, seconds of a core say more than the rate.
    print(
        "| micrographs a second, best and median | core seconds each | filaments each | " + " | ".join(stages[0]) + " |"
    )
    print("|---|---|---|" + "---|" * len(stages[0]))
    medians = [f"{1000 * float(np.median([one[name] for one in stages])):.0f} ms" for name in stages[0]]
    print(
        f"| {max(rates):.1f}, {np.median(rates):.1f} | {np.median(cores):.2f} | {n_found / len(some):.0f} | "
        + " | ".join(medians)
        + " |\n"
    )
    print("| filaments in a drawn map | traced | seconds of one core |")
    print("|---|---|---|")
    for count in given.counts:
        maps = maps_of(count, max(128, round(2048 * np.sqrt(count / 2000))))
        began = time.process_time()
        found = trace(maps, typical_width=WIDTH_CELLS)
        print(f"| {count} | {len(found)} | {time.process_time() - began:.2f} |", flush=True)


if __name__ == "__main__":
    main()
