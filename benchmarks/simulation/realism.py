"""Do simulated micrographs look like real ones? A sheet to look at, and spectra and histograms to compare.

Everything is seen as a network sees it: brought to 24 pixels a particle and normalised locally.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import InputError
from vitripick.formats import find_micrographs, read_micrograph
from vitripick.images import Preparation, prepare
from vitripick.simulation import find_structures, load_scene_recipe, read_structure, simulate_crops, simulate_micrograph

# Folder, particle diameter in px (the labels' boxes are 1.0-1.1 of it), Å per pixel (10146's is not stated by its
# source; by the size of its particles it is about 1.65), name. TRPV1's is that of 3838 pixels of 1.2156 Å on 1024.
REAL = (
    ("apoferritin_empiar10146", 73.0, 1.65, "apoferritin 10146"),
    ("betagal_empiar10017", 27.0, 7.08, "beta-galactosidase 10017"),
    ("t20s_empiar10025", 19.0, 7.89, "T20S 10025"),
    ("trpv1_empiar10059", 35.0, 4.56, "TRPV1 10059"),
)
# Where the real ones stand in the sheet of 4 rows of 5.
REAL_AT = (3, 6, 12, 15)
SHEET_PIXEL, LOWPASS, TILE = 6.0, 20.0, 320
CROP, WORKING = 256, 24.0


def main() -> None:
    """Draw both pictures and print how much of each real set lies inside the simulated range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real sets")
    parser.add_argument("--structures", required=True, help="folder of structures")
    parser.add_argument("--recipe", default="general")
    parser.add_argument("--crops", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/realism"))
    given = parser.parse_args()
    structures = [read_structure(path) for path in find_structures([given.structures])]
    recipe = load_scene_recipe(given.recipe)

    sheet(given, recipe, structures)
    stream = simulate_crops(
        recipe, structures, working_diameter_px=WORKING, crop_px=CROP, scale_jitter=0.25, seed=given.seed
    )
    simulated = [crop.image for crop in itertools.islice(stream, given.crops)]
    real = {name: real_crops(given.data / folder, diameter) for folder, diameter, _, name in REAL}
    compare(given.out, simulated, real)


def real_crops(folder: Path, diameter_px: float) -> list[np.ndarray]:
    """Return squares of prepared micrographs, as large as the simulated ones where there is room."""
    crops = []
    for file in find_micrographs([str(folder / "micrographs")]):
        image = prepare(read_micrograph(file.path).image, Preparation(), diameter_px=diameter_px).image
        side = min(CROP, *image.shape)
        for top in range(0, image.shape[0] - side + 1, side):
            for left in range(0, image.shape[1] - side + 1, side):
                crops.append(image[top : top + side, left : left + side])
    if not crops:
        raise InputError(f"{folder}: no micrographs to compare with.")
    return crops


def spectrum(image: np.ndarray) -> np.ndarray:
    """Return (40,): radial power spectrum, 0 to 0.5 cycles per pixel, mean over the image's plane set to 1."""
    side = image.shape[0]
    window = np.hanning(side)[:, None] * np.hanning(side)[None, :]
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    ring = (k * 80).astype(int).ravel()
    inside = (ring < 40) & (k.ravel() > 1.5 / side)
    total = np.bincount(ring[inside], power.ravel()[inside], 40) / np.maximum(
        np.bincount(ring[inside], minlength=40), 1
    )
    return total / power.ravel()[inside].mean()


BINS = np.linspace(-4.0, 4.0, 41)


def histogram(image: np.ndarray) -> np.ndarray:
    """Return (40,): share of pixels per bin of 0.2 standard deviations of the normalised image."""
    counts, _ = np.histogram(image, BINS)
    return counts / image.size


def compare(out: Path, simulated: list[np.ndarray], real: dict[str, list[np.ndarray]]) -> None:
    """Draw the plot, and print a table."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    frequency = (np.arange(40) + 0.5) / 80 * WORKING
    middle = (BINS[1:] + BINS[:-1]) / 2
    print(
        "| real set | spectrum: share of frequencies inside 2-98 % of simulated | inside min-max | histogram: inside "
        "2-98 % | inside min-max |\n|---|---|---|---|---|"
    )
    shares: dict[str, list[float]] = {name: [] for name in real}
    for axis, at, measure, label in (
        (axes[0], frequency, spectrum, "cycles per particle diameter"),
        (axes[1], middle, histogram, "normalised intensity"),
    ):
        curves = np.array([measure(image) for image in simulated])
        low, high = np.percentile(curves, [2, 98], axis=0)
        axis.fill_between(at, curves.min(axis=0), curves.max(axis=0), color="0.9", label="simulated, all")
        axis.fill_between(at, low, high, color="0.75", label="simulated, 2-98 %")
        axis.plot(at, np.median(curves, axis=0), color="0.4", lw=1, label="simulated, median")
        for colour, (name, images) in zip(("C0", "C1", "C2", "C3"), real.items(), strict=True):
            curve = np.mean([measure(image) for image in images], axis=0)
            axis.plot(at, curve, color=colour, lw=1.5, label=name)
            within = (curve >= low) & (curve <= high)
            anywhere = (curve >= curves.min(axis=0)) & (curve <= curves.max(axis=0))
            shares[name] += [float(within.mean()), float(anywhere.mean())]
        axis.set_yscale("log")
        axis.set_xlabel(label)
    axes[0].set_ylabel("power, mean 1")
    axes[0].set_ylim(1e-4, 1e3)
    axes[1].set_ylabel("share of pixels")
    axes[1].set_ylim(1e-6, 1)
    axes[0].legend(fontsize=8)
    for name, values in shares.items():
        print(f"| {name} | " + " | ".join(f"{100 * value:.0f} %" for value in values) + " |")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "spectra.png", dpi=110)


def sheet(given: argparse.Namespace, recipe, structures) -> None:
    """Draw 16 simulated micrographs and 4 real ones, all at 6 Å a pixel and low-passed to 20 Å."""
    real = []
    for folder, _, pixel_size, _ in REAL:
        file = find_micrographs([str(given.data / folder / "micrographs")])[0]
        real.append((read_micrograph(file.path).image, pixel_size))
    tiles, n_simulated = [], 0
    for place in range(20):
        if place in REAL_AT:
            image, pixel_size = real[REAL_AT.index(place)]
        else:
            rng = np.random.default_rng([given.seed, 1000 + n_simulated])
            n_simulated += 1
            pixel_size = float(rng.uniform(1.5, 4.0))
            side = int(np.ceil(TILE * SHEET_PIXEL / pixel_size))
            image = simulate_micrograph(recipe, structures, rng, shape=(side, side), pixel_size=pixel_size).image
        tiles.append(tile(image, pixel_size))
    rows = [np.hstack(tiles[i : i + 5]) for i in range(0, 20, 5)]
    _, packed = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 80])
    write_bytes_atomically(given.out / "sheet.jpg", packed.tobytes())


def tile(image: np.ndarray, pixel_size: float) -> np.ndarray:
    """Return one grey tile, stretched between its percentiles."""
    scale = pixel_size / SHEET_PIXEL
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)[:TILE, :TILE]
    small = cv2.GaussianBlur(small, (0, 0), 0.225 * LOWPASS / SHEET_PIXEL)
    low, high = np.percentile(small, [0.5, 99.5])
    grey = np.clip((small - low) * 255 / (high - low), 0, 255).astype(np.uint8)
    framed = np.zeros((TILE + 4, TILE + 4), np.uint8)
    framed[: grey.shape[0], : grey.shape[1]] = grey
    return framed


if __name__ == "__main__":
    main()
