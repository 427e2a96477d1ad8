"""Several micrographs at once: the same results, in the same order, and nothing begun after the end was asked for."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from made import snapshot
from vitripick.runs import PickSettings, pick_many
from vitripick.runs.jobs import in_order


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_files_do_not_depend_on_how_many_are_picked_at_once(model, many_micrographs, tmp_path, engine):
    told = []
    for jobs in (1, 3):
        names = []
        summary = pick_many(
            [many_micrographs],
            tmp_path / f"out{jobs}",
            model,
            PickSettings(engine=engine),
            jobs=jobs,
            on_outcome=lambda outcome, names=names: names.append(outcome.file.name),
        )
        assert summary.jobs == jobs
        assert names == [record.name for record in summary.records]
        told.append(names)
    assert told[0] == told[1]
    assert snapshot(tmp_path / "out1", wherever=True) == snapshot(tmp_path / "out3", wherever=True)


def test_results_come_in_order_and_several_are_worked_on_at_once():
    together = threading.Barrier(3, timeout=20)

    def work(item):
        if item < 3:
            together.wait()  # passes only if all three are there
        time.sleep(0.02 * (item % 3 == 0))
        return item * 10

    assert list(in_order(range(20), [work] * 3)) == [item * 10 for item in range(20)]


def test_an_error_comes_where_its_result_would_and_ends_the_work():
    begun = []

    def work(item):
        begun.append(item)
        if item == 2:
            raise ValueError("broken")
        return item

    results = in_order(range(100), [work])
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert begun == [0, 1, 2]


def test_an_error_is_told_even_if_an_earlier_item_was_not_begun_for_it():
    def work(item):
        if item == 0:
            time.sleep(0.2)
            raise CancelledError  # as one that was about to begin when the other failed
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        list(in_order(range(6), [work] * 2))


def test_nothing_is_begun_once_it_is_told_to_stop_and_what_was_begun_is_finished():
    begun, finished, over = [], [], threading.Event()

    def work(item):
        begun.append(item)
        over.set()
        time.sleep(0.05)
        finished.append(item)

    with pytest.raises(CancelledError):
        list(in_order(range(50), [work] * 2, stop=over.is_set))
    assert sorted(begun) == sorted(finished)
    assert len(begun) <= 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_finishes_what_is_in_flight_and_ends_with_130(many_micrographs, tmp_path):
    # So many that a busy machine, which hands the signal on late, is not done before.
    for i in range(2000):
        (many_micrographs / f"link{i:04d}.mrc").symlink_to(many_micrographs / "m0.mrc")
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", str(many_micrographs), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--diameter-px", "20", "--jobs", "2", "--json-lines"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert b"interrupted" in errors
    records = {p.stem for p in Path(tmp_path / "out" / "micrographs").glob("*.json")}
    assert 0 < len(records) < 2012
    # Whatever was begun is whole: each store has its record, and nothing lies about half-written.
    assert records == {p.stem for p in (tmp_path / "out" / "cbox").glob("*.cbox")}
    assert not list((tmp_path / "out").rglob(".vitripick-tmp*"))
