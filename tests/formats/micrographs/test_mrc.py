"""MRC files: what `mrcfile` writes comes back, and the quirks of other programs are undone."""

import struct

import mrcfile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vitripick.errors import MicrographError
from vitripick.formats import read_header, read_micrograph, write_mrc
from vitripick.formats.micrographs.on_disk import open_micrograph

DTYPES = [np.int8, np.int16, np.float32, np.uint16, np.float16]
MODES = {np.int8: 0, np.int16: 1, np.float32: 2, np.uint16: 6, np.float16: 12}


def mrc_bytes(
    image,
    *,
    order="<",
    mode=None,
    stamp=None,
    extended=b"",
    nsymbt=None,
    n_slices=1,
    pixel_size=0.0,
    pixel_size_y=None,
    imod_flags=None,
):
    """An MRC file made by hand, so that every field can be wrong."""
    rows, columns = image.shape[-2:]
    header = bytearray(1024)
    mode = MODES[image.dtype.type] if mode is None else mode
    struct.pack_into(f"{order}10i", header, 0, columns, rows, n_slices, mode, 0, 0, 0, columns, rows, n_slices)
    cell = (pixel_size * columns, (pixel_size if pixel_size_y is None else pixel_size_y) * rows, 1.0)
    struct.pack_into(f"{order}3f", header, 40, *cell)
    struct.pack_into(f"{order}i", header, 92, len(extended) if nsymbt is None else nsymbt)
    if imod_flags is not None:
        struct.pack_into(f"{order}2i", header, 152, 1146047817, imod_flags)
    header[208:212] = b"MAP "
    header[212:216] = (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0") if stamp is None else stamp
    return bytes(header) + extended + image.astype(image.dtype.newbyteorder(order)).tobytes()


def ramp(dtype=np.float32, shape=(3, 5)):
    return np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)


def read(tmp_path, data, **options):
    path = tmp_path / "a.mrc"
    path.write_bytes(data)
    return read_micrograph(path, **options)


@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_what_mrcfile_writes_comes_back(tmp_path_factory, data, dtype):
    elements = {"allow_nan": False, "allow_infinity": False} if np.dtype(dtype).kind == "f" else None
    shape = data.draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))
    image = data.draw(arrays.arrays(dtype, shape, elements=elements and st.floats(-1000, 1000, width=16)))
    path = tmp_path_factory.mktemp("mrc") / "a.mrc"
    mrcfile.write(path, image, overwrite=True)
    found = read_micrograph(path).image
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found, image.astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(tmp_path, dtype, order):
    micrograph = read(tmp_path, mrc_bytes(ramp(dtype), order=order, pixel_size=1.5))
    assert np.array_equal(micrograph.image, ramp())
    assert micrograph.pixel_size == 1.5
    assert micrograph.warnings == ()


def test_an_image_larger_than_one_strip_is_whole(tmp_path):
    image = ramp(np.int16, (700, 1001))
    assert np.array_equal(read(tmp_path, mrc_bytes(image)).image, image)


def test_the_first_row_stored_is_row_0(tmp_path):
    assert read(tmp_path, mrc_bytes(ramp())).image[0].tolist() == [0, 1, 2, 3, 4]


def test_mode_0_is_signed(tmp_path):
    assert read(tmp_path, mrc_bytes(np.array([[-3, 4]], np.int8))).image.tolist() == [[-3, 4]]


@pytest.mark.parametrize(("flags", "value"), [(0, 253), (1, -3), (2, 253)])
def test_imods_flag_says_whether_bytes_are_signed(tmp_path, flags, value):
    micrograph = read(tmp_path, mrc_bytes(np.array([[-3, 4]], np.int8), imod_flags=flags))
    assert micrograph.image.tolist() == [[value, 4]]


