"""Which share of the picks lies in good classes after RELION's Extract and 2-D classification: the paper's measure.

Picks of the bundled model, of RELION's Laplacian-of-Gaussian picker (LoG) and of people go the same way. The same
command again does what is missing, and prints the table. RELION 3.1.3 was used (Debian: `apt-get install relion`).

A class is good if its average looks like the particle: its correlation with one of the reference averages, within the
circular mask, after the best turn, mirror and shift, reaches `--good`; a share for the lower `--fair` stands beside it.
References are averages of people's labels from another classification (another random seed), of the classes that hold
at least `--reference-share` of them and are not of cut particles. A class is one of cut particles if the circle of the
diameter reaches beyond the micrograph for half of its members.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import LOG_THRESHOLDS, cell, log_command, table

from vitripick.evaluation import evaluate
from vitripick.formats import read_all_picks, read_micrograph, read_picks, write_picks
from vitripick.formats.names.stems import base_name_without_suffix
from vitripick.formats.star.dialect import StarTable, parse_star
from vitripick.formats.text import read_lines
from vitripick.geometry import Boxes

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Set:
    """Is a real set, and how its particles are cut out and classified.

    Attributes
    ----------
    pixel_size
        Å per pixel; the sets do not say it, so it follows from the molecule's known size.
    diameter_px, box_px
        Of the particle and of its image, in pixels of the micrographs.
    image_px
        Side of the particle images, after downscaling.
    n_classes
        RELION's K.
    offset_px
        How far RELION looks for the particle around its last place, in pixels of the images.
    only
        Stems of the micrographs to use; all by default.
    leak
        What the bundled model's training saw of it.
    """

    pixel_size: float
    diameter_px: float
    box_px: int
    image_px: int
    n_classes: int
    offset_px: int
    only: tuple[str, ...] = ()
    leak: str = "no"


SETS = {
    "apoferritin_empiar10146": Set(
        *(1.7, 80.0, 120, 40, 6, 4),
        only=("May08_03.05.02", "May08_04.36.57", "May08_05.53.51", "May08_07.10.35"),
        leak="the protein, not these micrographs",
    ),
    "klh_deepcryopicker": Set(4.8, 80.0, 120, 48, 5, 8),
}
METHODS = {
    "people": "people's labels",
    "general": "general, whole particles only",
    "general_cut": "general, cut ones too",
    "log": "RELION's LoG",
    "log_best": "RELION's LoG, threshold tuned on the labels",
}
REFERENCE = "reference"
# Share of cut particles from which a class is one of cut ones.
CUT_CLASS = 0.5


def main() -> None:
    """Print one table, and draw the classes if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a RELION project for each set, and the results")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument(
        "--most", type=int, default=1500, help="particles of a set; of more, some are drawn by the seed"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--good", type=float, default=0.9, help="correlation from which a class is good")
    parser.add_argument("--fair", type=float, default=0.8, help="the same for a second, more lenient share")
    parser.add_argument("--reference-share", type=float, default=0.05)
    parser.add_argument("--picture", type=Path, help="picture of all classes, good ones framed")
    arguments = parser.parse_args()
    if shutil.which("relion_refine") is None:
        raise SystemExit("relion_refine is not on the path; on Debian: apt-get install --no-install-recommends relion")
    rows, strips = [], []
    for name in arguments.sets:
        project = Project(SETS[name], arguments.data / name, arguments.out / name, arguments)
        references = project.references()
        for method in arguments.methods:
            found = project.result(method)
            averages = project.averages(method)
            alike = [likeness(average, references, project.mask()) for average in averages]
            good = [value >= arguments.good for value in alike]
            strips.append((averages, found["shares"], good, f"{name}: {METHODS[method]}"))
            shares, cut = np.array(found["shares"]), np.array(found["cut"])
            rows.append(
                [
                    *(name, METHODS[method], found["n_picks"], found["n_particles"]),
                    float(shares[good].sum()),
                    float(shares[np.array(alike) >= arguments.fair].sum()),
                    f"{sum(good)} of {len(good)}",
                    float(shares[cut >= CUT_CLASS].sum()),
                    found["cut_share"],
                    found["near_label"],
                    "-" if not method.startswith("general") else SETS[name].leak,
                ]
            )
            print(f"{name}, {method}: likeness {[round(value, 2) for value in alike]}", file=sys.stderr)
    columns = ["set", "picks of", "picks", "classified", f"in good classes (from {arguments.good:g})"]
    columns += [
        f"from {arguments.fair:g}",
        "good classes",
        "in classes of cut ones",
        "cut ones",
        "within d/4 of a label",
    ]
    columns += ["seen in training"]
    print(table(columns, rows))
    if arguments.picture is not None:
        draw(strips, arguments.picture)


