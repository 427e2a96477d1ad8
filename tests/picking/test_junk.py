"""The junk map: from the network's cells to the micrograph's frame, onto the disk and back."""

import cv2
import numpy as np
import pytest

from made import discs, snapshot
from vitripick.errors import FormatError, UsageError
from vitripick.geometry import Micrograph
from vitripick.picking import pick
from vitripick.picking.junk import junk_mask_png, over_micrograph, read_junk, write_junk
from vitripick.picking.one import look
from vitripick.runs import FolderPicker, PickSettings, pick_many, step


def test_cells_that_reach_beyond_the_micrograph_are_brought_into_its_frame():
    # 26 cells of 4 px over 101 px: the last one is mostly beyond the border. Values are the cells' own middles.
    middles = (np.arange(26, dtype=np.float32) + 0.5) * 4 / 104
    junk = over_micrograph(np.tile(middles, (10, 1)), stride=4, working_shape=(40, 101))
    assert junk.shape == (10, 25)
    expected = (np.arange(25) + 0.5) / 25 * 101 / 104
    assert junk[0] == pytest.approx(expected, abs=1e-3)


def test_a_map_comes_back_from_the_disk_to_within_a_grey_level(tmp_path):
    junk = np.linspace(0, 1, 60, dtype=np.float32).reshape(6, 10)
    write_junk(tmp_path / "a" / "one.png", junk)
    assert read_junk(tmp_path / "a" / "one.png") == pytest.approx(junk, abs=0.5 / 255 + 1e-6)


def test_where_the_network_does_not_say_an_older_map_goes(tmp_path):
    write_junk(tmp_path / "one.png", np.ones((2, 2), np.float32))
    write_junk(tmp_path / "one.png", None)
    assert read_junk(tmp_path / "one.png") is None


def test_a_map_that_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "one.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"one\.png: this should be a grey PNG"):
        read_junk(tmp_path / "one.png")


def test_a_full_size_mask_has_a_pixel_for_each_of_the_micrographs():
    junk = np.zeros((4, 6), np.float32)
    junk[1, 4] = 1
    mask = cv2.imdecode(np.frombuffer(junk_mask_png(junk, (80, 120)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (80, 120)
    assert mask.dtype == np.uint8
    assert np.unravel_index(mask.argmax(), mask.shape) == pytest.approx((29.5, 89.5), abs=1)
    assert mask.max() > 240


def test_one_look_gives_the_picks_of_pick_and_the_junk_map(says_junk):
    ready, network = says_junk
    micrograph = Micrograph(discs(7)[0], pixel_size=4.0)
    seen = look(micrograph, ready)
    assert network.n_runs == 1
    assert seen.diameter_px == 20
    assert (seen.picks.x == pick(micrograph, ready).x).all()
    # The left quarter, whatever the scale of the map.
    assert (seen.junk >= 0.5).mean() == pytest.approx(0.25, abs=0.03)
    assert seen.junk[:, 0].min() > 0.9


def test_a_network_that_does_not_say_gives_no_map(model):
    assert look(Micrograph(discs(7)[0]), model, diameter_px=20).junk is None


def test_a_constant_micrograph_has_no_junk(says_junk):
    seen = look(Micrograph(np.full((100, 120), 3.0, np.float32)), says_junk[0], diameter_px=20)
    assert len(seen.picks) == 0
    assert not seen.junk.any()


def test_a_run_keeps_the_map_of_every_micrograph_and_writes_full_size_masks_when_asked(
    junk_model, micrographs, tmp_path
):
    pick_many([micrographs], tmp_path / "out", junk_model, PickSettings(junk_masks=True))
    small = read_junk(tmp_path / "out" / "junk" / "a" / "one.png")
    assert small.shape[0] < 160
    mask = cv2.imread(str(tmp_path / "out" / "junk_masks" / "a" / "one.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (160, 192)
    assert (mask >= 128).mean() == pytest.approx(0.25, abs=0.03)


def test_an_overlay_of_a_run_shows_its_junk(junk_model, micrographs, tmp_path):
    settings = PickSettings(overlays=True, threshold=1)
    outcome = FolderPicker(tmp_path / "out", junk_model, settings).attempt_path(micrographs / "a" / "one.mrc")
    assert outcome.record.n_picks == 0
    picture = cv2.imread(str(tmp_path / "out" / "overlays" / "one.png")).astype(int)
    yellow = (picture[:320, :, 2] - picture[:320, :, 0]) > 10
    assert yellow[:, :80].mean() > 0.9
    assert not yellow[:, 112:].any()


def test_masks_and_overlays_come_from_the_stored_map_without_a_second_look(
    junk_model, micrographs, tmp_path, monkeypatch
):
    settings = PickSettings(threshold=0.7, junk_masks=True, overlays=True)
    pick_many([micrographs], tmp_path / "fresh", junk_model, settings)
    pick_many([micrographs], tmp_path / "out", junk_model)
    assert not (tmp_path / "out" / "junk_masks").exists()
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("looked again"))
    pick_many([micrographs], tmp_path / "out", junk_model, settings)
    fresh = snapshot(tmp_path / "fresh", leave_out=("log", "run.json"))
    fresh["autopick.star"] = fresh["autopick.star"].replace(b"/fresh", b"/out")
    assert snapshot(tmp_path / "out", leave_out=("log", "run.json")) == fresh


def test_a_map_that_somebody_removed_is_made_again(junk_model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", junk_model)
    lost = tmp_path / "out" / "junk" / "a" / "one.png"
    content = lost.read_bytes()
    lost.unlink()
    assert pick_many([micrographs], tmp_path / "out", junk_model).n_skipped == 2
    assert lost.read_bytes() == content


def test_a_model_without_junk_leaves_none_of_an_earlier_ones_maps(
    junk_model, model, micrographs, tmp_path, monkeypatch
):
    pick_many([micrographs], tmp_path / "out", junk_model)
    monkeypatch.undo()
    summary = pick_many([micrographs], tmp_path / "out", model)
    assert not list((tmp_path / "out" / "junk").rglob("*.png"))
    assert summary.records[0].quality.junk_share is None
    assert "junk" not in summary.records[0].exported


def test_masks_of_a_model_that_has_none_are_refused_before_anything_is_picked(model, micrographs, tmp_path):
    with pytest.raises(UsageError, match="junk_masks=True"):
        pick_many([micrographs], tmp_path / "out", model, PickSettings(junk_masks=True))
    assert not (tmp_path / "out").exists()
