"""`vitripick denoise`: one file for each micrograph, marked as what it is."""

import json

import mrcfile
import numpy as np
import pytest

from vitripick.cli.app import run
from vitripick.formats import read_micrograph, write_mrc


@pytest.fixture
def micrographs(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_mrc(tmp_path / "mics" / f"{name}.mrc", rng.standard_normal((90, 120)).astype(np.float32), pixel_size=3.0)
    return tmp_path / "mics"


def test_each_micrograph_becomes_a_file_that_says_what_it_is(micrographs, tmp_path, capsys):
    assert run(["denoise", str(micrographs), "--out", str(tmp_path / "out")]) == 0
    assert "2 denoised micrographs" in capsys.readouterr().out
    one = read_micrograph(tmp_path / "out/a_denoised.mrc")
    assert (one.image.shape, one.pixel_size) == ((90, 120), 3.0)
    assert one.image.std() < 0.9 * read_micrograph(micrographs / "a.mrc").image.std()
    with mrcfile.open(tmp_path / "out/a_denoised.mrc") as file:
        assert b"not to process" in bytes(file.header.label[0])


def test_what_is_there_stays_until_its_micrograph_changes(micrographs, tmp_path, capsys):
    command = ["denoise", str(micrographs), "--out", str(tmp_path / "out"), "--json"]
    run(command)
    capsys.readouterr()
    write_mrc(micrographs / "b.mrc", np.ones((90, 120), np.float32), pixel_size=3.0)
    run(command)
    assert json.loads(capsys.readouterr().out)["n_skipped"] == 1


def test_a_damaged_micrograph_is_named_and_the_others_are_written(micrographs, tmp_path, capsys):
    (micrographs / "c.mrc").write_bytes(b"no micrograph")
    assert run(["denoise", str(micrographs), "--out", str(tmp_path / "out")]) == 4
    assert "c.mrc" in capsys.readouterr().err
    assert (tmp_path / "out/b_denoised.mrc").is_file()


def test_another_pixel_size_makes_them_again(micrographs, tmp_path, capsys):
    command = ["denoise", str(micrographs), "--out", str(tmp_path / "out"), "--json"]
    run(command)
    run([*command, "--pixel-size", "5"])
    capsys.readouterr()
    assert read_micrograph(tmp_path / "out/a_denoised.mrc").pixel_size == 5.0
    run(command)
    assert json.loads(capsys.readouterr().out)["n_skipped"] == 0


def test_an_impossible_pixel_size_is_refused(micrographs, tmp_path, capsys):
    assert run(["denoise", str(micrographs), "--out", str(tmp_path / "out"), "--pixel-size", "-1"]) == 2
    assert "--pixel-size" in capsys.readouterr().err
