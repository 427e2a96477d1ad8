"""Every benchmark runs at its smallest size, on what comes with the repository."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitripick.geometry import Boxes
from vitripick.simulation import bundled_structures

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = {str(path.relative_to(BENCHMARKS)) for path in BENCHMARKS.glob("*/[!_]*.py")}
# These measure nothing and have no options: they write and draw what the documentation shows.
OF_DOCUMENTATION = {"tools/write_options_page.py", "tools/draw_results.py", "tools/draw_pictures.py"}
TOOLS = {str(path.relative_to(ROOT)) for path in (ROOT / "tools").glob("*.py")} - OF_DOCUMENTATION

# One training step on one crop; DATA and OUT stand for folders.
TINY = "--steps 1 --batch-size 1"
TINY_CELL = f"{TINY} --width 8 --device cpu --out OUT"
SMALLEST = {
    "accuracy/class2d.py": "--data DATA --sets apoferritin_empiar10146 --methods people log --iterations 1 --most 40 "
    "--out OUT --picture OUT/classes.png",
    "accuracy/classes.py": "--molecules hemoglobin,t20s_proteasome --snr 0.2 --n 60 --classes 3",
    "accuracy/contrast.py": "--data DATA",
    "accuracy/filaments.py": "--data DATA --fields 1 --side 96",
    "accuracy/denoising.py": "--micrographs 1 --side 256 --only apoferritin --pictures OUT",
    "accuracy/frames.py": "--data DATA",
    "accuracy/held_out.py": "--data DATA",
    "accuracy/ideal_observer.py": "--out OUT --structures hemoglobin --orientations 2 --micrographs 1 --side 384",
    "accuracy/junk.py": "--data DATA --kinds aggregates --structures apoferritin",
    "accuracy/survey.py": "--data DATA --sets apoferritin_empiar10146 --out OUT",
    "accuracy/threshold_rules.py": "--data DATA",
    "page/journeys.py": "--out OUT --looks 1 --journeys first_open twenty_particles",
    "simulation/rate.py": "--counts 1 --repeats 1 --crops 2 --warm-up 1",
    "simulation/realism.py": "--data DATA --structures DATA/structures --crops 4 --out OUT",
    "speed/engines.py": "--data DATA --engines torch",
    "speed/file_to_star.py": "--shape 512x512 --diameter-px 60",
    "speed/filaments.py": "--side 1024 --files 1 --repeats 1 --counts 5",
    "speed/gpu.py": "--device cpu --seconds 1 --files 4 --shape 512x512 --batches 1 --architectures heatmap",
    "speed/instructions.py": "--side 64 --runs 1 --repeats 1 --engines onnxruntime",
    "speed/page.py": "--micrographs 12 --labelled 4 --labels 3",
    "speed/peers.py": "--shape 2048x2048 --files 2 --repeats 1",
    "speed/picking_stages.py": "--shape 512x512 --repeats 1",
    "speed/scan.py": "--files 30 --repeats 1",
    "speed/throughput.py": "--shape 512x512 --counts 6 --files 1 --repeats 1",
    "speed/training_stages.py": "--data DATA --repeats 1 --batch-size 1",
    "speed/watch.py": "--shape 512x512 --per-hour 3600 --minutes 0.05 "
    "--options=--settle=0.2\t--poll=0.2\t--threshold=0.4\t--keep-diameter",
    "training/ablation.py": f"--data DATA --variants width\t16 {TINY} --out OUT",
    "training/adapt.py": f"--data DATA --model apoferritin_empiar10146=general {TINY} --out OUT",
    "training/architectures.py": f"--data DATA --architectures heatmap {TINY_CELL}",
    "training/few_labels.py": f"--data DATA --kinds 10146 --counts 1 --architectures heatmap {TINY_CELL}",
    "training/fine_tuning.py": f"--data DATA --sets apoferritin_empiar10146 --no-scratch {TINY_CELL}",
    "training/noise_series.py": "--levels 1 --architectures heatmap --micrographs 1 1 1 --set shape=[512,512] "
    f"--set particles.count=20 {TINY_CELL}",
    "training/one_micrograph.py": f"--data DATA --sets apoferritin_empiar10146 {TINY} --out OUT",
    "training/sparse_labels.py": f"--data DATA --percent 20 --treatments background {TINY_CELL}",
}
# These need a process of their own, for the reason beside them.
ALONE = {
    "simulation/rate.py": "it starts processes that import it",
    "speed/picking_stages.py": "it sets the number of threads of its process",
}
# These compare with OpenVINO, which the extra `fast` brings.
NEED_OPENVINO = ("speed/picking_stages.py", "speed/throughput.py")
# This runs RELION's programs.
NEED_RELION = ("accuracy/class2d.py", "speed/peers.py")
# These only show their help here, for the reason beside them.
ONLY_HELP = {
    "accuracy/compare_runs.py": "it has tests of its own below",
    "accuracy/classes_beside_relion.py": "RELION's classification takes minutes",
    "accuracy/classes_cull.py": "it takes runs of whole sets",
    "paper/klh.py": "KLH is not among the examples",
    "second_labels/look.py": "its micrographs are not among the examples",
    "training/from_zero.py": "it drives a browser through three trainings, which takes minutes",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder in the layout of the real sets, filled with links to the examples."""
    root = tmp_path_factory.mktemp("data")
    sets = {
        "apoferritin_empiar10146": ("apoferritin", ["May08_04.36.57", "May08_07.10.35"]),
        "betagal_empiar10017": ("betagal", ["Falcon_2012_06_12-14_33_35_0", "Falcon_2012_06_12-15_43_48_0"]),
        "t20s_empiar10025": ("betagal", []),
        "trpv1_empiar10059": ("betagal", []),
    }
    for name, (example, others_held_out) in sets.items():
        files = sorted((ROOT / "examples" / example / "micrographs").iterdir())
        # The examples are held out, so copies under other names stand for those that train.
        chosen = [(path.stem, path) for path in files]
        chosen += [(stem, files[0]) for stem in [*others_held_out, "training_0", "training_1"]]
        for stem, path in chosen:
            _link(path, root / name / "micrographs" / f"{stem}.mrc")
            _link(path.parent.parent / "labels" / f"{path.stem}.csv", root / name / "coordinates" / f"{stem}.csv")
    empty = next((ROOT / "examples" / "empty" / "micrographs").iterdir())
    for kind in ("empty_no_ice", "empty_vitreous_ice", "contamination", "crystalline_ice"):
        _link(empty, root / "quality_examples_micassess" / kind / "empty.png")
    _link(empty, root / "contaminated_empiar10947" / "micrographs" / "empty.png")
    for structure in bundled_structures().values():
        _link(structure, root / "structures" / structure.name)
    _link(root, root / "real")
    return root


