"""Draw thick contaminants: ice balls and crystals, the edge of the support film, gold beads.

They are too strong for the weak-phase approximation, so they are drawn as thickness and go through the lens as a wave.
They are never labelled, and no particle is placed under them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.simulation.ice import carbon_spectrum, mean_free_path_angstrom, random_field
from vitripick.simulation.optics import frequencies

# Height in Å over distance (pixels) and angle from a body's middle.
Height: TypeAlias = Callable[[Image, Image], Image]


@dataclass(frozen=True)
class Material:
    """Describes the material of a body.

    Attributes
    ----------
    potential
        Mean inner potential, V.
    free_path
        Mean free path of electrons, relative to that of ice.
    grain
        Strength of its grain of amorphous carbon, 0-1.
    """

    potential: float
    free_path: float
    grain: float = 0.0


# Mean inner potentials by electron holography: ice 3.5 V (Harscher & Lichte 1998), carbon 9 V, gold 25-30 V. Gold
# also scatters out of the aperture, which is why beads are black; its path here is that of all losses.
ICE = Material(3.5, 1.0)
ETHANE = Material(4.5, 0.8)
CARBON = Material(9.0, 0.55, grain=1.0)
GOLD = Material(25.0, 0.06)


@dataclass(frozen=True)
class Contaminant:
    """Describes one thing that is not a particle, for the record.

    Attributes
    ----------
    kind
        `ice_ball`, `ice_crystal`, `carbon_edge`, `gold_edge`, `gold_bead`, `aggregate`, `broken`, `subunit`, `disc`,
        `filament` or `stack`.
    x, y
        Its middle in pixels of the micrograph (for an edge, the middle of the hole's rim inside the field).
    size_px
        Its diameter; for an edge the radius of the hole; for a filament its length.
    """

    kind: str
    x: float
    y: float
    size_px: float


@dataclass(eq=False)
class Bodies:
    """Holds all thick contaminants of one field.

    Attributes
    ----------
    pixel_size
        Å per pixel.
    voltage_kv
        Voltage of the microscope, which decides how many electrons a body absorbs.
    phase_potential : (rows, columns), float32
        Projected potential above the ice around, V Å.
    loss : (rows, columns), float32
        Electrons lost: intensity falls by exp(-loss).
    covered : (rows, columns), bool
        Mask of places where a particle could not be seen.
    contaminants
        The contaminants that were drawn; positions in pixels of the field.
    """

    pixel_size: float
    voltage_kv: float
    phase_potential: Image
    loss: Image
    covered: npt.NDArray[np.bool_]
    contaminants: list[Contaminant] = field(default_factory=list)

    @classmethod
    def none(cls, shape: tuple[int, int], *, pixel_size: float, voltage_kv: float) -> Bodies:
        """Return a field of (rows, columns) without bodies."""
        zeros = np.zeros(shape, np.float32)
        return cls(pixel_size, voltage_kv, zeros, zeros.copy(), np.zeros(shape, bool))

    def add(self, thickness: Image, material: Material, at: tuple[slice, slice]) -> None:
        """Put a body of this thickness (Å) into a window of the field."""
        self.phase_potential[at] += np.float32(material.potential) * thickness
        self.loss[at] += thickness / np.float32(mean_free_path_angstrom(self.voltage_kv) * material.free_path)
        self.covered[at] |= thickness > 60


def add_ice_ball(bodies: Bodies, rng: np.random.Generator, *, radius_angstrom: float) -> None:
    """Add a ball or cap of ice or ethane, with a smooth, slightly irregular outline, or a small cluster of them."""
    rows, columns = bodies.loss.shape
    x, y = rng.uniform(0, columns), rng.uniform(0, rows)
    material = ICE if rng.random() < 0.7 else ETHANE
    # From thin lenses to whole balls.
    flatness = rng.uniform(0.15, 1.0)
    for _ in range(1 + rng.integers(0, 5) * (rng.random() < 0.25)):
        radius = radius_angstrom * np.exp(rng.uniform(-0.3, 0.3)) / bodies.pixel_size
        outline = _outline(rng, roughness=rng.uniform(0.0, 0.12))
        height = _ball(radius, 2 * radius * flatness * bodies.pixel_size, outline)
        if _add_round(bodies, x, y, radius * 1.4, height, material, rng):
            bodies.contaminants.append(Contaminant("ice_ball", x, y, 2 * radius))
        angle = rng.uniform(0, 2 * np.pi)
        x, y = x + 1.6 * radius * np.cos(angle), y + 1.6 * radius * np.sin(angle)


def add_ice_crystal(bodies: Bodies, rng: np.random.Generator, *, radius_angstrom: float) -> None:
    """Add a faceted crystal: a polygon with a bevel, mottled inside by bends and Bragg contrast."""
    rows, columns = bodies.loss.shape
    x, y = rng.uniform(0, columns), rng.uniform(0, rows)
    radius = radius_angstrom / bodies.pixel_size
    n_sides = int(rng.choice([4, 5, 6, 6, 6, 7]))
    first = rng.uniform(0, 2 * np.pi)
    stretch = rng.uniform(0.7, 1.0, n_sides)
    thickness = rng.uniform(200, 1500)
    bevel = rng.uniform(0.05, 0.4) * radius

    def height(r: Image, angle: Image) -> Image:
        # Distance to the nearest side of the polygon, negative outside.
        sides = [radius * stretch[i] - r * np.cos(angle - first - 2 * np.pi * i / n_sides) for i in range(n_sides)]
        inside = np.minimum.reduce(sides)
        return np.asarray(np.clip(inside / bevel, 0, 1) * thickness, np.float32)

    if _add_round(bodies, x, y, radius * 1.3, height, ICE, rng, mottle=float(rng.uniform(0.05, 0.3))):
        bodies.contaminants.append(Contaminant("ice_crystal", x, y, 2 * radius))


def add_gold_beads(bodies: Bodies, rng: np.random.Generator, *, n: int) -> None:
    """Add `n` fiducial beads of 50-150 Å, all of one size, opaque."""
    rows, columns = bodies.loss.shape
    radius = rng.uniform(25, 75) / bodies.pixel_size
    for _ in range(n):
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        height = _ball(radius, 2 * radius * bodies.pixel_size)
        if _add_round(bodies, x, y, radius + 2, height, GOLD, rng):
            bodies.contaminants.append(Contaminant("gold_bead", x, y, 2 * radius))


def add_support_edge(bodies: Bodies, rng: np.random.Generator, *, particles_on_film: bool) -> None:
    """Add the rim of a hole in the support film: carbon with its grain, or a gold foil.

    Parameters
    ----------
    bodies
        The bodies that the film is added to.
    rng
        Source of all randomness.
    particles_on_film
        Whether labelled particles also lie on the film (never on gold).
    """
    rows, columns = bodies.loss.shape
    gold = rng.random() < 0.1
    radius = rng.uniform(3000, 20000) / bodies.pixel_size
    angle = rng.uniform(0, 2 * np.pi)
    # The rim passes through a point somewhere in the field; the hole's middle lies on one side of it.
    through = np.array([rng.uniform(0.1, 0.9) * columns, rng.uniform(0.1, 0.9) * rows])
    middle = through + radius * np.array([np.cos(angle), np.sin(angle)])
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None, :]
    depth = np.hypot(x - np.float32(middle[0]), y - np.float32(middle[1])) - np.float32(radius)
    # Rims are ragged on the scale of tens of Å.
    ragged = rng.uniform(5, 40) / bodies.pixel_size
    depth += ragged * slow_field((rows, columns), 80 / bodies.pixel_size, rng)
    film = np.float32(rng.uniform(300, 600) if gold else rng.uniform(60, 250))
    soft = np.float32(rng.uniform(5, 30) / bodies.pixel_size)
    profile = 1 / (1 + np.exp(np.clip(-depth / soft, -30, 30)))
    # Many films are thicker at the rim.
    width = np.float32(rng.uniform(30, 200) / bodies.pixel_size)
    ridge = rng.uniform(0, 2.5) * np.exp(-0.5 * ((depth - width) / width) ** 2)
    thickness = np.asarray(film * profile * (1 + ridge), np.float32)
    everywhere = (slice(None), slice(None))
    before = bodies.covered.copy()
    bodies.add(thickness, GOLD if gold else CARBON, everywhere)
    if particles_on_film and not gold:
        bodies.covered = before | (np.abs(depth) < 2 * width)
    if not gold:
        power = carbon_spectrum(*frequencies((rows, columns), bodies.pixel_size))
        bodies.phase_potential += random_field((rows, columns), power, bodies.pixel_size, rng) * np.sqrt(thickness)
    bodies.contaminants.append(
        Contaminant("gold_edge" if gold else "carbon_edge", float(through[0]), float(through[1]), float(radius))
    )


def _add_round(
    bodies: Bodies,
    x: float,
    y: float,
    reach: float,
    height: Height,
    material: Material,
    rng: np.random.Generator,
    *,
    mottle: float = 0.0,
) -> bool:
    """Add a body, given by its height over distance and angle from its middle; return whether any of it is inside."""
    rows, columns = bodies.loss.shape
    top, bottom = max(0, int(y - reach)), min(rows, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(columns, int(x + reach) + 2)
    if bottom <= top or right <= left:
        return False
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x)
    thickness = height(np.hypot(dx, dy), np.arctan2(dy, dx)).astype(np.float32)
    if mottle:
        wave = slow_field((bottom - top, right - left), max(1.5, reach * float(rng.uniform(0.05, 0.25))), rng)
        thickness = thickness * np.clip(1 + np.float32(mottle) * wave, 0.1, None)
    bodies.add(thickness, material, (slice(top, bottom), slice(left, right)))
    return True


def _ball(radius: float, top_angstrom: float, outline: Callable[[Image], Image] | None = None) -> Height:
    """Return the height of half an ellipsoid on either side: highest in the middle, steep at the rim."""

    def height(r: Image, angle: Image) -> Image:
        rim = radius if outline is None else radius * outline(angle)
        return np.asarray(np.sqrt(np.clip(1 - (r / rim) ** 2, 0, None)) * top_angstrom, np.float32)

    return height


def _outline(rng: np.random.Generator, *, roughness: float) -> Callable[[Image], Image]:
    """Return a relative radius over the angle, made of a few harmonics."""
    orders = np.arange(2, 6)
    size = roughness * rng.standard_normal(len(orders)) / np.sqrt(orders)
    turn = rng.uniform(0, 2 * np.pi, len(orders))

    def radius(angle: Image) -> Image:
        waves = [a * np.cos(m * angle + t) for m, a, t in zip(orders, size, turn, strict=True)]
        return np.asarray(np.maximum(1 + np.sum(waves, axis=0), 0.4), np.float32)

    return radius


def slow_field(shape: tuple[int, int], wave_px: float, rng: np.random.Generator) -> Image:
    """Return a smooth Gaussian random field of unit sd, drawn on a coarse grid."""
    step = max(1.0, wave_px / 2)
    knots = rng.standard_normal((int(shape[0] / step) + 3, int(shape[1] / step) + 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(knots, (0, 0), 1.0)
    grown = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown / max(float(grown.std()), 1e-6), np.float32)
