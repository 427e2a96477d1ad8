"""Particle images, against a plain NumPy reference."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile

from vitripick.errors import UsageError
from vitripick.formats import read_micrograph, read_picks
from vitripick.runs import PickSettings, pick_many
from vitripick.runs.extract import cut, extract_particles, normalised, scaled_down


@pytest.fixture
def run(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "run", model, PickSettings(threshold=0.3))
    return tmp_path / "run"


def reference(image, x, y, size):
    """Window, background of mean 0 and deviation 1 outside of 3/4 of the box, inverted: one pixel at a time."""
    window = np.array(
        [[image[int(y) - size // 2 + j, int(x) - size // 2 + i] for i in range(size)] for j in range(size)]
    )
    background = [
        window[j, i]
        for j in range(size)
        for i in range(size)
        if ((j - size / 2) ** 2 + (i - size / 2) ** 2) ** 0.5 > 0.75 * size / 2
    ]
    return -(window - np.mean(background, dtype=float)) / np.std(background, dtype=float)


def test_every_image_is_what_plain_numpy_makes_of_the_micrograph(run, micrographs, tmp_path):
    done = extract_particles(run, tmp_path / "p" / "particles.mrcs", box_size_px=32)
    with mrcfile.open(done.stack) as file:
        assert file.is_image_stack()
        images = file.data.copy()
        assert file.voxel_size.x == pytest.approx(4.0)
        assert file.header.dmean == pytest.approx(images.mean(), abs=1e-5)
        assert file.header.rms == pytest.approx(images.std(), rel=1e-4)
    assert mrcfile.validate(done.stack)
    tables = starfile.read(done.star)
    particles, optics = tables["particles"], tables["optics"].iloc[0]
    assert len(images) == len(particles) == done.n_particles > 20
    assert (optics["rlnImageSize"], optics["rlnImagePixelSize"], optics["rlnImageDimensionality"]) == (32, 4.0, 2)
    whole = {name: read_micrograph(name).image for name in set(particles["rlnMicrographName"])}
    for i, row in particles.iterrows():
        assert row["rlnImageName"] == f"{i + 1:06d}@{done.stack}"
        expected = reference(whole[row["rlnMicrographName"]], row["rlnCoordinateX"], row["rlnCoordinateY"], 32)
        np.testing.assert_allclose(images[i], expected, atol=1e-4)
    # Dark discs become white ones.
    assert images[:, 12:20, 12:20].mean() > 1


def test_boxes_that_stick_out_are_left_out_and_counted(run, tmp_path):
    n_picks = sum(len(read_picks(path)) for path in (run / "star").rglob("*.star"))
    done = extract_particles(run, tmp_path / "p.mrcs", box_size_px=64)
    assert done.n_at_edge > 0
    assert done.n_particles + done.n_at_edge == n_picks


def test_a_smaller_image_is_the_low_frequencies_of_the_large_one():
    rows, columns = np.mgrid[:32, :32]
    wave = (3 + np.cos(2 * np.pi * (2 * columns + 3 * rows) / 32)).astype(np.float32)
    fine = wave + np.cos(2 * np.pi * 14 * columns / 32).astype(np.float32)
    rows, columns = np.mgrid[:16, :16]
    expected = 3 + np.cos(2 * np.pi * (2 * columns + 3 * rows) / 16)
    np.testing.assert_allclose(scaled_down(fine, 16), expected, atol=1e-5)


def test_scaled_images_say_their_pixel_size(run, tmp_path):
    done = extract_particles(run, tmp_path / "p.mrcs", box_size_px=32, scaled_size_px=16)
    optics = starfile.read(done.star)["optics"].iloc[0]
    assert (optics["rlnImageSize"], optics["rlnImagePixelSize"], optics["rlnMicrographPixelSize"]) == (16, 8.0, 4.0)
    with mrcfile.open(done.stack) as file:
        assert file.data.shape == (done.n_particles, 16, 16)
        assert file.voxel_size.x == pytest.approx(8.0)


def test_a_constant_background_is_not_divided_by_zero():
    assert normalised(np.full((8, 8), 5, np.float32)).tolist() == np.zeros((8, 8)).tolist()


def test_a_cut_has_its_centre_where_relion_has_it():
    image = np.zeros((20, 30), np.float32)
    image[11, 17] = 1
    assert np.argwhere(cut(image, 17.9, 11.2, 8) == 1).tolist() == [[4, 4]]


def test_no_picks_give_an_empty_stack_that_can_be_read(run, tmp_path):
    done = extract_particles(run, tmp_path / "p.mrcs", box_size_px=32, threshold=1.0)
    assert done.n_particles == 0
    assert done.stack.stat().st_size == 1024


def test_the_most_confident_of_each_micrograph_come_first_when_few_are_wanted(run, tmp_path):
    done = extract_particles(run, tmp_path / "p.mrcs", box_size_px=32, max_particles=6)
    particles = starfile.read(done.star)["particles"]
    assert len(particles) == 6
    assert particles["rlnMicrographName"].value_counts().tolist() == [2, 2, 2]
    for name, rows in particles.groupby("rlnMicrographName"):
        best = np.sort(read_picks(run / "cbox" / Path(name).parent.name / f"{Path(name).stem}.cbox").confidence)[::-1]
        # Some of the best may stick out.
        assert rows["rlnAutopickFigureOfMerit"].min() >= best[6]


def test_a_lost_micrograph_is_told_and_the_others_are_extracted(run, micrographs, tmp_path):
    (micrographs / "a" / "one.mrc").unlink()
    done = extract_particles(run, tmp_path / "p.mrcs", box_size_px=32)
    assert len(done.failures) == 1
    assert "one.mrc" in done.failures[0]
    assert done.n_particles > 10


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("p.mrc", {"box_size_px": 32}, r"\.mrcs"),
        ("p.mrcs", {"box_size_px": 33}, "even"),
        ("p.mrcs", {"box_size_px": 32, "scaled_size_px": 64}, "larger"),
    ],
)
def test_wrong_sizes_and_names_are_refused(run, tmp_path, name, options, says):
    with pytest.raises(UsageError, match=says):
        extract_particles(run, tmp_path / name, **options)


def test_the_command_says_what_it_wrote(run, tmp_path, capsys):
    from vitripick.cli.app import run as vitripick

    assert vitripick(["extract", str(run), "--out", str(tmp_path / "p.mrcs"), "--box-size-px", "64"]) == 0
    assert "27 picks left out" in capsys.readouterr().out
