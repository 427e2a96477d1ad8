"""What a folder of filaments says about itself: quality lines and the report."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.formats import write_mrc
from vitripick.formats.filaments import write_filaments
from vitripick.geometry import Filament, Filaments
from vitripick.pictures import render_report
from vitripick.runs.filament_pairs import pair_filaments
from vitripick.runs.filament_record import Stored, read_stored, records_of, write_stored
from vitripick.runs.filament_report import gather_filaments
from vitripick.runs.filament_suspects import suspicion_lines, write_filament_quality

SHAPE = (300, 400)
ROD = Filament.through([(50, 60), (350, 60)], width=20, confidence=0.9)
RING = Filament.through(
    [(200 + 80 * np.cos(a), 180 + 80 * np.sin(a)) for a in np.linspace(0, 3, 60)], width=20, confidence=0.7
)


def stored(name, *filaments, path="", **facts):
    return Stored(Filaments(list(filaments), name, SHAPE, 2.0), 20.0, path or name, **facts)


@pytest.fixture
def folder(tmp_path):
    """Return a run of three micrographs: one with two filaments, one with an edge, one that another version traced."""
    image = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    made = [
        stored("a.mrc", ROD, RING, seen_widths_px=(19.0, 21.0), edge_length_px=0.0, seconds=0.5),
        stored("b.mrc", edge_length_px=250.0, seconds=0.5),
        stored("c.mrc", ROD),
    ]
    for one in made:
        path = write_mrc(tmp_path / "mics" / one.name, image, pixel_size=2.0) or tmp_path / "mics" / one.name
        write_stored(tmp_path / "run", one.name[0], replace(one, path=str(path)), file=[str(path), 1, 1], made_with="x")
    return tmp_path


def all_of(folder):
    return [read_stored(folder, stem, record) for stem, record in records_of(folder)]


def test_what_the_network_saw_comes_back_from_the_folder(folder):
    one, _, old = all_of(folder / "run")
    assert one.seen_widths_px == (19.0, 21.0)
    assert one.seconds == 0.5
    assert one.quality().seen_width_px == 20.0
    assert old.quality().edge_length_px is None
    assert old.quality().suspected == ()


def test_an_empty_micrograph_and_an_edge_are_suspected(folder):
    assert suspicion_lines(all_of(folder / "run")) == ["suspected empty: 1 (b.mrc)", "suspected carbon edge: 1 (b.mrc)"]


@pytest.mark.parametrize(("seen", "suspected"), [(16.0, ("another width",)), (20.0, ()), (25.0, ("another width",))])
def test_a_width_that_the_network_does_not_see_is_suspected(seen, suspected):
    assert stored("a.mrc", ROD, seen_widths_px=(seen,)).quality().suspected == suspected


def test_a_micrograph_much_less_sure_than_the_others_is_faint():
    rods = [replace(ROD, confidence=0.9)] * 3
    usual = [stored(f"{i}.mrc", *rods) for i in range(8)]
    odd = stored("odd.mrc", *[replace(ROD, confidence=0.6)] * 3)
    assert suspicion_lines([*usual, odd]) == ["suspected faint: 1 (odd.mrc)"]


def test_the_quality_of_each_micrograph_is_a_line_of_a_table(folder):
    write_filament_quality(folder / "quality.csv", all_of(folder / "run"))
    with (folder / "quality.csv").open() as file:
        rows = {row["micrograph"]: row for row in csv.DictReader(file)}
    assert float(rows["a.mrc"]["covered_share"]) == pytest.approx((300 + 240) * 20 / (300 * 400), rel=0.01)
    assert float(rows["a.mrc"]["bend_degrees"]) == pytest.approx(np.rad2deg(20 / 80) * 240 / 540, rel=0.05)
    assert rows["b.mrc"]["suspected"] == "empty; carbon edge"
    assert rows["c.mrc"]["seen_width_px"] == ""


def test_the_report_shows_lengths_widths_bends_and_pictures(folder):
    gathered = gather_filaments(folder / "run")
    assert [row.overlay_png is not None for row in gathered.micrographs] == [True, True, True]
    assert gathered.straightened_png is not None
    page = render_report([gathered], title="Filaments")
    # 840 px of 2 Å: 300 and 240 px on one micrograph, 300 px on another.
    assert "<b>168 nm</b><span>of all filaments together</span>" in page
    assert "<b>4 nm</b><span>median width seen</span>" in page
    assert page.count('alt="Histogram') == 4
    assert "suspected carbon edge: 1 (b.mrc)" in page


def test_the_report_judges_by_labels_and_says_what_is_not_judged(folder):
    for name in ("a", "elsewhere"):
        write_filaments(Filaments([ROD], f"{name}.mrc"), folder / f"labels/{name}.csv")
    gathered = gather_filaments(folder / "run", folder / "labels")
    assert gathered.evaluation.recall == pytest.approx(1)
    assert gathered.evaluation.precision == pytest.approx(300 / 540, rel=0.01)
    assert [row.judged is not None for row in gathered.micrographs] == [True, False, False]
    page = render_report([gathered], title="Filaments")
    assert "F1 0.714" in page
    assert "not in this run, not judged: elsewhere" in page
    assert "Micrographs without labels, not judged: b, c" in page


def test_labels_beside_a_file_of_filaments_are_judged_as_not_found(folder):
    write_filaments(Filaments([ROD], "a.mrc"), folder / "traced/a.csv")
    for name in "ab":
        write_filaments(Filaments([ROD], f"{name}.mrc"), folder / f"labels/{name}.csv")
    assert pair_filaments(folder / "traced", folder / "labels").judged().recall == pytest.approx(0.5)
    assert pair_filaments(folder / "run", folder / "labels").judged().n_true == 2


def test_labels_without_a_width_need_one(folder):
    write_filaments(Filaments([Filament.through(ROD.points)], "a.mrc"), folder / "labels/a.csv")
    with pytest.raises(UsageError, match="do not say the width"):
        gather_filaments(folder / "run", folder / "labels")
    assert gather_filaments(folder / "run", folder / "labels", width_px=20).evaluation.recall == pytest.approx(1)


def test_a_folder_without_a_whole_micrograph_has_no_report(tmp_path):
    (tmp_path / "filament_records").mkdir()
    with pytest.raises(InputError, match="no micrograph with traced filaments"):
        gather_filaments(tmp_path)
