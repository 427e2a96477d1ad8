"""Labels and their history on the disk: whatever moment the server dies at, nothing that was acknowledged is lost."""

import errno
import json
import os
import threading
import time

import pytest

from vitripick.errors import FormatError, UsageError, parameters_spelled
from vitripick.formats import read_picks, write_picks
from vitripick.geometry import Boxes
from vitripick.settings.spelling import as_flag
from vitripick.web.own_files import ProjectLock
from vitripick.web.project import open_project
from vitripick.web.requests import EditRequest, SettingsRequest
from vitripick.web.session import open_session
from vitripick.web.sheet import StaleError
from vitripick.web.sheets import Sheets


@pytest.fixture
def opened(micrographs, tmp_path):
    def open_again():
        project = open_project([micrographs], tmp_path / "out", box_size_px=20)
        return project, Sheets(project), next(iter(project.entries.values()))

    return open_again


def edit(sheets, entry, **change):
    return sheets.edit(entry, EditRequest(revision=sheets.get(entry).revision, **change))


def on_disk(project, entry):
    path = project.labels_path(entry)
    return sorted(map(tuple, read_picks(path).centres.tolist())) if path.is_file() else None


def test_an_edit_is_a_label_file_at_once(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30.25, 40), (2, 60, 50)])
    boxes = read_picks(project.labels_path(entry))
    assert boxes.centres.tolist() == [[30.25, 40], [60, 50]]
    assert boxes.box_size_px == 20


