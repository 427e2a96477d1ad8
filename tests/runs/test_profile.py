import dataclasses
import subprocess
import sys

import numpy as np

from vitripick.formats import write_mrc
from vitripick.runs import pick_many
from vitripick.runs.profile import STAGES, Profile, cached_share


def test_stages_are_told_for_files_from_memory_and_from_disk_apart(model, micrographs, tmp_path):
    summary = pick_many([micrographs], tmp_path / "out", model)
    times = Profile()
    for record, cached in zip(summary.records, (1.0, 1.0, 0.0), strict=True):
        times.add(dataclasses.replace(record, cached=cached))
    told = times.table()
    assert "2 micrographs from memory" in told
    assert "1 micrograph from disk" in told
    assert all(told.count(f"  {stage} ") == 2 for stage in STAGES)


def test_stages_sum_to_the_whole(model, micrographs, tmp_path):
    for record in pick_many([micrographs], tmp_path / "out", model).records:
        assert set(record.timings) == {"read", "prepare", "network", "decode", "write"}
        assert sum(record.timings.values()) <= record.seconds + 1e-3


def test_a_file_just_written_is_in_memory_and_an_empty_one_is_unknown(tmp_path):
    write_mrc(tmp_path / "m.mrc", np.zeros((300, 300), np.float32))
    assert cached_share(tmp_path / "m.mrc") in (None, 1.0)
    (tmp_path / "empty").write_bytes(b"")
    assert cached_share(tmp_path / "empty") is None
    assert cached_share(tmp_path / "none") is None


def test_a_bundled_model_picks_without_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from vitripick.cli.app import run; "
        f"code = run(['pick', 'examples/apoferritin/micrographs', '--out', {str(tmp_path / 'out')!r}, "
        "'--diameter-px', '80', '--profile']); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "network run by" in done.stdout
    assert "network" in done.stderr
