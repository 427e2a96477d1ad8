"""The pixel size of micrographs, as each version of RELION writes it."""

import logging
from pathlib import Path

import pytest

from vitripick.formats import read_all_picks
from vitripick.formats.micrographs.finding import star_files

DATA = Path("tests/data")


def test_relion_30_gives_it_as_magnification_and_detector_pixel(caplog):
    files = star_files(DATA / "relion_3.0_micrographs_ctf.star")
    assert [file.pixel_size for file in files] == [7.08, 7.08]
    assert files[0].optics.voltage_kv == 300
    assert not caplog.records


def test_the_movies_pixel_size_is_taken_where_it_is_alone_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        (file,) = star_files(DATA / "relion_3.1_only_original_pixel_size.star")
    assert file.pixel_size == 0.885
    assert "rlnMicrographOriginalPixelSize" in caplog.text


def test_the_micrographs_own_pixel_size_goes_first(tmp_path, caplog):
    text = (DATA / "relion_3.1_only_original_pixel_size.star").read_text()
    text = text.replace("_rlnVoltage #4", "_rlnMicrographPixelSize #4").replace("300.000000", "1.77")
    (tmp_path / "m.star").write_text(text)
    (file,) = star_files(tmp_path / "m.star")
    assert file.pixel_size == 1.77
    assert not caplog.records


@pytest.mark.parametrize("magnification", ["0", "-1"])
def test_a_magnification_that_cannot_be_gives_no_pixel_size(tmp_path, magnification):
    text = (DATA / "relion_3.0_micrographs_ctf.star").read_text().replace("10000.000000", magnification)
    (tmp_path / "m.star").write_text(text)
    assert [file.pixel_size for file in star_files(tmp_path / "m.star")] == [None, None]


def test_a_list_of_names_alone_has_no_optics(tmp_path):
    (tmp_path / "m.star").write_text("\ndata_\n\nloop_\n_rlnMicrographName #1\na.mrc\n\n")
    assert [file.optics for file in star_files(tmp_path / "m.star")] == [None]


def test_coordinates_do_not_take_the_movies_pixel_size_because_headers_know_better(caplog):
    path = DATA / "relion_3.1_particles.star"
    assert "_rlnMicrographOriginalPixelSize" in path.read_text()
    assert {boxes.pixel_size for boxes in read_all_picks(path)} == {None}
    assert not caplog.records
