"""Watching, in this process: what is taken, when, and how often."""

import json
import os
import shutil
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from made import discs, rings, snapshot
from vitripick.errors import InputError, ResourceError, UsageError
from vitripick.formats import write_mrc
from vitripick.models import open_model
from vitripick.run_layout import PICTURE_FOLDERS
from vitripick.runs import FolderPicker, PickSettings, pick_many, step
from vitripick.runs.watch import watcher as watcher_module
from vitripick.runs.watch.arrivals import FolderSource, StarSource
from vitripick.runs.watch.watcher import Watcher
from vitripick.settings.watch import WatchSettings

FAST = WatchSettings(
    settle_seconds=0.1, poll_seconds=0.02, retry_seconds=0.02, tries=3, join_seconds=0.05, survey_wait_seconds=0
)
# A log holds times, and only a watcher has a status.
NOT_COMPARED = ("log", "status.json")


def watch(source, out, model, *, settings=FAST, pick_settings=None, meanwhile=None, **options):
    """Watch until `meanwhile` has happened (0.3 s after the start) and nothing has been left to do for a while."""
    outcomes = []
    watcher = Watcher(source, FolderPicker(out, model, pick_settings), settings, on_outcome=outcomes.append, **options)

    def act_and_stop():
        time.sleep(0.3)
        if meanwhile is not None:
            meanwhile()
        quiet_since = None
        while quiet_since is None or time.monotonic() - quiet_since < 0.4:
            status = watcher.status()
            quiet = (
                status["found"] > 0 and status["waiting"] == 0 == status["found"] - status["done"] - status["failed"]
            )
            quiet_since = (quiet_since or time.monotonic()) if quiet else None
            time.sleep(0.02)
        watcher.request_stop("nothing left to do")

    thread = threading.Thread(target=act_and_stop, daemon=True)
    if settings.idle_timeout_seconds is None and "stop_file" not in options:
        thread.start()
    return watcher.run(), [(outcome.file.name, outcome.record is not None) for outcome in outcomes]


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_there_is_picked_as_pick_would(model, micrographs, tmp_path):
    settings = PickSettings(formats=("star", "particles-star"), thumbnails=True)
    summary, _ = watch(micrographs, tmp_path / "out", model, pick_settings=settings)
    assert len(summary.records) == 3
    watched = snapshot(tmp_path / "out", leave_out=NOT_COMPARED)
    shutil.rmtree(tmp_path / "out")
    pick_many([micrographs], tmp_path / "out", model, settings)
    assert watched == snapshot(tmp_path / "out", leave_out=NOT_COMPARED)


def test_a_late_file_in_a_new_sub_folder_is_picked_once(model, micrographs, tmp_path):
    data = (micrographs / "a" / "one.mrc").read_bytes()

    def arrive():
        (micrographs / "c" / "d").mkdir(parents=True)
        (micrographs / "c" / "d" / "late.mrc").write_bytes(data)

    _, outcomes = watch(micrographs, tmp_path / "out", model, meanwhile=arrive)
    assert sorted(outcomes) == [(f"{n}.mrc", True) for n in ("a/one", "a/two", "b/one", "c/d/late")]


def test_a_file_that_stops_growing_before_its_header_is_satisfied_waits_and_then_is_picked(
    model, micrographs, tmp_path
):
    path = micrographs / "a" / "one.mrc"
    data = path.read_bytes()
    path.write_bytes(data[:20000])
    settings = FAST.model_copy(update={"tries": 12})
    _, outcomes = watch(
        micrographs, tmp_path / "out", model, settings=settings, meanwhile=lambda: path.write_bytes(data)
    )
    assert sorted(outcomes) == [("a/one.mrc", True), ("a/two.mrc", True), ("b/one.mrc", True)]


