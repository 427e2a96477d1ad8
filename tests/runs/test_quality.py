"""The quality line: what picks and junk map say about a micrograph, and no more than that."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from vitripick.geometry import Boxes
from vitripick.picking.quality import Quality, assess
from vitripick.runs import FolderPicker, PickSettings, pick_many, read_record, step
from vitripick.runs.record import Record
from vitripick.runs.suspects import summary_lines, within_run

SHAPE = (1000, 1200)


def picks_at(*places, confidence=0.8, size_px=50.0):
    x, y = zip(*places, strict=True) if places else ((), ())
    return Boxes.at(x, y, size_px=size_px, confidence=confidence, shape=SHAPE)


def crowd(n=60, **more):
    rng = np.random.default_rng(0)
    return picks_at(*zip(rng.uniform(0, 1200, n), rng.uniform(0, 1000, n), strict=True), **more)


def junk_at(*parts, shape=(100, 120)):
    """1 in these (top, bottom, left, right)."""
    junk = np.zeros(shape, np.float32)
    for top, bottom, left, right in parts:
        junk[top:bottom, left:right] = 1
    return junk


def judged(picks, junk, **more):
    return assess(picks, junk, **{"threshold": 0.3, "diameter_px": 50.0, **more})


def test_a_good_micrograph_is_suspected_of_nothing():
    assert judged(crowd(), junk_at((10, 20, 10, 20))).suspected == ()


def test_shares_are_of_the_area():
    quality = judged(crowd(), junk_at((0, 100, 0, 30)))
    assert quality.junk_share == 0.25
    # 60 circles of 50 px on the clean three quarters.
    assert quality.covered_share == pytest.approx(60 * np.pi / 4 * 50**2 / (0.75 * 1000 * 1200), abs=1e-4)


def test_no_share_is_above_one_where_picks_lie_on_one_another():
    assert judged(crowd(n=2000), None).covered_share == 1
    assert judged(crowd(n=2000), junk_at((0, 99, 0, 120))).covered_share == 1


def test_only_picks_above_the_threshold_count():
    picks = picks_at((100, 100), (300, 300), (500, 500), confidence=np.array([0.9, 0.7, 0.2]))
    assert judged(picks, None).mean_confidence == 0.8
    assert judged(picks, None, threshold=0.95).mean_confidence is None


def test_next_to_no_picks_on_clean_ground_look_empty():
    assert judged(picks_at(), junk_at()).suspected == ("empty",)
    assert judged(picks_at((500, 500)), junk_at()).suspected == ("empty",)
    assert judged(picks_at((500, 500)), None).suspected == ("empty",)


def test_picks_that_may_well_be_noise_count_for_less():
    assert judged(crowd(n=8), None).suspected == ()  # 1.3 % of the ground
    assert judged(crowd(n=8, confidence=0.35), None).suspected == ("empty",)


def test_one_pick_on_a_small_crop_is_not_next_to_nothing():
    one = Boxes.at([60], [60], size_px=50, confidence=0.9, shape=(120, 120))
    assert judged(one, None).suspected == ()


def test_what_is_mostly_junk_is_not_called_empty():
    quality = judged(picks_at(), junk_at((0, 60, 20, 120)))
    assert quality.suspected[0] == "mostly junk"
    assert "empty" not in quality.suspected


def test_a_large_area_along_the_border_looks_like_carbon():
    quality = judged(crowd(), junk_at((0, 100, 0, 15)))
    assert quality.suspected == ("carbon edge",)
    assert quality.edge_junk_share == 0.125


def band(*, width=4, gap=0, length=100):
    """Along a diagonal from the upper left corner, as the edge of a film is marked; parted in the middle."""
    rows, columns = np.mgrid[:100, :120]
    along = rows + columns
    there = (np.abs(rows - columns) < width) & (rows < length) & (np.abs(along - length) >= gap)
    return there.astype(np.float32)


def test_a_band_from_the_border_looks_like_carbon_however_little_of_the_area_it_is():
    quality = judged(crowd(), band())
    assert quality.junk_share < 0.1
    assert quality.suspected == ("carbon edge",)
    assert quality.edge_junk_share == quality.junk_share
    # Two pieces, each too short by itself.
    assert judged(crowd(), band(length=44, gap=2)).suspected == ("carbon edge",)


def test_a_band_that_is_short_or_does_not_reach_the_border_does_not():
    assert judged(crowd(), band(length=20)).suspected == ()
    inner = np.zeros((100, 120), np.float32)
    inner[10:80, 10:80] = band()[:70, :70]
    assert judged(crowd(), inner).suspected == ()


@pytest.mark.parametrize("side", range(4))
def test_a_dark_column_or_row_at_the_very_border_does_not(side):
    """A camera's, or a reduction's: three real micrographs of 24 have one."""
    rim = junk_at((0, 100, 0, 1), (40, 60, 1, 2))
    assert judged(crowd(), np.rot90(rim, side)).suspected == ()


def test_specks_all_over_do_not():
    specks = (np.random.default_rng(0).random((100, 120)) < 0.06).astype(np.float32)
    assert judged(crowd(), specks).suspected == ()


def test_a_crystal_that_touches_the_border_does_not():
    quality = judged(crowd(), junk_at((20, 50, 0, 30)))
    assert quality.edge_junk_share == 0
    assert quality.suspected == ()


def test_much_junk_away_from_the_edge_looks_like_ice_or_contamination():
    parts = [(top, top + 12, left, left + 12) for top in (5, 40, 75) for left in (10, 40, 70, 100)]
    assert judged(crowd(), junk_at(*parts)).suspected == ("ice or contamination",)


def test_picks_on_junk_are_counted_by_their_centres():
    junk = junk_at((10, 20, 30, 40))  # rows 100-199, columns 300-399
    picks = picks_at((350, 150), (299, 150), (300, 100), (1199.4, 999.4), (-0.4, -0.4))
    assert judged(picks, junk).n_on_junk == 2
    assert judged(picks, None).n_on_junk is None


def test_a_micrograph_that_is_all_junk_has_no_clean_ground_to_cover():
    assert judged(crowd(), np.ones((10, 12), np.float32)).covered_share is None


def test_without_a_diameter_the_boxes_say_how_large_a_pick_is():
    assert judged(crowd(size_px=40), None, diameter_px=None).diameter_px == 40


@pytest.fixture
def records():
    def record(name, n_picks, **more):
        quality = Quality(0.3, 50.0, 0.8, 0.1, **more)
        return Record(name, f"in/{name}", name, SHAPE, None, 99, n_picks, quality=quality)

    return [
        record("good.mrc", 90, junk_share=0.01),
        record("dirty.mrc", 9, junk_share=0.6, suspected=("mostly junk",)),
        record("dirtier.mrc", 3, junk_share=0.9, suspected=("mostly junk", "carbon edge")),
        record("bare.mrc", 0, suspected=("empty",)),
    ]


def test_a_run_is_told_in_a_few_lines_with_the_worst_first(records):
    assert summary_lines(records) == [
        "suspected empty: 1 (bare.mrc)",
        "suspected mostly junk: 2 (dirtier.mrc 90% junk, dirty.mrc 60% junk)",
        "suspected carbon edge: 1 (dirtier.mrc)",
    ]
    assert summary_lines(records[:1]) == []
    assert summary_lines(records * 3, n_named=1)[0] == "suspected empty: 3 (bare.mrc, …)"


def run_of(*confidences, n_picks=50):
    return [
        Record(f"{i}.mrc", f"{i}.mrc", str(i), SHAPE, None, 99, n_picks, quality=Quality(0.3, 50.0, confidence, 0.2))
        for i, confidence in enumerate(confidences)
    ]


def test_picks_far_less_sure_than_those_of_the_rest_of_the_run_make_a_micrograph_faint():
    records = run_of(0.7, 0.68, 0.72, 0.71, 0.55, 0.69, 0.7, 0.71)
    assert [r.name for r in within_run(records) if r.quality.suspected == ("faint",)] == ["4.mrc"]
    assert summary_lines(records) == ["suspected faint: 1 (4.mrc)"]


@pytest.mark.parametrize(
    "records",
    [
        run_of(0.7, 0.68, 0.72, 0.71, 0.55),  # too few to say what is usual
        run_of(0.7, 0.6, 0.8, 0.5, 0.55, 0.65, 0.75, 0.85),  # all differ
        run_of(*[0.7] * 9, 0.68),  # a hair less sure
        run_of(*[0.7] * 9, 0.3, n_picks=3),  # hardly any picks to go by
    ],
)
def test_what_is_usual_in_a_run_is_not_faint(records):
    assert within_run(records) == records


def test_a_record_keeps_its_quality_line(records, tmp_path):
    from vitripick.run_layout import RunLayout
    from vitripick.runs.record import write_record

    write_record(records[2], RunLayout(tmp_path))
    assert read_record(RunLayout(tmp_path).record(records[2].stem)).quality == records[2].quality


def test_a_quality_line_of_another_version_is_passed_over_and_the_record_kept(records, tmp_path):
    from vitripick.run_layout import RunLayout
    from vitripick.runs.record import write_record

    write_record(records[0], RunLayout(tmp_path))
    path = RunLayout(tmp_path).record(records[0].stem)
    fields = json.loads(path.read_text())
    fields["quality"]["of tomorrow"] = 1
    path.write_text(json.dumps(fields))
    assert read_record(path).quality is None
    assert read_record(path).n_picks == 90


def table_of(out):
    return list(csv.DictReader((out / "quality.csv").read_text().splitlines()))


def test_a_run_has_a_table_in_the_order_of_its_input(junk_model, micrographs, tmp_path):
    summary = pick_many([micrographs], tmp_path / "out", junk_model)
    table = table_of(tmp_path / "out")
    assert [row["micrograph"] for row in table] == ["a/one.mrc", "a/two.mrc", "b/one.mrc"]
    assert [int(row["n_picks"]) for row in table] == [record.n_picks for record in summary.records]
    assert float(table[0]["junk_share"]) == pytest.approx(0.25, abs=0.03)
    assert table[0]["suspected"] == "carbon edge"
    assert 0.3 < float(table[0]["mean_confidence"]) < 1
    assert int(table[0]["n_on_junk"]) > 0


def test_what_is_not_known_is_empty_in_the_table(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    row = table_of(tmp_path / "out")[0]
    assert row["junk_share"] == row["n_on_junk"] == ""
    assert float(row["covered_share"]) > 0.05


def test_the_summary_and_the_lines_of_json_hold_the_quality(junk_model, micrographs, tmp_path):
    outcomes = []
    summary = pick_many([micrographs], tmp_path / "out", junk_model, on_outcome=outcomes.append)
    assert summary.to_dict()["micrographs"][0]["quality"]["suspected"] == ["carbon edge"]
    assert outcomes[0].to_dict()["quality"] == summary.records[0].quality.to_dict()
    json.dumps(summary.to_dict())


def test_another_threshold_is_another_quality_line_without_a_second_look(
    junk_model, micrographs, tmp_path, monkeypatch
):
    """Also where no file is written again: CBOX holds every pick."""
    pick_many([micrographs], tmp_path / "out", junk_model, PickSettings(formats=("cbox",)))
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("looked again"))
    summary = pick_many([micrographs], tmp_path / "out", junk_model, PickSettings(threshold=0.9, formats=("cbox",)))
    assert all(record.quality.mean_confidence > 0.9 for record in summary.records if record.n_picks)
    assert summary.records[0].quality.diameter_px == 20
    assert summary.n_picks == sum(int(row["n_picks"]) for row in table_of(tmp_path / "out"))
    stored = json.loads((tmp_path / "out" / "micrographs" / "a" / "one.json").read_text())
    assert stored["quality"]["threshold"] == 0.9
    assert stored["n_picks"] == summary.records[0].n_picks


def test_a_run_folder_of_before_gets_its_quality_lines_without_a_second_look(model, micrographs, tmp_path, monkeypatch):
    first = pick_many([micrographs], tmp_path / "out", model)
    for path in (tmp_path / "out" / "micrographs").rglob("*.json"):
        fields = json.loads(path.read_text())
        del fields["quality"]
        path.write_text(json.dumps(fields))
    assert read_record(tmp_path / "out" / "micrographs" / "a" / "one.json").quality is None
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("looked again"))
    again = pick_many([micrographs], tmp_path / "out", model)
    assert [r.quality for r in again.records] == [r.quality for r in first.records]


def test_a_micrograph_without_anything_looks_empty(model, tmp_path):
    from vitripick.formats import write_mrc

    write_mrc(tmp_path / "flat.mrc", np.full((100, 100), 2.0, np.float32))
    outcome = FolderPicker(tmp_path / "out", model, PickSettings(diameter_px=20)).attempt_path(tmp_path / "flat.mrc")
    assert outcome.record.quality.suspected == ("empty",)
    assert dataclasses.asdict(outcome.record.quality)["mean_confidence"] is None