def _link(source, link):
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(source)


def run(script, *arguments):
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=ROOT)


def test_every_benchmark_runs_here_or_says_why_not():
    assert set(SMALLEST) | set(ONLY_HELP) == SCRIPTS


@pytest.mark.parametrize("script", sorted(SMALLEST))
def test_each_benchmark_prints_its_table_at_its_smallest_size(script, data, tmp_path, monkeypatch, capfd):
    if script in NEED_OPENVINO:
        pytest.importorskip("openvino")
    if script in NEED_RELION and shutil.which("relion_refine") is None:
        pytest.skip("RELION is not installed")
    words = SMALLEST[script].split(" ")
    words = [word.replace("DATA", str(data)).replace("OUT", str(tmp_path)).replace("\t", " ") for word in words]
    if script in ALONE:
        done = run(BENCHMARKS / script, *words)
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    else:
        # Importing torch takes seconds, so most scripts share this process.
        path = BENCHMARKS / script
        monkeypatch.setattr(sys, "argv", [str(path), *words])
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        monkeypatch.delitem(sys.modules, "_shared", raising=False)
        runpy.run_path(str(path), run_name="__main__")
        printed = capfd.readouterr().out
    assert "|---|" in printed


@pytest.mark.parametrize("script", sorted([*(f"benchmarks/{name}" for name in ONLY_HELP), *TOOLS]))
def test_a_script_that_takes_too_long_here_shows_its_help(script):
    assert "usage:" in run(ROOT / script, "--help").stdout