@pytest.mark.parametrize("columns", [4, 5])
def test_packed_4_bit_rows_start_on_a_byte_and_lower_bits_come_first(tmp_path, columns):
    stored = np.array([[0x21, 0x43, 0x05], [0x76, 0x98, 0x0A]], np.uint8)[:, : (columns + 1) // 2]
    data = bytearray(mrc_bytes(stored, mode=101))
    struct.pack_into("<i", data, 0, columns)
    expected = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])[:, :columns]
    assert read(tmp_path, bytes(data)).image.tolist() == expected.tolist()


@pytest.mark.parametrize(("mode", "words"), [(3, "complex"), (4, "complex"), (16, "RGB"), (77, "mode is 77")])
def test_other_modes_are_refused_by_name(tmp_path, mode, words):
    with pytest.raises(MicrographError, match=words):
        read(tmp_path, mrc_bytes(ramp(), mode=mode))


@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"\x12\x34\0\0"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_bad_machine_stamp_is_tolerated_with_a_warning(tmp_path, order, stamp):
    micrograph = read(tmp_path, mrc_bytes(ramp(), order=order, stamp=stamp))
    assert np.array_equal(micrograph.image, ramp())
    assert "machine stamp" in micrograph.warnings[0]


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_a_machine_stamp_that_lies_is_seen_through(tmp_path, dtype):
    # Bytes have mode 0 in either order, and 300 x 290 read backwards is positive: only the file's size tells.
    data = mrc_bytes(ramp(dtype, (300, 290)), order="<", stamp=b"\x11\x11\0\0")
    micrograph = read(tmp_path, data)
    assert micrograph.shape == (300, 290)
    assert "little-endian" in micrograph.warnings[0]


def test_the_extended_header_is_passed_over(tmp_path):
    micrograph = read(tmp_path, mrc_bytes(ramp(), extended=b"x" * 128))
    assert np.array_equal(micrograph.image, ramp())
    assert micrograph.warnings == ()


@pytest.mark.parametrize(
    ("there", "nsymbt"),
    [(0, 1024), (0, -1), (128, -1), (128, 2_000_000_000)],
    ids=["none", "negative", "some, negative", "huge"],
)
def test_a_wrong_extended_header_length_is_tolerated_where_the_data_fit(tmp_path, there, nsymbt):
    micrograph = read(tmp_path, mrc_bytes(ramp(), extended=b"x" * there, nsymbt=nsymbt))
    assert np.array_equal(micrograph.image, ramp())
    assert "extended header" in micrograph.warnings[0]


def test_bytes_behind_the_data_are_ignored_with_a_warning(tmp_path):
    micrograph = read(tmp_path, mrc_bytes(ramp()) + b"junk")
    assert np.array_equal(micrograph.image, ramp())
    assert "4 bytes longer" in micrograph.warnings[0]


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".rec", ".map", ".MRC"])
def test_every_mrc_suffix_is_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(mrc_bytes(ramp()))
    assert np.array_equal(read_micrograph(path).image, ramp())


def test_one_slice_of_a_stack_can_be_chosen(tmp_path):
    stack = np.stack([ramp(), ramp() + 100])
    path = tmp_path / "a.mrcs"
    mrcfile.write(path, stack)
    assert np.array_equal(read_micrograph(path, slice_index=1).image, stack[1])
    assert read_header(path).n_slices == 2


@pytest.mark.parametrize("value", [0.05, 0.6, 1.0, 1.2, 100.0])
def test_a_sane_pixel_size_comes_from_the_header(tmp_path, value):
    assert read(tmp_path, mrc_bytes(ramp(), pixel_size=value)).pixel_size == pytest.approx(value, rel=1e-5)


def test_float32_rounding_does_not_show_in_the_pixel_size(tmp_path):
    assert read(tmp_path, mrc_bytes(ramp(shape=(8, 4096)), pixel_size=1.2)).pixel_size == 1.2


def test_no_pixel_size_is_none_without_a_word(tmp_path):
    micrograph = read(tmp_path, mrc_bytes(ramp(), pixel_size=0.0))
    assert micrograph.pixel_size is None
    assert micrograph.warnings == ()