def test_undo_goes_back_to_the_first_click_after_a_restart(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    edit(sheets, entry, move=[(1, 33, 44)])
    edit(sheets, entry, add=[(2, 60, 50)], remove=[1])
    project, sheets, entry = opened()
    states = [on_disk(project, entry)]
    for _ in range(4):
        sheets.step(entry, sheets.get(entry).revision, "undo")
        states.append(on_disk(project, entry))
    assert states == [[(60, 50)], [(33, 44)], [(30, 40)], None, None]
    project, sheets, entry = opened()
    for _ in range(4):
        sheets.step(entry, sheets.get(entry).revision, "redo")
    assert on_disk(project, entry) == [(60, 50)]


def test_a_new_edit_after_undo_forgets_what_was_undone(opened):
    _, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    sheets.step(entry, sheets.get(entry).revision, "undo")
    sheet = edit(sheets, entry, add=[(2, 50, 50)])
    assert (len(sheet.done), len(sheet.undone)) == (1, 0)


def test_a_server_that_dies_between_history_and_labels_loses_nothing(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    before = project.labels_path(entry).read_bytes()
    edit(sheets, entry, add=[(2, 60, 50)])
    project.labels_path(entry).write_bytes(before)
    project, sheets, entry = opened()
    assert list(sheets.get(entry).labels.values()) == [(30, 40), (60, 50)]
    assert on_disk(project, entry) == [(30, 40), (60, 50)]


def test_a_server_that_dies_while_writing_history_leaves_the_state_before(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    whole = project.history_path(entry).read_bytes()
    with project.history_path(entry).open("ab") as file:
        file.write(b'{"time":"2026","edit":{"add":[[2,60')
    project, sheets, entry = opened()
    assert sheets.get(entry).labels == {1: (30, 40)}
    assert project.history_path(entry).read_bytes() == whole


def test_a_disk_that_was_full_for_a_moment_leaves_the_history_whole(opened, monkeypatch):
    _, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        edit(sheets, entry, add=[(2, 60, 50)])
    monkeypatch.undo()
    edit(sheets, entry, add=[(2, 61, 51)])
    _, sheets, entry = opened()
    assert sheets.get(entry).labels == {1: (30, 40), 2: (61, 51)}
    assert len(sheets.get(entry).done) == 2


def test_labels_imported_again_leave_corrections_as_they_are(opened):
    project, sheets, entry = opened()
    imported = [(50, 50), (80, 40), (30, 30)]
    sheets.add(entry, imported)
    edit(sheets, entry, remove=[1], move=[(2, 83, 42)])
    sheets.add(entry, imported, again=True)
    assert on_disk(project, entry) == [(30, 30), (83, 42)]
    sheets.add(entry, imported)  # asked for in the page
    assert on_disk(project, entry) == [(30, 30), (50, 50), (80, 40), (83, 42)]


def test_labels_changed_by_another_program_win_and_can_be_undone(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40), (2, 60, 50)])
    write_picks(Boxes.at([60, 70], [50, 20], size_px=20), project.labels_path(entry))
    project, sheets, entry = opened()
    assert sorted(sheets.get(entry).labels.values()) == [(60, 50), (70, 20)]
    sheets.step(entry, sheets.get(entry).revision, "undo")
    assert on_disk(project, entry) == [(30, 40), (60, 50)]


def test_labels_that_were_there_before_are_taken_over(opened):
    project, _, entry = opened()
    write_picks(Boxes.at([60, 70], [50, 20], size_px=20), project.labels_path(entry))
    _, sheets, entry = opened()
    edit(sheets, entry, remove=[1])
    assert list(sheets.get(entry).labels.values()) == [(70, 20)]


def test_the_history_is_readable(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    first, second = map(json.loads, project.history_path(entry).read_text().splitlines())
    assert first["micrograph"] == "mic0.mrc"
    assert second["edit"] == {"add": [[1, 30, 40]]}


def test_a_broken_history_says_what_to_do(opened):
    project, _, entry = opened()
    project.history_path(entry).parent.mkdir()
    project.history_path(entry).write_text("no history\n")
    _, sheets, entry = opened()
    with pytest.raises(FormatError, match="Move it away"):
        sheets.get(entry)


def test_two_windows_do_not_overwrite_each_other(opened):
    _, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    with pytest.raises(StaleError):
        sheets.edit(entry, EditRequest(revision=0, add=[(2, 50, 50)]))
    assert sheets.get(entry).labels == {1: (30, 40)}


@pytest.mark.parametrize("change", [{"remove": [9]}, {"move": [(9, 1, 1)]}, {"add": [(1, 5, 5)]}])
def test_an_edit_that_does_not_fit_changes_nothing(opened, change):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    history = project.history_path(entry).read_bytes()
    with pytest.raises(StaleError):
        edit(sheets, entry, **change)
    assert project.history_path(entry).read_bytes() == history
    assert on_disk(project, entry) == [(30, 40)]


def test_a_label_outside_the_micrograph_is_refused(opened):
    _, sheets, entry = opened()
    with pytest.raises(UsageError, match="inside"):
        edit(sheets, entry, add=[(1, 119.6, 40)])
    edit(sheets, entry, add=[(1, 119.4, -0.4)])


def test_no_label_and_no_word_is_no_negative_example(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    edit(sheets, entry, remove=[1])
    assert not project.labels_path(entry).exists()
    sheets.flag(entry, "empty")
    assert on_disk(project, entry) == []
    edit(sheets, entry, add=[(2, 30, 40)])
    assert entry.flag is None


def test_a_labelled_micrograph_is_not_empty(opened):
    _, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    with pytest.raises(UsageError, match="not empty"):
        sheets.flag(entry, "empty")


def test_another_box_size_goes_into_every_label_file(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    project.change(SettingsRequest(box_size_px=33))
    sheets.resize()
    sheets.finish()
    assert read_picks(project.labels_path(entry)).box_size_px == 33


def test_areas_and_rejected_picks_are_kept_and_undone(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add_areas=[(1, [(1, 1), (9, 1), (9, 9)])], reject=[(2, 50, 50)])
    content = json.loads(project.areas_path(entry).read_text())
    assert content["ignored"] == [[[1, 1], [9, 1], [9, 9]]]
    assert content["rejected"] == [[50, 50]]
    _, sheets, entry = opened()
    assert list(sheets.get(entry).rejected.values()) == [(50, 50)]
    sheets.step(entry, sheets.get(entry).revision, "undo")
    assert not project.areas_path(entry).exists()


def test_areas_changed_by_another_program_win_and_can_be_undone(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add_areas=[(1, [(1, 1), (9, 1), (9, 9)])], reject=[(2, 50, 50)])
    path = project.areas_path(entry)
    path.write_text(json.dumps({"ignored": [[[20, 20], [30, 20], [30, 30]]], "rejected": []}))
    project, sheets, entry = opened()
    assert list(sheets.get(entry).areas.values()) == [((20, 20), (30, 20), (30, 30))]
    assert not sheets.get(entry).rejected
    sheets.step(entry, sheets.get(entry).revision, "undo")
    assert json.loads(path.read_text())["rejected"] == [[50, 50]]


def test_one_project_has_one_server(micrographs, tmp_path):
    from vitripick.web.own_files import ProjectLock

    held = ProjectLock(tmp_path / "out")
    held.take()
    with pytest.raises(UsageError, match="has this project open"):
        ProjectLock(tmp_path / "out").take()


def test_what_was_said_of_micrographs_that_are_not_here_today_stays(micrographs, tmp_path):
    project = open_project([micrographs], tmp_path / "out")
    for entry in project.entries.values():
        project.mark(entry, flag="complete")
    project = open_project([micrographs / "mic0.mrc"], tmp_path / "out")
    project.mark(next(iter(project.entries.values())), flag=None)
    project = open_project([micrographs], tmp_path / "out")
    assert [entry.flag for entry in project.entries.values()] == [None, "complete"]


def full_disk(monkeypatch, *, only=""):
    """Let no file be written whose name has `only` in it."""
    import vitripick.atomic

    replace = vitripick.atomic.Path.replace

    def refuse(self, target):
        if only in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    monkeypatch.setattr(vitripick.atomic.Path, "replace", refuse)


def test_an_edit_whose_answer_was_lost_acts_once_when_it_is_sent_again(opened):
    project, sheets, entry = opened()
    lost = EditRequest(revision=0, id="page-0001", add=[(1, 30, 40)])
    sheets.edit(entry, lost)
    edit(sheets, entry, add=[(2, 60, 50)])
    assert sheets.edit(entry, lost).revision == 3
    project, sheets, entry = opened()  # and after a restart
    assert sheets.edit(entry, lost).labels == {1: (30, 40), 2: (60, 50)}
    assert on_disk(project, entry) == [(30, 40), (60, 50)]


def test_edits_on_a_full_disk_are_what_a_restart_reads(opened, monkeypatch):
    """The history has room and the label file has not: three edits later it is older than both last states."""
    _, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    full_disk(monkeypatch, only=".csv")
    for number in (2, 3, 4):
        edit(sheets, entry, add=[(number, 10 * number, 50)])
    monkeypatch.undo()
    project, again, same = opened()
    assert len(again.get(same).labels) == 4
    assert len(on_disk(project, same)) == 4


def test_files_that_found_no_room_are_written_with_the_next_edit_of_any_micrograph(opened, monkeypatch):
    project, sheets, entry = opened()
    other = list(project.entries.values())[1]
    full_disk(monkeypatch, only=".csv")
    edit(sheets, entry, add=[(1, 30, 40)])
    monkeypatch.undo()
    assert on_disk(project, entry) is None
    edit(sheets, other, add=[(1, 20, 20)])
    assert on_disk(project, entry) == [(30, 40)]


def test_a_flag_and_a_setting_that_find_no_room_stay_as_they_were(opened, monkeypatch):
    project, sheets, entry = opened()
    full_disk(monkeypatch, only="project.json")
    with pytest.raises(OSError, match="No space"):
        sheets.flag(entry, "complete")
    with pytest.raises(OSError, match="No space"):
        project.change(SettingsRequest(threshold=0.9))
    assert entry.flag is None
    assert project.settings.threshold != 0.9


def test_an_edit_cannot_move_and_delete_one_label(opened):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    history = project.history_path(entry).read_bytes()
    with pytest.raises(UsageError, match="both move and delete"):
        edit(sheets, entry, remove=[1], move=[(1, 50, 50)])
    assert project.history_path(entry).read_bytes() == history


def test_an_edit_need_not_wait_until_another_box_size_is_in_all_files(opened, monkeypatch):
    project, sheets, entry = opened()
    other = list(project.entries.values())[1]
    for one in (entry, other):
        edit(sheets, one, add=[(1, 30, 40)])
    project.change(SettingsRequest(box_size_px=33))
    started, go_on = threading.Event(), threading.Event()
    sleep = time.sleep

    def hold(seconds):
        started.set()
        go_on.wait(20)
        sleep(0)

    monkeypatch.setattr("vitripick.web.sheets.time.sleep", hold)
    sheets.resize()
    assert started.wait(20)  # one file has the new size, and one has not
    edit(sheets, other, add=[(2, 60, 50)])
    assert json.loads((project.out / "project.json").read_text())["sizes_pending"]
    go_on.set()
    sheets.finish()
    assert {read_picks(project.labels_path(one)).box_size_px for one in (entry, other)} == {33}
    assert "sizes_pending" not in json.loads((project.out / "project.json").read_text())


def test_a_killed_server_goes_on_with_another_box_size(opened, micrographs, tmp_path):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    project.change(SettingsRequest(box_size_px=33))  # killed before any file was written
    session = open_session([micrographs], tmp_path / "out")
    session.sheets.finish()
    assert read_picks(project.labels_path(entry)).box_size_px == 33


@pytest.mark.parametrize(
    "change",
    [
        {"reject": [(1, 9e5, 9e5)]},
        {"add_areas": [(1, [(0, 0), (9e5, 0), (9e5, 9e5)])]},
        {"add_areas": [(n, [(i % 90, i % 70) for i in range(2000)]) for n in range(11)]},
    ],
)
def test_areas_and_rejected_picks_have_bounds_as_labels_have(opened, change):
    _, sheets, entry = opened()
    with pytest.raises(UsageError):
        edit(sheets, entry, **change)


def test_the_settings_of_the_view_do_not_grow_without_limit(opened):
    project, _, _ = opened()
    project.change(SettingsRequest(view={f"a{i}": i for i in range(50)}))
    with pytest.raises(UsageError, match="50 settings of the view"):
        project.change(SettingsRequest(view={"b": 1}))


@pytest.mark.parametrize("flag", ["complete", "empty"])
def test_a_mark_whose_file_found_no_room_has_it_after_the_next_start(opened, micrographs, tmp_path, monkeypatch, flag):
    project, sheets, entry = opened()
    full_disk(monkeypatch, only=".csv")
    sheets.flag(entry, flag)
    monkeypatch.undo()
    assert on_disk(project, entry) is None
    open_session([micrographs], tmp_path / "out")
    assert on_disk(project, entry) == []


def test_a_mark_that_is_taken_away_takes_its_file_first(opened, monkeypatch):
    """A server that is killed between the two would leave a file that says "no particle here", and no mark."""
    project, sheets, entry = opened()
    sheets.flag(entry, "empty")
    there = []
    monkeypatch.setattr(project, "save", lambda: there.append(project.labels_path(entry).is_file()))
    sheets.flag(entry, None)
    assert there == [False]
    assert not project.labels_path(entry).is_file()


def test_a_mark_that_stays_for_want_of_room_keeps_its_file(opened, monkeypatch):
    project, sheets, entry = opened()
    sheets.flag(entry, "empty")
    full_disk(monkeypatch, only="project.json")
    with pytest.raises(OSError, match="No space"):
        sheets.flag(entry, None)
    assert (entry.flag, on_disk(project, entry)) == ("empty", [])


def test_a_killed_server_leaves_no_micrograph_empty_that_has_labels(opened, micrographs, tmp_path, monkeypatch):
    _, sheets, entry = opened()
    sheets.flag(entry, "empty")
    full_disk(monkeypatch)
    edit(sheets, entry, add=[(1, 30, 40)])
    monkeypatch.undo()
    session = open_session([micrographs], tmp_path / "out")
    assert session.project.entries[entry.id].flag is None
    assert json.loads((tmp_path / "out/project.json").read_text())["micrographs"]["mic0.mrc"]["flag"] is None


def test_the_list_counts_what_the_history_has_when_label_files_are_behind(opened, micrographs, tmp_path, monkeypatch):
    project, sheets, entry = opened()
    edit(sheets, entry, add=[(1, 30, 40)])
    full_disk(monkeypatch, only=".csv")
    edit(sheets, entry, add=[(2, 60, 50)])
    monkeypatch.undo()
    session = open_session([micrographs], tmp_path / "out")
    assert session.project.entries[entry.id].n_labels == 2
    assert len(on_disk(project, entry)) == 2


def test_labels_can_be_seen_on_a_full_disk_that_has_no_room_for_their_file(opened, monkeypatch):
    _, sheets, entry = opened()
    full_disk(monkeypatch, only=".csv")
    edit(sheets, entry, add=[(1, 30, 40)])
    _, again, same = opened()
    assert again.get(same).labels == {1: (30, 40)}


def test_a_disk_without_locks_is_not_taken_for_another_server(tmp_path, monkeypatch):
    def no_locks(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(UsageError, match=r"this disk cannot say.*--read-only"), parameters_spelled(as_flag):
        ProjectLock(tmp_path / "out").take()
