import dataclasses
import subprocess
import sys

import numpy as np

from vitripick.formats import write_mrc
from vitripick.runs import pick_many
from vitripick.runs.profile import STAGES, Profile, advice, cached_share
from vitripick.runs.record import Record


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


def done(engine="openvino 2026.4.1, int8", cached=1.0, **timings):
    made_from = {"size_bytes": 67_000_000}
    record = Record("m.mrc", "m.mrc", "m", (4096, 4096), 1.2, 10, 5, made_from=made_from, engine=engine)
    return dataclasses.replace(record, seconds=sum(timings.values()), timings=timings, cached=cached)


def test_a_slow_disk_is_told_with_its_rate():
    (line,) = advice([done(cached=0.0, read=0.67, network=0.03, write=0.01)])
    assert line.startswith("reading takes 94%")
    assert "100 MB a second" in line


def test_a_file_that_was_in_memory_says_nothing_of_the_disk():
    assert advice([done(read=0.67, network=0.03, write=0.01)]) == []


def test_slow_writing_a_slow_engine_and_a_single_core_are_told():
    assert "writing takes" in advice([done(read=0.01, write=0.4)])[0]
    assert "pip install" in advice([done(engine="onnxruntime 1.32.0, int8", network=0.4, write=0.1)])[0]
    assert "int8" in advice([done(engine="openvino 2026.4.1, fp32", network=0.4, write=0.1)])[0]
    assert "one core" in advice([done(read=1.0, network=0.9, write=0.1)], cores=1)[0]


def test_where_no_stage_stands_out_there_is_no_advice():
    assert advice([done(read=0.02, prepare=0.02, network=0.03, write=0.01)]) == []
    assert advice([]) == []
