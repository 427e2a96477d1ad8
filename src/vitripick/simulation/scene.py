"""What lies in a micrograph before the microscope looks: particles, debris, thick contaminants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.simulation import debris
from vitripick.simulation.bodies import (
    Bodies,
    Contaminant,
    add_gold_beads,
    add_ice_ball,
    add_ice_crystal,
    add_support_edge,
)
from vitripick.simulation.membrane import belt, empty_disc
from vitripick.simulation.placement import place
from vitripick.simulation.poses import Rotations, preferred_rotations, tilted_rotations, uniform_rotations
from vitripick.simulation.projection import Particles
from vitripick.simulation.recipe import ContaminationRecipe, ParticleRecipe, draw
from vitripick.simulation.structure import Structure

# Contaminants are counted in a field of 200 nm by 200 nm: about a micrograph of 1024 pixels of 2 Å.
REFERENCE_AREA = 2000.0**2
# Dissociated subunits and bare proteins in solution, kDa.
_SUBUNIT_KDA = (15.0, 60.0)
_BACKGROUND_KDA = (10.0, 30.0)


@dataclass(frozen=True, eq=False)
class Field:
    """The area that is simulated: the micrograph and a rim that is cut off at the end.

    Attributes
    ----------
    shape
        (rows, columns) of the micrograph.
    rim_px
        Pixels added on the top and left; at least as many on the bottom and right.
    padded
        (rows, columns) with the rim.
    pixel_size
        Å per pixel.
    """

    shape: tuple[int, int]
    rim_px: int
    padded: tuple[int, int]
    pixel_size: float

    @property
    def area_share(self) -> float:
        """Area of the micrograph relative to the one that contaminants are counted in."""
        return self.shape[0] * self.shape[1] * self.pixel_size**2 / REFERENCE_AREA


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is there, in pixels of the padded field.

    Attributes
    ----------
    particles
        What is the particle: the molecule, and its belt or genome as further groups of the same poses.
    z_angstrom : (n,)
        Height of each particle above the middle of the ice, towards the electron source.
    labelled : (n,), bool
        Whether the centre lies inside the micrograph.
    extents_px : (n, 2)
        Width and height of each particle's projection.
    debris
        Weak contaminants.
    bodies
        Thick contaminants.
    contaminants
        For the record, in pixels of the micrograph.
    junk : (rows, columns), bool
        Where thick contaminants, clumps and filaments are.
    """

    particles: list[Particles]
    z_angstrom: npt.NDArray[np.float64]
    labelled: npt.NDArray[np.bool_]
    extents_px: npt.NDArray[np.float64]
    debris: list[Particles]
    bodies: Bodies | None
    contaminants: list[Contaminant]
    junk: npt.NDArray[np.bool_]
    drawn: dict[str, Any]