def test_a_file_that_stays_broken_is_tried_so_often_and_then_recorded(model, micrographs, tmp_path):
    path = micrographs / "a" / "one.mrc"
    path.write_bytes(path.read_bytes()[:20000])
    told = []
    summary, outcomes = watch(micrographs, tmp_path / "out", model, tell=told.append)
    assert ("a/one.mrc", False) in outcomes
    assert len(outcomes) == 3
    assert "has 20000 of" in summary.failures[0]["error"]
    assert "has 20000 of" in (tmp_path / "out" / "failures.jsonl").read_text()
    assert any("has 20000 of" in line for line in told)
    # A restart does not try it again, and still knows about it.
    summary, outcomes = watch(micrographs, tmp_path / "out", model)
    assert outcomes == []
    assert len(summary.failures) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_fails_alone_and_is_known_again(model, micrographs, tmp_path):
    shutil.copy(micrographs / "a" / "one.mrc", os.fsencode(micrographs) + b"/mic_\xb5m.mrc")
    settings = PickSettings(threshold=0.3)
    for _ in range(3):
        summary, outcomes = watch(micrographs, tmp_path / "out", model, pick_settings=settings)
        assert (len(summary.records), len(summary.failures)) == (3, 1)
    assert outcomes == []


def test_a_failed_file_that_is_replaced_is_picked(model, micrographs, tmp_path):
    path = micrographs / "a" / "one.mrc"
    data = path.read_bytes()
    path.write_bytes(b"junk")

    def mend():
        wait_until(lambda: (tmp_path / "out" / "failed" / "a" / "one.json").exists())
        path.write_bytes(data)

    settings = FAST.model_copy(update={"tries": 1})
    summary, outcomes = watch(micrographs, tmp_path / "out", model, settings=settings, meanwhile=mend)
    assert outcomes.count(("a/one.mrc", False)) == 1
    assert outcomes.count(("a/one.mrc", True)) == 1
    assert not summary.failures
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_a_done_file_that_is_replaced_is_picked_again(model, micrographs, tmp_path):
    def replace():
        wait_until(lambda: (tmp_path / "out" / "micrographs" / "a" / "one.json").exists())
        write_mrc(micrographs / "a" / "one.mrc", discs(9)[0], pixel_size=4.0)

    _, outcomes = watch(micrographs, tmp_path / "out", model, meanwhile=replace)
    assert outcomes.count(("a/one.mrc", True)) == 2
    watched = snapshot(tmp_path / "out", leave_out=NOT_COMPARED)
    shutil.rmtree(tmp_path / "out")
    pick_many([micrographs], tmp_path / "out", model)
    assert watched == snapshot(tmp_path / "out", leave_out=NOT_COMPARED)


def test_a_restart_picks_nothing_again_and_another_threshold_only_exports(model, micrographs, tmp_path, monkeypatch):
    watch(micrographs, tmp_path / "out", model)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    summary, outcomes = watch(micrographs, tmp_path / "out", model, pick_settings=PickSettings(threshold=0.9))
    assert outcomes == []
    assert len(summary.records) == 3
    watched = snapshot(tmp_path / "out", leave_out=NOT_COMPARED)
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "out")
    pick_many([micrographs], tmp_path / "out", model, PickSettings(threshold=0.9))
    assert watched == snapshot(tmp_path / "out", leave_out=NOT_COMPARED)


@pytest.mark.parametrize("name", [".hidden.mrc", "a.mrc.tmp", "a.mrc.part", "a.part.mrc", ".rsync/x.mrc", "notes.txt"])
def test_what_is_no_micrograph_yet_is_passed_over(tmp_path, name):
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_bytes(b"")
    assert FolderSource(tmp_path / "in", tmp_path / "out").scan(set()) == []


def test_the_run_folder_inside_the_watched_one_is_passed_over(model, micrographs, tmp_path):
    summary, outcomes = watch(
        micrographs, micrographs / "picks", model, pick_settings=PickSettings(overlays=True, thumbnails=True)
    )
    assert len(summary.records) == len(outcomes) == 3


