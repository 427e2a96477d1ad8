"""An output that cannot be written is reported in one sentence, before the work begins."""

import os
import stat
import sys
import threading

import pytest

from vitripick.atomic import check_file, check_folder
from vitripick.errors import UsageError

BLOCKED = ("file", "file/more", "file/more/deep")


@pytest.fixture
def never_reached(monkeypatch):
    """Fail if a micrograph is opened, which every kind of long work begins with."""

    def opened(*arguments, **options):
        raise AssertionError("a micrograph was opened before the output folder was tried")

    for module in ("runs.step", "runs.survey", "training.data", "training.samples"):
        for name in ("open_micrograph", "read_micrograph"):
            monkeypatch.setattr(f"vitripick.{module}.{name}", opened, raising=False)


@pytest.fixture
def project(tmp_path, ring_micrograph, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "rings.box").write_text("100 100 60 60\n")
    (tmp_path / "m.star").write_text("data_\nloop_\n_rlnMicrographName\nmics/rings.mrc\n")
    return tmp_path


COMMANDS = {
    "pick": ["pick", "mics", "--out", "OUT"],
    "watch": ["watch", "mics", "--out", "OUT"],
    "relion": ["relion", "--o", "OUT", "--in_mics", "m.star"],
    "train": ["train", "--micrographs", "mics", "--labels", "labels", "--out", "OUT"],
    "simulate": ["simulate", "--out", "OUT"],
    "convert": ["convert", "labels", "OUT", "--to", "csv"],
    "convert one": ["convert", "labels/rings.box", "OUT/a.csv"],
    "report": ["report", "RUN", "--out", "OUT/a.html"],
    "extract": ["extract", "RUN", "--out", "OUT/a.mrcs", "--box-size-px", "60"],
    "cryosparc": ["cryosparc", "RUN", "--out", "OUT/a.star"],
    "evaluate": ["evaluate", "RUN", "labels", "--pr-png", "OUT/a.png"],
}


@pytest.fixture
def run_folder(vitripick, project):
    vitripick("pick", "mics", "--out", "run", "--diameter-px", 60, "--threshold", 0.3)
    return "run"


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("command", [name for name, line in COMMANDS.items() if "RUN" not in line])
def test_a_file_in_the_way_is_told_before_the_work(vitripick, project, never_reached, command, blocked):
    outcome = vitripick(*[part.replace("OUT", blocked) for part in COMMANDS[command]])
    is_one_sentence(outcome, project)


@pytest.mark.parametrize("blocked", BLOCKED)
def test_a_file_in_the_way_of_what_is_made_of_a_run_is_told(vitripick, project, run_folder, blocked):
    for line in COMMANDS.values():
        if "RUN" in line:
            outcome = vitripick(*[part.replace("OUT", blocked).replace("RUN", run_folder) for part in line])
            is_one_sentence(outcome, project)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take names in UTF-8 only")
def test_the_name_of_an_output_is_refused_before_the_work_where_no_file_could_hold_it(
    vitripick, project, run_folder, never_reached, monkeypatch
):
    lines = {**COMMANDS, "label": ["label", "mics", "--out", "OUT"]}
    lines["preview"] = ["convert", "labels", "a.csv", "--micrograph", "mics/rings.mrc", "--preview", "OUT/a.png"]
    before = sorted(path.name for path in project.iterdir())
    for command, line in lines.items():
        outcome = vitripick(*[part.replace("OUT", "w\udcfc").replace("RUN", run_folder) for part in line])
        assert outcome.code == 2, (command, outcome.err)
        assert outcome.err.count("\n") == 1, (command, outcome.err)
        assert "w\\xfc" in outcome.err
        assert "are not UTF-8, so no file can hold it; give another --" in outcome.err
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    for command, line in lines.items():
        outcome = vitripick(*[part.replace("OUT", "wü").replace("RUN", run_folder) for part in line])
        assert outcome.code == 2, (command, outcome.err)
        assert "set LC_ALL=C.UTF-8" in outcome.err, command
    assert sorted(path.name for path in project.iterdir()) == before


def is_one_sentence(outcome, project):
    assert outcome.code == 2, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert "file" in outcome.err
    assert "give another" in outcome.err
    assert sorted(path.name for path in project.iterdir()) in (
        ["file", "labels", "m.star", "mics"],
        ["file", "labels", "m.star", "mics", "run"],
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(UsageError, match="not allowed"):
        check_folder(tmp_path / "out")
    tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux has /proc")
def test_a_disk_that_takes_no_folders_is_told(vitripick, project, never_reached):
    outcome = vitripick("pick", "mics", "--out", "/proc/picks")
    assert outcome.code == 2
    assert outcome.err == "vitripick: /proc/picks: no folder can be made here; give another --out.\n"


@pytest.mark.parametrize("code", ["EROFS", "EACCES", "EPERM"])
def test_a_disk_that_can_only_be_read_is_told_by_its_folder(tmp_path, monkeypatch, code):
    import errno

    def refuse(*arguments, **options):
        raise OSError(getattr(errno, code), "no", str(tmp_path / "tmp1234"))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UsageError) as raised:
        check_folder(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}: ")
    assert "tmp1234" not in str(raised.value)


def test_trying_a_folder_leaves_nothing_behind_and_keeps_what_was_there(tmp_path):
    check_folder(tmp_path / "a" / "b" / "c")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").touch()
    check_folder(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="a folder where a file should be"):
        check_file(tmp_path / "a")


def test_many_shares_may_try_one_folder_at_once(tmp_path):
    problems = []

    def attempt():
        for _ in range(50):
            try:
                check_folder(tmp_path / "x" / "y")
            except UsageError as error:
                problems.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