class Project:
    """Describes one set as a RELION project: names in its files are relative to its folder."""

    def __init__(self, one: Set, data: Path, folder: Path, arguments: argparse.Namespace) -> None:
        self.set, self.folder, self.arguments = one, folder.resolve(), arguments
        files = sorted((data / "micrographs").glob("*.mrc"))
        self.files = [path for path in files if not one.only or path.stem in one.only]
        if not self.files:
            raise SystemExit(f"{data}/micrographs: none of the micrographs is there")
        (self.folder / "mics").mkdir(parents=True, exist_ok=True)
        for path in self.files:
            link = self.folder / "mics" / path.name
            if not link.is_symlink():
                link.symlink_to(path.resolve())
        optics = ["rlnOpticsGroupName", "rlnOpticsGroup", "rlnMicrographOriginalPixelSize", "rlnMicrographPixelSize"]
        optics += ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]
        # No CTF is corrected, so the microscope's numbers only have to be there.
        values = ["opticsGroup1", "1", str(one.pixel_size), str(one.pixel_size), "300", "2.7", "0.1"]
        lines = ["", "# version 30001", "", "data_optics", "", "loop_", *(f"_{label}" for label in optics)]
        lines += [" ".join(values), "", "data_micrographs", "", "loop_", "_rlnMicrographName", "_rlnOpticsGroup"]
        lines += [f"mics/{path.name} 1" for path in self.files]
        (self.folder / "micrographs.star").write_text("\n".join([*lines, "", ""]))
        self.labels = {path.stem: read_picks(data / "coordinates" / f"{path.stem}.csv") for path in self.files}
        self.shapes = {path.stem: read_micrograph(path).shape for path in self.files}

    def result(self, method: str) -> dict[str, Any]:
        """Return what one classification gave; computed where it is missing."""
        method = self._same_run(method)
        return cell(self.folder / method / "result.json", lambda: self._classify(method))

    def averages(self, method: str) -> list[Array]:
        """Return the class averages, in the order of RELION's class numbers."""
        self.result(method)
        stack = read_stack(self.folder / self._same_run(method) / f"run_it{self.arguments.iterations:03d}_classes.mrcs")
        return list(stack)

    def references(self) -> list[Array]:
        """Return the averages of people's labels that hold enough of them, from another random seed."""
        found = self.result(REFERENCE)
        rows = zip(self.averages(REFERENCE), found["shares"], found["cut"], strict=True)
        least = self.arguments.reference_share
        return [average for average, share, cut_share in rows if share >= least and cut_share < CUT_CLASS]

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return where classes are compared: a circle a fifth larger than the particle, as in the classification."""
        side = self.set.image_px
        y, x = np.indices((side, side)) - side // 2
        radius = 0.5 * 1.2 * self.set.diameter_px * side / self.set.box_px
        return np.asarray(np.hypot(x, y) <= radius)

    def _classify(self, method: str) -> dict[str, Any]:
        seed = self.arguments.seed + (method == REFERENCE)
        picks = self._picks("people" if method == REFERENCE else method)
        n_picks = sum(len(boxes) for boxes in picks.values())
        share = min(1.0, self.arguments.most / max(n_picks, 1))
        rng = np.random.default_rng(self.arguments.seed)
        coordinates = self.folder / method / "coordinates"
        for stem, boxes in picks.items():
            kept = boxes if share == 1 else boxes.select(rng.random(len(boxes)) < share)
            write_picks(kept, coordinates / "mics" / f"{stem}_autopick.star")
        side = self.set.image_px
        self._relion(
            *("relion_preprocess", "--i", "micrographs.star", "--coord_dir", f"{method}/coordinates/"),
            *("--coord_suffix", "_autopick.star", "--part_star", f"{method}/particles.star"),
            *("--part_dir", f"{method}/extracted/", "--extract", "--extract_size", self.set.box_px, "--scale", side),
            *("--norm", "--bg_radius", round(0.375 * side), "--white_dust", -1, "--black_dust", -1),
            *("--invert_contrast",),
            log=self.folder / method / "extract.log",
        )
        angstrom = round(1.2 * self.set.diameter_px * self.set.pixel_size)
        self._relion(
            *("relion_refine", "--i", f"{method}/particles.star", "--o", f"{method}/run"),
            *("--dont_combine_weights_via_disc", "--no_parallel_disc_io", "--preread_images", "--pool", 30),
            *("--iter", self.arguments.iterations, "--K", self.set.n_classes, "--tau2_fudge", 2),
            *("--particle_diameter", angstrom, "--flatten_solvent", "--zero_mask", "--oversampling", 1),
            *(
                "--psi_step",
                12,
                "--offset_range",
                self.set.offset_px,
                "--offset_step",
                2,
                "--norm",
                "--scale",
                "--j",
                1,
            ),
            *("--random_seed", seed),
            log=self.folder / method / "class2d.log",
        )
        return {"n_picks": n_picks, **self._counts(method)}

    def _counts(self, method: str) -> dict[str, Any]:
        """Return shares and cut shares of the classes, from RELION's last iteration."""
        particles = data_table(self.folder / method / f"run_it{self.arguments.iterations:03d}_data.star")
        number = np.array(particles.column("rlnClassNumber"), int)
        x, y = (np.array(particles.column(f"rlnCoordinate{axis}"), float) for axis in "XY")
        stems = np.array([base_name_without_suffix(name) for name in particles.column("rlnMicrographName")])
        is_cut, is_near = np.zeros(len(x), bool), np.zeros(len(x), bool)
        for stem in set(stems):
            own = stems == stem
            is_cut[own] = cut(Boxes.at(x[own], y[own]), self.shapes[stem], self.set.diameter_px)
            distance, _ = cKDTree(self.labels[stem].centres).query(np.column_stack([x[own], y[own]]))
            is_near[own] = distance <= self.set.diameter_px / 4
        classes = [number == k for k in range(1, self.set.n_classes + 1)]
        return {
            "n_particles": len(x),
            "shares": [float(own.mean()) for own in classes],
            "cut": [float(is_cut[own].mean()) if own.any() else 0.0 for own in classes],
            "near": [float(is_near[own].mean()) if own.any() else 0.0 for own in classes],
            "cut_share": float(is_cut.mean()),
            "near_label": float(is_near.mean()),
        }

    def _picks(self, method: str) -> dict[str, Boxes]:
        if method == "people":
            return self.labels
        if method == "log":
            return self._log_picks(LOG_THRESHOLDS[0])
        if method == "log_best":
            return self._log_picks(self._best_log_threshold())
        edge = "centre" if method == "general_cut" else "particle"
        run = self.folder / f"general_run_{edge}"
        command = [sys.executable, "-m", "vitripick.cli.app", "pick", str(self.folder / "mics"), "--out", str(run)]
        command += ["--pixel-size", str(self.set.pixel_size), "--format", "star", "--edge", edge]
        subprocess.run(["nice", "-n", "10", *command], check=True, stdout=subprocess.DEVNULL)
        return {base_name_without_suffix(str(boxes.micrograph)): boxes for boxes in read_all_picks(run / "star")}

    def _same_run(self, method: str) -> str:
        """Return the method whose run serves: where LoG's own threshold is the best one, both rows are the same run."""
        tuned_to_default = method == "log_best" and self._best_log_threshold() == LOG_THRESHOLDS[0]
        return "log" if tuned_to_default else method

    def _best_log_threshold(self) -> float:
        """Return the threshold with the best F1, which only people's labels can tell."""

        def compute() -> dict[str, Any]:
            f1 = {threshold: self._f1(self._log_picks(threshold)) for threshold in LOG_THRESHOLDS}
            return {"f1": f1, "best": max(f1, key=lambda threshold: f1[threshold])}

        return float(cell(self.folder / "log_thresholds.json", compute)["best"])

    def _f1(self, picks: dict[str, Boxes]) -> float:
        """Return F1 within d/4 of the labels."""
        labels = {stem: boxes.of(shape=self.shapes[stem]) for stem, boxes in self.labels.items()}
        judged = evaluate(picks, labels, diameter_px=self.set.diameter_px, chance_level=False)
        return judged.criteria["distance"].default.f1 or 0.0

    def _log_picks(self, threshold: float) -> dict[str, Boxes]:
        folder = f"log_run_{threshold:g}"
        angstrom = self.set.diameter_px * self.set.pixel_size
        self._relion(
            *log_command("micrographs.star", folder, diameter_angstrom=angstrom, threshold=threshold),
            log=self.folder / f"{folder}.log",
        )
        found = {stem: self.folder / folder / "mics" / f"{stem}_autopick.star" for stem in self.labels}
        return {stem: read_picks(path) for stem, path in found.items()}

    def _relion(self, program: str, *arguments: object, log: Path) -> None:
        """Run one of RELION's programs in the project, politely; its output goes to a file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            "nice",
            "-n",
            "10",
            program,
            *(f"{value:g}" if isinstance(value, float) else str(value) for value in arguments),
        ]
        with log.open("w") as file:
            file.write(" ".join(command) + "\n")
            file.flush()
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, cwd=self.folder, stdout=file, stderr=file, env=environment)


def cut(boxes: Boxes, shape: tuple[int, int], diameter_px: float) -> npt.NDArray[np.bool_]:
    """Return which particles, circles of this diameter, reach beyond the micrograph."""
    rows, columns = shape
    to_border = np.minimum.reduce([boxes.x, boxes.y, columns - 1 - boxes.x, rows - 1 - boxes.y])
    return np.asarray(to_border < diameter_px / 2 - 0.5)


def data_table(path: Path) -> StarTable:
    """Return the particles of a RELION data STAR."""
    (found,) = [block.as_table() for block in parse_star(read_lines(path), path) if block.name == "particles"]
    return found


def read_stack(path: Path) -> Array:
    """Return the images of an MRC stack, (n, h, w)."""
    import mrcfile

    return np.asarray(mrcfile.read(path), np.float64)


def likeness(average: Array, references: list[Array], mask: npt.NDArray[np.bool_]) -> float:
    """Return the best correlation of a class average with a reference, over turns, mirror and shifts up to d/8."""
    side = average.shape[0]
    if not average.any():
        return 0.0  # RELION leaves a class without particles empty
    reach = round(side / 12)
    shifted = [
        np.roll(average, (dy, dx), (0, 1))[mask] for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)
    ]
    turned = []
    for reference in references:
        for image in (reference, reference[:, ::-1]):
            for angle in range(0, 360, 5):
                matrix = cv2.getRotationMatrix2D((side // 2, side // 2), angle, 1.0)
                turned.append(cv2.warpAffine(np.ascontiguousarray(image), matrix, (side, side))[mask])
    return float((normal(np.array(shifted)) @ normal(np.array(turned)).T).max())


def normal(rows: Array) -> Array:
    """Return rows of mean 0 and length 1."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))


