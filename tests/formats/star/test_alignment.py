"""Refined shifts and classes of RELION's data STARs: the sign, the axes, and whose pixels they are counted in."""

import numpy as np
import pytest

from made import relion_particles
from vitripick.errors import FormatError
from vitripick.formats import read_all_picks, read_picks

OPTICS = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", "rlnImagePixelSize": 8.0}
OWN = {**OPTICS, "rlnMicrographPixelSize": 2.0}
MOVIE = {**OPTICS, "rlnMicrographOriginalPixelSize": 0.5}
PLACE = {"rlnMicrographName": "a.mrc", "rlnCoordinateX": 100.0, "rlnCoordinateY": 50.0, "rlnOpticsGroup": 1}


def shifted(x, y):
    return {**PLACE, "rlnOriginXAngst": x, "rlnOriginYAngst": y}


def test_a_shift_of_10_angstrom_in_x_moves_a_particle_to_the_left_and_nowhere_else(tmp_path):
    # The shift "translates the image to its center": it lay 5 px left of there, at 100 - 10 / 2.
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics=OWN)
    assert read_picks(path).centres.tolist() == [[95.0, 50.0]]


def test_a_shift_in_y_moves_along_rows(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(0.0, -6.0), optics=OWN)
    assert read_picks(path).centres.tolist() == [[100.0, 53.0]]


def test_coordinates_are_left_as_they_stand_if_that_is_asked_and_the_shift_stays_known(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 4.0), optics=OWN)
    boxes = read_picks(path, keep_coordinates=True)
    assert boxes.centres.tolist() == [[100.0, 50.0]]
    assert boxes.alignment.shift_angstrom.tolist() == [[10.0, 4.0]]


def test_a_pixel_size_that_is_given_goes_before_the_files(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics=OWN)
    assert read_picks(path, pixel_size=5.0).x.tolist() == [98.0]


def test_the_images_pixels_play_no_part_for_shifts_in_angstrom(tmp_path):
    for image_pixel_size in (2.0, 16.0):
        optics = {**OWN, "rlnImagePixelSize": image_pixel_size}
        path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics=optics)
        assert read_picks(path).x.tolist() == [95.0]


def test_the_movies_pixel_size_is_the_last_resort_and_is_said(tmp_path, caplog):
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics=MOVIE)
    assert read_picks(path).x.tolist() == [80.0]
    assert "_rlnMicrographOriginalPixelSize, the pixel size of the movies" in caplog.text
    assert read_picks(path, pixel_size=2.0).x.tolist() == [95.0]


def test_without_any_pixel_size_a_shift_is_an_error_that_says_what_to_give(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics=OPTICS)
    with pytest.raises(FormatError, match=r"pixel size of a\.mrc is not known.*pixel_size=.*keep_coordinates=True"):
        read_picks(path)


def test_shifts_of_0_need_no_pixel_size(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(0.0, 0.0), optics=OPTICS)
    assert read_picks(path).centres.tolist() == [[100.0, 50.0]]


def test_old_shifts_are_counted_in_pixels_of_the_downscaled_images(tmp_path):
    # RELION 3.0 changed the magnification of images that it scaled down: 5 µm / 6250 = 8 Å. The micrograph has 2 Å.
    old = {"rlnOriginX": 3.0, "rlnOriginY": -1.0, "rlnDetectorPixelSize": 5.0, "rlnMagnification": 6250.0}
    place = {name: value for name, value in PLACE.items() if name != "rlnOpticsGroup"}
    path = relion_particles(tmp_path / "p.star", {**place, **old})
    assert read_picks(path, pixel_size=2.0).centres.tolist() == [[88.0, 54.0]]


def test_old_shifts_beside_an_optics_block_use_its_images_pixel_size(tmp_path):
    path = relion_particles(tmp_path / "p.star", {**PLACE, "rlnOriginX": 1.0, "rlnOriginY": 0.0}, optics=OWN)
    assert read_picks(path).x.tolist() == [96.0]


def test_old_shifts_in_pixels_of_unknown_size_are_refused(tmp_path):
    path = relion_particles(tmp_path / "p.star", {**PLACE, "rlnOriginX": 1.0, "rlnOriginY": 0.0})
    with pytest.raises(FormatError, match="does not give the size of these pixels"):
        read_picks(path, pixel_size=2.0)


def test_each_micrograph_keeps_its_own_shifts(tmp_path, caplog):
    columns = {
        "rlnMicrographName": ["b.mrc", "a.mrc", "b.mrc"],
        "rlnCoordinateX": [10.0, 20.0, 30.0],
        "rlnCoordinateY": [1.0, 2.0, 3.0],
        "rlnOpticsGroup": [1, 1, 1],
        "rlnOriginXAngst": [2.0, 4.0, 6.0],
        "rlnOriginYAngst": [0.0, 0.0, 8.0],
    }
    found = read_all_picks(relion_particles(tmp_path / "p.star", columns, optics=OWN))
    assert {boxes.micrograph: boxes.centres.tolist() for boxes in found} == {
        "b.mrc": [[9.0, 1.0], [27.0, -1.0]],
        "a.mrc": [[18.0, 2.0]],
    }
    assert "3 of 3 coordinates are moved by their refined shifts (median 2 px, at most 5)" in caplog.text


def test_a_picks_file_without_shifts_or_classes_has_no_alignment(tmp_path):
    path = relion_particles(tmp_path / "p.star", {**PLACE, "rlnClassNumber": -999}, optics=OWN)
    assert read_picks(path).alignment is None


def test_a_shift_that_is_no_number_is_named_with_its_line(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted("ten", 0.0), optics=OWN)
    with pytest.raises(FormatError, match=r"line \d+: _rlnOriginXAngst should be a number, but it is 'ten'"):
        read_picks(path)


def test_a_flip_comes_after_the_shift_because_both_are_of_the_files_frame(tmp_path):
    path = relion_particles(tmp_path / "p.star", shifted(0.0, 10.0), optics=OWN)
    flipped = read_picks(path, flip_y=True, shape=(200, 300))
    np.testing.assert_allclose(flipped.y, [199 - 45.0])


def test_a_scale_leaves_shifts_in_angstrom(tmp_path):
    # Coordinates of an image binned by 4 at 8 Å: 100 is 401.5 at full size, and 10 Å are 5 px of 2 Å there.
    path = relion_particles(tmp_path / "p.star", shifted(10.0, 0.0), optics={**OPTICS, "rlnMicrographPixelSize": 8.0})
    np.testing.assert_allclose(read_picks(path, scale=4).x, [401.5 - 5])
