"""TIFF micrographs: bits, compressions, direction of y, resolution tags."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vitripick.errors import MicrographError
from vitripick.formats import read_header, read_micrograph

DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float16, np.float32, np.float64]


def ramp(dtype=np.uint16, shape=(5, 7)):
    return np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)


def written(tmp_path, image, **options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, **options)
    return path


@given(
    image=st.sampled_from([np.uint8, np.uint16, np.float32]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=2, max_dims=2, max_side=30),
            elements=st.floats(-1e6, 1e6, width=32) if dtype is np.float32 else None,
        )
    )
)
def test_the_last_stored_row_comes_first(tmp_path_factory, image):
    path = written(tmp_path_factory.mktemp("tiff"), image, photometric="minisblack")
    assert np.array_equal(read_micrograph(path).image, image[::-1].astype(np.float32))
    assert read_header(path).shape == image.shape


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_depth_comes_back_as_contiguous_float32(tmp_path, dtype):
    found = read_micrograph(written(tmp_path, ramp(dtype))).image
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, ramp()[::-1])


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd"])
def test_compressed_files_are_read(tmp_path, compression):
    path = written(tmp_path, ramp(), compression=compression)
    assert np.array_equal(read_micrograph(path).image, ramp()[::-1])


@pytest.mark.parametrize(
    "options", [{"tile": (16, 16)}, {"rowsperstrip": 2}, {"bigtiff": True}, {"byteorder": ">"}], ids=str
)
def test_layouts_make_no_difference(tmp_path, options):
    image = ramp(shape=(40, 50))
    assert np.array_equal(read_micrograph(written(tmp_path, image, **options)).image, image[::-1])


def test_lzw_without_imagecodecs_says_what_to_install(tmp_path):
    path = written(tmp_path, ramp(), compression="lzw")
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from vitripick.formats import read_micrograph\n"
        f"read_micrograph({str(path)!r})"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "MicrographError" in found.stderr
    assert "pip install 'vitripick[tiff]'" in found.stderr


@pytest.mark.parametrize(("unit", "angstrom"), [("CENTIMETER", 1e8), ("INCH", 2.54e8)])
def test_the_pixel_size_comes_from_sane_resolution_tags(tmp_path, unit, angstrom):
    path = written(tmp_path, ramp(), resolution=(angstrom / 1.25, angstrom / 1.25), resolutionunit=unit)
    assert read_micrograph(path).pixel_size == pytest.approx(1.25)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"resolution": (72, 72), "resolutionunit": "INCH"},
        {"resolution": (1, 1), "resolutionunit": "NONE"},
        {"resolution": (0, 0), "resolutionunit": "CENTIMETER"},
    ],
    ids=str,
)
def test_a_screens_resolution_is_no_pixel_size(tmp_path, options):
    assert read_micrograph(written(tmp_path, ramp(), **options)).pixel_size is None


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colours_become_their_mean_with_a_warning(tmp_path, planes):
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[0] = [10, 20, 60]
    stored = colours if planes == "contig" else colours.transpose(2, 0, 1)
    path = written(tmp_path, stored, photometric="rgb", planarconfig=planes)
    micrograph = read_micrograph(path)
    assert micrograph.image[-1].tolist() == [30] * 6
    assert micrograph.image[:-1].max() == 0
    assert "colour" in micrograph.warnings[0]


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"metadata": None}], ids=str)
def test_one_frame_of_a_movie_can_be_chosen(tmp_path, options):
    movie = np.stack([ramp(), ramp() + 100, ramp() + 200])
    path = written(tmp_path, movie, photometric="minisblack", **options)
    assert np.array_equal(read_micrograph(path, slice_index=2).image, movie[2][::-1])
    assert read_header(path).n_slices == 3
    with pytest.raises(MicrographError, match="movie of 3 frames"):
        read_micrograph(path)


def test_a_thumbnail_behind_the_micrograph_is_mentioned(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(ramp(shape=(40, 50)))
        file.write(ramp(shape=(4, 5)))
    micrograph = read_micrograph(path)
    assert micrograph.shape == (40, 50)
    assert "2 kinds" in micrograph.warnings[0]


def test_frames_that_were_written_one_by_one_are_a_movie(tmp_path):
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for i in range(3):
            writer.write(ramp() + 100 * i, contiguous=False)
    assert read_header(path).n_slices == 3
    assert np.array_equal(read_micrograph(path, slice_index=2).image, (ramp() + 200)[::-1])
    with pytest.raises(MicrographError, match="movie of 3 frames"):
        read_micrograph(path)


def test_a_palette_is_refused(tmp_path):
    path = written(tmp_path, ramp(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with pytest.raises(MicrographError, match="palette"):
        read_micrograph(path)


def test_a_truncated_file_says_how_much_is_there(tmp_path):
    path = written(tmp_path, ramp(shape=(40, 50)))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MicrographError, match=f"has {size - 10} of {size} bytes"):
        read_micrograph(path)
    with pytest.raises(MicrographError, match="bytes"):
        read_header(path)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_header_that_claims_too_much_is_refused_before_anything_is_allocated(tmp_path, compression):
    path = written(tmp_path, ramp(), compression=compression)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(1_000_000_000, dtype=4)
    with pytest.raises(MicrographError, match=r"GiB|bytes"):
        read_micrograph(path)


def test_tiles_that_are_not_there_are_missed(tmp_path):
    path = written(tmp_path, ramp(shape=(40, 50)), tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(500)
    with pytest.raises(MicrographError, match="of 40000 bytes of pixels"):
        read_micrograph(path)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
def test_more_pixels_than_the_compressed_bytes_can_hold_are_refused(tmp_path, compression):
    path = written(tmp_path, ramp(), compression=compression)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(10_000_000, dtype=4)
    with pytest.raises(MicrographError, match="cannot hold them"):
        read_micrograph(path)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
def test_a_constant_image_shrinks_no_more_than_that(tmp_path, compression):
    path = written(tmp_path, np.zeros((3000, 3000), np.uint8), compression=compression, rowsperstrip=3000)
    assert read_micrograph(path).warnings == ("a constant image: every pixel has the same value",)


@pytest.mark.parametrize("compression", [None, "lzw"])
@settings(deadline=None)  # some damage claims a large image, which takes its time
@given(data=st.data())
def test_damage_never_escapes_as_another_error(tmp_path_factory, compression, data):
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    path = written(tmp_path_factory.mktemp("tiff"), ramp(), compression=compression)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(1, len(content)))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        image = read_micrograph(path).image
    except MicrographError:
        return
    assert np.isfinite(image).all()
