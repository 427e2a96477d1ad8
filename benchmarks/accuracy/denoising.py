"""How near the denoiser comes to the clean image, beside the best low-pass, and what it makes of empty ice.

Micrographs are simulated with other seeds than those of the training, and with other molecules where `--structures`
holds some. Errors are root mean squares at the denoiser's pixel size, without the wide background, over the standard
deviation of the clean image: 1 is what a flat picture has. The best low-pass is chosen for each micrograph by the clean
image, as no user can. For empty ice, the picker counts particles at its default threshold: every one is invented.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from vitripick.geometry import Image, Micrograph
from vitripick.images import resize
from vitripick.models import load_model
from vitripick.models.denoiser import BACKGROUND_PX, WORKING_PIXEL_SIZE, denoise, standardised
from vitripick.picking import pick
from vitripick.simulation import (
    Simulated,
    Structure,
    bundled_structures,
    find_structures,
    load_scene_recipe,
    read_structure,
    simulate_micrograph,
)

LOW_PASS_ANGSTROM = (10, 14, 20, 28, 40, 56, 80)
CHANGES = ("exposure.eight_bit_chance=0", "exposure.jpeg_chance=0", "exposure.beam_edge_chance=0")
SEED = 20_261_128


def blurred(image: Image, angstrom: float, pixel_size: float) -> Image:
    """Return a low-pass by the Gaussian that halves waves of this length, as the page has it."""
    sigma = angstrom / pixel_size * np.sqrt(2 * np.log(2)) / (2 * np.pi)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def seen(image: Image, pixel_size: float) -> Image:
    """Return an image at the denoiser's pixel size, without its wide background."""
    factor = max(1.0, WORKING_PIXEL_SIZE / pixel_size)
    small = resize(image, (round(image.shape[0] / factor), round(image.shape[1] / factor)))
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), BACKGROUND_PX), np.float32)


def error(image: Image, clean: Image) -> float:
    """Return the root mean square error over the standard deviation of the clean image."""
    return float(np.sqrt(((image - clean) ** 2).mean()) / clean.std())


def strength(image: Image, noisy: Image, pixel_size: float, diameter_angstrom: float) -> tuple[Image, float]:
    """Return how strongly each place differs from its surroundings at the particle's size, in spreads of the noise.

    The second value is how many pixels of the image one pixel of that map is.
    """
    factor = max(1.0, WORKING_PIXEL_SIZE / pixel_size)
    small = seen(image, pixel_size)
    shape = (small.shape[1], small.shape[0])
    _, _, spread = standardised(resize(noisy, (shape[1], shape[0])))
    sigma = max(0.8, diameter_angstrom / pixel_size / factor / 6)
    return np.abs(cv2.GaussianBlur(small, (0, 0), sigma)) / spread, factor


