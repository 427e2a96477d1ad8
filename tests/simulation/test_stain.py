"""Negative stain: light particles in dark halos, on a film."""

import numpy as np
import pytest

from vitripick.simulation import load_scene_recipe, simulate_micrograph

# One particle in the middle of nearly no noise, in a deep pool that it sticks out of.
ALONE = (
    "particles.count=1",
    "contamination.chance=0",
    "exposure.dose_per_square_angstrom=100000",
    "exposure.beam_edge_chance=0",
    "exposure.eight_bit_chance=0",
    "exposure.jpeg_chance=0",
    "exposure.lowpass_chance=0",
    "optics.defocus_angstrom=2000",
    "stain.layer_angstrom=10",
    "stain.pool_depth=0.8",
    "stain.pool_reach=0.15",
    "stain.grain=0",
    "stain.bare_discs=0",
)


def stained(structure, *changes, seed=1, shape=(160, 160)):
    recipe = load_scene_recipe("negative_stain", changes=changes)
    return simulate_micrograph(recipe, [structure], np.random.default_rng(seed), shape=shape, pixel_size=4.0)


def ring(simulated, low, high):
    """Mean between two radii in px around the first particle."""
    rows, columns = np.indices(simulated.image.shape)
    distance = np.hypot(columns - simulated.boxes.x[0], rows - simulated.boxes.y[0])
    return float(simulated.image[(distance >= low) & (distance < high)].mean())


def test_a_particle_lies_in_a_halo_darker_than_itself_and_than_the_ground(trpv3):
    one = stained(trpv3, *ALONE)
    inside, halo, ground = ring(one, 0, 8), ring(one, 17, 21), ring(one, 45, 60)
    assert halo < inside
    assert halo < 0.95 * ground


def test_the_deeper_the_pool_the_darker_the_halo(trpv3):
    shallow, deep = (ring(stained(trpv3, *ALONE, f"stain.pool_depth={depth}"), 17, 21) for depth in (0.3, 1.5))
    assert deep < shallow


def test_bare_discs_are_bright_and_junk(trpv3):
    one = stained(trpv3, *ALONE, "stain.layer_angstrom=60", "stain.bare_discs=30", shape=(300, 300))
    assert 0 < one.junk.mean() < 0.5
    assert one.image[one.junk].mean() > one.image[~one.junk].mean()
    x, y = one.boxes.x.round().astype(int), one.boxes.y.round().astype(int)
    assert not one.junk[y, x].any()


@pytest.mark.parametrize("key", ["stain.layer_angstrom", "stain.pool_depth"])
def test_what_was_drawn_is_recorded(trpv3, key):
    assert stained(trpv3, *ALONE).parameters["stain"][key.removeprefix("stain.")] > 0
