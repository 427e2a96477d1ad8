"""cryoSPARC .cs: fractions of (columns, rows), never a pickle, ids that are unique and repeatable."""

import io

import numpy as np
import pytest
from cryosparc.dataset import CSDAT_FORMAT, Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from vitripick.errors import FormatError, UsageError
from vitripick.formats import read_all_picks, read_picks, write_joined_picks, write_picks
from vitripick.formats.picks import csdat
from vitripick.geometry import Boxes

# 800 columns and 400 rows, so that a swap of either pair shows.
PICKS = Boxes.at([200, 720], [300, 10], confidence=[0.5, 0.25], shape=(400, 800), micrograph="grid/a.mrc")
UID = "000123456789012345678"


def load(path):
    return np.load(path, allow_pickle=False)


def test_places_are_written_as_fractions_of_columns_and_rows(tmp_path):
    write_picks(PICKS, tmp_path / "p.cs")
    rows = load(tmp_path / "p.cs")
    assert rows["location/center_x_frac"].tolist() == pytest.approx([0.25, 0.9])
    assert rows["location/center_y_frac"].tolist() == pytest.approx([0.75, 0.025])
    assert rows["location/micrograph_shape"].tolist() == [[400, 800]] * 2
    assert rows["location/micrograph_path"].tolist() == [b"grid/a.mrc"] * 2


def test_the_confidence_stands_in_both_fields_that_inspect_picks_filters_on(tmp_path):
    write_picks(PICKS, tmp_path / "p.cs")
    rows = load(tmp_path / "p.cs")
    assert rows["pick_stats/ncc_score"].tolist() == rows["pick_stats/power"].tolist() == [0.5, 0.25]


def test_labels_have_no_score_to_be_filtered_by(tmp_path):
    write_picks(Boxes.at([1], [2], shape=(4, 5), micrograph="a.mrc"), tmp_path / "p.cs")
    assert not any("pick_stats" in name for name in load(tmp_path / "p.cs").dtype.names)
    assert np.isnan(read_picks(tmp_path / "p.cs").confidence).all()


def test_the_fields_and_their_types_are_cryosparcs(tmp_path):
    write_picks(PICKS, tmp_path / "p.cs")
    kinds = {name: load(tmp_path / "p.cs").dtype[name].str for name in load(tmp_path / "p.cs").dtype.names}
    shape = kinds.pop("location/micrograph_shape")
    assert shape == "|V8"
    assert kinds == {
        "uid": "<u8",
        "location/micrograph_uid": "<u8",
        "location/exp_group_id": "<u4",
        "location/micrograph_path": "|S10",
        "location/center_x_frac": "<f4",
        "location/center_y_frac": "<f4",
        "location/min_dist_A": "<f4",
        "pick_stats/ncc_score": "<f4",
        "pick_stats/power": "<f4",
    }


def test_a_hand_made_file_is_read(tmp_path):
    dtype = [
        ("uid", "<u8"),
        ("location/micrograph_path", "S20"),
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"),
        ("location/center_y_frac", "<f4"),
    ]
    rows = np.array([(1, b"S1/b.mrc", (400, 800), 0.25, 0.75), (2, b"S1/a.mrc", (100, 200), 0.5, 0.25)], dtype=dtype)
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, rows)
    b, a = read_all_picks(tmp_path / "p.cs")
    assert (b.micrograph, b.shape, b.x.tolist(), b.y.tolist()) == ("S1/b.mrc", (400, 800), [200], [300])
    assert (a.micrograph, a.shape, a.x.tolist(), a.y.tolist()) == ("S1/a.mrc", (100, 200), [100], [25])


def test_ids_are_unique_repeatable_and_take_cryosparcs_own_for_the_micrograph(tmp_path):
    other = Boxes.at([1], [2], shape=(10, 10), micrograph=f"J1/{UID}_b.mrc")
    write_joined_picks([PICKS, other], tmp_path / "p.cs")
    write_joined_picks([PICKS, other], tmp_path / "q.cs")
    rows = load(tmp_path / "p.cs")
    assert (tmp_path / "p.cs").read_bytes() == (tmp_path / "q.cs").read_bytes()
    assert len(set(rows["uid"].tolist())) == 3
    assert len(set(rows["location/micrograph_uid"].tolist())) == 2
    assert rows["location/micrograph_uid"][2] == 123456789012345678