@pytest.mark.parametrize("script", sorted([*(f"benchmarks/{name}" for name in SCRIPTS), *TOOLS]))
def test_each_script_is_in_the_readme(script):
    assert script in (BENCHMARKS / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _shared

    return _shared


def test_a_cell_that_is_there_is_not_computed_again(shared, tmp_path):
    path = tmp_path / "cells" / "one.json"
    first = shared.cell(path, lambda: {"auc": 0.9})
    again = shared.cell(path, lambda: pytest.fail("computed twice"))
    assert again == first
    assert {"auc", "date", "command", "machine", "torch"} <= set(again)


def test_a_cell_that_failed_leaves_nothing_behind(shared, tmp_path):
    with pytest.raises(ZeroDivisionError):
        shared.cell(tmp_path / "one.json", lambda: {"auc": 1 / 0})
    assert not list(tmp_path.iterdir())


def test_a_table_shows_what_is_missing_as_a_dash(shared):
    assert shared.table(["a", "b"], [[0.12345, None]]).splitlines()[-1] == "| 0.123 | - |"


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """Return two run folders of the same picks, at places of different depth."""
    root = tmp_path_factory.mktemp("runs")
    micrographs = ROOT / "examples" / "empty" / "micrographs"
    for run_folder in ("before", "deeper/after"):
        command = ["-m", "vitripick.cli.app", "pick", str(micrographs), "--diameter-px", "24", "--threshold", "0.4"]
        formats = ["--format", "star", "--format", "csv", "--format", "cs"]
        run(*command, *formats, "--out", str(root / run_folder)).check_returncode()
    return root / "before", root / "deeper" / "after"


@pytest.fixture
def runs(picked, tmp_path):
    """Return copies of both, to change."""
    return [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in picked]


def compare(*folders):
    return run(BENCHMARKS / "accuracy" / "compare_runs.py", *folders)


def test_two_runs_of_the_same_picks_do_not_differ_by_where_they_lie(picked):
    done = compare(*picked)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, []), done.stdout


@pytest.mark.parametrize(("key", "differs"), [("mtime_ns", False), ("size_bytes", True)])
def test_when_a_micrograph_was_written_does_not_matter_but_its_size_does(runs, key, differs):
    (record,) = runs[1].glob("micrographs/*.json")
    fields = json.loads(record.read_text())
    fields["made_from"][key] += 1
    record.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
    assert compare(*runs).returncode == differs


@pytest.mark.parametrize("name", ["cbox/*.cbox", "csv/*.csv", "star/*.star", "particles.cs"])
def test_one_byte_that_differs_is_seen(runs, name):
    (changed,) = runs[1].glob(name)
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    done = compare(*runs)
    assert done.returncode == 1
    assert [line.split(": ")[0].strip() for line in done.stdout.splitlines()[1:]] == [
        changed.relative_to(runs[1]).as_posix()
    ]


def test_a_file_of_one_run_only_is_named_with_its_run(runs):
    (runs[0] / "quality.csv").unlink()
    done = compare(*runs)
    assert done.returncode == 1
    assert f"quality.csv: only in {runs[1]}" in done.stdout


def test_another_setting_in_run_json_is_a_difference(runs):
    path = runs[1] / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": 0.9}, indent=1) + "\n")
    told = compare(*runs).stdout
    assert "run.json: line" in told
    assert '"threshold": 0.9' in told


def test_the_order_of_keys_in_run_json_is_no_difference(runs):
    path = runs[1] / "run.json"
    turned = dict(reversed(json.loads(path.read_text()).items()))
    path.write_text(json.dumps(turned, indent=1) + "\n")
    assert compare(*runs).returncode == 0


def test_each_pair_is_compared_with_its_own(runs):
    (runs[1] / "quality.csv").unlink()
    done = compare(runs[0], runs[0], *runs)
    assert done.returncode == 1
    assert [line.rsplit(", ", 1)[-1] for line in done.stdout.splitlines() if " files, " in line] == [
        "0 differ",
        "1 differ",
    ]


def test_a_folder_without_a_pair_is_refused(picked):
    done = compare(*picked, picked[0])
    assert done.returncode == 2
    assert "3 run folders do not make pairs" in done.stderr


@pytest.fixture
def class2d(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "accuracy"))
    import class2d

    return class2d


def test_a_class_average_that_is_turned_mirrored_and_moved_is_as_good_as_its_reference(class2d):
    rows, columns = np.indices((40, 40)) - 20
    # An asymmetric thing: a ring with a knob, and a smaller one beside it.
    reference = np.exp(-((np.hypot(rows, columns) - 8) ** 2) / 8) + np.exp(-(rows**2 + (columns - 8) ** 2) / 8)
    reference += 0.5 * np.exp(-((rows - 6) ** 2 + (columns - 6) ** 2) / 4)
    mask = np.hypot(rows, columns) <= 14
    same = np.roll(np.rot90(reference[:, ::-1]), (2, -1), (0, 1))
    noise = np.random.default_rng(0).standard_normal((40, 40))
    assert class2d.likeness(same, [noise, reference], mask) > 0.97
    assert class2d.likeness(noise, [reference], mask) < 0.5
    assert class2d.likeness(np.zeros((40, 40)), [reference], mask) == 0


def test_a_particle_is_cut_if_its_circle_reaches_beyond_the_micrograph(class2d):
    boxes = Boxes.at([10, 9, 50, 50, 89], [50, 50, 10, 9, 50])
    assert class2d.cut(boxes, (100, 100), 20.0).tolist() == [False, True, False, True, False]
