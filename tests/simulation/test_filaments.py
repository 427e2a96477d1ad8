import itertools

import numpy as np
import pytest

from vitripick.formats import read_micrograph
from vitripick.formats.filaments import read_filaments
from vitripick.geometry import Filament
from vitripick.settings.simulate import SimulateSettings
from vitripick.simulation import filaments as module
from vitripick.simulation import load_scene_recipe, simulate_folder
from vitripick.simulation.debris import broken
from vitripick.simulation.filament_shapes import Helix, random_helix, random_path
from vitripick.simulation.filaments import FilamentLayout, simulate_filament_crops, simulate_filaments
from vitripick.simulation.structures.structure import Structure

CLEAN = load_scene_recipe("clean")


def rod():
    """Return a rod of 100 Å, of four strands."""
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(20, 45, 40), rng.uniform(-20, 20, 40), rng.uniform(-10, 10, 40)])
    return Helix(
        Structure("rod", "filament", 60.0, points.astype(np.float32), np.full(40, 60, np.float32), 4.0), 20, 0, 4
    )


def beside(image, one, far):
    """Return the mean of the image along a line that runs `far` pixels beside the filament."""
    at, angle = one.at(np.linspace(5, one.length - 5, 200))
    x, y = np.rint(at + far * np.column_stack([-np.sin(angle), np.cos(angle)])).astype(int).T
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    return image[y[inside], x[inside]].mean()


def test_the_centre_line_is_where_the_filament_is():
    layout = FilamentLayout(count=1, length_widths=(20, 20), bend=0.01, bundle_chance=0, gap_chance=0)
    helix = rod()
    checked = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = simulate_filaments(CLEAN, helix, rng, layout=layout, shape=(256, 320), pixel_size=5.0)
        for one in found.filaments:
            if one.length > 60:
                spread = found.image.std()
                left, right = beside(found.image, one, -0.2 * one.width), beside(found.image, one, 0.2 * one.width)
                assert max(left, right) < beside(found.image, one, 1.5 * one.width) - 0.5 * spread
                assert abs(left - right) < 0.5 * spread
                checked += 1
    assert checked >= 3


def test_the_same_seed_gives_the_same_pixels():
    images = [
        simulate_filaments(CLEAN, rod(), np.random.default_rng(5), shape=(64, 96), pixel_size=8.0).image for _ in "ab"
    ]
    assert np.array_equal(*images)


def test_every_crop_has_its_own_fields_and_lines_inside():
    crops = list(itertools.islice(simulate_filament_crops(CLEAN, [], working_width_px=12, crop_px=64), 4))
    assert not np.array_equal(crops[0].image, crops[1].image)
    for crop in crops:
        for one in crop.filaments:
            assert one.points.min() >= 0
            assert one.points.max() <= 63


def test_a_path_has_the_length_that_was_asked_for():
    path = random_path(np.random.default_rng(1), start=(0, 0), heading=0.3, length=500, bend=0.01, step=1.0)
    assert Filament.through(path).length == pytest.approx(500, rel=1e-3)


def test_helices_are_as_wide_as_they_say():
    for seed in range(8):
        helix = random_helix(np.random.default_rng(seed))
        radius = np.hypot(*helix.subunit.points[:, :2].T)
        assert radius.max() <= 1.5 * helix.width_angstrom / 2 + 1


def test_a_molecule_of_one_point_breaks_into_itself():
    tiny = Structure("tiny", "soluble", 64.0, np.zeros((1, 3), np.float32), np.ones(1, np.float32), 20.0)
    assert len(broken(tiny, np.random.default_rng(1)).points) == 1


def test_a_speck_ends_no_filament():
    junk = np.zeros((40, 200), bool)
    junk[:, 60:70] = junk[:, 120:150] = True
    path = np.column_stack([np.arange(200.0), np.full(200, 20.0)])
    assert [len(part) for part in module._off_junk(path, junk, 10.0)] == [120, 50]


@pytest.mark.parametrize("helix", [{}, {"rise_angstrom": 60, "twist_degrees": 30, "radius_angstrom": 20}])
def test_a_folder_of_filaments_holds_their_centre_lines_and_goes_on(tmp_path, helix):
    settings = SimulateSettings(
        n_micrographs=1, filaments=True, n_filaments=6, shape=(160, 200), pixel_size=6.0, overlays=True, **helix
    )
    made = [simulate_folder(CLEAN, tmp_path, ["apoferritin"], settings, n_workers=1) for _ in "ab"]
    assert [one.n_skipped for one in made] == [0, 1]
    (true,) = read_filaments(tmp_path / "labels/simulated_0001.csv")
    assert len(true) == made[0].n_particles == made[1].n_particles > 0
    image = read_micrograph(tmp_path / "micrographs/simulated_0001.mrc").image
    at = np.rint(np.concatenate([one.points for one in true])).astype(int)
    assert image[at[:, 1], at[:, 0]].mean() < image.mean(), "filaments are dark"
    segments = true.segments(spacing=true.filaments[0].width / 2)
    (read,) = read_filaments(tmp_path / "star/simulated_0001.star", pixel_size=6.0)
    assert len(read) == len(np.unique(segments.filament))
    assert (tmp_path / "overlays/simulated_0001.png").is_file()


def test_a_rise_without_filaments_is_refused():
    with pytest.raises(ValueError, match=r"rise_angstrom.* acts on filaments only"):
        SimulateSettings(rise_angstrom=5)