def test_no_picks_give_a_table_without_rows(tmp_path):
    write_picks(Boxes.empty(micrograph="a.mrc", shape=(4, 5)), tmp_path / "p.cs")
    assert len(load(tmp_path / "p.cs")) == 0
    assert len(read_picks(tmp_path / "p.cs")) == 0


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        (Boxes.at([1], [2], micrograph="a.mrc"), "the size of a.mrc is not known; give Boxes.shape"),
        (Boxes.at([1], [2], shape=(4, 5)), "needs the micrograph's name"),
    ],
)
def test_a_cs_file_needs_shape_and_name(tmp_path, picks, message):
    with pytest.raises(UsageError, match=message):
        write_picks(picks, tmp_path / "p.cs")


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x95CSDAT....", "cryosparc-tools cannot read this compressed"),
        (b"", "neither a NumPy array nor CSDAT"),
        (saved(np.zeros(3)), "array of float64"),
        (saved(np.zeros(3))[:-4], "cannot be read"),
        (saved(np.array([{}], dtype=object), allow_pickle=True), "cannot be read"),
        (saved(np.zeros(1, dtype=[("uid", "u8")])), "has no location/center_x_frac"),
    ],
)
def test_what_is_no_table_of_places_is_refused(tmp_path, data, message):
    (tmp_path / "p.cs").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        read_picks(tmp_path / "p.cs")


def compressed(path):
    """Write three picks as cryosparc-tools does with `format=2`."""
    fields = [
        ("micrograph_path", "O"),
        ("micrograph_shape", "u4", (2,)),
        ("center_x_frac", "f4"),
        ("center_y_frac", "f4"),
    ]
    table = Dataset.allocate(3, [*((f"location/{f[0]}", *f[1:]) for f in fields), ("pick_stats/ncc_score", "f4")])
    table["location/micrograph_path"] = ["J2/ä.mrc", "J2/b.mrc", "J2/ä.mrc"]
    table["location/micrograph_shape"] = [[300, 400]] * 3
    table["location/center_x_frac"], table["location/center_y_frac"] = [0.25, 0.5, 0.75], [0.1, 0.2, 0.3]
    table["pick_stats/ncc_score"] = [0.9, 0.8, 0.7]
    table.save(path, format=CSDAT_FORMAT)
    assert path.read_bytes()[1:6] == b"CSDAT"
    return path


def test_a_compressed_table_is_read_through_cryosparc_tools(tmp_path):
    parts = read_all_picks(compressed(tmp_path / "p.cs"))
    assert [(str(part.micrograph), part.shape) for part in parts] == [
        ("J2/ä.mrc", (300, 400)),
        ("J2/b.mrc", (300, 400)),
    ]
    assert parts[0].x.tolist() == pytest.approx([100, 300])
    assert parts[0].y.tolist() == pytest.approx([30, 90])
    assert parts[1].confidence.tolist() == pytest.approx([0.8])


def test_a_compressed_table_without_cryosparc_tools_is_refused_and_says_what_helps(tmp_path, monkeypatch):
    monkeypatch.setattr(csdat.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FormatError, match=r"compressed .* pip install 'vitripick\[cryosparc\]'"):
        read_picks(compressed(tmp_path / "p.cs"))


def test_a_damaged_compressed_table_ends_its_reader_and_not_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(csdat, "_PROGRAM", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(FormatError, match="its reader crashed, so the file is damaged"):
        read_picks(compressed(tmp_path / "p.cs"))


@pytest.mark.parametrize("kept", [6, 30, 200])
def test_a_compressed_table_that_was_cut_short_is_refused_in_a_sentence(tmp_path, kept):
    path = compressed(tmp_path / "p.cs")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match="cryosparc-tools cannot read"):
        read_picks(path)


def test_a_file_of_a_modules_name_in_the_folder_of_the_call_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    assert len(read_all_picks(compressed(tmp_path / "p.cs"))) == 2


def test_y_turns_round_with_the_shape_in_the_file(tmp_path):
    write_picks(PICKS, tmp_path / "p.cs", flip_y=True)
    assert read_picks(tmp_path / "p.cs").y.tolist() == pytest.approx([99, 389], abs=1e-3)
    assert read_picks(tmp_path / "p.cs", flip_y=True).y.tolist() == pytest.approx([300, 10], abs=1e-3)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.sampled_from([(64, 64), (101, 333), (4093, 5761)]),
)
@settings(max_examples=30, deadline=None)
def test_picks_come_back(tmp_path_factory, rows, shape):
    x, y, confidence = np.array(rows, dtype=float).T
    picks = Boxes.at(x * (shape[1] - 1), y * (shape[0] - 1), confidence=confidence, shape=shape, micrograph="ä b/c.mrc")
    path = tmp_path_factory.mktemp("cs") / "p.cs"
    write_picks(picks, path)
    back = read_picks(path)
    assert (back.micrograph, back.shape) == ("ä b/c.mrc", shape)
    np.testing.assert_allclose(back.centres, picks.centres, atol=1e-3, rtol=0)
    np.testing.assert_allclose(back.confidence, picks.confidence, atol=1e-6)
