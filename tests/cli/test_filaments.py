"""From the command line: trace, convert, judge, with the released model on a simulated micrograph."""

import errno
import json
import pickle
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import ResourceError
from vitripick.formats import read_micrograph, write_mrc
from vitripick.formats.filaments import read_filaments, write_filaments
from vitripick.programs import dask_filaments
from vitripick.programs.batch_jobs import NoWatch
from vitripick.runs import filament_folder
from vitripick.runs.filament_record import write_stored
from vitripick.simulation import load_scene_recipe
from vitripick.simulation.filament_shapes import Helix
from vitripick.simulation.filaments import FilamentLayout, simulate_filaments
from vitripick.simulation.structures.structure import Structure


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with one micrograph of rods of 120 Å, its labels in `labels/`."""
    folder = tmp_path_factory.mktemp("filaments")
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(5, 55, 60), rng.uniform(-25, 25, 60), rng.uniform(-12, 12, 60)])
    rod = Helix(
        Structure("rod", "filament", 60.0, points.astype(np.float32), np.full(60, 70, np.float32), 5.0), 24, 20, 5
    )
    layout = FilamentLayout(count=5, length_widths=(12, 25), bend=0.005, bundle_chance=0, gap_chance=0, crossings=False)
    made = simulate_filaments(
        load_scene_recipe("clean"), rod, np.random.default_rng(2), layout=layout, shape=(480, 560), pixel_size=5.0
    )
    write_mrc(folder / "mics/a.mrc", made.image, pixel_size=5.0)
    write_filaments(made.filaments, folder / "labels/a.csv")
    return folder


@pytest.fixture(scope="module")
def width(project):
    return float(read_filaments(project / "labels/a.csv")[0].filaments[0].width * 5)


def test_rods_are_traced_written_judged_and_converted(vitripick, project, width):
    out = project / "out"
    words = ("--filaments", "--width-angstrom", width, "--spacing-angstrom", 50, "--minimum-length-angstrom", 250)
    words = (*words, "--out", out, "--overlays")
    formats = [word for name in ("star", "cbox", "helix-box", "cs") for word in ("--format", name)]
    done = vitripick("pick", project / "mics", *words, *formats, "--json")
    (told,) = json.loads(done.out)["micrographs"]
    assert told["segments"] > told["filaments"] > 0
    for name in (
        "star/a_autopick.star",
        "cbox/a.cbox",
        "helix-box/a.box",
        "filaments.cs",
        "overlays/a.png",
        "overlays/straightened/a.png",
    ):
        assert (out / name).is_file(), name
    judged = json.loads(vitripick("evaluate", out, project / "labels", "--filaments", "--json").out)
    assert judged["recall"] > 0.6
    assert judged["precision"] > 0.6
    assert (out / "quality.csv").read_text().splitlines()[1].startswith("a.mrc,")
    report = ("report", out, "--labels", project / "labels", "--out", project / "report.html", "--json")
    (shown,) = json.loads(vitripick(*report).out)["runs"]
    assert shown["n_filaments"] == told["filaments"]
    page = (project / "report.html").read_text()
    assert f"F1 {judged['f1']:.3f}" in page
    assert "Filaments straightened" in page
    assert f"<b>{told['segments']}</b><span>segments</span>" in page
    before = (out / "filaments/a.csv").stat().st_mtime_ns
    vitripick("pick", project / "mics", *words, "--format", "start-end-star")
    assert (out / "filaments/a.csv").stat().st_mtime_ns == before, "traced once"
    assert (out / "start-end-star/a_autopick.star").is_file()
    spaced = ("--to", "helix-box", "--spacing-angstrom", 60)
    assert vitripick("convert", out, project / "spaced", "--filaments", *spaced).code == 0, (
        "the run knows its pixel size"
    )
    vitripick("convert", out / "cbox/a.cbox", project / "converted/a.csv", "--filaments")
    again = json.loads(vitripick("evaluate", project / "converted/a.csv", out, "--filaments", "--json").out)
    assert again["f1"] > 0.95


def test_a_width_that_is_not_given_is_estimated_once(vitripick, project, width):
    words = ("pick", project / "mics", "--filaments", "--format", "csv", "--out", project / "estimated")
    done = vitripick(*words)
    assert done.code == 0, done.err
    kept = json.loads((project / "estimated/width.json").read_text())
    assert kept["field"] == "width_angstrom"
    assert kept["value"] == pytest.approx(width, rel=0.3)
    assert json.loads(vitripick(*words, "--json-lines").out.splitlines()[0])["status"] == "skipped"


def test_the_width_is_asked_for_where_no_filaments_stand_out(vitripick, tmp_path):
    write_mrc(tmp_path / "mics/a.mrc", np.random.default_rng(1).normal(0, 1, (300, 320)).astype(np.float32))
    done = vitripick("pick", tmp_path / "mics", "--filaments", "--format", "csv", "--out", tmp_path / "none")
    assert done.code == 2
    assert "no filaments stand out" in done.err
    assert "--width-angstrom" in done.err


@pytest.fixture
def rods(project, tmp_path):
    """Return a folder with the micrograph under two names, without a pixel size, and a damaged one."""
    image = read_micrograph(project / "mics/a.mrc").image
    for name in "ab":
        write_mrc(tmp_path / "mics" / f"{name}.mrc", image)
    (tmp_path / "mics/cut.mrc").write_bytes((tmp_path / "mics/a.mrc").read_bytes()[:5000])
    return tmp_path


@pytest.fixture
def words(width):
    """Return what every call here says."""
    return ("--filaments", "--width-px", width / 5, "--format", "csv")


def test_a_call_for_one_micrograph_keeps_the_others_in_the_joined_files(vitripick, rods, words):
    out = ("--out", rods / "out")
    first = vitripick("pick", rods / "mics", *words, *out)
    assert first.code == 4, "one of three is damaged"
    table = (rods / "out/filaments.csv").read_text()
    vitripick("pick", rods / "mics/b.mrc", *words, *out)
    assert sorted((rods / "out/filaments.csv").read_text().splitlines()) == sorted(table.splitlines())
    other = vitripick("pick", rods / "mics/b.mrc", *words, "--threshold", 0.3, *out)
    assert "leave out 1 micrograph of earlier calls, traced with other settings" in other.err


def test_an_overlay_of_other_filaments_is_removed_and_that_is_said(vitripick, rods, words):
    one, out = rods / "mics/a.mrc", ("--out", rods / "out")
    vitripick("pick", one, *words, "--overlays", *out)
    assert (rods / "out/overlays/a.png").is_file()
    done = vitripick("pick", one, *words, "--threshold", 0.3, *out)
    assert not (rods / "out/overlays/a.png").exists()
    assert "a.mrc: its overlay showed other filaments and was removed" in done.err


def test_a_micrograph_without_the_pixel_size_that_a_format_needs_is_refused_before_it_is_traced(vitripick, rods, words):
    done = vitripick("pick", rods / "mics/a.mrc", *words, "--format", "star", "--out", rods / "out")
    assert done.code == 2
    assert "star needs the pixel size" in done.err
    assert "another --format" in done.err
    assert not (rods / "out/filaments").exists()


NO_SPACE, NO_MEMORY = OSError(errno.ENOSPC, "No space left on device"), ResourceError("out of memory while picking")


@pytest.mark.parametrize(("error", "said"), [(NO_SPACE, "disk is full"), (NO_MEMORY, "out of memory")], ids=str)
def test_a_lack_of_disk_or_memory_ends_the_call_and_the_next_one_goes_on(
    vitripick, rods, words, monkeypatch, error, said
):
    def lacking(out, stem, stored, **how):
        if stem == "b":
            raise error
        write_stored(out, stem, stored, **how)

    call = ("pick", rods / "mics", *words, "--out", rods / "out")
    with monkeypatch.context() as patched:
        patched.setattr(filament_folder, "write_stored", lacking)
        done = vitripick(*call)
    assert (done.code, said in done.err) == (5, True)
    assert not (rods / "out/failed/b.json").exists(), "it is not this micrograph's fault"
    lines = vitripick(*call, "--json-lines").out.splitlines()
    assert [json.loads(line)["status"] for line in lines[:2]] == ["skipped", "done"]


def test_files_that_are_not_traced_are_in_the_json(vitripick, rods, words):
    (rods / "mics/movie.eer").write_bytes(bytes(10))
    done = vitripick("pick", rods / "mics", *words, "--out", rods / "out", "--json")
    (passed_by,) = json.loads(done.out)["passed_by"]
    assert passed_by["path"].endswith("movie.eer")
    assert "passed_by" not in json.loads((rods / "out/filaments.json").read_text()), "it holds what the folder holds"


@pytest.mark.parametrize("idle", [("--diameter-px", 30), ("--aim", "recall"), ("--profile",), ("--edge", "box")])
def test_an_option_that_does_nothing_for_filaments_is_refused(vitripick, rods, words, idle):
    done = vitripick("pick", rods / "mics/a.mrc", *words, *idle, "--out", rods / "out")
    assert done.code == 2
    assert f"{idle[0]}" in done.err
    assert "acts on particles" in done.err


def test_filaments_are_cut_off_at_a_distance_from_the_border(vitripick, rods, words):
    sized = ("pick", rods / "mics/a.mrc", *words, "--pixel-size", 5.0, "--border-angstrom", 250)
    assert vitripick(*sized, "--out", rods / "inner").code == 0
    (inner,) = read_filaments(rods / "inner/filaments/a.csv")
    points = np.concatenate([one.points for one in inner])
    assert points.min() >= 49.9
    assert (points.max(axis=0) <= (560 - 50.9, 480 - 50.9)).all()
    done = vitripick("pick", rods / "mics/a.mrc", *words, "--border-angstrom", 250, "--out", rods / "unknown")
    assert done.code == 2
    assert "a border in Å needs the pixel size" in done.err


def test_options_of_particles_are_refused_in_a_report_of_filaments(vitripick, rods, words):
    vitripick("pick", rods / "mics/a.mrc", *words, "--out", rods / "out")
    done = vitripick("report", rods / "out", "--diameter-px", 24, "--out", rods / "report.html")
    assert done.code == 2
    assert "--diameter-px acts on particles" in done.err


def test_an_option_of_filaments_without_filaments_is_refused(vitripick, rods):
    done = vitripick("pick", rods / "mics/a.mrc", "--width-px", 24, "--out", rods / "out")
    assert done.code == 2
    assert "--width-px needs --filaments" in done.err


def test_particles_and_filaments_do_not_share_a_folder(vitripick, rods, words):
    out = ("--out", rods / "out")
    vitripick("pick", rods / "mics/a.mrc", *words, *out)
    particles = ("pick", rods / "mics/a.mrc", "--diameter-px", 24, "--keep-diameter", "--threshold", 0.4)
    assert "this folder holds traced filaments" in vitripick(*particles, *out).err
    assert vitripick(*particles, "--out", rods / "particles").code == 0
    assert "holds picks of particles" in vitripick("pick", rods / "mics/a.mrc", *words, "--out", rods / "particles").err


def test_shards_and_then_the_whole_give_what_one_call_gives(vitripick, rods, words):
    both = ("pick", rods / "mics/a.mrc", rods / "mics/b.mrc", *words)
    vitripick(*both, "--out", rods / "once", "--jobs", 1)
    for share in ("1/2", "2/2"):
        assert vitripick(*both, "--out", rods / "shared", "--shard", share).code == 0
    assert len(list((rods / "shared/filaments").glob("*.csv"))) == 2
    assert not (rods / "shared/filaments.csv").exists()
    done = vitripick(*both, "--out", rods / "shared", "--json-lines")
    assert [json.loads(line)["status"] for line in done.out.splitlines()[:-1]] == ["skipped", "skipped"]
    for name in ("filaments.csv", "filaments/a.csv", "filaments/b.csv"):
        assert (rods / "shared" / name).read_bytes() == (rods / "once" / name).read_bytes()


class WorkerHere:
    """Stands for a client of Dask: works at once in this process, and pickles what goes over the wire."""

    def submit(self, function, *arguments, pure):
        future = Future()
        future.release = lambda: None
        future.set_result(pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(arguments))))))
        return future


def test_a_cluster_traces_what_one_machine_traces(vitripick, rods, words, monkeypatch):
    pytest.importorskip("distributed")
    asked = []

    @contextmanager
    def cluster_client(cluster, layout, on_note):
        asked.append(cluster)
        yield WorkerHere(), NoWatch()

    monkeypatch.setattr(dask_filaments, "cluster_client", cluster_client)
    every = ("pick", rods / "mics", *words, "--device", "cpu")
    assert vitripick(*every, "--out", rods / "once").code == 4, "one is damaged"
    done = vitripick(*every, "--cluster", "tcp://there:8786", "--out", rods / "cluster")
    assert asked == ["tcp://there:8786"]
    assert done.code == 4
    assert "cut.mrc" in done.err
    for name in ("filaments.csv", "filaments/a.csv", "filaments/b.csv", "failed/cut.json"):
        assert (rods / "cluster" / name).read_bytes() == (rods / "once" / name).read_bytes()


MICROGRAPHS = """data_optics