@pytest.mark.parametrize("value", [0.01, 101.0, -1.0, float("nan"), float("inf")])
def test_an_absurd_pixel_size_is_ignored_with_a_warning(tmp_path, value):
    micrograph = read(tmp_path, mrc_bytes(ramp(), pixel_size=value))
    assert micrograph.pixel_size is None
    assert "absurd" in micrograph.warnings[0]


def test_pixels_that_are_not_square_are_warned_about(tmp_path):
    micrograph = read(tmp_path, mrc_bytes(ramp(), pixel_size=1.0, pixel_size_y=2.0))
    assert micrograph.pixel_size == 1.0
    assert "2 Å along y" in micrograph.warnings[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_mrcfile_finds_nothing_wrong_with_what_we_write(tmp_path, dtype):
    path = tmp_path / "new" / "a.mrc"
    write_mrc(path, ramp(), pixel_size=1.5, dtype=dtype)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as file:
        assert np.array_equal(file.data, ramp(dtype))
        assert file.voxel_size.x == 1.5
    assert [found.name for found in path.parent.iterdir()] == ["a.mrc"]


def test_floats_are_rounded_into_whole_numbers(tmp_path):
    write_mrc(tmp_path / "a.mrc", np.array([[1.6, -1.6]]), dtype=np.int16)
    assert read_micrograph(tmp_path / "a.mrc").image.tolist() == [[2, -2]]


@pytest.mark.parametrize(
    ("image", "dtype"),
    [
        (np.array([[300.0]]), np.int8),
        (np.array([[-1.0]]), np.uint16),
        (np.array([[np.nan]]), np.int16),
        (np.zeros((2, 2, 2)), np.float32),
        (np.zeros((2, 2)), np.float64),
    ],
    ids=["too large", "negative", "nan", "3-D", "float64"],
)
def test_what_mrc_cannot_hold_is_not_written(tmp_path, image, dtype):
    with pytest.raises(ValueError):
        write_mrc(tmp_path / "a.mrc", image, dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_unsigned_bytes_under_mode_0_are_recognised_and_read_as_such(tmp_path):
    grey = np.clip(np.random.default_rng(0).normal(120, 35, (80, 90)), 0, 255).astype(np.uint8)
    path = tmp_path / "a.mrc"
    write_mrc(path, grey.view(np.int8), dtype=np.int8)
    micrograph = read_micrograph(path)
    assert np.array_equal(micrograph.image, grey)
    assert "read as unsigned" in micrograph.warnings[0]
    opened = open_micrograph(path)
    assert "read as unsigned" in opened.warnings[0]
    assert opened.reduced((80, 90)).mean() == pytest.approx(grey.mean(), abs=0.1)


@pytest.mark.parametrize("middle", [-60, 0, 60])
@pytest.mark.parametrize("spread", [5, 40, 90])
def test_signed_bytes_stay_signed_even_if_they_were_clipped(tmp_path, middle, spread):
    pixels = np.clip(np.random.default_rng(0).normal(middle, spread, (80, 90)), -128, 127).astype(np.int8)
    path = tmp_path / "a.mrc"
    write_mrc(path, pixels, dtype=np.int8)
    assert np.array_equal(read_micrograph(path).image, pixels)
    assert read_micrograph(path).warnings == ()


def test_signed_bytes_of_two_greys_far_apart_stay_signed(tmp_path):
    rng = np.random.default_rng(0)
    pixels = np.concatenate([rng.normal(-90, 12, (40, 90)), rng.normal(90, 12, (40, 90))]).clip(-128, 127)
    path = tmp_path / "a.mrc"
    write_mrc(path, pixels, dtype=np.int8)
    assert read_micrograph(path).warnings == ()


def test_a_handful_of_signed_bytes_is_never_taken_for_unsigned(tmp_path):
    """Their histogram has gaps everywhere; this pair once came back with the wrong sign."""
    with mrcfile.new(tmp_path / "tiny.mrc") as file:
        file.set_data(np.array([[112, -113]], np.int8))
    assert read_micrograph(tmp_path / "tiny.mrc").image.tolist() == [[112, -113]]
