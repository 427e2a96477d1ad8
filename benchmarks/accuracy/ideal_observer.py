"""How near the limit of the noise a model is: beside it, an observer that knows molecule, optics and noise.

    .venv/bin/python benchmarks/accuracy/ideal_observer.py --out OUT
    .venv/bin/python benchmarks/accuracy/ideal_observer.py --out OUT --structures b2ar_gs cftr --orientations 600

The observer knows the molecule (with a micelle, if it has one), the optics and the spectrum of the micrograph. It does
not know where the molecules are, nor how they are turned. At each place it takes the likelihood ratio of "a molecule
here" over "noise", averaged over orientations: the best that can be done for molecules that lie alone (the likelihood
of a signal known except for its parameters; Green & Swets 1966, Sigworth 2004 for micrographs). It is not exact where
molecules crowd, and falls short of the limit where orientations are too few, so the table says what half of them give.
The observer also gets the best of several amplitudes. All are judged by AUC at a quarter of the diameter, away from the
border.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from scipy import fft

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import HELD_OUT, cell, figures, table

from vitripick.evaluation import evaluate
from vitripick.geometry import Boxes, Micrograph, remove_overlaps
from vitripick.models import Model, load_model
from vitripick.picking import one, pick, pick_blobs
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure, simulate_micrograph
from vitripick.simulation.membrane import belt
from vitripick.simulation.micrograph import Simulated
from vitripick.simulation.optics import Optics, contrast_transfer, envelope, frequencies
from vitripick.simulation.poses import uniform_rotations
from vitripick.simulation.projection import Particles, project_all
from vitripick.simulation.structures.structure import Structure

# Few molecules and no dirt: neighbours have no likelihood here. Lossy files would change the noise.
CHANGES = [
    *("particles.count=60", "contamination.chance=0", "exposure.lowpass_chance=0"),
    *("exposure.eight_bit_chance=0", "exposure.jpeg_chance=0"),
]
# Finer detail than this sigma is worth little at these doses, and needs many more orientations.
LOWPASS_ANGSTROM = 8.0
# In parts of the amplitude at which the strongest places look just like the average molecule.
AMPLITUDES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4)
COLUMNS = [
    *("structure", "kDa", "d, Å", "micrographs", "observer AUC", "with half the orientations"),
    *("model AUC", "blobs AUC", "share of the limit"),
]


def main() -> None:
    """Judge every structure that has no result yet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where cells are kept")
    parser.add_argument("--data", type=Path, help="folder of structures; those of the package by default")
    parser.add_argument("--structures", nargs="+", default=list(HELD_OUT))
    parser.add_argument("--micrographs", type=int, default=2)
    parser.add_argument("--orientations", type=int, default=400)
    parser.add_argument("--side", type=int, default=768, help="pixels of a micrograph")
    parser.add_argument("--model", default="general")
    parser.add_argument("--recipe", default="general")
    given = parser.parse_args()
    model, known, rows = load_model(given.model), bundled_structures(), []
    for name in given.structures:
        structure = read_structure(given.data / f"{name}.npz" if given.data else known.get(name, name))

        def limit(structure: Structure = structure) -> dict[str, float]:
            return observed(structure, given)

        def ours(structure: Structure = structure) -> dict[str, float]:
            return {"auc": auc_of(partial(sure_and_faint, model), structure, given)}

        drawn = f"{name}_{given.recipe}_{given.micrographs}_{given.side}"
        found = cell(given.out / "cells" / f"{drawn}_{given.orientations}_observer.json", limit)
        auc = cell(given.out / "cells" / f"{drawn}_{model.sha256[:12]}.json", ours)["auc"]
        rows.append(
            [name, round(structure.mass_kda), round(structure.diameter_angstrom), given.micrographs,
             *(found[key] for key in ("observer", "half")), auc, found["blobs"], round(auc / found["observer"], 3)]
        )  # fmt: skip
        print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def scenes(structure: Structure, given: argparse.Namespace) -> Iterator[tuple[Simulated, Micrograph, float]]:
    """Yield the simulated micrographs, always the same ones, and the molecule's diameter in pixels."""
    recipe = load_scene_recipe(given.recipe, changes=CHANGES)
    # Some 24 pixels across, so that all are seen at one scale; the model scales by itself.
    pixel_size = max(1.5, structure.diameter_angstrom / 24)
    for i in range(given.micrographs):
        rng = np.random.default_rng([23, i])
        shape = (given.side, given.side)
        scene = simulate_micrograph(recipe, [structure], rng, shape=shape, pixel_size=pixel_size, name=f"{i}.mrc")
        micrograph = Micrograph(scene.image, pixel_size=pixel_size, name=f"{i}.mrc")
        yield scene, micrograph, structure.diameter_angstrom / pixel_size


