"""PNG and JPG micrographs: depth, direction of y, colour, damage."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vitripick.errors import MicrographError
from vitripick.formats import read_header, read_micrograph


def written(tmp_path, image, name="a.png"):
    path = tmp_path / name
    suffix = "." + name.rpartition(".")[2]
    path.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    return path


def top_bright(shape=(40, 64)):
    image = np.full(shape, 50, np.uint8)
    image[: shape[0] // 2] = 200
    return image


@given(
    image=st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=2, max_dims=2, max_side=30))
    )
)
def test_a_png_comes_back_with_its_last_stored_row_first(tmp_path_factory, image):
    path = written(tmp_path_factory.mktemp("png"), image)
    found = read_micrograph(path).image
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, image[::-1].astype(np.float32))
    assert read_header(path).shape == image.shape


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG"])
def test_the_top_of_a_jpg_comes_last(tmp_path, name):
    path = written(tmp_path, top_bright(), name)
    image = read_micrograph(path).image
    assert image[-1].mean() == pytest.approx(200, abs=3)
    assert image[0].mean() == pytest.approx(50, abs=3)
    assert read_header(path).shape == (40, 64)


def test_a_jpg_in_progressive_layout_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(cv2.imencode(".jpg", top_bright(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    assert read_header(path).shape == (40, 64)
    assert read_micrograph(path).shape == (40, 64)


def test_tables_before_the_frame_are_no_frame(tmp_path):
    path = written(tmp_path, top_bright(), "a.jpg")
    data = path.read_bytes()
    start = data.index(b"\xff\xc4")
    (length,) = struct.unpack_from(">H", data, start + 2)
    path.write_bytes(data[:2] + data[start : start + 2 + length] + data[2:])
    assert read_header(path).shape == (40, 64)
    assert read_micrograph(path).shape == (40, 64)


def test_what_exif_says_about_turning_is_not_followed(tmp_path):
    path = written(tmp_path, top_bright(), "a.jpg")
    data = path.read_bytes()
    # Orientation 6: turn by 90 degrees to show it.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x112, 3, 1, 6) + b"\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert read_header(path).shape == (40, 64)
    assert read_micrograph(path).shape == (40, 64)


def test_colours_become_their_mean_with_a_warning(tmp_path):
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[0] = [10, 20, 60]
    micrograph = read_micrograph(written(tmp_path, colours))
    assert micrograph.image[-1].tolist() == [30] * 6
    assert "colour" in micrograph.warnings[0]


def test_an_alpha_channel_is_not_part_of_the_mean(tmp_path):
    colours = np.full((4, 6, 4), 255, np.uint8)
    colours[:2, :, :3] = 30
    assert read_micrograph(written(tmp_path, colours)).image[-1, 0] == 30


def test_grey_has_no_warning_and_no_pixel_size(tmp_path):
    micrograph = read_micrograph(written(tmp_path, top_bright()))
    assert micrograph.warnings == ()
    assert micrograph.pixel_size is None


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    path = written(tmp_path, np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8), name)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(MicrographError, match="ends before its image does"):
        read_micrograph(path)


def test_a_png_whose_pixels_are_damaged_is_refused(tmp_path):
    path = written(tmp_path, np.random.default_rng(0).integers(0, 255, (60, 80), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(MicrographError, match="damaged"):
        read_micrograph(path)


@pytest.mark.parametrize("side", [0, 10**9])
def test_a_png_header_with_an_absurd_size_is_refused(tmp_path, side):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content + b"\0\0\0\0IEND\xae\x42\x60\x82")
    for read in (read_micrograph, read_header):
        with pytest.raises(MicrographError, match=r"GiB|no image"):
            read(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_something_else_under_this_name_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"x, y\n1, 2\n")
    with pytest.raises(MicrographError, match="neither a PNG nor a JPG"):
        read_micrograph(path)


@pytest.mark.parametrize("n_bytes", [9, 20])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_header_cut_short_is_refused(tmp_path, name, n_bytes):
    path = written(tmp_path, top_bright(), name)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(MicrographError, match="header is missing or cut short"):
        read_header(path)


def test_a_second_slice_is_refused(tmp_path):
    with pytest.raises(MicrographError, match="no slice 1"):
        read_micrograph(written(tmp_path, top_bright()), slice_index=1)
