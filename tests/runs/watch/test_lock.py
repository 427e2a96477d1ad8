"""One watcher a folder."""

import json
import os
import subprocess
import sys
import time

import pytest

from vitripick.atomic import host_name, is_alive
from vitripick.errors import UsageError
from vitripick.run_layout import LOCK
from vitripick.runs.watch import lock
from vitripick.runs.watch.lock import FolderLock, refuse_if_watched


def write_lock(folder, *, host=None, pid=1, age=0.0):
    path = folder / LOCK
    path.write_text(json.dumps({"host": host or host_name(), "pid": pid, "token": "theirs"}))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_held_and_given_back(tmp_path):
    with FolderLock(tmp_path):
        holder = json.loads((tmp_path / LOCK).read_text())
        assert (holder["pid"], holder["host"]) == (os.getpid(), host_name())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", [None, "othernode"])
def test_a_living_holder_is_named_and_left_alone(tmp_path, host):
    path = write_lock(tmp_path, host=host, pid=os.getppid())
    with pytest.raises(UsageError, match=rf"process {os.getppid()} on {host or host_name()}"), FolderLock(tmp_path):
        pass
    assert json.loads(path.read_text())["token"] == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == [LOCK]


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path, dead_pid):
    write_lock(tmp_path, pid=dead_pid)
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_the_lock_of_another_machine_is_taken_over_when_its_heart_has_stopped(tmp_path):
    write_lock(tmp_path, host="othernode", age=61)
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["host"] == host_name()


def test_of_two_who_find_the_same_stale_lock_one_gets_it(tmp_path, dead_pid, monkeypatch):
    write_lock(tmp_path, pid=dead_pid)
    real = lock._is_stale

    def and_another_is_quicker(*arguments):
        stale = real(*arguments)
        write_lock(tmp_path, pid=os.getppid())
        return stale

    monkeypatch.setattr(lock, "_is_stale", and_another_is_quicker)
    with pytest.raises(UsageError, match=f"process {os.getppid()}"), FolderLock(tmp_path):
        pass
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getppid()


def test_the_heart_beats(tmp_path):
    with FolderLock(tmp_path, beat_seconds=0.02):
        path = tmp_path / LOCK
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 60
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 2


def test_a_holder_who_was_asleep_too_long_notices_that_another_one_took_over(tmp_path):
    with FolderLock(tmp_path, beat_seconds=0.02) as mine:
        write_lock(tmp_path, host="othernode")
        deadline = time.monotonic() + 60
        while not mine.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        assert mine.lost
    assert (tmp_path / LOCK).exists()


def test_without_hard_links_the_lock_works_too(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with FolderLock(tmp_path), pytest.raises(UsageError):
        write_lock(tmp_path, pid=os.getppid()), FolderLock(tmp_path).__enter__()


def test_pick_is_refused_while_a_watcher_is_at_work_there(tmp_path, dead_pid):
    write_lock(tmp_path, pid=os.getppid())
    with pytest.raises(UsageError, match="already writes into this folder"):
        refuse_if_watched(tmp_path)
    write_lock(tmp_path, pid=dead_pid)
    refuse_if_watched(tmp_path)
    # Its number may be another process's by now.
    write_lock(tmp_path, pid=os.getppid(), age=601)
    refuse_if_watched(tmp_path)


def test_a_process_that_is_dead_but_not_buried_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 60
    while is_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(process.pid)
    assert process.wait() == 0
    assert is_alive(os.getpid())


@pytest.mark.parametrize("pid", ["five", 10**30, -1, 0, None, 1.5, True, [1]])
def test_a_lock_whose_process_is_no_number_is_stale(tmp_path, pid):
    write_lock(tmp_path, pid=pid)
    refuse_if_watched(tmp_path)
    with FolderLock(tmp_path) as held:
        assert not held.lost