def lay_out(
    structure: Structure,
    recipe: ParticleRecipe,
    contamination: ContaminationRecipe,
    field: Field,
    rng: np.random.Generator,
    *,
    thickness_angstrom: float,
    voltage_kv: float,
    filaments: Sequence[Structure] = (),
) -> Scene:
    """Put particles and contaminants into a field.

    Thick contaminants come first, then clumps and filaments, then particles and smaller debris wherever there is
    room, so that nothing lies where it could not be seen.

    Parameters
    ----------
    structure
        The particle.
    recipe, contamination
        What may be drawn.
    field
        Where it goes.
    rng
        Source of all randomness.
    thickness_angstrom
        Of the ice, for the particles' heights.
    voltage_kv
        For the electrons that thick bodies swallow.
    filaments
        Structures to use as filaments; made-up ones otherwise.

    Returns
    -------
    Scene

    Raises
    ------
    UsageError
        If `recipe.count` particles do not fit.
    """
    dirty = rng.random() < contamination.chance
    bodies = _thick(contamination, field, rng, voltage_kv) if dirty else None
    forbidden = np.zeros(field.padded, bool) if bodies is None else bodies.covered.copy()
    contaminants = [] if bodies is None else list(bodies.contaminants)
    diameter_px = structure.diameter_angstrom / field.pixel_size

    # What is made of the molecule, clumps and pieces, needs no atoms.
    simple = structure.simple(field.pixel_size) if dirty else structure
    weak: list[Particles] = []
    if dirty:
        _add_clumps(weak, contaminants, forbidden, simple, contamination, field, rng)
        _add_filaments(weak, contaminants, forbidden, filaments, contamination, field, rng)

    spacing = draw(rng, recipe.spacing)
    clustering = draw(rng, recipe.clustering)
    coverage = draw(rng, recipe.coverage)
    area_px = field.shape[0] * field.shape[1]
    n = recipe.count
    if n is None:
        # The same for molecules of every shape: the area under the enclosing circle, 0.9 of the diameter wide.
        n = round(coverage * area_px / (np.pi / 4 * (0.9 * diameter_px) ** 2))
    # The rim carries as many particles per area as the micrograph: those that the border cuts.
    reach = min(0.5 * diameter_px, field.rim_px - 1)
    n_rim = round(n * ((field.shape[0] + 2 * reach) * (field.shape[1] + 2 * reach) / area_px - 1))
    view = forbidden[field.rim_px : field.rim_px + field.shape[0], field.rim_px : field.rim_px + field.shape[1]]
    inside = place(
        np.full(n, diameter_px),
        field.shape,
        rng,
        spacing=spacing,
        clustering=clustering,
        forbidden=view,
        insist=recipe.count is not None,
    )
    sizes = np.full(len(inside.x), diameter_px)
    outside = place(
        np.full(n_rim, diameter_px), field.shape, rng, spacing=spacing, rim_px=reach, taken=(inside.x, inside.y, sizes)
    )
    x = np.concatenate([inside.x, outside.x]) + field.rim_px
    y = np.concatenate([inside.y, outside.y]) + field.rim_px
    labelled = np.arange(len(x)) < len(inside.x)
    rotations, views = _rotations(len(x), structure, recipe, rng)
    room = max(0.0, thickness_angstrom - structure.diameter_angstrom) / 2
    z = rng.uniform(-room, room, len(x))

    particles = [Particles(structure, rotations, x, y)]
    drawn: dict[str, Any] = {"spacing": spacing, "clustering": clustering, "coverage": coverage, "views": views}
    if recipe.belts and structure.slab is not None:
        particles.append(Particles(belt(structure, rng), rotations, x, y))
        drawn["belt"] = True
    if structure.kind == "virus" and rng.random() < recipe.genome_chance:
        particles.append(Particles(debris.genome(structure, rng), rotations, x, y))
        drawn["genome"] = True
    if dirty:
        _add_small(weak, contaminants, forbidden, simple, particles[0], contamination, field, rng)
    return Scene(
        particles, z, labelled, _extents_px(particles, field.pixel_size), weak, bodies, contaminants, forbidden, drawn
    )


def _rotations(
    n: int, structure: Structure, recipe: ParticleRecipe, rng: np.random.Generator
) -> tuple[Rotations, dict[str, Any]]:
    if recipe.tilt_degrees is not None:
        tilt = np.array([draw(rng, recipe.tilt_degrees) for _ in range(n)])
        return tilted_rotations(rng, axis=(0, 0, 1), tilt_radians=np.deg2rad(tilt)), {
            "tilt_degrees": recipe.tilt_degrees
        }
    if rng.random() < recipe.preferred_chance:
        axis = rng.standard_normal(3)
        axis /= np.linalg.norm(axis)
        concentration = draw(rng, recipe.preferred_concentration)
        rotations = preferred_rotations(n, rng, axis=axis, concentration=concentration)
        return rotations, {"preferred_axis": axis.round(4).tolist(), "concentration": concentration}
    return uniform_rotations(n, rng), {"uniform": True}


def _extents_px(particles: list[Particles], pixel_size: float) -> npt.NDArray[np.float64]:
    extents = particles[0].structure.projected_extents(particles[0].rotations)
    for other in particles[1:]:
        more = other.structure.projected_extents(other.rotations)
        extents[:, ::2] = np.minimum(extents[:, ::2], more[:, ::2])
        extents[:, 1::2] = np.maximum(extents[:, 1::2], more[:, 1::2])
    return np.column_stack([extents[:, 1] - extents[:, 0], extents[:, 3] - extents[:, 2]]) / pixel_size


