"""Each row of the table in docs/micrographs.md: what is wrong with the file, and what becomes of it."""

import errno
import os
import struct
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from vitripick.errors import MicrographError
from vitripick.formats import read_header, read_micrograph, write_mrc

# mrcfile, which writes the files here, remarks on the pixels that these tests are about.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Data array contains"),
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]


def noise(shape=(20, 30)):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def written(path, image=None):
    write_mrc(path, noise() if image is None else image)
    return path


def with_dimensions(path, columns, rows, n_slices=1):
    data = bytearray(path.read_bytes())
    struct.pack_into("<3i", data, 0, columns, rows, n_slices)
    path.write_bytes(data)
    return path


def test_truncated_data_say_how_many_bytes_are_there(tmp_path):
    path = written(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes()[:-1])
    for read in (read_micrograph, read_header):
        with pytest.raises(MicrographError, match=f"has {1023 + 2400} of {1024 + 2400} bytes"):
            read(path)


def test_truncated_data_behind_an_extended_header_are_no_wrong_length(tmp_path):
    path = written(tmp_path / "a.mrc")
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 92, 512)
    path.write_bytes(data[:1024] + bytes(512) + data[1024:-100])
    with pytest.raises(MicrographError, match=f"has {1024 + 512 + 2300} of {1024 + 512 + 2400} bytes"):
        read_micrograph(path)


def test_truncated_data_under_a_nonsense_extended_length_are_counted_without_it(tmp_path):
    path = written(tmp_path / "a.mrc")
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 92, -100)
    path.write_bytes(data[:-100])
    with pytest.raises(MicrographError, match=f"has {1024 + 2300} of {1024 + 2400} bytes"):
        read_micrograph(path)