def sure_and_faint(model: Model, micrograph: Micrograph, diameter: float) -> Boxes:
    """Pick with confidences far below those that a run stores; fainter molecules would count as never found."""
    with patch.object(one, "FLOOR_CONFIDENCE", 0.0005):
        return pick(micrograph, model, diameter_px=diameter, threshold=0.0)


def auc_of(picker: Callable[[Micrograph, float], Boxes], structure: Structure, given: argparse.Namespace) -> float:
    """Return the AUC of a picker on the scenes of a structure."""
    truth, found = {}, {}
    for scene, micrograph, diameter in scenes(structure, given):
        truth[micrograph.name] = scene.boxes
        found[micrograph.name] = picker(micrograph, diameter)
    return float(figures(evaluate(found, truth))["auc_distance"] or 0.0)


def observed(structure: Structure, given: argparse.Namespace) -> dict[str, float]:
    """Return the AUC of the observer, of one with half the orientations, and of blobs."""
    truth: dict[str, Boxes] = {}
    found: list[dict[str, Boxes]] = [{} for _ in range(2 * len(AMPLITUDES))]
    for scene, micrograph, diameter in scenes(structure, given):
        truth[micrograph.name] = scene.boxes
        half, whole = likelihoods(scene, structure, given.orientations)
        for picks, ratio in zip(found, [*half, *whole], strict=True):
            picks[micrograph.name] = places(ratio, diameter, micrograph)
    auc = [float(figures(evaluate(picks, truth))["auc_distance"] or 0.0) for picks in found]
    n = len(AMPLITUDES)
    blobs = auc_of(lambda micrograph, diameter: pick_blobs(micrograph, diameter_px=diameter), structure, given)
    return {"half": max(auc[:n]), "observer": max(auc[n:]), "blobs": blobs}