def simulate(
    recipe: str, structures: list[Structure], n: int, side: int, kind: int, changes: tuple[str, ...] = ()
) -> list[Simulated]:
    """Return micrographs, each of another molecule."""
    scene = load_scene_recipe(recipe, changes=(*CHANGES, *changes))
    return [
        simulate_micrograph(
            scene,
            structures,
            np.random.default_rng([SEED, kind, i]),
            shape=(side, side),
            structure=structures[i % len(structures)],
            with_clean=True,
        )
        for i in range(n)
    ]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", nargs="*", default=[], help="files or folders; the bundled ones by default")
    parser.add_argument("--only", nargs="*", default=[], help="names of structures to take")
    parser.add_argument("--micrographs", type=int, default=24, help="with particles, and as many without")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--pictures", type=Path, help="folder for noisy, low-passed, denoised and clean side by side")
    given = parser.parse_args()
    paths = find_structures(given.structures) if given.structures else list(bundled_structures().values())
    paths = [path for path in paths if not given.only or Path(path).stem in given.only]
    structures = [one for one in map(read_structure, paths) if one.kind != "filament"]
    model = load_model("general")

    rows: list[tuple[float, ...]] = []
    seconds = []
    for i, one in enumerate(simulate("general", structures, given.micrographs, given.side, 0)):
        assert one.clean is not None
        size, clean = one.pixel_size, seen(one.clean, one.pixel_size)
        low = {a: seen(blurred(one.image, a, size), size) for a in LOW_PASS_ANGSTROM}
        best = min(low, key=lambda a: error(low[a], clean))
        start = time.perf_counter()
        found = denoise(one.image, pixel_size=size)
        seconds.append(time.perf_counter() - start)
        rows.append(
            (
                one.parameters["snr"],
                error(seen(one.image, size), clean),
                error(low[best], clean),
                error(seen(found, size), clean),
            )
        )
        if given.pictures is not None:
            columns = [seen(one.image, size), low[best], seen(found, size), clean]
            save(given.pictures / f"{i:02d}.png", columns)
    table = np.array(rows)
    print(f"| {len(rows)} micrographs of {len(structures)} molecules | as it is | best low-pass | denoised | nearer |")
    print("|---|---|---|---|---|")
    order = np.argsort(table[:, 0])
    for name, chosen in zip(("lower third of SNR", "middle", "upper third"), np.array_split(order, 3), strict=True):
        if len(chosen):
            print_row(f"{name}: {table[chosen, 0].min():.3f} to {table[chosen, 0].max():.3f}", table[chosen])
    print_row("all", table)
    print(f"\n{np.median(seconds):.2f} s per micrograph of {given.side} px, one thread\n")

    counts: dict[str, list[int]] = {}
    strengths: dict[str, list[float]] = {}
    kinds = {
        "pure ice": ("empty", ("contamination.chance=0",)),
        "dirty ice": ("empty", ()),
        "particles": ("general", ()),
    }
    for kind, (recipe, changes) in kinds.items():
        for i, one in enumerate(simulate(recipe, structures, given.micrographs, given.side, 1, changes)):
            diameter = structures[i % len(structures)].diameter_angstrom / one.pixel_size
            images = {
                "as it is": one.image,
                "low-pass 20 Å": blurred(one.image, 20, one.pixel_size),
                "low-pass 40 Å": blurred(one.image, 40, one.pixel_size),
                "denoised": denoise(one.image, pixel_size=one.pixel_size),
            }
            for name, image in images.items():
                found, factor = strength(
                    image, one.image, one.pixel_size, structures[i % len(structures)].diameter_angstrom
                )
                if kind == "particles" and len(one.boxes):
                    rows_at = np.clip(one.boxes.y / factor, 0, found.shape[0] - 1).astype(int)
                    columns_at = np.clip(one.boxes.x / factor, 0, found.shape[1] - 1).astype(int)
                    strengths.setdefault(f"{kind} / {name}", []).append(float(np.median(found[rows_at, columns_at])))
                elif kind == "pure ice":
                    strengths.setdefault(f"{kind} / {name}", []).append(float(found.max()))
                n = len(pick(Micrograph(image, pixel_size=one.pixel_size, name="one"), model, diameter_px=diameter))
                counts.setdefault(f"{kind} / {name}", []).append(n)
    print("| picks per micrograph (mean; most) | " + " | ".join(images) + " |")
    print("|---|" + "---|" * len(images))
    for kind in kinds:
        cells = [counts[f"{kind} / {name}"] for name in images]
        print(f"| {kind} | " + " | ".join(f"{np.mean(c):.2f}; {max(c)}" for c in cells) + " |")
    print("\n| strength at the particle's size, in spreads of the noise | " + " | ".join(images) + " |")
    print("|---|" + "---|" * len(images))
    for kind, what in (("pure ice", "strongest place in pure ice, mean"), ("particles", "at a particle, median")):
        cells = [strengths.get(f"{kind} / {name}", [np.nan]) for name in images]
        average = np.mean if kind == "pure ice" else np.median
        print(f"| {what} | " + " | ".join(f"{average(c):.2f}" for c in cells) + " |")


def print_row(name: str, table: np.ndarray) -> None:
    """Print one row of the first table."""
    means = " | ".join(f"{value:.3f}" for value in table[:, 1:].mean(axis=0))
    print(f"| {name} | {means} | {(table[:, 3] < table[:, 2]).sum()} of {len(table)} |")


def save(path: Path, images: list[Image]) -> None:
    """Write images side by side, each stretched to its own range."""
    path.parent.mkdir(parents=True, exist_ok=True)
    greys = []
    for image in images:
        low, high = np.percentile(image, (0.5, 99.5))
        greys.append(np.clip((image - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8))
    cv2.imwrite(str(path), np.hstack(greys))


if __name__ == "__main__":
    main()