def test_a_file_shorter_than_a_header_is_refused(tmp_path):
    path = written(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(MicrographError, match="has 500 of the 1024 bytes"):
        read_micrograph(path)


def test_a_header_that_claims_a_billion_squared_is_refused_and_nothing_allocated(tmp_path):
    path = with_dimensions(written(tmp_path / "a.mrc"), 10**9, 10**9)
    tracemalloc.start()
    with pytest.raises(MicrographError, match=r"has 3424 of 4000000000000001024 bytes"):
        read_micrograph(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("dimensions", [(0, 20, 1), (30, 0, 1), (30, 20, 0), (-30, 20, 1)], ids=str)
def test_a_dimension_of_zero_or_less_is_refused(tmp_path, dimensions):
    path = with_dimensions(written(tmp_path / "a.mrc"), *dimensions)
    for read in (read_micrograph, read_header):
        with pytest.raises(MicrographError, match="no image"):
            read(path)


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".tif", ".png", ".jpg"])
def test_a_file_of_zero_bytes_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    for read in (read_micrograph, read_header):
        with pytest.raises(MicrographError, match=r"empty \(0 bytes\)"):
            read(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_few_pixels_that_are_no_numbers_become_the_mean_with_a_warning(tmp_path, bad):
    image = noise()
    image[2, :3] = bad
    micrograph = read_micrograph(written(tmp_path / "a.mrc", image))
    expected = image[np.isfinite(image)].mean(dtype=np.float64)
    assert micrograph.image[2, :3] == pytest.approx([expected] * 3)
    assert np.array_equal(micrograph.image[3:], image[3:])
    assert "3 NaN or infinite pixels" in micrograph.warnings[0]


def test_five_percent_of_nan_are_mended_and_more_are_refused(tmp_path):
    image = noise((10, 10))
    image[0, :5] = np.nan
    assert np.isfinite(read_micrograph(written(tmp_path / "a.mrc", image)).image).all()
    image[0, 5] = np.nan
    with pytest.raises(MicrographError, match=r"6 of 100 pixels \(6.0%\) are NaN"):
        read_micrograph(written(tmp_path / "a.mrc", image))


def test_nan_in_a_tiff_are_mended_too(tmp_path):
    image = noise()
    image[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert np.isfinite(micrograph.image).all()
    assert "1 NaN" in micrograph.warnings[0]


def test_float64_beyond_float32_counts_as_infinite(tmp_path):
    image = noise().astype(np.float64)
    image[0, 0] = 1e300
    tifffile.imwrite(tmp_path / "a.tif", image)
    assert "1 NaN or infinite" in read_micrograph(tmp_path / "a.tif").warnings[0]


def test_a_constant_image_is_read_with_a_warning(tmp_path):
    micrograph = read_micrograph(written(tmp_path / "a.mrc", np.full((4, 5), 7.0)))
    assert "constant" in micrograph.warnings[0]
    assert (micrograph.image == 7).all()


def test_an_image_that_is_constant_once_mended_is_warned_about(tmp_path):
    image = np.full((10, 10), 7.0)
    image[0, 0] = np.nan
    assert "constant" in read_micrograph(written(tmp_path / "a.mrc", image)).warnings[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (513, 255)], ids=str)
def test_odd_and_narrow_shapes_stay_as_they_are(tmp_path, shape):
    assert read_micrograph(written(tmp_path / "a.mrc", noise(shape))).shape == shape


def test_a_stack_says_what_to_do(tmp_path):
    path = with_dimensions(written(tmp_path / "a.mrcs", noise((40, 30))), 30, 20, 2)
    with pytest.raises(MicrographError, match="stack or movie of 2 frames; average it first, as motion corr"):
        read_micrograph(path)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_slice_that_is_not_there_is_refused(tmp_path, index):
    path = with_dimensions(written(tmp_path / "a.mrcs", noise((40, 30))), 30, 20, 2)
    with pytest.raises(MicrographError, match=f"no slice {index}; the file has 2"):
        read_micrograph(path, slice_index=index)


@pytest.mark.parametrize(
    "name", ["with space.mrc", "Größe µ 粒子.mrc", "-leading.mrc", "dots.in.name.mrc", "[1]*?.mrc"]
)
def test_strange_names_are_read(tmp_path, name, monkeypatch):
    written(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_micrograph(name).name == name


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_strange_names_are_read_in_other_formats(tmp_path, suffix):
    path = tmp_path / f"-Größe 粒子{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, noise())
    else:
        path.write_bytes(cv2.imencode(suffix, np.zeros((20, 30), np.uint8))[1].tobytes())
    assert read_micrograph(path).shape == (20, 30)


def test_a_read_only_folder_is_enough(tmp_path):
    folder = tmp_path / "in"
    written(folder / "a.mrc")
    folder.chmod(0o555)
    try:
        assert read_micrograph(folder / "a.mrc").shape == (20, 30)
        assert [path.name for path in folder.iterdir()] == ["a.mrc"]
    finally:
        folder.chmod(0o755)


def test_a_dangling_link_says_where_it_points(tmp_path):
    (tmp_path / "a.mrc").symlink_to(tmp_path / "gone.mrc")
    with pytest.raises(MicrographError, match=r"link to .*gone\.mrc, which is not there"):
        read_micrograph(tmp_path / "a.mrc")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(MicrographError, match=r"a\.mrc: there is no such file"):
        read_micrograph(tmp_path / "a.mrc")


def test_a_folder_named_like_a_micrograph_is_refused(tmp_path):
    (tmp_path / "a.mrc").mkdir()
    with pytest.raises(MicrographError, match="not a file"):
        read_micrograph(tmp_path / "a.mrc")


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "not allowed to read"), (errno.EIO, os.strerror(errno.EIO))]
)
def test_what_the_disk_says_reaches_the_user(tmp_path, monkeypatch, number, words):
    path = written(tmp_path / "a.mrc")

    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", fail)
    for read in (read_micrograph, read_header):
        with pytest.raises(MicrographError, match=words):
            read(path)


def test_every_message_starts_with_the_path(tmp_path):
    for content in (b"", b"x" * 100, bytes(2000)):
        path = tmp_path / "a.mrc"
        path.write_bytes(content)
        with pytest.raises(MicrographError) as caught:
            read_micrograph(path)
        assert str(caught.value).startswith(f"{path}: ")