loop_
_rlnOpticsGroup #1
_rlnMicrographPixelSize #2
1 5.0

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
mics/a.mrc 1

"""


@pytest.fixture
def job(project, tmp_path, monkeypatch):
    """Return what runs an External job in a project of RELION with the micrograph."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mics").mkdir()
    (tmp_path / "mics/a.mrc").symlink_to(project / "mics/a.mrc")
    (tmp_path / "micrographs.star").write_text(MICROGRAPHS)
    return ("relion", "--o", "External/job001/", "--in_mics", "micrographs.star", "--filaments", "Yes")


def test_a_job_of_relion_leaves_segments_where_relion_looks_for_them(vitripick, job, width):
    done = vitripick(*job, "--width_angstrom", width, "--spacing_angstrom", 50, "--j", 1)
    assert done.code == 0, done.err
    assert Path("External/job001/RELION_JOB_EXIT_SUCCESS").exists()
    (listed,) = [
        line.split() for line in Path("External/job001/autopick.star").read_text().splitlines() if ".mrc" in line
    ]
    assert listed[0] == "mics/a.mrc"
    written = Path(listed[1]).read_text()
    for label in ("HelicalTubeID", "AnglePsiPrior", "HelicalTrackLengthAngst"):
        assert f"_rln{label} " in written
    assert "External/job001/autopick.star" in Path("External/job001/RELION_OUTPUT_NODES.star").read_text()


