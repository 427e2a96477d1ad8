"""The one door for micrographs: names, overrides, compressed files, headers alone."""

import bz2
import gzip
import os

import numpy as np
import pytest

from vitripick.errors import MicrographError, UsageError
from vitripick.formats import read_header, read_micrograph, write_mrc
from vitripick.formats.micrographs import compressed, image_file
from vitripick.formats.names.stems import has_image_suffix
from vitripick.formats.names.suffixes import MICROGRAPH_SUFFIXES


def ramp(shape=(5, 7)):
    return np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)


def written(path, image=None, *, pixel_size=None):
    write_mrc(path, ramp() if image is None else image, pixel_size=pixel_size)
    return path


def packed(tmp_path, pack, suffix):
    path = tmp_path / f"a.mrc{suffix}"
    path.write_bytes(pack(written(tmp_path / "plain.mrc", pixel_size=1.5).read_bytes()))
    return path


def test_the_name_is_the_files_own_unless_one_is_given(tmp_path):
    path = written(tmp_path / "a.mrc")
    assert read_micrograph(path).name == "a.mrc"
    assert read_micrograph(path, name="MotionCorr/job002/a.mrc").name == "MotionCorr/job002/a.mrc"


def test_the_path_is_as_it_was_given(tmp_path, monkeypatch):
    written(tmp_path / "a.mrc")
    monkeypatch.chdir(tmp_path)
    assert str(read_micrograph("a.mrc").path) == "a.mrc"


def test_a_pixel_size_that_is_given_goes_before_the_headers(tmp_path):
    path = written(tmp_path / "a.mrc", pixel_size=1.5)
    assert read_micrograph(path).pixel_size == 1.5
    assert read_micrograph(path, pixel_size=0.7).pixel_size == 0.7


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_that_is_none_is_refused(tmp_path, value):
    with pytest.raises(UsageError, match="pixel size"):
        read_micrograph(written(tmp_path / "a.mrc"), pixel_size=value)


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_a_compressed_mrc_is_read_like_a_plain_one(tmp_path, pack, suffix):
    path = packed(tmp_path, pack, suffix)
    micrograph = read_micrograph(path)
    assert np.array_equal(micrograph.image, ramp())
    assert micrograph.pixel_size == 1.5
    assert read_header(path) == read_header(tmp_path / "plain.mrc")


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_what_unpacks_to_too_much_is_refused(tmp_path, pack, suffix, monkeypatch):
    path = packed(tmp_path, pack, suffix)
    monkeypatch.setattr(image_file, "MAX_UNPACKED_BYTES", 200)
    with pytest.raises(MicrographError, match="would unpack to"):
        read_micrograph(path)


def test_only_the_header_of_a_compressed_file_is_unpacked_for_the_header(tmp_path):
    path = tmp_path / "a.mrc.gz"
    image = np.random.default_rng(0).standard_normal((300, 300))
    data = gzip.compress(written(tmp_path / "plain.mrc", image).read_bytes())
    path.write_bytes(data[:-100_000])
    assert read_header(path).shape == (300, 300)


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_a_compressed_file_cut_short_is_refused(tmp_path, pack, suffix):
    path = packed(tmp_path, pack, suffix)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MicrographError, match="cut short"):
        read_micrograph(path)


@pytest.mark.parametrize(("suffix", "kind"), [(".gz", "gzip"), (".bz2", "bzip2")])
def test_a_compressed_file_that_is_none_is_refused(tmp_path, suffix, kind):
    path = packed(tmp_path, bytes, suffix)
    with pytest.raises(MicrographError, match=f"the {kind} file is damaged"):
        read_micrograph(path)


@pytest.mark.parametrize(("pack", "suffix", "kind"), [(gzip.compress, ".gz", "gzip"), (bz2.compress, ".bz2", "bzip2")])
def test_a_compressed_file_that_is_damaged_is_refused(tmp_path, pack, suffix, kind):
    path = packed(tmp_path, pack, suffix)
    data = bytearray(path.read_bytes())
    data[20:40] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(MicrographError, match=f"the {kind} file is damaged"):
        read_micrograph(path)


def test_a_header_is_read_without_the_pixels(tmp_path, monkeypatch):
    path = written(tmp_path / "a.mrc", pixel_size=1.5)
    monkeypatch.setattr(np, "empty", None)
    header = read_header(path)
    assert (header.shape, header.pixel_size, header.n_slices) == ((5, 7), 1.5, 1)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    path = tmp_path / "movie.eer"
    path.write_bytes(b"x")
    with pytest.raises(MicrographError, match=r"\.mrc, .*\.jpeg"):
        read_micrograph(path)


@pytest.mark.parametrize("suffix", MICROGRAPH_SUFFIXES)
def test_names_knows_every_suffix_that_is_read(suffix):
    assert has_image_suffix(f"a{suffix}")


def test_a_link_is_read_and_keeps_its_own_name(tmp_path):
    target = written(tmp_path / "target.mrc")
    (tmp_path / "link.mrc").symlink_to(target)
    assert read_micrograph(tmp_path / "link.mrc").name == "link.mrc"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mrc")
    with pytest.raises(MicrographError, match="not a file"):
        read_micrograph(tmp_path / "a.mrc")


def test_no_more_of_a_compressed_file_is_held_than_its_header_asks_for(tmp_path):
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(written(tmp_path / "plain.mrc").read_bytes() + bytes(40 << 20)))
    data, size = compressed.unpack(path)
    assert len(data) == (tmp_path / "plain.mrc").stat().st_size
    assert size == len(data) + (40 << 20)
    assert "longer than its header says" in read_micrograph(path).warnings[0]


def test_a_compressed_file_that_is_no_mrc_is_not_unpacked(tmp_path):
    path = tmp_path / "a.mrc.gz"
    noise = np.random.default_rng(0).bytes(1 << 20)
    path.write_bytes(gzip.compress(noise)[: 1 << 19])  # without its second half, which is not looked at
    with pytest.raises(MicrographError, match="not an MRC file"):
        read_micrograph(path)


def test_the_image_as_floats_counts_for_the_limit_of_a_compressed_file(tmp_path, monkeypatch):
    path = tmp_path / "a.mrc.gz"
    write_mrc(tmp_path / "bytes.mrc", np.zeros((20, 20)), dtype=np.int8)
    path.write_bytes(gzip.compress((tmp_path / "bytes.mrc").read_bytes()))
    monkeypatch.setattr(image_file, "MAX_UNPACKED_BYTES", 20 * 20 * 5)
    assert read_micrograph(path).shape == (20, 20)
    monkeypatch.setattr(image_file, "MAX_UNPACKED_BYTES", 20 * 20 * 5 - 1)
    with pytest.raises(MicrographError, match="would unpack to"):
        read_micrograph(path)
