"""A micrograph that is averaged down while it is read is the one that was read whole and averaged down."""

import tracemalloc

import cv2
import numpy as np
import pytest
import tifffile

from vitripick.errors import MicrographError
from vitripick.formats import read_micrograph, write_mrc
from vitripick.formats.micrographs.on_disk import MicrographAsStored, MicrographOnDisk, open_micrograph
from vitripick.geometry import Micrograph
from vitripick.images import Preparation, prepare, resize


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 20 + 40


@pytest.mark.parametrize("dtype", ["f4", "f2", "i2", "u2", "i1"])
@pytest.mark.parametrize("shape", [(86, 61), (100, 75), (400, 300), (133, 299), (1, 1)])
def test_it_is_what_resizing_makes_of_the_whole_one(tmp_path, dtype, shape):
    write_mrc(tmp_path / "m.mrc", np.clip(noise((400, 300)), 0, 100), pixel_size=1.5, dtype=dtype)
    found = open_micrograph(tmp_path / "m.mrc", name="given")
    assert isinstance(found, MicrographOnDisk)
    assert (found.shape, found.pixel_size, found.name) == ((400, 300), 1.5, "given")
    expected = resize(read_micrograph(tmp_path / "m.mrc").image, shape)
    np.testing.assert_allclose(found.reduced(shape), expected, atol=1e-3 if dtype == "f2" else 2e-4)


def test_packed_four_bit_pixels_are_averaged_too(tmp_path):
    write_mrc(tmp_path / "m.mrc", noise((64, 33)), dtype="i2")
    data = bytearray((tmp_path / "m.mrc").read_bytes()[:1024])
    data[12:16] = (101).to_bytes(4, "little")
    (tmp_path / "m.mrc").write_bytes(data + np.random.default_rng(1).integers(0, 256, 64 * 17, np.uint8).tobytes())
    whole = read_micrograph(tmp_path / "m.mrc").image
    np.testing.assert_allclose(open_micrograph(tmp_path / "m.mrc").reduced((13, 9)), resize(whole, (13, 9)), atol=1e-4)


@pytest.mark.parametrize("harm", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_mended_as_ever(tmp_path, harm):
    image = noise((120, 120))
    image[60, 61] = harm
    write_mrc(tmp_path / "m.mrc", image)
    found = open_micrograph(tmp_path / "m.mrc")
    assert found.reduced((30, 30)) is None
    how = Preparation(working_diameter_px=6)
    expected = prepare(read_micrograph(tmp_path / "m.mrc").image, how, diameter_px=24)
    prepared = prepare(found, how, diameter_px=24)
    np.testing.assert_array_equal(prepared.image, expected.image)
    assert "NaN or infinite" in prepared.warnings[0]


def test_looking_at_a_micrograph_changes_nothing_in_it(tmp_path):
    image = noise((40, 50))
    image[3, 4] = np.nan
    write_mrc(tmp_path / "m.mrc", image, pixel_size=1.5)
    found = open_micrograph(tmp_path / "m.mrc")
    before = dict(vars(found))
    assert np.isfinite(found.image).all()
    assert repr(found) == "m.mrc: 40 rows x 50 columns, 1.5 Å/px"
    assert vars(found) == before
    assert "NaN or infinite" in found.in_memory().warnings[0]
    with pytest.raises(AttributeError):
        found.name = "other"


def test_a_constant_micrograph_is_nothing_but_zeros(tmp_path):
    write_mrc(tmp_path / "m.mrc", np.full((100, 100), 1234.567, np.float32))
    found = open_micrograph(tmp_path / "m.mrc")
    assert not prepare(found, Preparation(working_diameter_px=7), diameter_px=24).image.any()


def test_a_faint_signal_on_a_high_level_is_not_taken_for_constant(tmp_path):
    write_mrc(tmp_path / "m.mrc", noise((200, 200)) * 1e-3 + 10000)
    found = open_micrograph(tmp_path / "m.mrc")
    assert prepare(found, Preparation(working_diameter_px=8), diameter_px=24).image.std() > 0.5


def test_enlarging_and_floats_of_other_formats_take_the_whole_micrograph(tmp_path):
    write_mrc(tmp_path / "m.mrc", noise((40, 50)))
    assert open_micrograph(tmp_path / "m.mrc").reduced((80, 50)) is None
    tifffile.imwrite(tmp_path / "m.tif", noise((40, 50)))
    assert type(open_micrograph(tmp_path / "m.tif")) is Micrograph


@pytest.mark.parametrize(
    ("suffix", "dtype"), [*(("tif", dtype) for dtype in ("u1", "i1", "u2", "i2")), ("png", "u1"), ("jpg", "u1")]
)
def test_whole_numbers_of_other_formats_are_averaged_as_they_are_stored(tmp_path, suffix, dtype):
    stored = np.clip(noise((700, 900)), 0, 100).astype(dtype)
    path = tmp_path / f"m.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, stored)
    else:
        cv2.imwrite(str(path), stored)
    found = open_micrograph(path, name="given", pixel_size=1.5)
    assert isinstance(found, MicrographAsStored)
    assert (found.shape, found.pixel_size, found.name) == ((700, 900), 1.5, "given")
    whole = read_micrograph(path)
    np.testing.assert_array_equal(found.image, whole.image)
    for shape in [(100, 129), (333, 428), (700, 900)]:
        np.testing.assert_allclose(found.reduced(shape), resize(whole.image, shape), atol=2e-4)


def test_bytes_never_become_floats_all_at_once(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", np.clip(noise((3000, 2000)), 0, 100).astype(np.uint8))
    found = open_micrograph(tmp_path / "m.tif")
    found.reduced((300, 200))  # loads what it needs
    tracemalloc.start()
    found.reduced((300, 200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 3000 * 2000  # floats would be four bytes each


def test_a_pixel_far_from_all_others_is_mended_in_a_tiff_of_whole_numbers(tmp_path):
    stored = np.random.default_rng(0).integers(0, 3, (200, 200)).astype(np.uint16)
    stored[60, 61] = 65535
    tifffile.imwrite(tmp_path / "m.tif", stored)
    how = Preparation(working_diameter_px=6)
    prepared = prepare(open_micrograph(tmp_path / "m.tif"), how, diameter_px=24)
    expected = prepare(read_micrograph(tmp_path / "m.tif"), how, diameter_px=24)
    np.testing.assert_array_equal(prepared.image, expected.image)
    assert "replaced by" in prepared.warnings[0]


def test_a_file_cut_short_is_refused_before_it_is_read(tmp_path):
    write_mrc(tmp_path / "m.mrc", noise((40, 50)))
    (tmp_path / "m.mrc").write_bytes((tmp_path / "m.mrc").read_bytes()[:-8])
    with pytest.raises(MicrographError, match="has 9016 of 9024 bytes"):
        open_micrograph(tmp_path / "m.mrc")
