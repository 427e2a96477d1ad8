"""Real processes: slow writers, kill -9, signals, a full disk."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from made import discs, snapshot
from vitripick.formats import write_mrc
from vitripick.models import save_model
from vitripick.runs import PickSettings, pick_many

# A log holds times, and only a watcher has a status.
NOT_COMPARED = ("log", "status.json")


@pytest.fixture
def saved_model(model, tmp_path):
    save_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def vitripick(*arguments, **options):
    command = [sys.executable, "-m", "vitripick.cli.app", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_fifty_kills_leave_what_an_undisturbed_run_leaves(saved_model, tmp_path):
    for i in range(100):
        write_mrc(tmp_path / "arriving" / f"m{i:03d}.mrc", discs(i)[0], pixel_size=4.0)
    (tmp_path / "watched").mkdir()
    paths = [saved_model, tmp_path / "arriving", tmp_path / "watched", tmp_path / "out"]
    script = Path(__file__).with_name("kill_loop.py")
    found = subprocess.run([sys.executable, str(script), *map(str, paths)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["killed"] == 50
    # They were killed at work: some of it was done, some was left to the next one. Whether a kill also meets a file
    # that is half written is chance; mostly some do.
    assert told["done"] > 20
    assert told["behind"] > 10
    disturbed = snapshot(tmp_path / "out", leave_out=NOT_COMPARED)
    assert not [name for name in disturbed if Path(name).name.startswith(".")]
    assert len([name for name in disturbed if name.startswith("cbox/")]) == 100
    shutil.rmtree(tmp_path / "out")
    from vitripick.models import load_model

    settings = PickSettings(formats=("star", "particles-star"), thumbnails=True, engine="torch")
    pick_many([tmp_path / "watched"], tmp_path / "out", load_model(saved_model), settings)
    assert disturbed == snapshot(tmp_path / "out", leave_out=NOT_COMPARED)


def test_whatever_writers_do_each_whole_file_is_picked_once_and_no_half_one(saved_model, tmp_path):
    """Grown slowly, preallocated and filled, renamed, truncated and written again, replaced; all at the same time."""
    there, out = tmp_path / "in", tmp_path / "out"
    there.mkdir()
    whole = []
    for i in range(6):
        write_mrc(tmp_path / f"w{i}.mrc", discs(50 + i)[0], pixel_size=4.0)
        whole.append((tmp_path / f"w{i}.mrc").read_bytes())
    process = vitripick("watch", there, "--out", out, "--model", saved_model, "--settle", 0.6, "--poll", 0.1,
                        "--retry", 0.2, "--tries", 30, "--json-lines")  # fmt: skip
    try:
        wait_until(lambda: (out / "status.json").exists())
        (there / "sub").mkdir()
        part = -(-len(whole[0]) // 8)
        with (
            open(there / "grown.mrc", "wb") as grown,
            open(there / "filled.mrc", "wb") as filled,
            open(there / "renamed.mrc.part", "wb") as renamed,
            open(there / "sub" / "paused.mrc", "wb") as paused,
            open(there / "cut.mrc", "wb") as cut,
        ):
            filled.truncate(len(whole[1]))
            paused.write(whole[3][: 3 * part])
            paused.flush()
            for step in range(8):
                piece = slice(step * part, (step + 1) * part)
                for file, data in ((grown, whole[0]), (filled, whole[1]), (renamed, whole[2])):
                    file.write(data[piece])
                    file.flush()
                cut.seek(0)
                cut.truncate(0)
                cut.write(whole[4][: (step + 1) * part])
                cut.flush()
                time.sleep(0.15)
            time.sleep(1.0)  # far longer than the watcher settles: only its header says that it is not whole
            paused.write(whole[3][3 * part :])
        (there / "renamed.mrc.part").rename(there / "renamed.mrc")
        (there / "replaced.mrc").write_bytes(whole[0])
        wait_until(lambda: (out / "micrographs" / "replaced.json").exists())
        (there / ".replaced").write_bytes(whole[5])
        (there / ".replaced").rename(there / "replaced.mrc")

        def done():
            status = json.loads((out / "status.json").read_text())
            return status["done"] == status["found"] == 6 and status["waiting"] == 0

        wait_until(lambda: json.loads((out / "status.json").read_text())["waiting"] > 0 or done())
        wait_until(done)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    picked = [json.loads(line) for line in stdout.splitlines()]
    assert {line["status"] for line in picked} == {"done"}
    counts = {name: [line["micrograph"] for line in picked].count(name) for name in {p["micrograph"] for p in picked}}
    assert counts == {
        "grown.mrc": 1, "filled.mrc": 1, "renamed.mrc": 1, "sub/paused.mrc": 1, "cut.mrc": 1, "replaced.mrc": 2,
    }  # fmt: skip
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["reason"]) == ("stopped", "SIGTERM")
    assert not (out / "watch.lock").exists()
    watched = snapshot(out, leave_out=NOT_COMPARED)
    shutil.rmtree(out)
    from vitripick.models import load_model

    pick_many([there], out, load_model(saved_model))
    assert watched == snapshot(out, leave_out=NOT_COMPARED)


def test_a_full_disk_stops_cleanly_with_5_and_the_run_goes_on_once_there_is_room(
    saved_model, many_micrographs, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: needs root")
    try:
        (disk / "ballast").write_bytes(b"x" * (1 << 20))
        with open(disk / "ballast", "r+b") as ballast:
            ballast.truncate((1 << 20) - 64 * 1024)
        command = ("pick", many_micrographs, "--out", disk / "out", "--model", saved_model, "--format", "star")
        process = vitripick(*command)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 5, stderr
        assert "disk is full" in stderr
        assert "Traceback" not in stderr
        before = snapshot(disk / "out", leave_out=NOT_COMPARED)
        records = [json.loads(data) for name, data in before.items() if name.startswith("micrographs/")]
        assert 0 < len(records) < 12
        for record in records:
            assert before[f"cbox/{record['stem']}.cbox"].endswith(b"\n\n")
            assert before[f"star/{record['stem']}_autopick.star"].endswith(b"\n\n")
        assert not [name for name in before if Path(name).name.startswith(".")]
        (disk / "ballast").unlink()
        process = vitripick(*command)
        assert process.wait(timeout=120) == 0
        after = snapshot(disk / "out", leave_out=NOT_COMPARED)
        assert all(after[name] == data for name, data in before.items())
        assert len([name for name in after if name.startswith("micrographs/")]) == 12
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_ctrl_c_finishes_the_micrograph_in_hand_and_a_second_watcher_is_refused(saved_model, micrographs, tmp_path):
    out = tmp_path / "out"
    command = ("watch", micrographs, "--out", out, "--model", saved_model, "--settle", 0.1)
    process = vitripick(*command)
    try:
        wait_until(lambda: (out / "micrographs" / "a" / "one.json").exists())
        second = vitripick(*command)
        _, stderr = second.communicate(timeout=60)
        assert second.returncode == 2
        assert f"process {process.pid}" in stderr
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "stopped" in stderr
    assert (out / "run.json").exists()
    assert np.isfinite(json.loads((out / "status.json").read_text())["mean_picks"])
