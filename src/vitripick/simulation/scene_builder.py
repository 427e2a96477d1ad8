"""Lay out a scene: choose the objects in a micrograph, and their places."""

from __future__ import annotations

from collections.abc import Sequence
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
from vitripick.simulation.placement import PlacementArea, place
from vitripick.simulation.poses import Rotations, preferred_rotations, tilted_rotations, uniform_rotations
from vitripick.simulation.projection import Particles
from vitripick.simulation.scene import Field, Scene
from vitripick.simulation.scene_recipe import ParticleRecipe, SceneRecipe, draw
from vitripick.simulation.structures.structure import Structure

# Dissociated subunits and bare proteins in solution, kDa.
_SUBUNIT_KDA = (15.0, 60.0)
_BACKGROUND_KDA = (10.0, 30.0)
# Junk reaches this far beyond the points of a filament; in a broader band, clean ice would count as junk.
_BESIDE_FILAMENT_ANGSTROM = 20.0


class SceneBuilder:
    """Lays out one scene: first thick contaminants, then clumps and filaments, then particles, then smaller debris.

    Every object is put where there is room, so that it can be seen. All steps draw from one random stream, so their
    order decides every pixel.

    Parameters
    ----------
    recipe
        What may be drawn.
    field
        Where it goes.
    rng
        Source of all randomness.
    """

    def __init__(self, recipe: SceneRecipe, field: Field, rng: np.random.Generator) -> None:
        self._recipe, self._field, self._rng = recipe, field, rng
        self._bodies: Bodies | None = None
        self._debris: list[Particles] = []
        self._contaminants: list[Contaminant] = []
        self._forbidden: npt.NDArray[np.bool_] = np.zeros(field.padded, bool)
        self._drawn: dict[str, Any] = {}

    def build(
        self,
        structure: Structure,
        *,
        thickness_angstrom: float,
        voltage_kv: float,
        filaments: Sequence[Structure] = (),
    ) -> Scene:
        """Return a scene of one kind of particle; call it once.

        Parameters
        ----------
        structure
            The particle.
        thickness_angstrom
            Thickness of the ice, for the particles' heights.
        voltage_kv
            Voltage of the microscope, which decides how many electrons thick bodies absorb.
        filaments
            Structures to use as filaments; without any, random filaments are made.

        Returns
        -------
        Scene

        Raises
        ------
        UsageError
            If the recipe's count of particles does not fit.
        """
        dirty = self._rng.random() < self._recipe.contamination.chance
        # Clumps and pieces of the molecule need no atoms.
        simple = structure.simple(self._field.pixel_size) if dirty else structure
        if dirty:
            self._add_bodies(voltage_kv)
            self._add_clumps(simple)
            self._add_filaments(filaments)
        molecules, labelled = self._place_molecules(structure)
        room = max(0.0, thickness_angstrom - structure.diameter_angstrom) / 2
        z_angstrom = self._rng.uniform(-room, room, len(molecules))
        particles = [molecules, *self._companions(molecules)]
        if dirty:
            self._add_small(simple, molecules)
        return Scene(
            self._field,
            particles,
            z_angstrom,
            labelled,
            _extents_px(particles, self._field.pixel_size),
            self._debris,
            self._bodies,
            self._contaminants,
            self._forbidden,
            self._drawn,
        )

    def _count(self, value: float | tuple[float, float], times: float) -> int:
        """Return how many there are: a number from the recipe, times an area or a count; its fraction is drawn."""
        expected = draw(self._rng, value) * times
        return int(expected) + int(self._rng.random() < expected % 1)

    def _anywhere(self) -> tuple[float, float]:
        """Return x and y of a random point of the padded field."""
        rows, columns = self._field.padded
        return self._rng.uniform(0, columns), self._rng.uniform(0, rows)

    def _note(self, kind: str, x: float, y: float, size_px: float) -> None:
        """Record a contaminant at x and y of the padded field."""
        rim = self._field.rim_px
        self._contaminants.append(Contaminant(kind, float(x) - rim, float(y) - rim, float(size_px)))

    def _forbid_discs(self, x: npt.NDArray[Any], y: npt.NDArray[Any], radius_px: float) -> None:
        """Keep particles away from discs around these points."""
        mask = self._forbidden.view(np.uint8)
        for at_x, at_y in zip(x, y, strict=True):
            cv2.circle(mask, (round(float(at_x)), round(float(at_y))), max(1, round(radius_px)), 1, -1)

    def _add_bodies(self, voltage_kv: float) -> None:
        """Add thick contaminants: ice balls and crystals, gold beads, the edge of the support film."""
        recipe, rng, area = self._recipe.contamination, self._rng, self._field.area_share
        n_balls = self._count(recipe.ice_balls, area)
        n_crystals = self._count(recipe.ice_crystals, area)
        n_beads = self._count(recipe.gold_beads, area)
        edge = rng.random() < recipe.support_edge_chance
        if not (n_balls or n_crystals or n_beads or edge):
            return
        bodies = Bodies.none(self._field.padded, pixel_size=self._field.pixel_size, voltage_kv=voltage_kv)
        if edge:
            add_support_edge(bodies, rng, particles_on_film=bool(rng.random() < recipe.particles_on_film_chance))
        # The balls of one grid are similar.
        typical = draw(rng, recipe.ice_ball_radius_angstrom, log=True)
        for _ in range(n_balls):
            add_ice_ball(bodies, rng, radius_angstrom=typical * np.exp(rng.normal(0, 0.3)))
        for _ in range(n_crystals):
            add_ice_crystal(bodies, rng, radius_angstrom=draw(rng, recipe.ice_crystal_radius_angstrom, log=True))
        if n_beads:
            add_gold_beads(bodies, rng, n=n_beads * int(rng.integers(1, 6)))
        self._bodies = bodies
        self._forbidden |= bodies.covered
        for body in bodies.contaminants:
            self._note(body.kind, body.x, body.y, body.size_px)

    def _add_clumps(self, structure: Structure) -> None:
        """Add aggregates of the molecule."""
        recipe, pixel_size = self._recipe.contamination, self._field.pixel_size
        for _ in range(self._count(recipe.aggregates, self._field.area_share)):
            x, y = self._anywhere()
            size = max(2, round(draw(self._rng, recipe.aggregate_size)))
            clump = debris.aggregate(structure, self._rng, x=x, y=y, n=size, pixel_size=pixel_size)
            self._debris.append(clump)
            radius = structure.diameter_angstrom / pixel_size / 2
            self._forbid_discs(clump.x, clump.y, 1.6 * radius)
            span = max(float(np.ptp(clump.x)), float(np.ptp(clump.y))) + 2 * radius
            self._note("aggregate", x, y, span)

    def _add_filaments(self, structures: Sequence[Structure]) -> None:
        """Add filaments: half of them from these structures, if there are any, and the others made up."""
        rng, pixel_size = self._rng, self._field.pixel_size
        for _ in range(self._count(self._recipe.contamination.filaments, self._field.area_share)):
            x, y = self._anywhere()
            if structures and rng.random() < 0.5:
                body = structures[int(rng.integers(len(structures)))]
                axis = np.linalg.svd(body.points[::20] - body.points.mean(axis=0), full_matrices=False)[2][0]
                length = body.diameter_angstrom
            else:
                length = float(rng.uniform(0.5, 1.2)) * max(self._field.padded) * pixel_size
                body, axis = debris.filament(rng, length_angstrom=length), np.array([1.0, 0.0, 0.0])
            tilt = np.full(1, np.pi / 2)
            copy = Particles(body, tilted_rotations(rng, axis=axis, tilt_radians=tilt), np.array([x]), np.array([y]))
            self._debris.append(copy)
            # Some 300 of its points show where it runs.
            at = body.points[:: max(1, len(body.points) // 300)] @ copy.rotations[0, :2].T / pixel_size + (x, y)
            self._forbid_discs(at[:, 0], at[:, 1], _BESIDE_FILAMENT_ANGSTROM / pixel_size)
            self._note("filament", x, y, length / pixel_size)

    def _place_molecules(self, structure: Structure) -> tuple[Particles, npt.NDArray[np.bool_]]:
        """Return the molecules of the micrograph and its rim, and which of them are labelled, (n,)."""
        recipe, field, rng = self._recipe.particles, self._field, self._rng
        diameter_px = structure.diameter_angstrom / field.pixel_size
        spacing = draw(rng, recipe.spacing)
        clustering = draw(rng, recipe.clustering)
        coverage = draw(rng, recipe.coverage)
        area_px = field.shape[0] * field.shape[1]
        n = recipe.count
        if n is None:
            # The area is the same for molecules of every shape: that of the enclosing circle, 0.9 of the diameter wide.
            n = round(coverage * area_px / (np.pi / 4 * (0.9 * diameter_px) ** 2))
        # The rim has as many particles per area as the micrograph; they are those that the border cuts.
        reach = min(0.5 * diameter_px, field.rim_px - 1)
        n_rim = round(n * ((field.shape[0] + 2 * reach) * (field.shape[1] + 2 * reach) / area_px - 1))
        inside = place(
            np.full(n, diameter_px),
            PlacementArea(field.shape, forbidden=field.cut(self._forbidden)),
            rng,
            spacing=spacing,
            clustering=clustering,
            insist=recipe.count is not None,
        )
        outside = place(
            np.full(n_rim, diameter_px),
            PlacementArea(field.shape, rim_px=reach),
            rng,
            spacing=spacing,
            taken=(inside.x, inside.y, np.full(len(inside.x), diameter_px)),
        )
        x = np.concatenate([inside.x, outside.x]) + field.rim_px
        y = np.concatenate([inside.y, outside.y]) + field.rim_px
        rotations, views = _rotations(len(x), recipe, rng)
        self._drawn |= {"spacing": spacing, "clustering": clustering, "coverage": coverage, "views": views}
        return Particles(structure, rotations, x, y), np.arange(len(x)) < len(inside.x)

    def _companions(self, molecules: Particles) -> list[Particles]:
        """Return the other parts of the particles besides the molecule: the belt of a membrane protein, a genome."""
        recipe, structure, more = self._recipe.particles, molecules.structure, list[Structure]()
        if recipe.belts and structure.slab is not None:
            more.append(belt(structure, self._rng))
            self._drawn["belt"] = True
        if structure.kind == "virus" and self._rng.random() < recipe.genome_chance:
            more.append(debris.genome(structure, self._rng))
            self._drawn["genome"] = True
        return [Particles(other, molecules.rotations, molecules.x, molecules.y) for other in more]

    def _add_small(self, structure: Structure, molecules: Particles) -> None:
        """Add broken particles, stacks, subunits, empty discs and bare proteins, where there is room."""
        rng, pixel_size = self._rng, self._field.pixel_size
        area = PlacementArea(self._field.padded, forbidden=self._forbidden)
        taken_x, taken_y = molecules.x, molecules.y
        taken_d = np.full(len(molecules), structure.diameter_angstrom / pixel_size)
        for kind, n, bodies in self._draw_small(structure, len(molecules)):
            members = 2 if kind == "stack" else 1
            sizes = np.array([0.95 * body.reach_angstrom * members / pixel_size for body in bodies])
            chosen = rng.integers(0, len(bodies), n)
            placed = place(sizes[chosen], area, rng, spacing=0.85, taken=(taken_x, taken_y, taken_d))
            which = chosen[placed.index]
            for i, body in enumerate(bodies):
                here = which == i
                at_x, at_y = placed.x[here], placed.y[here]
                if kind == "stack":
                    self._debris += [
                        debris.stack(body, rng, x=x, y=y, n=int(rng.integers(2, 4)), pixel_size=pixel_size)
                        for x, y in zip(at_x, at_y, strict=True)
                    ]
                else:
                    self._debris.append(Particles(body, uniform_rotations(len(at_x), rng), at_x, at_y))
                for x, y in zip(at_x, at_y, strict=True):
                    self._note(kind, x, y, sizes[i])
            taken_x = np.concatenate([taken_x, placed.x])
            taken_y = np.concatenate([taken_y, placed.y])
            taken_d = np.concatenate([taken_d, sizes[which]])
        self._add_background(structure)

    def _draw_small(self, structure: Structure, n_particles: int) -> list[tuple[str, int, list[Structure]]]:
        """Return the kinds of smaller debris: name, number, and the bodies that each one is chosen from."""
        recipe, rng, area = self._recipe.contamination, self._rng, self._field.area_share
        n_broken = self._count(recipe.broken, n_particles)
        n_stacks = self._count(recipe.stacks, n_particles)
        n_subunits = self._count(recipe.subunits, area) if structure.mass_kda > 100 else 0
        n_discs = self._count(recipe.discs, area)
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
        return kinds

    def _add_background(self, structure: Structure) -> None:
        """Add small proteins all over, also through particles: they lie anywhere in the ice."""
        rng, (rows, columns) = self._rng, self._field.padded
        n = self._count(self._recipe.contamination.background_proteins, self._field.area_share)
        if not n:
            return
        piece = debris.subunit(structure, rng, mass_kda=rng.uniform(*_BACKGROUND_KDA))
        x, y = rng.uniform(0, columns, n), rng.uniform(0, rows, n)
        self._debris.append(Particles(piece, uniform_rotations(n, rng), x, y))


def _rotations(n: int, recipe: ParticleRecipe, rng: np.random.Generator) -> tuple[Rotations, dict[str, Any]]:
    """Return the rotations of `n` particles, and what was drawn for them, ready for JSON."""
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
    """Return width and height of each particle's projection with all that belongs to it, (n, 2), px."""
    extents = particles[0].structure.projected_extents(particles[0].rotations)
    for other in particles[1:]:
        more = other.structure.projected_extents(other.rotations)
        extents[:, ::2] = np.minimum(extents[:, ::2], more[:, ::2])
        extents[:, 1::2] = np.maximum(extents[:, 1::2], more[:, 1::2])
    return np.column_stack([extents[:, 1] - extents[:, 0], extents[:, 3] - extents[:, 2]]) / pixel_size