def draw(strips: list[tuple[list[Array], list[float], list[bool], str]], path: Path) -> None:
    """Write a row of classes for each run, the fullest first; good ones have a light frame."""
    tile, head = 72, 16
    most = max(len(averages) for averages, *_ in strips)
    sheet = []
    for averages, shares, good, title in strips:
        line = np.full((head, most * tile), 255, np.uint8)
        cv2.putText(line, title, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1, cv2.LINE_AA)
        row = np.full((tile, most * tile), 255, np.uint8)
        for place, k in enumerate(np.argsort(shares)[::-1]):
            low, high = np.percentile(averages[k], [1, 99.5])
            shade = np.clip((averages[k] - low) / max(high - low, 1e-9), 0, 1) * 200
            image = cv2.resize(shade.astype(np.uint8), (tile - 4, tile - 4), interpolation=cv2.INTER_AREA)
            image = cv2.copyMakeBorder(image, *(2, 2, 2, 2), cv2.BORDER_CONSTANT, value=255 if good[k] else 0)
            cv2.rectangle(image, (0, 0), (tile - 1, tile - 1), 255 if good[k] else 0, 3)
            cv2.putText(image, f"{100 * shares[k]:.0f}%", (5, tile - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1)
            row[:, place * tile : (place + 1) * tile] = image
        sheet += [line, row]
    cv2.imwrite(str(path), np.vstack(sheet), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
