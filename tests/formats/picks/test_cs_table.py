"""What cryoSPARC found of particles: shifts in pixels of the aligned images, classes, and places in a passthrough."""

import numpy as np
import pytest

from made import cryosparc_particles
from vitripick.errors import FormatError
from vitripick.formats import read_all_picks, read_picks

# 800 columns and 400 rows, so that a swap of either pair shows.
PLACES = {
    "location/micrograph_path": ["J1/a.mrc", "J1/a.mrc"],
    "location/micrograph_shape": np.array([[400, 800]] * 2, np.uint32),
    "location/center_x_frac": np.array([0.25, 0.5], np.float32),
    "location/center_y_frac": np.array([0.75, 0.25], np.float32),
}
SIZE = {"location/micrograph_psize_A": np.array([2.0, 2.0], np.float32)}
UIDS = {"uid": np.array([11, 7], np.uint64)}


def found(stage, shift, psize=4.0, number=3):
    return {
        f"{stage}/shift": np.array(shift, np.float32),
        f"{stage}/psize_A": np.full(2, psize, np.float32),
        f"{stage}/class": np.full(2, number, np.uint32),
    }


def test_shifts_are_x_first_and_counted_in_pixels_of_the_aligned_images(tmp_path):
    path = cryosparc_particles(tmp_path / "p.cs", {**PLACES, **SIZE, **found("alignments2D", [[5, 0], [0, -3]])})
    # 5 px of 4 Å are 10 px of 2 Å.
    np.testing.assert_allclose(read_picks(path).centres, [[190, 300], [400, 106]])


def test_a_refinement_goes_before_the_classification(tmp_path):
    fields = {
        **PLACES,
        **SIZE,
        **found("alignments2D", [[5, 5], [5, 5]]),
        **found("alignments3D", [[1, 0], [0, 0]], 2.0),
    }
    path = cryosparc_particles(tmp_path / "p.cs", fields)
    np.testing.assert_allclose(read_picks(path).centres, [[199, 300], [400, 100]])


def test_the_micrographs_pixel_size_may_come_from_elsewhere_and_must_come(tmp_path):
    path = cryosparc_particles(tmp_path / "p.cs", {**PLACES, **found("alignments2D", [[5, 0], [0, 0]])})
    np.testing.assert_allclose(read_picks(path, pixel_size=10.0).centres, [[198, 300], [400, 100]])
    with pytest.raises(FormatError, match=r"pixel size of J1/a\.mrc is not known"):
        read_picks(path)


def test_places_are_read_from_the_passthrough_beside_it_by_the_particles_ids(tmp_path, caplog):
    backwards = {name: np.asarray(values)[::-1] for name, values in {**UIDS, **PLACES, **SIZE}.items()}
    cryosparc_particles(tmp_path / "J6_passthrough_particles_selected.cs", backwards)
    path = cryosparc_particles(tmp_path / "particles_selected.cs", {**UIDS, **found("alignments2D", [[5, 0], [0, -3]])})
    np.testing.assert_allclose(read_picks(path).centres, [[190, 300], [400, 106]])
    assert "J6_passthrough_particles_selected.cs" in caplog.text


def test_a_passthrough_of_other_particles_is_not_taken(tmp_path):
    others = {**PLACES, **SIZE, "uid": np.array([11, 8], np.uint64)}
    cryosparc_particles(tmp_path / "J6_passthrough_particles_excluded.cs", others)
    path = cryosparc_particles(tmp_path / "particles_selected.cs", {**UIDS, **found("alignments2D", [[0, 0], [0, 0]])})
    with pytest.raises(FormatError, match="no passthrough next to it"):
        read_all_picks(path)


def test_classes_are_those_of_the_file_which_start_at_0(tmp_path):
    path = cryosparc_particles(tmp_path / "p.cs", {**PLACES, **found("alignments2D", [[0, 0], [0, 0]], number=0)})
    assert read_picks(path).alignment.class_number.tolist() == [0, 0]


@pytest.mark.parametrize(("shift", "says"), [([1.0, 2.0], "two numbers in each row"), ([[np.nan, 0], [0, 0]], "not a")])
def test_a_shift_that_is_none_is_refused(tmp_path, shift, says):
    fields = {**PLACES, **SIZE, "alignments2D/shift": np.array(shift, np.float32)}
    with pytest.raises(FormatError, match=says):
        read_picks(cryosparc_particles(tmp_path / "p.cs", fields))