def test_a_watcher_does_not_overwrite_the_picks_of_another_folder(model, micrographs, tmp_path):
    pick_many([micrographs / "a"], tmp_path / "out", model)
    with pytest.raises(UsageError, match=r"a/one\.mrc.* would be overwritten"):
        watch(micrographs / "b", tmp_path / "out", model)


def test_a_watched_folder_that_is_the_run_folder_gives_none_of_its_pictures(model, micrographs):
    settings = PickSettings(overlays=True, thumbnails=True)
    pick_many([micrographs], micrographs, model, settings)
    holding_pictures = {
        p.relative_to(micrographs).parts[0] for end in ("png", "jpg") for p in micrographs.rglob(f"*.{end}")
    }
    assert {"overlays", "thumbnails", "distributions"} <= holding_pictures <= set(PICTURE_FOLDERS)
    assert len(FolderSource(micrographs, micrographs).scan(set())) == 3
    assert len(pick_many([micrographs], micrographs, model, settings).records) == 3


def test_two_files_of_one_stem_get_files_of_their_own(model, micrographs, tmp_path):
    watch(micrographs, tmp_path / "out", model)
    shutil.copy(micrographs / "a" / "one.mrc", micrographs / "a" / "one.map")
    settings = PickSettings(diameter_px=20)
    watch(micrographs, tmp_path / "out", model, pick_settings=settings)
    summary, outcomes = watch(micrographs, tmp_path / "out", model, pick_settings=settings)
    assert outcomes == []
    assert {r.stem for r in summary.records} == {"a/one", "a/one.map", "a/two", "b/one"}


def test_a_better_image_of_an_exposure_that_has_picks_is_passed_by(model, micrographs, tmp_path):
    out, one = tmp_path / "out", micrographs / "a" / "one.mrc"

    def arrive():
        wait_until(lambda: (out / "micrographs" / "a" / "one.json").exists())
        for ending in ("DW", "PS"):
            shutil.copy(one, one.with_name(f"one_{ending}.mrc"))

    _, outcomes = watch(micrographs, out, model, meanwhile=arrive)
    names = [("a/one.mrc", True), ("a/two.mrc", True), ("b/one.mrc", True)]
    assert sorted(outcomes) == names
    summary, outcomes = watch(micrographs, out, model)
    assert outcomes == []
    assert len(summary.records) == 3
    passed_by = json.loads((out / "status.json").read_text())["passed_by"]
    assert passed_by == {"another image of the exposure is taken": 1, "power spectrum": 1}
    summary = pick_many([micrographs], out, model)
    assert (len(summary.records), summary.n_skipped, len(summary.passed_by)) == (3, 3, 2)


def test_images_that_are_included_are_picked_too(model, micrographs, tmp_path):
    shutil.copy(micrographs / "a" / "one.mrc", micrographs / "a" / "one_EVN.mrc")
    for settings, n in ((PickSettings(), 3), (PickSettings(include=("_EVN",)), 4)):
        _, outcomes = watch(micrographs, tmp_path / f"out{n}", model, pick_settings=settings)
        assert len(outcomes) == len(pick_many([micrographs], tmp_path / f"p{n}", model, settings).records) == n


def star_text(names):
    return "data_micrographs\n\nloop_\n_rlnMicrographName #1\n" + "".join(f"{name}\n" for name in names)


