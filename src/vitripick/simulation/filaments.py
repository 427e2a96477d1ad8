"""Simulate micrographs of filaments, with their true centre lines: same ice, lens, dose and camera as for particles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Filament, Filaments, FloatArray, Image
from vitripick.images import normalise_locally
from vitripick.simulation.filament_shapes import Helix, beside, random_helix, random_path
from vitripick.simulation.micrograph import draw_optics, exposed, field_around
from vitripick.simulation.projection import Particles
from vitripick.simulation.scene import Field, Scene
from vitripick.simulation.scene_builder import SceneBuilder
from vitripick.simulation.scene_recipe import SceneRecipe, draw
from vitripick.simulation.structures.structure import Structure

# Sigma of the local normalisation's window, in widths; pickers of filaments use the same.
BACKGROUND_WIDTHS = 3.0


@dataclass(frozen=True, eq=False)
class FilamentLayout:
    """Says how the filaments of a micrograph lie.

    Attributes
    ----------
    count
        Number of paths that are drawn.
    length_widths
        Length of each, in widths: the smallest and the largest, drawn evenly on a log scale.
    bend
        Typical curvature: widths over the radius.
    bundle_chance, gap_chance
        Chance that a path has parallel neighbours, and that it is broken in its middle.
    crossings
        Whether paths may cross; without it, one that would meet another is left out.
    """

    count: int = 6
    length_widths: tuple[float, float] = (6.0, 60.0)
    bend: float = 0.01
    bundle_chance: float = 0.1
    gap_chance: float = 0.1
    crossings: bool = True


@dataclass(frozen=True, eq=False)
class SimulatedFilaments:
    """Holds a simulated micrograph of filaments and the truth about it.

    Attributes
    ----------
    image : (rows, columns), float32
        As in `Simulated`.
    filaments
        The true centre lines, cut at the border of the micrograph.
    pixel_size
        Å per pixel.
    junk : (rows, columns), bool
        Where thick contaminants and clumps are.
    parameters
        What was drawn, ready for JSON.
    """

    image: Image
    filaments: Filaments
    pixel_size: float
    junk: npt.NDArray[np.bool_]
    parameters: dict[str, Any]

    @property
    def width_px(self) -> float:
        """Return the width of the filaments in pixels."""
        return float(self.parameters["helix"]["width_angstrom"]) / self.pixel_size


def simulate_filaments(
    recipe: SceneRecipe,
    helix: Helix,
    rng: np.random.Generator,
    *,
    layout: FilamentLayout | None = None,
    structures: Sequence[Structure] = (),
    shape: tuple[int, int] | None = None,
    pixel_size: float | None = None,
    name: str | None = None,
) -> SimulatedFilaments:
    """Simulate one micrograph of one kind of filament.

    Parameters
    ----------
    recipe
        From `load_scene_recipe`: optics, ice, exposure and contamination. Its filaments are left out, because they
        would be filaments without a label, and its particles lie among the filaments as debris.
    helix
        The filament.
    rng
        The same generator state gives the same pixels.
    layout
        How they lie.
    structures
        Globular particles among the filaments are drawn from these; without any, there are none.
    shape, pixel_size
        If given, they override the recipe's.
    name
        Name of the micrograph.
    """
    layout = layout or FilamentLayout()
    shape = shape or recipe.shape
    pixel_size = draw(rng, recipe.pixel_size, log=True) if pixel_size is None else pixel_size
    clean = recipe.contamination.model_copy(update={"filaments": 0.0})
    recipe = recipe.model_copy(update={"contamination": clean})
    optics = draw_optics(recipe.optics, rng)
    field = field_around(shape, pixel_size, helix.width_angstrom, optics)
    thickness = max(draw(rng, recipe.ice.thickness_angstrom, log=True), 1.1 * helix.width_angstrom)
    scene = _surroundings(recipe, field, rng, structures, thickness, optics.voltage_kv)
    paths = _paths(layout, helix.width_angstrom / pixel_size, field, scene.junk, rng)
    scene = _with_filaments(scene, helix, paths, thickness, rng)
    image, drawn = exposed(scene, optics, recipe, thickness, rng)
    width = helix.width_angstrom / pixel_size
    filaments = [
        Filament.through(piece, width=width) for path in paths for piece in _pieces_inside(path - field.rim_px, shape)
    ]
    parameters = {
        "helix": {
            "subunit": helix.subunit.name,
            "rise_angstrom": helix.rise_angstrom,
            "twist_degrees": helix.twist_degrees,
            "n_starts": helix.n_starts,
            "width_angstrom": helix.width_angstrom,
        },
        "pixel_size": pixel_size,
        "shape": list(shape),
        "optics": optics.model_dump(),
        **drawn,
    }
    return SimulatedFilaments(
        image, Filaments(filaments, name, shape, pixel_size), pixel_size, field.cut(scene.junk).copy(), parameters
    )


@dataclass(frozen=True, eq=False)
class FilamentCrop:
    """Holds a sample for training.

    Attributes
    ----------
    image : (p, p), float32
        Normalised as pickers normalise micrographs.
    filaments
        The true centre lines, in pixels of the crop.
    junk : (p, p), bool
        Where thick contaminants and clumps are.
    snr
        Signal power under the filaments over noise power; 0 without any.
    """

    image: Image
    filaments: list[Filament]
    junk: npt.NDArray[np.bool_]
    snr: float


def simulate_filament_crops(
    recipe: SceneRecipe,
    structures: Sequence[Structure],
    *,
    working_width_px: float,
    crop_px: int = 256,
    scale_jitter: float = 0.35,
    empty_chance: float = 0.08,
    seed: int = 1,
    first: int = 0,
    step: int = 1,
) -> Iterator[FilamentCrop]:
    """Yield training samples without end, each a field of its own; crop i depends only on the seed and on i.

    Parameters
    ----------
    recipe
        Optics, ice, exposure and contamination.
    structures
        Subunits of some of the filaments, and globular particles among them.
    working_width_px
        The width of the filament in the crop.
    crop_px
        Side of the crop.
    scale_jitter
        The width varies log-uniformly between 1 / (1 + jitter) and 1 + jitter of `working_width_px`.
    empty_chance
        Share of crops without a filament.
    seed, first, step
        Which crops of the stream of `seed`: first, first + step, first + 2 step …
    """
    index = first
    while True:
        rng = np.random.default_rng([seed, index])
        helix = random_helix(rng, structures)
        span = np.log1p(scale_jitter)
        width_px = working_width_px * float(np.exp(rng.uniform(-span, span)))
        layout = FilamentLayout(
            count=0 if rng.random() < empty_chance else int(rng.integers(1, 9)),
            length_widths=(3.0, 40.0),
            bend=float(rng.choice([0.0, np.exp(rng.uniform(np.log(0.002), np.log(0.12)))], p=[0.15, 0.85])),
            bundle_chance=float(rng.choice([0.0, 0.4])),
            gap_chance=float(rng.choice([0.0, 0.2])),
        )
        found = simulate_filaments(
            recipe,
            helix,
            rng,
            layout=layout,
            structures=structures,
            shape=(crop_px, crop_px),
            pixel_size=helix.width_angstrom / width_px,
        )
        image = normalise_locally(found.image, sigma_px=BACKGROUND_WIDTHS * working_width_px)
        yield FilamentCrop(image, list(found.filaments), found.junk, float(found.parameters["snr"]))
        index += step


def _surroundings(
    recipe: SceneRecipe,
    field: Field,
    rng: np.random.Generator,
    structures: Sequence[Structure],
    thickness: float,
    voltage_kv: float,
) -> Scene:
    """Return the scene without filaments; its particles have become debris."""
    if structures:
        body = structures[int(rng.integers(len(structures)))].simple(field.pixel_size)
        share = float(rng.choice([0.0, rng.uniform(0, 0.15)], p=[0.6, 0.4]))
    else:
        body = Structure("none", "soluble", 50.0, np.eye(2, 3, dtype=np.float32), np.zeros(2, np.float32), 5.0)
        share = 0.0
    # Molecules larger than the field cannot be placed.
    if body.diameter_angstrom > 0.5 * min(field.shape) * field.pixel_size or not structures:
        share = 0.0
    particles = recipe.particles.model_copy(update={"coverage": share, "count": None})
    contamination = recipe.contamination
    if not structures:
        nothing = {"aggregates": 0.0, "broken": 0.0, "subunits": 0.0, "stacks": 0.0, "background_proteins": 0.0}
        contamination = contamination.model_copy(update=nothing)
    changed = recipe.model_copy(update={"particles": particles, "contamination": contamination})
    scene = SceneBuilder(changed, field, rng).build(body, thickness_angstrom=thickness, voltage_kv=voltage_kv)
    return dataclasses.replace(scene, debris=[*scene.debris, *scene.particles], particles=[])


def _paths(
    layout: FilamentLayout, width_px: float, field: Field, junk: npt.NDArray[np.bool_], rng: np.random.Generator
) -> list[FloatArray]:
    """Return the centre lines of a padded field, a point each quarter of a width or finer."""
    rows, columns = field.padded
    step = min(1.0, 0.1 * width_px)
    paths: list[FloatArray] = []
    common = rng.uniform(0, 2 * np.pi)
    aligned = rng.random() < 0.25
    taken = np.empty((0, 2))
    for _ in range(layout.count):
        heading = common + rng.normal(0, 0.15) if aligned else rng.uniform(0, 2 * np.pi)
        low, high = np.log(layout.length_widths)
        path = random_path(
            rng,
            start=(rng.uniform(0, columns), rng.uniform(0, rows)),
            heading=heading,
            length=float(np.exp(rng.uniform(low, high))) * width_px,
            bend=layout.bend / width_px,
            step=step,
        )
        new = [path]
        if rng.random() < layout.bundle_chance:
            apart = width_px * rng.uniform(1.0, 1.6)
            new += [beside(path, apart * (i + 1)) for i in range(int(rng.integers(1, 4)))]
        if rng.random() < layout.gap_chance:
            gap = width_px * rng.uniform(1.5, 4.0)
            new = [part for one in new for part in _broken(one, gap, rng) if len(part) > 3 * width_px / step]
        for one in new:
            if not layout.crossings:
                few = one[:: max(1, int(0.3 * width_px / step))]
                far = np.hypot(*(few[:, None] - taken[None]).transpose(2, 0, 1))
                if len(taken) and far.min() < 2.5 * width_px:
                    continue
                taken = np.concatenate([taken, few])
            paths += _off_junk(one, junk, width_px / step)
    return paths


def _broken(path: FloatArray, gap: float, rng: np.random.Generator) -> list[FloatArray]:
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    at = rng.uniform(0.25, 0.75) * steps[-1]
    return [path[steps < at - gap / 2], path[steps > at + gap / 2]]


def _off_junk(path: FloatArray, junk: npt.NDArray[np.bool_], width: float) -> list[FloatArray]:
    """Return the parts of a path outside of thick contaminants; the other parts are hidden, so they are not labelled.

    A speck of less than 1.5 widths of the path does not end a filament. The width is in points of the path.
    """
    rows, columns = junk.shape
    x, y = np.rint(path).astype(int).T
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    bad = np.zeros(len(path), bool)
    bad[inside] = junk[y[inside], x[inside]]
    for low, high in _edges(bad):
        bad[low:high] &= high - low >= 1.5 * width or low == 0 or high == len(bad)
    return [part for part in _runs(path, ~bad) if len(part) > 3 * width]


def _pieces_inside(path: FloatArray, shape: tuple[int, int]) -> list[FloatArray]:
    """Return the parts of a path that lie inside the micrograph."""
    inside = (path[:, 0] >= 0) & (path[:, 0] <= shape[1] - 1) & (path[:, 1] >= 0) & (path[:, 1] <= shape[0] - 1)
    return [part for part in _runs(path, inside) if len(part) >= 2]


def _runs(path: FloatArray, keep: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """Return the runs of consecutive points that are kept."""
    return [path[low:high] for low, high in _edges(keep)]


def _edges(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, one past the last) of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _with_filaments(
    scene: Scene, helix: Helix, paths: Sequence[FloatArray], thickness: float, rng: np.random.Generator
) -> Scene:
    """Return the scene with the subunits of all filaments as its particles."""
    field = scene.field
    room = max(0.0, thickness - helix.width_angstrom) / 2
    rotations, xs, ys, heights = [np.empty((0, 3, 3))], [np.empty(0)], [np.empty(0)], [np.empty(0)]
    for path in paths:
        rotation, x, y = helix.along(path, rng, pixel_size=field.pixel_size)
        rotations.append(rotation)
        xs.append(x)
        ys.append(y)
        heights.append(np.full(len(x), rng.uniform(-room, room)))
    subunits = Particles(helix.subunit, np.concatenate(rotations), np.concatenate(xs), np.concatenate(ys))
    extent = helix.width_angstrom / field.pixel_size
    return dataclasses.replace(
        scene,
        particles=[subunits],
        z_angstrom=np.concatenate(heights),
        labelled=np.ones(len(subunits), bool),
        extents_px=np.full((len(subunits), 2), extent),
    )
