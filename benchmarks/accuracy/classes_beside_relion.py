"""Sort the same particle images with `vitripick.classes` and with RELION's 2-D classification, and compare them.

    python benchmarks/accuracy/classes_beside_relion.py RUN --labels LABELS --out OUT --classes 30

RUN is a run folder of `vitripick pick`. A RELION class counts as good if most of its members lie within a third of a
diameter of a person's label; of ours, what `Classes.keep` keeps. Both programs get the same images and threads, and no
CTF. `relion_refine` has to be installed (Debian: `apt-get install relion`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import table

from vitripick.classes import Classes, classify
from vitripick.formats import pair_labels, read_all_picks
from vitripick.formats.micrographs.mrc import read_mrc_volume
from vitripick.formats.micrographs.stack import open_stack
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star, parse_star
from vitripick.formats.text import read_lines
from vitripick.pictures.class_sheet import ClassTile, class_sheet_png
from vitripick.runs.folder import read_run_folder
from vitripick.runs.particle_images import BOX_DIAMETERS, ParticleCutter

NEAR_DIAMETERS = 1 / 3


def particles(run_folder: Path, labels: Path | None, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return images of at most n picks, and for each 1 near a label, 0 far from all, -1 where there are no labels."""
    run = read_run_folder(run_folder)
    cutter = ParticleCutter(run)
    picks = {name: cutter.picks_of(record) for name, record in run.records.items()}
    pairs = {} if labels is None else pair_labels(list(picks), read_all_picks(labels)).pairs
    images, known = [], []
    for name, record in run.records.items():
        images.append(cutter.cut(record, picks[name]).images)
        near = np.full(len(picks[name]), -1)
        if name in pairs:
            distance, _ = cKDTree(pairs[name].centres).query(picks[name].centres)
            near = (distance <= NEAR_DIAMETERS * cutter.diameter_px).astype(int)
        known.append(near)
    whole, near = np.concatenate(images), np.concatenate(known)
    drawn = np.sort(np.random.default_rng(0).permutation(len(whole))[:n])
    return whole[drawn], near[drawn]


def run_relion(
    images: npt.NDArray[np.float32], folder: Path, n_classes: int, iterations: int, threads: int
) -> tuple[float, float]:
    """Sort images with RELION in a folder, and return the seconds and the CPU seconds.

    Each iteration is a process of its own, so a run that was cut off goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "particles.star").is_file():
        write_particles(images, folder)
    diameter = round(images.shape[1] / BOX_DIAMETERS * 1.1)
    begin = f"--i particles.star --K {n_classes} --particle_diameter {diameter} --tau2_fudge 2 --flatten_solvent"
    begin += " --zero_mask --oversampling 1 --psi_step 12 --offset_range 5 --offset_step 2 --norm --scale"
    begin += " --random_seed 1"
    spent = folder / "seconds.json"
    seconds: list[list[float]] = json.loads(spent.read_text()) if spent.is_file() else []
    for done in range(len(seconds), iterations):
        earlier = f"--continue run_it{done:03d}_optimiser.star" if done else begin
        command = f"relion_refine {earlier} --o ./run --iter {done + 1} --dont_combine_weights_via_disc"
        command += f" --preread_images --pool 30 --j {threads}"
        began, before = time.perf_counter(), os.times()
        with (folder / "log.txt").open("ab") as log:
            subprocess.run(command.split(), check=True, cwd=folder, stdout=log, stderr=log)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        seconds.append([time.perf_counter() - began, cpu])
        spent.write_text(json.dumps(seconds))
    wall, processor = np.sum(seconds[:iterations], axis=0)
    return float(wall), float(processor)


def write_particles(images: npt.NDArray[np.float32], folder: Path) -> None:
    """Write images as RELION's particles; the STAR last, because it says that the stack is whole."""
    size = images.shape[1]
    with open_stack(folder / "particles.mrcs", size, pixel_size=1.0) as stack:
        for image in images:
            stack.append(image)
    optics = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", "rlnVoltage": 300, "rlnSphericalAberration": 2.7}
    optics |= {"rlnAmplitudeContrast": 0.1, "rlnImagePixelSize": 1.0, "rlnImageSize": size}
    optics["rlnImageDimensionality"] = 2
    rows = [[f"{i + 1:06d}@particles.mrcs", "mic.mrc", "1"] for i in range(len(images))]
    blocks = [
        StarBlock("optics", table=StarTable(list(optics), [[str(value) for value in optics.values()]])),
        StarBlock("particles", table=StarTable(["rlnImageName", "rlnMicrographName", "rlnOpticsGroup"], rows)),
    ]
    (folder / "particles.star").write_text(format_star(blocks, version="30001"), encoding="utf-8")


