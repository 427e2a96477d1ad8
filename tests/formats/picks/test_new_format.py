"""A format that a newcomer adds: two functions and one row of the table, and every part of vitripick knows it."""

import numpy as np
import pytest

from made import rings
from vitripick.atomic import write_text_atomically
from vitripick.cli.app import run
from vitripick.errors import FormatError
from vitripick.formats import FORMATS, PicksFormat, pair_labels, read_all_picks, read_picks, write_mrc, write_picks
from vitripick.formats.picks.table import sniff
from vitripick.geometry import Boxes
from vitripick.models import open_model
from vitripick.runs import PickSettings, pick_many, step
from vitripick.web.exchange import formats_json


def read_xyz(path):
    """Read one micrograph's boxes: `x y size confidence` in each line, x and y of the centre."""
    rows = np.array([line.split() for line in path.read_text().splitlines()], float).reshape(-1, 4)
    x, y, size, confidence = rows.T
    return [Boxes.at(x, y, size_px=size, confidence=confidence)]


def write_xyz(parts, path):
    """Write one micrograph's boxes."""
    (boxes,) = parts
    columns = (boxes.x, boxes.y, boxes.width, boxes.confidence)
    lines = (" ".join(str(float(value)) for value in row) for row in zip(*columns, strict=True))
    write_text_atomically(path, "".join(f"{line}\n" for line in lines))


@pytest.fixture(autouse=True)
def _one_row_more(monkeypatch):
    entry = PicksFormat(
        name="xyz",
        suffixes=(".xyz",),
        description="a newcomer's: centres, sizes, confidence",
        read=read_xyz,
        write=write_xyz,
        holds_size=True,
        holds_confidence=True,
    )
    monkeypatch.setitem(FORMATS, "xyz", entry)


@pytest.fixture
def boxes():
    """Return two boxes that a swap of x and y or of corner and centre would move."""
    return Boxes.at([20.25, 70.5], [50, 10], size_px=16, confidence=[0.75, 0.5])


@pytest.fixture
def micrograph(tmp_path):
    write_mrc(tmp_path / "mics" / "a.mrc", rings(), pixel_size=2.0)
    return tmp_path / "mics" / "a.mrc"


def same(one, other):
    np.testing.assert_array_equal(one.centres, other.centres)
    np.testing.assert_array_equal(one.width, other.width)
    np.testing.assert_array_equal(one.confidence, other.confidence)


def test_a_file_is_written_and_read_by_its_suffix(boxes, tmp_path):
    write_picks(boxes, tmp_path / "out" / "a.xyz")
    assert sniff(tmp_path / "out" / "a.xyz").name == "xyz"
    same(read_picks(tmp_path / "out" / "a.xyz"), boxes)


def test_a_file_of_another_suffix_is_read_when_its_format_is_named(boxes, tmp_path):
    write_picks(boxes, tmp_path / "a.dat", format="xyz")
    same(read_picks(tmp_path / "a.dat", format="xyz"), boxes)
    with pytest.raises(FormatError, match="xyz"):
        read_picks(tmp_path / "a.dat")


def test_labels_in_a_folder_are_found_and_paired_with_their_micrographs(boxes, tmp_path):
    write_picks(boxes, tmp_path / "labels" / "a_labels.xyz")
    write_picks(boxes, tmp_path / "labels" / "grid2" / "b.xyz")
    (tmp_path / "labels" / "notes.log").write_text("no labels")
    parts = read_all_picks(tmp_path / "labels")
    assert [part.micrograph for part in parts] == ["a", "grid2/b"]
    pairs = pair_labels(["a.mrc", "grid2/b.mrc"], parts).pairs
    assert set(pairs) == {"a.mrc", "grid2/b.mrc"}
    same(pairs["a.mrc"], boxes)


def test_convert_writes_it_and_reads_it(boxes, tmp_path):
    write_picks(boxes, tmp_path / "csv" / "a.csv")
    assert run(["convert", str(tmp_path / "csv"), str(tmp_path / "to"), "--to", "xyz"]) == 0
    same(read_picks(tmp_path / "to" / "a.xyz"), boxes)
    assert run(["convert", str(tmp_path / "to" / "a.xyz"), str(tmp_path / "back.cbox")]) == 0
    same(read_picks(tmp_path / "back.cbox"), boxes)


def test_pick_writes_it_into_a_folder_of_its_name_with_the_picks_above_the_threshold(micrograph, tmp_path):
    options = ["--format", "xyz", "--diameter-px", "60", "--keep-diameter", "--threshold", "0.4", "--device", "cpu"]
    assert run(["pick", str(micrograph), "--out", str(tmp_path / "out"), *options]) == 0
    written = read_picks(tmp_path / "out" / "xyz" / "a.xyz")
    assert len(written) > 0
    stored = read_all_picks(tmp_path / "out")[0]
    np.testing.assert_allclose(written.centres, stored.above(0.4).centres, atol=1e-5)


def test_help_and_page_name_it(capsys):
    assert run(["pick", "--help"]) == 0
    assert " and xyz." in " ".join(capsys.readouterr().out.split())
    assert {"name": "xyz", "description": "a newcomer's: centres, sizes, confidence"} in formats_json()


def test_a_second_run_writes_it_from_the_stored_picks(micrograph, tmp_path, monkeypatch):
    settings = PickSettings(diameter_px=60, keep_diameter=True, threshold=0.4)
    pick_many([micrograph], tmp_path / "out", open_model("general"), settings)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([micrograph], tmp_path / "out", open_model("general"), settings.model_copy(update={"formats": ("xyz",)}))
    assert len(read_picks(tmp_path / "out" / "xyz" / "a.xyz")) > 0