def test_a_star_that_grows_is_followed_in_its_order(model, micrographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    star = tmp_path / "m.star"
    star.write_text(star_text(["mics/b/one.mrc"]))

    def grow():
        star.write_text(star_text(["mics/b/one.mrc", "mics/a/t"])[:-1])  # caught in the middle of a line
        time.sleep(0.15)
        star.write_text("data_micrographs\n\nloop_\n")
        time.sleep(0.15)
        star.write_text(star_text(["mics/b/one.mrc", "mics/a/two.mrc"]))

    settings = FAST.model_copy(update={"tries": 8})
    summary, outcomes = watch("m.star", "out", model, settings=settings, meanwhile=grow)
    assert outcomes == [("mics/b/one.mrc", True), ("mics/a/two.mrc", True)]
    assert [record.name for record in summary.records] == ["mics/b/one.mrc", "mics/a/two.mrc"]
    assert not summary.failures
    assert not list((tmp_path / "out").rglob("failed/**/*.json"))
    rows = [line.split() for line in (tmp_path / "out" / "autopick.star").read_text().splitlines() if "mics/" in line]
    assert [row[0] for row in rows] == ["mics/b/one.mrc", "mics/a/two.mrc"]


def test_a_name_in_the_star_whose_file_comes_later_waits_for_it(model, micrographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.star").write_text(star_text(["mics/a/one.mrc", "mics/late.mrc"]))
    summary, _ = watch(
        "m.star", "out", model, meanwhile=lambda: shutil.copy(micrographs / "a" / "one.mrc", micrographs / "late.mrc")
    )
    assert len(summary.records) == 2


def test_the_star_may_not_be_there_yet(tmp_path):
    assert StarSource(tmp_path / "none.star").scan(set()) == []


def test_a_stop_file_ends_it_and_is_used_up(model, micrographs, tmp_path):
    out = tmp_path / "out"

    def ask():
        wait_until(lambda: len(list((out / "micrographs").rglob("*.json"))) == 3)
        (out / "STOP").touch()

    threading.Thread(target=ask, daemon=True).start()
    summary, _ = watch(micrographs, out, model, stop_file=out / "STOP")
    assert len(summary.records) == 3
    assert not (out / "STOP").exists()
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "stopped"
    assert "stop file" in status["reason"]
    assert (status["done"], status["found"], status["waiting"], status["failed"]) == (3, 3, 0, 0)
    assert status["mean_picks"] > 0
    assert status["lag_seconds"] >= 0.1
    assert not (out / "watch.lock").exists()


def test_joined_files_are_there_while_it_runs(model, micrographs, tmp_path):
    out, seen = tmp_path / "out", []
    settings = FAST.model_copy(update={"idle_timeout_seconds": 0.6, "line_seconds": 0.1})
    watch(micrographs, out, model, settings=settings, tell=lambda line: seen.append((out / "autopick.star").exists()))
    assert True in seen[:-1]


def test_formats_that_cannot_join_two_of_one_name_do_not_stop_the_picking(model, micrographs, tmp_path):
    told = []
    summary, _ = watch(
        micrographs, tmp_path / "out", model, pick_settings=PickSettings(formats=("topaz",)), tell=told.append
    )
    assert len(summary.records) == 3
    assert any("Everything but formats=('topaz',) is written" in line for line in told)


def test_a_report_is_written_at_the_end_when_asked_for(model, micrographs, tmp_path):
    watch(micrographs, tmp_path / "out", model, settings=FAST.model_copy(update={"report": True}))
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_what_cannot_be_watched_is_refused(model, micrographs, tmp_path):
    for place in (tmp_path / "nowhere", micrographs / "a" / "one.mrc", tmp_path / "no" / "m.star"):
        with pytest.raises(InputError):
            watch(place, tmp_path / "out", model)
    with pytest.raises(UsageError, match="not a format"):
        watch(micrographs, tmp_path / "out", model, pick_settings=PickSettings(formats=("xyz",)))


def test_a_scan_looks_at_every_new_file_and_at_500_of_those_that_are_done_in_turn(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(1201):
        (tmp_path / "in" / f"mic_{i:05d}.mrc").touch()
    source = FolderSource(tmp_path / "in", tmp_path / "out")
    found = source.scan(set())
    assert len(found) == source.n_found == 1201
    done = {file.name for file, _ in found}
    scans = [{file.name for file, _ in source.scan(done)} for _ in range(3)]
    assert [len(names) for names in scans] == [500, 500, 500]
    assert set.union(*scans) == done


def test_the_diameter_comes_from_the_first_micrograph_that_shows_particles(tmp_path):
    general, told = open_model("general"), []
    noise = np.random.default_rng(1).standard_normal((400, 400)).astype(np.float32)
    write_mrc(tmp_path / "in" / "empty.mrc", noise)
    summary, _ = watch(
        tmp_path / "in",
        tmp_path / "out",
        general,
        meanwhile=lambda: (
            wait_until(lambda: any("Waiting for more" in line for line in told), seconds=300),
            write_mrc(tmp_path / "in" / "rings.mrc", rings()),
        ),
        tell=told.append,
    )
    assert len(summary.records) == 2
    assert {record.name: record.n_picks for record in summary.records} == {"empty.mrc": 0, "rings.mrc": 9}
    assert any(line.startswith("diameter") for line in told)
    # A restart keeps it and picks nothing again.
    before = (tmp_path / "out" / "survey.json").read_bytes()
    _, outcomes = watch(tmp_path / "in", tmp_path / "out", general)
    assert outcomes == []
    assert (tmp_path / "out" / "survey.json").read_bytes() == before


@pytest.mark.parametrize(("wait", "n_looked_at"), [(0, 1), (60, 5)])
def test_the_first_micrograph_does_not_decide_for_all_while_others_may_come(tmp_path, wait, n_looked_at):
    write_mrc(tmp_path / "in" / "0.mrc", rings())

    def more_arrive():
        time.sleep(0.5)
        for i in range(1, 6):
            write_mrc(tmp_path / "in" / f"{i}.mrc", np.roll(rings(), 20 * i, axis=0))

    watch(
        tmp_path / "in", tmp_path / "out", open_model("general"), meanwhile=more_arrive,
        settings=FAST.model_copy(update={"survey_wait_seconds": wait}),
    )  # fmt: skip
    survey = json.loads((tmp_path / "out" / "survey.json").read_text())
    assert len(survey["diameter"]["micrographs"]) == n_looked_at


def test_one_micrograph_alone_is_looked_at_before_the_watcher_stops_for_want_of_others(tmp_path):
    write_mrc(tmp_path / "in" / "alone.mrc", rings())
    settings = FAST.model_copy(update={"survey_wait_seconds": 60, "idle_timeout_seconds": 2})
    summary, _ = watch(tmp_path / "in", tmp_path / "out", open_model("general"), settings=settings)
    assert len(summary.records) == 1


def test_watching_for_a_diameter_that_never_shows_ends_with_what_to_give(tmp_path):
    write_mrc(tmp_path / "in" / "empty.mrc", np.random.default_rng(1).standard_normal((400, 400)).astype(np.float32))
    settings = FAST.model_copy(update={"idle_timeout_seconds": 0.5})
    with pytest.raises(UsageError, match="diameter_angstrom="):
        watch(tmp_path / "in", tmp_path / "out", open_model("general"), settings=settings)


# Joined once, at the end, when all micrographs are there.
ONCE = WatchSettings(settle_seconds=0.1, poll_seconds=0.02, idle_timeout_seconds=1.0, join_seconds=600, report=True)


def state_of(out):
    return json.loads((out / "status.json").read_text())["state"]


def test_a_format_that_cannot_be_joined_keeps_no_report_and_no_other_file_away(model, micrographs, tmp_path):
    out = tmp_path / "out"
    picker = FolderPicker(out, model, PickSettings(threshold=0.3, formats=("topaz", "cs")))
    Watcher(micrographs, picker, ONCE).run()
    for name in ("report.html", "run.json", "quality.csv", "particles.cs"):
        assert (out / name).is_file()
    assert state_of(out) == "stopped"


@pytest.mark.parametrize("error", [UsageError, ResourceError])
def test_a_watcher_whose_joined_files_fail_says_that_it_stopped(model, micrographs, tmp_path, monkeypatch, error):
    def fail(*arguments, **options):
        raise error("no")

    monkeypatch.setattr(watcher_module, "finish_run", fail)
    picker = FolderPicker(tmp_path / "out", model, PickSettings(threshold=0.3))
    with suppress(ResourceError):
        Watcher(micrographs, picker, ONCE).run()
    assert state_of(tmp_path / "out") == "stopped"