def relion_result(folder: Path, iterations: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the class of each particle, in the order of the stack, and the averages."""
    path = folder / f"run_it{iterations:03d}_data.star"
    found = next(block.as_table() for block in parse_star(read_lines(path), path) if block.name == "particles")
    order = [int(name.split("@")[0]) - 1 for name in found.column("rlnImageName")]
    numbers = np.zeros(len(order), np.int64)
    numbers[order] = [int(number) for number in found.column("rlnClassNumber")]
    return numbers, read_mrc_volume(folder / f"run_it{iterations:03d}_classes.mrcs")[0]


def by_labels(numbers: npt.NDArray[np.int64], near: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which particles are in a class whose known members are near a label, for the most part."""
    good = np.zeros(len(numbers), bool)
    for number in np.unique(numbers):
        own = numbers == number
        known = near[own & (near >= 0)]
        good[own] = bool(len(known)) and known.mean() > 0.5
    return good


def draw_relion(
    averages: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64], near: npt.NDArray[np.int64]
) -> bytes:
    """Return RELION's averages as a sheet like ours, the largest class first."""
    counts = np.bincount(numbers, minlength=len(averages) + 1)[1:]
    good = by_labels(numbers, near)
    tiles = []
    for k in np.argsort(-counts, kind="stable"):
        if counts[k]:
            guess = "particle" if good[numbers == k + 1].all() else "junk"
            tiles.append(ClassTile(averages[k], int(k) + 1, counts[k] / len(numbers), None, "", guess))
    return class_sheet_png(tiles, title=f"RELION: {len(numbers)} particles in {len(tiles)} classes")


def draw_ours(found: Classes) -> bytes:
    """Return our averages as a sheet."""
    n = len(found.assigned)
    tiles = [
        ClassTile(average, one.number, one.n_members / n, None, "", one.guess)
        for one, average in zip(found.classes, found.averages, strict=True)
    ]
    return class_sheet_png(tiles, title=f"vitripick: {n} particles in {len(tiles)} classes")


def main() -> None:
    """Print one row, and write both sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--max-particles", type=int, default=5000)
    parser.add_argument("--iterations", type=int, default=25, help="RELION's own default is 25")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    images, near = particles(arguments.run, arguments.labels, arguments.max_particles)
    began, cpu = time.perf_counter(), time.process_time()
    found = classify(
        images, arguments.classes, diameter_px=images.shape[1] / BOX_DIAMETERS, n_threads=arguments.threads
    )
    ours, ours_cpu = time.perf_counter() - began, time.process_time() - cpu
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "vitripick.png").write_bytes(draw_ours(found))
    theirs, theirs_cpu = run_relion(
        images, arguments.out / "relion", len(found), arguments.iterations, arguments.threads
    )
    numbers, averages = relion_result(arguments.out / "relion", arguments.iterations)
    (arguments.out / "relion.png").write_bytes(draw_relion(averages, numbers, near))
    good, kept, own = by_labels(numbers, near), found.keep(), by_labels(found.assigned.class_number, near)
    known = near >= 0
    row = [arguments.run.name, len(images), len(found), ours, theirs, theirs / ours, theirs_cpu / ours_cpu]
    row += [float((good == kept)[known].mean()), float((good == own)[known].mean())]
    row += [float((near[known & kept] == 1).mean()), float((near[known & good] == 1).mean())]
    row += [float(kept[near == 1].mean()), float(good[near == 1].mean())]
    columns = ["set", "images", "classes", "seconds", "RELION's seconds", "ratio", "ratio of CPU time"]
    columns += ["agree, ours as guessed", "agree, both by labels", "labelled in kept", "labelled in RELION's good"]
    columns += ["labelled ones kept", "by RELION"]
    print(table(columns, [row]))


if __name__ == "__main__":
    main()