def likelihoods(scene: Simulated, structure: Structure, n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the logarithm of the likelihood ratio at each place, one for each amplitude: of n/2 and n orientations."""
    rng = np.random.default_rng(1)
    px = scene.pixel_size
    image = flattened(scene.image, structure.diameter_angstrom / px)
    spectrum = fft.rfft2(image)
    power = _radial(np.abs(spectrum) ** 2, image.shape)
    ky, kx = frequencies(image.shape, px)
    optics = Optics(**scene.parameters["optics"])
    passed = np.exp(-((ky**2 + kx**2) * LOWPASS_ANGSTROM**2) / 2)
    transfer = contrast_transfer(image.shape, px, optics) * envelope(ky, kx, optics.b_factor) * passed
    whitener = 1 / np.sqrt(power + 1e-12)
    white = spectrum * whitener * passed
    size = int(np.ceil(1.4 * structure.diameter_angstrom / px)) | 1
    middle = np.array([(size - 1) / 2])
    scale = None
    totals: list[np.ndarray] = []
    half: list[np.ndarray] = []
    for i, rotation in enumerate(uniform_rotations(n, rng)):
        # Each micelle is another one, so the likelihood is averaged over these, too.
        bodies = [structure, *([belt(structure, rng)] if structure.slab is not None else [])]
        parts = [Particles(body, rotation[None], middle, middle) for body in bodies]
        template = np.zeros(image.shape, np.float32)
        template[:size, :size] = project_all(parts, (size, size), pixel_size=px)
        template = np.roll(template, (-(size // 2), -(size // 2)), (0, 1))
        seen = fft.rfft2(template) * transfer * whitener
        # Each whitened coefficient of noise has variance 1, so a template's energy is the variance of its match.
        energy = _summed(np.abs(seen) ** 2, image.shape)
        match = (fft.irfft2(white * np.conj(seen), s=image.shape) * image.size).astype(np.float32)
        if scale is None:
            # The strongest hundred places set the amplitude: there, match = amplitude * energy.
            strongest = np.sort(_peaks(match, structure.diameter_angstrom / px))[-100:]
            scale = float(np.median(strongest)) / energy
        for j, amplitude in enumerate(AMPLITUDES):
            a = amplitude * scale
            ratio = a * match - 0.5 * a * a * energy
            if i == 0:
                totals.append(ratio)
            else:
                np.logaddexp(totals[j], ratio, out=totals[j])
        if i == n // 2 - 1:
            half = [total.copy() for total in totals]
    return half, totals


def flattened(image: np.ndarray, diameter: float) -> np.ndarray:
    """Return an image without the beam's gradient, hot pixels and a jump between opposite edges."""
    image = image.astype(np.float32)
    image = image / cv2.GaussianBlur(image, (0, 0), 2 * diameter, borderType=cv2.BORDER_REFLECT) - 1
    deviation = 1.4826 * float(np.median(np.abs(image - np.median(image))))
    image = np.where(np.abs(image) > 6 * deviation, 0.0, image).astype(np.float32)
    rim = max(2, round(diameter / 2))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(rim) + 0.5) / rim)
    window = [np.concatenate([rise, np.ones(n - 2 * rim), rise[::-1]]) for n in image.shape]
    return np.asarray(image * window[0][:, None] * window[1][None, :], np.float32)


def _radial(power: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the power spectrum averaged over directions, at each frequency."""
    ky, kx = frequencies(shape, 1.0)
    ring = np.minimum((np.hypot(ky, kx) * 2 * 120).astype(int), 170)
    sums, counts = np.bincount(ring.ravel(), power.ravel()), np.bincount(ring.ravel())
    return (sums / np.maximum(counts, 1))[ring]


def _summed(half: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the sum over all frequencies, of values at those of a half transform."""
    whole = 2 * float(half.sum()) - float(half[:, 0].sum())
    return whole - (float(half[:, -1].sum()) if shape[1] % 2 == 0 else 0.0)


def _peaks(values: np.ndarray, diameter: float) -> np.ndarray:
    side = int(0.6 * diameter) | 1
    return values[values == cv2.dilate(values, np.ones((side, side), np.uint8))]


def places(ratio: np.ndarray, diameter: float, micrograph: Micrograph) -> Boxes:
    """Return the peaks of the likelihood ratio, the best first; confidence is their rank."""
    side = int(0.6 * diameter) | 1
    smooth = np.ascontiguousarray(ratio, np.float32)
    rows, columns = np.nonzero(smooth == cv2.dilate(smooth, np.ones((side, side), np.uint8)))
    strength = smooth[rows, columns]
    # One scale for all micrographs of a structure: the ratio itself, squeezed into 0-1.
    confidence = 0.5 + np.arctan(strength / 20) / np.pi
    found = Boxes.at(
        columns.astype(np.float64), rows.astype(np.float64), size_px=diameter, confidence=confidence,
        micrograph=micrograph.name, shape=micrograph.shape, pixel_size=micrograph.pixel_size,
    )  # fmt: skip
    # Beside a molecule every place looks more like one than noise does.
    return remove_overlaps(found, minimum_distance_px=0.75 * diameter)


if __name__ == "__main__":
    main()