def _number(rng: np.random.Generator, expected: float) -> int:
    """A whole number with this mean: the fraction is drawn."""
    return int(expected) + int(rng.random() < expected % 1)


def _thick(recipe: ContaminationRecipe, field: Field, rng: np.random.Generator, voltage_kv: float) -> Bodies | None:
    area = field.area_share
    n_balls = _number(rng, draw(rng, recipe.ice_balls) * area)
    n_crystals = _number(rng, draw(rng, recipe.ice_crystals) * area)
    n_beads = _number(rng, draw(rng, recipe.gold_beads) * area)
    edge = rng.random() < recipe.support_edge_chance
    if not (n_balls or n_crystals or n_beads or edge):
        return None
    bodies = Bodies.none(field.padded, field.pixel_size)
    if edge:
        on_film = bool(rng.random() < recipe.particles_on_film_chance)
        add_support_edge(bodies, rng, voltage_kv=voltage_kv, particles_on_film=on_film)
    # The balls of one grid are more or less alike.
    typical = draw(rng, recipe.ice_ball_radius_angstrom, log=True)
    for _ in range(n_balls):
        add_ice_ball(bodies, rng, radius_angstrom=typical * np.exp(rng.normal(0, 0.3)), voltage_kv=voltage_kv)
    for _ in range(n_crystals):
        radius = draw(rng, recipe.ice_crystal_radius_angstrom, log=True)
        add_ice_crystal(bodies, rng, radius_angstrom=radius, voltage_kv=voltage_kv)
    if n_beads:
        add_gold_beads(bodies, rng, n=n_beads * int(rng.integers(1, 6)), voltage_kv=voltage_kv)
    bodies.contaminants = [_in_micrograph(c, field) for c in bodies.contaminants]
    return bodies


def _in_micrograph(contaminant: Contaminant, field: Field) -> Contaminant:
    return Contaminant(
        contaminant.kind, contaminant.x - field.rim_px, contaminant.y - field.rim_px, contaminant.size_px
    )


def _note(contaminants: list[Contaminant], field: Field, kind: str, x: float, y: float, size_px: float) -> None:
    contaminants.append(Contaminant(kind, float(x) - field.rim_px, float(y) - field.rim_px, float(size_px)))


def _add_clumps(
    weak: list[Particles],
    contaminants: list[Contaminant],
    forbidden: npt.NDArray[np.bool_],
    structure: Structure,
    recipe: ContaminationRecipe,
    field: Field,
    rng: np.random.Generator,
) -> None:
    for _ in range(_number(rng, draw(rng, recipe.aggregates) * field.area_share)):
        x, y = rng.uniform(0, field.padded[1]), rng.uniform(0, field.padded[0])
        size = max(2, round(draw(rng, recipe.aggregate_size)))
        clump = debris.aggregate(structure, rng, x=x, y=y, n=size, pixel_size=field.pixel_size)
        weak.append(clump)
        radius = structure.diameter_angstrom / field.pixel_size / 2
        _forbid_discs(forbidden, clump.x, clump.y, 1.6 * radius)
        span = max(float(np.ptp(clump.x)), float(np.ptp(clump.y))) + 2 * radius
        _note(contaminants, field, "aggregate", x, y, span)


