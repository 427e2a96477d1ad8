"""How well two-dimensional classes tell particles from junk, on simulated particle images; their time and memory.

Each set has 3,000 projections of two molecules from all sides, picked off centre (sd 2.5 px of 64), under contrast
transfer. A fifth of all images is junk in equal parts: balls of ice, edges, nothing, clumps of particles. SNR is the
variance of the mean particle inside its circle over that of the noise of a pixel, in images of 64 px.

A shift is right within one pixel of the classification (1.6 px of the images). A class may have its middle anywhere, so
the median of each class and molecule is taken off. Angles are compared between particles of one class whose views lie
within 20 degrees of each other, of the last molecule alone: give one without symmetry.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import fft

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import table

from vitripick.classes import Classes, classify
from vitripick.classes.refine import WORK_PX
from vitripick.simulation.optics import Optics, contrast_transfer, envelope, frequencies
from vitripick.simulation.poses import uniform_rotations
from vitripick.simulation.projection import project
from vitripick.simulation.structures import Structure, bundled_structures, read_structure

Array = npt.NDArray[np.float64]

SIZE_PX = 64
KINDS = ("ice", "edge", "empty", "clump")
SAME_VIEW_DEGREES = 20


@dataclass(frozen=True, eq=False)
class Simulated:
    """Holds particle images whose contents are known.

    Attributes
    ----------
    images : (n, 64, 64), float32
    kind : (n,)
        0 and 1 are molecules, 2 and more what `KINDS` names.
    shift_px : (n, 2)
        Where the molecule's middle lies, from the middle of the image.
    rotations : (n, 3, 3)
        The molecule's x, y, z into the image's x and y and along the beam.
    diameter_px
        Of the larger molecule.
    """

    images: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int64]
    shift_px: Array
    rotations: Array
    diameter_px: float


class Simulator:
    """Makes images on a canvas of twice the size, so that what lies beside the particle is cut as in a micrograph."""

    def __init__(self, structures: list[Structure], rng: np.random.Generator, *, flip: bool) -> None:
        self.structures, self.rng, self.side, self.flip = structures, rng, 2 * SIZE_PX, flip
        diameter = max(one.diameter_angstrom for one in structures)
        self.pixel_size = 1.5 * diameter / SIZE_PX
        self.diameter_px = diameter / self.pixel_size
        rows, columns = np.indices((self.side, self.side)) - self.side // 2
        self.x, self.y = columns.astype(float), rows.astype(float)

    def lens(self, image: Array) -> Array:
        """Return an image under the contrast transfer of some defocus, particles bright."""
        optics = Optics(defocus_angstrom=self.rng.uniform(12000, 25000))
        shape = (self.side, self.side)
        transfer = -contrast_transfer(shape, self.pixel_size, optics) * envelope(
            *frequencies(shape, self.pixel_size), 100
        )
        # Flipped phases leave white noise what it was, so it can be added afterwards.
        transfer = np.abs(transfer) if self.flip else transfer
        return np.asarray(fft.irfft2(fft.rfft2(image) * transfer, s=shape))

    def molecule(self, which: int, rotation: Array, shift: Array) -> Array:
        """Return the projection of a molecule, moved."""
        image = project(self.structures[which], rotation, pixel_size=self.pixel_size, size_px=self.side + 1)
        ky, kx = fft.fftfreq(self.side)[:, None], fft.fftfreq(self.side)[None, :]
        moved = fft.fft2(image[: self.side, : self.side]) * np.exp(-2j * np.pi * (ky * shift[1] + kx * shift[0]))
        return np.asarray(fft.ifft2(moved).real)

    def junk(self, kind: str, strength: float) -> Array:
        """Return an image of junk; `strength` is the standard deviation of a particle."""
        if kind == "ice":
            radius, (x, y) = self.rng.uniform(0.15, 0.6) * self.diameter_px, self.rng.uniform(-8, 8, 2)
            u = (self.x - x) + self.rng.uniform(-0.3, 0.3) * (self.y - y)
            v = (self.y - y) * self.rng.uniform(0.6, 1.0)
            image = self.lens(np.sqrt(np.clip(1 - (u**2 + v**2) / radius**2, 0, None)))
            return image * self.rng.uniform(1.5, 5) * strength / image.std()
        if kind == "edge":
            angle, offset = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(-15, 15)
            distance = self.x * np.cos(angle) + self.y * np.sin(angle) - offset
            image = self.lens(1 / (1 + np.exp(-distance / self.rng.uniform(0.7, 3))))
            return image * self.rng.uniform(2, 8) * strength / image.std()
        image = np.zeros((self.side, self.side))
        if kind == "clump":
            for _ in range(self.rng.integers(3, 7)):
                place = self.rng.uniform(-0.6, 0.6, 2) * self.diameter_px
                image += self.molecule(int(self.rng.integers(2)), uniform_rotations(1, self.rng)[0], place)
            image = self.lens(image)
        return image


def simulate(names: list[str], n: int, snr: float, seed: int, *, flip: bool) -> Simulated:
    """Return n particles, and a quarter as many images of junk; with `flip`, as if their defocus were known."""
    rng = np.random.default_rng([seed, round(1000 * snr)])
    simulator = Simulator([read_structure(bundled_structures()[name]) for name in names], rng, flip=flip)
    rotations = uniform_rotations(n, rng)
    circle = np.hypot(simulator.x, simulator.y) < simulator.diameter_px / 2
    trial = [simulator.lens(simulator.molecule(i % 2, rotations[i], np.zeros(2))) for i in range(40)]
    power = float(np.mean([image[circle].var() for image in trial]))
    shifts, images = rng.normal(0, 2.5, (n, 2)).clip(-4, 4), []
    for i in range(n):
        image = simulator.lens(simulator.molecule(i % 2, rotations[i], shifts[i]))
        images.append(image * np.exp(rng.normal(0, 0.15)))
    n_junk = n // 4
    images += [simulator.junk(KINDS[i % 4], float(np.sqrt(power))) for i in range(n_junk)]
    low = SIZE_PX // 2
    stack = np.stack([image[low : low + SIZE_PX, low : low + SIZE_PX] for image in images])
    stack += rng.normal(0, np.sqrt(power / snr), stack.shape)
    order = rng.permutation(len(stack))
    kind = np.concatenate([np.arange(n) % 2, 2 + np.arange(n_junk) % 4])
    return Simulated(
        stack[order].astype(np.float32),
        kind[order],
        np.concatenate([shifts, np.zeros((n_junk, 2))])[order],
        np.concatenate([rotations, np.tile(np.eye(3), (n_junk, 1, 1))])[order],
        simulator.diameter_px,
    )


def shifts_right(found: Classes, true: Simulated) -> float:
    """Return the share of shifts that are right within a pixel of the classification."""
    angle, error = np.radians(found.assigned.angle_degrees), found.assigned.shift_px - true.shift_px
    cosine, sine = np.cos(angle), np.sin(angle)
    in_class = np.stack([cosine * error[:, 0] + sine * error[:, 1], cosine * error[:, 1] - sine * error[:, 0]], axis=1)
    off = []
    for number in found.good:
        for kind in (0, 1):
            own = in_class[(found.assigned.class_number == number) & (true.kind == kind)]
            off += [np.hypot(*(own - np.median(own, axis=0)).T)] if len(own) > 10 else []
    return float((np.concatenate(off) <= SIZE_PX / WORK_PX).mean()) if off else float("nan")


def angles_off(found: Classes, true: Simulated, rng: np.random.Generator) -> tuple[float, float]:
    """Return the median error of angles between two particles, degrees, and the share within 15 degrees."""
    errors: list[float] = []
    for number in found.good:
        own = np.flatnonzero((found.assigned.class_number == number) & (true.kind == 1))
        if len(own) < 10:
            continue
        first, second = rng.choice(own, (2, 2000))
        between = true.rotations[first] @ np.swapaxes(true.rotations[second], 1, 2)
        near = (between[:, 2, 2] > np.cos(np.radians(SAME_VIEW_DEGREES))) & (first != second)
        turn = np.degrees(np.arctan2(between[:, 1, 0] - between[:, 0, 1], between[:, 0, 0] + between[:, 1, 1]))
        seen = found.assigned.angle_degrees[first] - found.assigned.angle_degrees[second]
        errors += list(np.abs((seen - turn + 180) % 360 - 180)[near])
    values = np.array(errors)
    return (float(np.median(values)), float((values <= 15).mean())) if len(values) else (float("nan"),) * 2


def main() -> None:
    """Print a row for each pair of molecules and SNR."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", nargs="+", default=["t20s_proteasome,sars2_spike", "apoferritin,ribosome_70s"])
    parser.add_argument("--snr", nargs="+", type=float, default=[0.05, 0.1, 0.2])
    parser.add_argument("--n", type=int, default=3000, help="particles; a quarter as many images of junk are added")
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--flip", action="store_true", help="flip phases, as where a STAR gives the defocus")
    arguments = parser.parse_args()
    rows = []
    for pair in arguments.molecules:
        for snr in arguments.snr:
            true = simulate(pair.split(","), arguments.n, snr, arguments.seed, flip=arguments.flip)
            began, began_cpu = time.perf_counter(), time.process_time()
            found = classify(true.images, arguments.classes, diameter_px=true.diameter_px, n_threads=arguments.threads)
            seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
            particle, kept = true.kind < 2, found.keep()
            removed = [float((~kept[true.kind == 2 + i]).mean()) for i in range(len(KINDS))]
            angle, near = angles_off(found, true, np.random.default_rng(1))
            rows.append(
                [
                    *(pair.replace(",", ", "), snr, len(true.images), float(particle[kept].mean())),
                    *(float(kept[particle].mean()), float((~kept[~particle]).mean()), *removed),
                    *(shifts_right(found, true), angle, near, seconds, cpu),
                ]
            )
    columns = ["molecules", "SNR", "images", "purity", "particles kept", "junk removed", *KINDS]
    columns += ["shifts right", "angles off (median)", "within 15°", "seconds", "CPU seconds"]
    print(table(columns, rows))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, simulation included")


if __name__ == "__main__":
    main()
