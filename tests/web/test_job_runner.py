"""Jobs beside the server: what ends is over, what may go on is left alone."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from vitripick.errors import UsageError
from vitripick.web.job import Job
from vitripick.web.job_runner import JobRunner
from vitripick.web.own_files import try_lock
from vitripick.web.requests import PickRequest
from vitripick.web.session import open_session


def test_a_job_whose_end_cannot_be_written_down_is_over_all_the_same(tmp_path):
    def full(progress):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    jobs = JobRunner(tmp_path / "runs", tmp_path, on_end=full)
    progress = jobs.start(jobs.new_folder(), Job(kind="describe"))
    end = time.monotonic() + 60
    while progress.running and time.monotonic() < end:
        time.sleep(0.05)
    assert not progress.running
    assert progress.stage == "failed"
    assert "No space" in progress.message


@pytest.mark.parametrize(("weights", "run"), [("best", "002"), ("model", "001")])
def test_picks_of_a_training_that_was_stopped_go_elsewhere_so_that_it_may_go_on(
    micrographs, tmp_path, monkeypatch, weights, run
):
    session = open_session([micrographs], tmp_path / "out")
    folder = session.jobs.new_folder()
    folder.train.mkdir()
    (folder.train / f"{weights}.safetensors").touch()
    job = {"kind": "train", "title": "labels", "model": None, "pick": False}
    folder.job.write_text(json.dumps(job))
    started = []
    monkeypatch.setattr(session.jobs, "start", lambda folder, job: started.append((folder.id, job)))
    session.starter.pick(PickRequest(model="run:001"))
    assert started[0][0] == run
    assert started[0][1].model.endswith(f"001/train/{weights}.safetensors")


def test_no_code_that_lies_beside_the_micrographs_is_run(micrographs, tmp_path, monkeypatch):
    """PYTHONPATH with an empty part, as `PYTHONPATH=$PYTHONPATH:…` makes it, means the working folder to Python."""
    ran = tmp_path / "ran"
    for name in ("numpy", "json", "os", "torch", "vitripick"):
        (micrographs / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write('{name} ')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep + os.environ.get("PYTHONPATH", ""))
    jobs = JobRunner(tmp_path / "runs", micrographs)
    jobs.describe_machine()
    end = time.monotonic() + 60
    while jobs.machine is None and not ran.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not ran.exists()
    assert jobs.machine is not None


def say(*lines):
    """A process that prints these lines."""
    code = f"print({chr(10).join(lines)!r})"
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_line_that_a_library_prints_does_not_end_a_training(tmp_path, monkeypatch):
    lines = ("Downloading 5 %", '"text"', json.dumps({"event": "end", "outcome": "done"}))
    monkeypatch.setattr("vitripick.web.job_runner._spawn", lambda job, root, log: say(*lines))
    jobs = JobRunner(tmp_path / "runs", tmp_path)
    progress = jobs.start(jobs.new_folder(), Job(kind="train"))
    end = time.monotonic() + 60
    while progress.running and time.monotonic() < end:
        time.sleep(0.05)
    assert progress.stage == "done"


def test_the_page_need_not_wait_for_models_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vitripick.web.job_runner._spawn", lambda job, root, log: say("no module named torch"))
    jobs = JobRunner(tmp_path / "runs", tmp_path)
    jobs.describe_machine()
    end = time.monotonic() + 60
    while jobs.machine is None and time.monotonic() < end:
        time.sleep(0.05)
    assert jobs.machine is not None
    assert jobs.machine["released"] == []


def test_a_run_whose_last_process_still_ends_gets_no_second_one(tmp_path):
    jobs = JobRunner(tmp_path / "runs", tmp_path)
    folder = jobs.new_folder()
    held = try_lock(folder.lock)  # as the process of a killed server holds it
    with pytest.raises(UsageError, match="still ending"):
        jobs.start(folder, Job(kind="train"))
    assert not folder.job.exists()
    held.close()
    jobs.start(folder, Job(kind="train"))