def test_a_job_of_relion_names_labels_that_do_nothing_for_filaments(vitripick, job):
    done = vitripick(*job, "--diameter_angstrom", 100, "--j", 1)
    assert done.code == 2
    assert "--diameter_angstrom" in done.err
    assert Path("External/job001/RELION_JOB_EXIT_FAILURE").exists()


def test_watching_traces_what_is_there_and_what_arrives(vitripick, rods, words):
    late = rods / "late.mrc"
    (rods / "mics/b.mrc").rename(late)
    timer = threading.Timer(0.6, lambda: late.rename(rods / "mics/b.mrc"))
    timer.start()
    quick = ("--settle", 0.05, "--poll", 0.05, "--tries", 1, "--idle-timeout", 1.5, "--json-lines", "--report")
    done = vitripick("watch", rods / "mics", *words, *quick, "--out", rods / "watched")
    assert done.code == 4, "one is damaged"
    told = {row["micrograph"]: row["status"] for row in map(json.loads, done.out.splitlines())}
    assert told == {"a.mrc": "done", "b.mrc": "done", "cut.mrc": "failed"}
    vitripick("pick", rods / "mics/a.mrc", rods / "mics/b.mrc", *words, "--out", rods / "picked")
    lines = [sorted((rods / run / "filaments.csv").read_text().splitlines()) for run in ("watched", "picked")]
    assert lines[0] == lines[1]
    assert json.loads((rods / "watched/status.json").read_text())["done"] == 2
    assert "<b>2</b><span>micrographs traced</span>" in (rods / "watched/report.html").read_text()
    refused = vitripick("watch", rods / "mics", *words, *quick, "--classes", "--out", rods / "classes")
    assert refused.code == 2
    assert "--classes acts on particles" in refused.err


def test_filaments_are_converted_into_a_folder_once_a_format_is_named(vitripick, project, tmp_path):
    refused = vitripick("convert", project / "labels", tmp_path / "out", "--filaments")
    assert refused.code == 2
    assert "give --format" in refused.err
    assert vitripick("convert", project / "labels", tmp_path / "out", "--filaments", "--format", "cbox").code == 0
    assert (tmp_path / "out" / "a.cbox").is_file()


@pytest.mark.parametrize(
    "command",
    [("extract", "--out", "e.mrcs", "--box-size-px", 32), ("classes",), ("handover", "--to", "relion")],
    ids=lambda words: words[0],
)
def test_a_command_of_particles_says_that_a_folder_holds_filaments(vitripick, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run/filament_records").mkdir(parents=True)
    done = vitripick(command[0], "run", *command[1:])
    assert done.code == 3
    assert "this folder holds traced filaments" in done.err
    assert "vitripick report" in done.err