def _add_filaments(
    weak: list[Particles],
    contaminants: list[Contaminant],
    forbidden: npt.NDArray[np.bool_],
    structures: Sequence[Structure],
    recipe: ContaminationRecipe,
    field: Field,
    rng: np.random.Generator,
) -> None:
    for _ in range(_number(rng, draw(rng, recipe.filaments) * field.area_share)):
        x, y = rng.uniform(0, field.padded[1]), rng.uniform(0, field.padded[0])
        if structures and rng.random() < 0.5:
            body = structures[int(rng.integers(len(structures)))]
            axis = np.linalg.svd(body.points[::20] - body.points.mean(axis=0), full_matrices=False)[2][0]
            length = body.diameter_angstrom
        else:
            length = float(rng.uniform(0.5, 1.2)) * max(field.padded) * field.pixel_size
            body, axis = debris.filament(rng, length_angstrom=length), np.array([1.0, 0.0, 0.0])
        tilt = np.full(1, np.pi / 2)
        copy = Particles(body, tilted_rotations(rng, axis=axis, tilt_radians=tilt), np.array([x]), np.array([y]))
        weak.append(copy)
        # Every hundredth point tells where it runs.
        at = body.points[:: max(1, len(body.points) // 300)] @ copy.rotations[0, :2].T / field.pixel_size + (x, y)
        _forbid_discs(forbidden, at[:, 0], at[:, 1], 60 / field.pixel_size)
        _note(contaminants, field, "filament", x, y, length / field.pixel_size)


def _forbid_discs(forbidden: npt.NDArray[np.bool_], x: npt.NDArray[Any], y: npt.NDArray[Any], radius_px: float) -> None:
    mask = forbidden.view(np.uint8)
    for at_x, at_y in zip(x, y, strict=True):
        cv2.circle(mask, (round(float(at_x)), round(float(at_y))), max(1, round(radius_px)), 1, -1)


def _add_small(
    weak: list[Particles],
    contaminants: list[Contaminant],
    forbidden: npt.NDArray[np.bool_],
    structure: Structure,
    particles: Particles,
    recipe: ContaminationRecipe,
    field: Field,
    rng: np.random.Generator,
) -> None:
    """Broken particles, stacks, subunits, empty discs and bare proteins, where there is room."""
    area = field.area_share
    n_broken = _number(rng, draw(rng, recipe.broken) * len(particles))
    n_stacks = _number(rng, draw(rng, recipe.stacks) * len(particles))
    n_subunits = _number(rng, draw(rng, recipe.subunits) * area) if structure.mass_kda > 100 else 0
    n_discs = _number(rng, draw(rng, recipe.discs) * area)
    kinds: list[tuple[str, int, list[Structure]]] = []
    if n_stacks:
        kinds.append(("stack", n_stacks, [structure]))
    if n_broken:
        kinds.append(("broken", n_broken, [debris.broken(structure, rng) for _ in range(min(n_broken, 3))]))
    if n_subunits:
        pieces = [
            debris.subunit(structure, rng, mass_kda=rng.uniform(*_SUBUNIT_KDA)) for _ in range(min(n_subunits, 2))
        ]
        kinds.append(("subunit", n_subunits, pieces))
    if n_discs:
        kinds.append(("disc", n_discs, [empty_disc(rng)]))
    taken_x, taken_y = particles.x, particles.y
    taken_d = np.full(len(particles), structure.diameter_angstrom / field.pixel_size)
    for kind, n, bodies in kinds:
        members = 2 if kind == "stack" else 1
        sizes = np.array([0.95 * body.reach_angstrom * members / field.pixel_size for body in bodies])
        chosen = rng.integers(0, len(bodies), n)
        placed = place(
            sizes[chosen], field.padded, rng, spacing=0.85, forbidden=forbidden, taken=(taken_x, taken_y, taken_d)
        )
        which = chosen[placed.index]
        for i, body in enumerate(bodies):
            here = which == i
            at_x, at_y = placed.x[here], placed.y[here]
            if kind == "stack":
                weak += [
                    debris.stack(body, rng, x=x, y=y, n=int(rng.integers(2, 4)), pixel_size=field.pixel_size)
                    for x, y in zip(at_x, at_y, strict=True)
                ]
            else:
                weak.append(Particles(body, uniform_rotations(len(at_x), rng), at_x, at_y))
            for x, y in zip(at_x, at_y, strict=True):
                _note(contaminants, field, kind, x, y, sizes[i])
        taken_x = np.concatenate([taken_x, placed.x])
        taken_y = np.concatenate([taken_y, placed.y])
        taken_d = np.concatenate([taken_d, sizes[which]])
    _add_background(weak, structure, recipe, field, rng)


def _add_background(
    weak: list[Particles], structure: Structure, recipe: ContaminationRecipe, field: Field, rng: np.random.Generator
) -> None:
    """Small proteins all over, also through particles: they lie anywhere in the ice."""
    n = _number(rng, draw(rng, recipe.background_proteins) * field.area_share)
    if not n:
        return
    piece = debris.subunit(structure, rng, mass_kda=rng.uniform(*_BACKGROUND_KDA))
    x, y = rng.uniform(0, field.padded[1], n), rng.uniform(0, field.padded[0], n)
    weak.append(Particles(piece, uniform_rotations(n, rng), x, y))
