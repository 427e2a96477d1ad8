"""One micrograph into the run folder: what counts as done, what is written again, what stays the same to the byte."""

import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from made import snapshot
from vitripick.atomic import atomic_path, host_name, remove_leftovers
from vitripick.errors import UsageError
from vitripick.formats import MicrographFile, read_micrograph, read_picks, write_mrc
from vitripick.runs import FolderPicker, PickSettings, exporter, pick_many, read_record, step
from vitripick.runs.folder import read_run_folder


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "log" not in path.parts}


def test_a_loaded_picker_takes_one_file_after_the_other(model, micrographs, tmp_path):
    picker = FolderPicker(tmp_path / "out", model)
    assert picker.attempt_path(micrographs / "a" / "one.mrc").record.n_picks > 0
    assert picker.attempt_path(micrographs / "a" / "one.mrc").skipped
    assert "no such file" in picker.attempt_path(micrographs / "a" / "none.mrc").failure["error"]
    assert read_picks(tmp_path / "out" / "star" / "one_autopick.star").x.size > 0


def test_two_runs_give_the_same_bytes(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    first = snapshot(tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            path.unlink()
    pick_many([micrographs], tmp_path / "out", model)
    assert snapshot(tmp_path / "out") == first


def test_a_micrograph_whose_stem_changed_is_read_back_with_its_new_picks(model, micrographs, tmp_path):
    import cv2

    cv2.imwrite(str(micrographs / "b" / "one.png"), np.zeros((160, 192), np.uint8))
    settings = PickSettings(diameter_px=20)
    pick_many([micrographs / "b"], tmp_path / "out", model, settings)
    (micrographs / "b" / "one.png").unlink()
    pick_many([micrographs / "b"], tmp_path / "out", model, settings)
    assert [record.stem for record in read_run_folder(tmp_path / "out").records.values()] == ["one"]


def test_a_second_run_does_not_even_touch_what_is_done(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    before = times(tmp_path / "out" / "star") | times(tmp_path / "out" / "micrographs")
    pick_many([micrographs], tmp_path / "out", model)
    assert times(tmp_path / "out" / "star") | times(tmp_path / "out" / "micrographs") == before


def test_an_output_that_somebody_removed_is_written_again_without_picking(model, micrographs, tmp_path, monkeypatch):
    pick_many([micrographs], tmp_path / "out", model)
    lost = tmp_path / "out" / "star" / "b" / "one_autopick.star"
    content = lost.read_bytes()
    lost.unlink()
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([micrographs], tmp_path / "out", model)
    assert lost.read_bytes() == content


def test_a_changed_threshold_ends_like_a_fresh_run_with_it(model, micrographs, tmp_path, monkeypatch):
    pick_many([micrographs], tmp_path / "fresh", model, PickSettings(threshold=0.7, thumbnails=True))
    pick_many([micrographs], tmp_path / "out", model)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([micrographs], tmp_path / "out", model, PickSettings(threshold=0.7, thumbnails=True))
    fresh, changed = snapshot(tmp_path / "fresh"), snapshot(tmp_path / "out")
    for name in ("run.json", "autopick.star"):  # they name the folder
        fresh[name] = fresh[name].replace(b"/fresh", b"/out")
    assert changed == fresh


@pytest.mark.parametrize("interrupted_by", ["another threshold", "another model"])
def test_a_run_killed_while_it_changed_everything_is_not_taken_for_the_one_before(
    model, micrographs, tmp_path, monkeypatch, interrupted_by
):
    """The file is new, its record was not written yet: whoever comes back to the old settings must not trust it."""
    pick_many([micrographs], tmp_path / "out", model)
    before = snapshot(tmp_path / "out")
    real = exporter.write_exports

    def die_after(picks, image, layout, stem, names, threshold):
        real(picks, image, layout, stem, names, threshold)
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "write_exports", die_after)
    other = type(model)(model.detector, model.card, "another hash") if "model" in interrupted_by else model
    settings = PickSettings(minimum_distance_diameters=3) if other is not model else PickSettings(threshold=0.99)
    with pytest.raises(KeyboardInterrupt):
        pick_many([micrographs], tmp_path / "out", other, settings)
    assert snapshot(tmp_path / "out") != before
    monkeypatch.undo()
    pick_many([micrographs], tmp_path / "out", model)
    assert snapshot(tmp_path / "out") == before


def test_exports_from_the_store_are_those_of_the_first_writing_to_the_last_digit(model, micrographs, tmp_path):
    settings = PickSettings(diameter_px=61 / 3, formats=("star", "csv", "box", "warp"))
    pick_many([micrographs], tmp_path / "out", model, settings)
    first = snapshot(tmp_path / "out")
    for name in ("star", "csv", "box", "warp"):
        for path in (tmp_path / "out" / name).rglob("*.*"):
            path.unlink()
    pick_many([micrographs], tmp_path / "out", model, settings)
    assert snapshot(tmp_path / "out") == first


def test_a_failure_is_forgotten_once_the_micrograph_is_picked(model, micrographs, tmp_path):
    path = micrographs / "a" / "one.mrc"
    good = path.read_bytes()
    path.write_bytes(good[:-100])
    assert len(pick_many([micrographs], tmp_path / "out", model).failures) == 1
    assert (tmp_path / "out" / "failed" / "a" / "one.json").is_file()
    path.write_bytes(good)
    assert not pick_many([micrographs], tmp_path / "out", model).failures
    assert not (tmp_path / "out" / "failed" / "a" / "one.json").exists()
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_a_failure_leaves_the_earlier_result_of_that_micrograph_alone(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    before = (tmp_path / "out" / "cbox" / "a" / "one.cbox").read_bytes()
    (micrographs / "a" / "one.mrc").unlink()
    pick_many([micrographs], tmp_path / "out", model)
    assert (tmp_path / "out" / "cbox" / "a" / "one.cbox").read_bytes() == before


def test_the_record_says_what_was_tolerated_in_the_pixels(model, micrographs, tmp_path):
    path = micrographs / "a" / "one.mrc"
    image = read_micrograph(path).image
    image[3, 4] = np.nan
    write_mrc(path, image)
    record = FolderPicker(tmp_path / "out", model).attempt_path(path).record
    assert "1 NaN or infinite pixels" in record.warnings[0]


def test_a_file_that_changes_while_it_is_read_fails(model, micrographs, tmp_path, monkeypatch):
    path = micrographs / "a" / "one.mrc"
    real = step.open_micrograph

    def read_and_touch(*arguments, **options):
        found = real(*arguments, **options)
        os.utime(path, ns=(7, 7))
        return found

    monkeypatch.setattr(step, "open_micrograph", read_and_touch)
    outcome = FolderPicker(tmp_path / "out", model).attempt_path(path)
    assert "still being written" in outcome.failure["error"]
    assert not (tmp_path / "out" / "cbox").exists()


def test_a_file_that_is_not_as_it_settled_is_not_picked(model, micrographs, tmp_path):
    path = micrographs / "a" / "one.mrc"
    picker = FolderPicker(tmp_path / "out", model)
    with pytest.raises(step.ChangedFileError, match="changed while it waited"):
        picker.pick_file(MicrographFile("one.mrc", path), "one", settled=(path.stat().st_size, 1))


def test_times_are_in_the_log_and_in_what_reads_a_run_folder_but_in_no_result(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    assert "seconds" not in json.loads((tmp_path / "out" / "micrographs" / "a" / "one.json").read_text())
    run = read_run_folder(tmp_path / "out")
    assert run.records["a/one.mrc"].seconds > 0
    assert set(run.records["a/one.mrc"].timings) == {"read", "prepare", "network", "decode", "write"}
    assert run.run["seconds"] > 0


def test_a_log_cut_short_by_a_crash_does_no_harm(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    (log,) = (tmp_path / "out" / "log").glob("*.jsonl")
    log.write_text(log.read_text() + '{"at": 12, "micrograph": "a/o')
    assert len(read_run_folder(tmp_path / "out").records) == 3


def test_a_record_that_is_being_written_does_not_disturb_who_reads_the_run(model, micrographs, tmp_path):
    pick_many([micrographs], tmp_path / "out", model)
    (tmp_path / "out" / "micrographs" / "a" / ".vitripick-tmp.node.7.x.json").touch()
    assert len(read_run_folder(tmp_path / "out").records) == 3


def test_thumbnails_are_small_jpegs(model, tmp_path):
    import cv2

    image = np.random.default_rng(0).standard_normal((700, 1400)).astype(np.float32)
    write_mrc(tmp_path / "wide.mrc", image)
    pick_many([tmp_path / "wide.mrc"], tmp_path / "out", model, PickSettings(thumbnails=True))
    assert cv2.imread(str(tmp_path / "out" / "thumbnails" / "wide.jpg")).shape == (256, 512, 3)


def test_read_only_micrographs_are_no_hindrance(model, micrographs, tmp_path):
    """Truly read-only where this can be had (a mount, which binds root too), else by permissions."""
    place = tmp_path / "archive"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    try:
        shutil.copytree(micrographs, place / "mics")
        if mounted.returncode == 0:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        else:
            for path in [place / "mics", *(place / "mics").rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
        assert len(pick_many([place / "mics"], tmp_path / "out", model).records) == 3
        assert len(list((place / "mics").rglob("*"))) == 5
    finally:
        for path in [place / "mics", *(place / "mics").rglob("*")] if mounted.returncode else []:
            path.chmod(0o755 if path.is_dir() else 0o644)
        if mounted.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)


def test_an_out_that_cannot_be_written_to_is_said_so(model, micrographs, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system", "picks")

    monkeypatch.setattr(exporter, "write_exports", refuse)
    with pytest.raises(UsageError, match="another out="):
        pick_many([micrographs], tmp_path / "out", model)


def test_what_a_killed_process_was_writing_is_cleared_away_and_what_a_living_one_writes_is_not(tmp_path):
    with atomic_path(tmp_path / "a.star") as temporary:
        of_init = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", ".1."))
        of_the_dead = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", ".99999999."))
        elsewhere = temporary.with_name(temporary.name.replace(host_name(), "othernode"))
        long_ago = temporary.with_name(temporary.name.replace(host_name(), "anothernode"))
        for path in (of_init, of_the_dead, elsewhere, long_ago):
            path.write_bytes(b"half")
        os.utime(long_ago, (1, 1))
        assert temporary.name.startswith(".")
        of_an_earlier_life = temporary.with_name(temporary.name + ".cbox")
        of_an_earlier_life.write_bytes(b"half")
        os.utime(of_an_earlier_life, (time.time() - 1800, time.time() - 1800))
        remove_leftovers(tmp_path)
        temporary.write_bytes(b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([of_init.name, elsewhere.name, "a.star"])


def test_records_of_other_versions_are_read_as_far_as_they_are_understood(tmp_path):
    fields = {"name": "a", "path": "a", "stem": "a", "shape": [1, 2], "pixel_size": None, "n_stored": 1, "n_picks": 0}
    (tmp_path / "r.json").write_text(json.dumps({**fields, "warnings": [], "of tomorrow": 1}))
    assert read_record(tmp_path / "r.json").shape == (1, 2)
    (tmp_path / "r.json").write_text("{")
    assert read_record(tmp_path / "r.json") is None


def test_the_pixel_size_of_a_star_goes_before_the_header_and_a_changed_one_picks_again(
    model, micrographs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    def star(pixel_size):
        (tmp_path / "m.star").write_text(
            "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnOpticsGroupName #2\n_rlnVoltage #3\n"
            "_rlnSphericalAberration #4\n_rlnAmplitudeContrast #5\n_rlnMicrographPixelSize #6\n"
            f"1 grid1 300 2.7 0.1 {pixel_size}\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\n"
            "_rlnOpticsGroup #2\nmics/a/one.mrc 1\n"
        )

    star(2.5)
    assert pick_many(["m.star"], "out", model, PickSettings(diameter_angstrom=50)).records[0].pixel_size == 2.5
    star(2.4)
    again = pick_many(["m.star"], "out", model, PickSettings(diameter_angstrom=50))
    assert again.n_skipped == 0
    told = pick_many(["m.star"], "out", model, PickSettings(diameter_angstrom=50, pixel_size=4))
    assert told.records[0].pixel_size == 4
