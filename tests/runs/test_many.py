import json
import os
import shutil
import sys

import numpy as np
import pytest
import starfile
from scipy.spatial import cKDTree

from made import discs, snapshot
from vitripick.errors import UsageError
from vitripick.formats import read_micrograph, read_picks, write_mrc
from vitripick.geometry import Boxes
from vitripick.models import open_model
from vitripick.picking import pick
from vitripick.run_layout import PICTURE_FOLDERS
from vitripick.runs import FolderPicker, PickSettings, pick_many, step
from vitripick.runs.shards import Shard


def test_two_micrographs_of_one_name_in_two_folders_give_two_outputs(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out" / "star").rglob("*.star"))
    assert written == ["star/a/one_autopick.star", "star/a/two_autopick.star", "star/b/one_autopick.star"]


def test_stored_picks_go_down_to_the_floor_and_exports_stop_at_the_threshold(model, micrographs, tmp_path):
    settings = PickSettings(threshold=0.6, formats=("star", "csv", "box"))
    summary = pick_many([micrographs], tmp_path / "out", model, settings)
    expected = pick(read_micrograph(micrographs / "a" / "one.mrc"), model, threshold=0)
    stored = read_picks(tmp_path / "out" / "cbox" / "a" / "one.cbox")
    assert len(stored) == len(expected)
    above = (expected.confidence >= 0.6).sum()
    assert len(read_picks(tmp_path / "out" / "star" / "a" / "one_autopick.star")) == above
    assert len(read_picks(tmp_path / "out" / "box" / "a" / "one.box")) == above
    assert len(read_picks(tmp_path / "out" / "csv" / "a" / "one.csv")) == above
    assert summary.records[0].n_picks == above


def test_a_micrograph_without_picks_still_gets_its_files(model, tmp_path):
    write_mrc(tmp_path / "flat.mrc", np.full((100, 100), 2.0, np.float32))
    pick_many([tmp_path / "flat.mrc"], tmp_path / "out", model, PickSettings(diameter_px=20))
    assert len(read_picks(tmp_path / "out" / "star" / "flat_autopick.star")) == 0
    assert "flat" in (tmp_path / "out" / "autopick.star").read_text()


def test_one_bad_micrograph_is_listed_and_the_others_are_picked(model, micrographs, tmp_path):
    good = (micrographs / "a" / "one.mrc").read_bytes()
    (micrographs / "a" / "broken.mrc").write_bytes(good[:5000])
    (micrographs / "c.mrc").write_bytes(b"")
    summary = pick_many([micrographs], tmp_path / "out", model)
    assert len(summary.records) == 3
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert {line["micrograph"] for line in lines} == {"a/broken.mrc", "c.mrc"}
    assert all(line["error"] for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_no_star_can_hold_fails_alone(model, micrographs, tmp_path):
    shutil.copy(micrographs / "a" / "one.mrc", micrographs / "a\nb.mrc")
    summary = pick_many([micrographs], tmp_path / "out", model)
    assert (len(summary.records), len(summary.failures)) == (3, 1)
    assert "line break" in summary.failures[0]["error"]
    assert len(starfile.read(tmp_path / "out" / "autopick.star")) == 3


def test_power_spectra_are_neither_surveyed_nor_picked_nor_shared_out(many_micrographs, tmp_path):
    general = open_model("general")
    for path in list(many_micrographs.rglob("*.mrc")):
        shutil.copy(path, path.with_name(f"{path.stem}_PS.mrc"))
    settings, looked_at = PickSettings(diameter_px=20), []
    for shard in (Shard(1, 2), Shard(2, 2), None):
        summary = pick_many(
            [many_micrographs], tmp_path / "out", general, settings, shard=shard, on_survey=looked_at.append
        )
    assert not any("_PS" in record.name for record in summary.records)
    assert not any("_PS" in json.dumps(survey.to_dict()) for survey in looked_at)
    assert len(summary.passed_by) == len(summary.records) == len(summary.to_dict()["passed_by"])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_fails_alone_and_is_told_with_its_odd_bytes(model, micrographs, tmp_path):
    odd = os.fsencode(micrographs) + b"/mic_\xb5m.mrc"
    shutil.copy(micrographs / "a" / "one.mrc", odd)
    outcomes = []
    for _ in range(2):
        summary = pick_many([micrographs], tmp_path / "out", model, on_outcome=outcomes.append)
    assert len(summary.records) == 3
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [line["micrograph"] for line in lines] == ["mic_\\xb5m.mrc"]
    assert "not UTF-8" in lines[0]["error"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["failures"] == lines
    assert (tmp_path / "out" / "failed" / "mic_\\xb5m.json").is_file()
    for outcome in outcomes:
        json.dumps(outcome.to_dict(), ensure_ascii=False).encode()


def test_a_format_that_cannot_hold_what_was_picked_keeps_no_other_file_away(model, tmp_path):
    write_mrc(tmp_path / "unknown.mrc", discs(1)[0])
    settings = PickSettings(diameter_px=20, formats=("star", "cistem", "cs"))
    with pytest.raises(
        UsageError, match=r"pixel size of unknown\.mrc is not known.*Everything but formats=\('cistem',\)"
    ):
        pick_many([tmp_path / "unknown.mrc"], tmp_path / "out", model, settings)
    for name in ("run.json", "quality.csv", "particles.cs", "autopick.star"):
        assert (tmp_path / "out" / name).is_file()


def test_a_blank_that_cistem_cannot_hold_stops_before_anything_is_picked(model, micrographs, tmp_path):
    (micrographs / "a").rename(micrographs / "a 1")
    with pytest.raises(UsageError, match=r"a 1/one\.mrc"):
        pick_many([micrographs], tmp_path / "out", model, PickSettings(formats=("cistem",)))
    assert not (tmp_path / "out").exists()


def test_a_second_run_picks_nothing_again(model, micrographs, tmp_path, monkeypatch):
    first = pick_many([micrographs], tmp_path / "out", model)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    second = pick_many([micrographs], tmp_path / "out", model)
    assert second.n_skipped == 3
    assert second.n_picks == first.n_picks


def test_another_threshold_or_format_writes_files_anew_without_picking(model, micrographs, tmp_path, monkeypatch):
    pick_many([micrographs / "a"], tmp_path / "out", model)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([micrographs / "a"], tmp_path / "out", model, PickSettings(threshold=0.99, formats=("box", "topaz")))
    assert len(read_picks(tmp_path / "out" / "box" / "one.box")) == 0
    assert (tmp_path / "out" / "particles_topaz.txt").is_file()


@pytest.mark.parametrize("change", ["file", "diameter", "model"])
def test_what_changed_is_picked_again(model, micrographs, tmp_path, change):
    pick_many([micrographs], tmp_path / "out", model)
    settings = PickSettings()
    if change == "file":
        path = micrographs / "a" / "one.mrc"
        os.utime(path, ns=(1, 1))
    elif change == "diameter":
        settings = PickSettings(diameter_px=25)
    else:
        model = type(model)(model.detector, model.card, "another hash")
    summary = pick_many([micrographs], tmp_path / "out", model, settings)
    assert summary.n_skipped == (2 if change == "file" else 0)


def test_an_interrupted_run_goes_on_and_ends_like_one_that_was_not(model, micrographs, tmp_path, monkeypatch):
    whole = pick_many([micrographs], tmp_path / "whole", model)
    real, calls = step.look_at_all, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(step, "look_at_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pick_many([micrographs], tmp_path / "out", model)
    monkeypatch.undo()
    resumed = pick_many([micrographs], tmp_path / "out", model)
    assert resumed.n_skipped == 1
    assert resumed.n_picks == whole.n_picks
    assert snapshot(tmp_path / "out", wherever=True) == snapshot(tmp_path / "whole", wherever=True)


def test_picks_of_another_folders_micrograph_of_the_same_name_are_not_overwritten(
    model, micrographs, tmp_path, monkeypatch
):
    monkeypatch.chdir(micrographs / "a")
    pick_many(["one.mrc"], tmp_path / "out", model)
    stored = (tmp_path / "out" / "cbox" / "one.cbox").read_bytes()
    monkeypatch.chdir(micrographs / "b")  # where the path looks the same, too
    with pytest.raises(UsageError, match=r"(?s)one\.mrc: .*a/one\.mrc.* another out="):
        pick_many(["one.mrc"], tmp_path / "out", model)
    failure = FolderPicker(tmp_path / "out", model).attempt_path(micrographs / "b" / "one.mrc").failure
    assert "would be overwritten" in failure["error"]
    assert (tmp_path / "out" / "cbox" / "one.cbox").read_bytes() == stored


def test_the_same_micrograph_by_another_path_or_after_a_move_is_picked_into_its_folder(model, micrographs, tmp_path):
    pick_many([micrographs / "a"], tmp_path / "out", model)
    (tmp_path / "link").symlink_to(micrographs / "a")
    assert len(pick_many([tmp_path / "link"], tmp_path / "out", model).records) == 2
    (tmp_path / "link").unlink()
    (micrographs / "a").rename(tmp_path / "moved")
    assert len(pick_many([tmp_path / "moved"], tmp_path / "out", model).records) == 2


def test_names_of_a_relion_star_come_back_verbatim_in_autopick_star(model, micrographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["mics/a/one.mrc", "mics/b/one.mrc"]
    star = "data_micrographs\n\nloop_\n_rlnMicrographName #1\n" + "\n".join(names) + "\n"
    (tmp_path / "micrographs.star").write_text(star)
    pick_many(["micrographs.star"], "out", model)
    table = (tmp_path / "out" / "autopick.star").read_text()
    for name in names:
        assert f"{name} " in table or f"{name}\t" in table
    assert "out/star/mics/a/one_autopick.star" in table


def test_a_pixel_size_that_is_given_goes_before_the_stars_in_every_file(model, micrographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnMicrographPixelSize #3\n"
        "afis1 1 4\nafis2 2 4\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
        "mics/a/one.mrc 1\nmics/a/two.mrc 2\n"
    )
    pick_many(["m.star"], "out", model, PickSettings(pixel_size=4.5, formats=("particles-star",)))
    optics = starfile.read("out/particles.star")["optics"]
    assert optics["rlnOpticsGroupName"].tolist() == ["afis1", "afis2"]
    assert optics["rlnMicrographPixelSize"].tolist() == [4.5, 4.5]


def test_a_missing_diameter_stops_before_anything_is_picked_where_no_particle_shows_one(model, tmp_path):
    noise = np.random.default_rng(0).standard_normal((160, 192)).astype(np.float32)
    write_mrc(tmp_path / "mics" / "noise.mrc", noise, pixel_size=4.0)
    several = type(model)(
        model.detector, model.card.model_copy(update={"diameter_px": None, "diameter_angstrom": None})
    )
    with pytest.raises(UsageError, match="diameter_angstrom="):
        pick_many([tmp_path / "mics"], tmp_path / "out", several)
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_stops_before_anything_is_picked(model, micrographs, tmp_path):
    with pytest.raises(UsageError, match="cryosparc-star"):
        pick_many([micrographs], tmp_path / "out", model, PickSettings(formats=("xyz",)))


def test_the_joined_files_hold_every_micrograph(model, micrographs, tmp_path):
    settings = PickSettings(formats=("cs", "cryosparc-star"))
    summary = pick_many([micrographs / "a"], tmp_path / "out", model, settings)
    table = np.load(tmp_path / "out" / "particles.cs", allow_pickle=False)
    assert len(table) == summary.n_picks
    assert "one.mrc" in (tmp_path / "out" / "particles_cryosparc.star").read_text()


@pytest.mark.parametrize("name", ["cryosparc-star", "topaz"])
def test_a_format_of_base_names_refuses_two_of_one_name_before_anything_is_picked(name, model, micrographs, tmp_path):
    with pytest.raises(UsageError, match=r"a/one\.mrc and b/one\.mrc"):
        pick_many([micrographs], tmp_path / "out", model, PickSettings(formats=(name,)))
    assert not (tmp_path / "out").exists()


def test_every_picture_of_a_run_lies_where_a_search_for_micrographs_does_not_look(model, micrographs, tmp_path):
    out = tmp_path / "out"
    pick_many([micrographs], out, model, PickSettings(overlays=True, thumbnails=True))
    pictures = [path.relative_to(out) for path in out.rglob("*") if path.suffix in (".png", ".jpg")]
    assert {path.parts[0] for path in pictures} >= {"overlays", "thumbnails", "distributions"}
    assert {path.parts[0] for path in pictures} <= set(PICTURE_FOLDERS)


def test_overlays_are_drawn_when_asked_for(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model, PickSettings(overlays=True))
    assert (tmp_path / "out" / "overlays" / "a" / "one.png").read_bytes().startswith(b"\x89PNG")


def test_progress_counts_failed_micrographs_too(model, micrographs, tmp_path):
    (micrographs / "z.mrc").write_bytes(b"junk")
    seen = []
    pick_many([micrographs], tmp_path / "out", model, on_done=lambda done, total, name: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_ten_thousand_stored_picks_hold_no_duplicates(model, tmp_path):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1800, 1800)).astype(np.float32)
    rows, columns = np.mgrid[-5:6, -5:6]
    disc = 2.0 * (np.hypot(rows, columns) < 4.5)
    for y in range(15, 1780, 16):
        for x in range(15, 1780, 16):
            image[y - 5 : y + 6, x - 5 : x + 6] -= disc
    write_mrc(tmp_path / "crowd.mrc", image)
    pick_many([tmp_path / "crowd.mrc"], tmp_path / "out", model, PickSettings(diameter_px=9))
    stored: Boxes = read_picks(tmp_path / "out" / "cbox" / "crowd.cbox")
    assert len(stored) >= 10_000
    assert len(cKDTree(stored.centres).query_pairs(4.4)) == 0
