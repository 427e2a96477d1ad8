"""`vitripick classes`: the picks of a run, sorted into classes, culled by them, and handed on."""

import csv
import json

import mrcfile
import numpy as np
import pytest
import starfile

from made import rings
from vitripick.cli.app import run as run_command
from vitripick.formats import read_all_picks, read_picks, write_mrc
from vitripick.settings.classes import ClassesSettings


@pytest.fixture(scope="module")
def picked(tmp_path_factory):
    """Return a run of 24 rings on two micrographs."""
    folder = tmp_path_factory.mktemp("classes")
    for seed in range(2):
        image = rings(seed, shape=(520, 400), y=(80, 200, 320, 440))
        write_mrc(folder / "mics" / f"m{seed}.mrc", image, pixel_size=2.0)
    given = ["--diameter-px", "60", "--keep-diameter", "--threshold", "0.3", "--box-size-px", "70"]
    assert run_command(["pick", str(folder / "mics"), "--out", str(folder / "run"), *given]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def sorted_run(picked):
    assert run_command(["classes", str(picked), "--n", "2"]) == 0
    return picked


def test_a_run_gets_a_sheet_averages_and_its_particles_in_classes(sorted_run):
    out = sorted_run / "classes"
    with mrcfile.open(out / "classes.mrcs") as file:
        averages, size = np.atleast_3d(file.data.T).T.copy(), float(file.voxel_size.x)
    described = json.loads((out / "classes.json").read_text())
    table = starfile.read(out / "classes.star")["model_classes"]
    particles = starfile.read(out / "particles.star")["particles"]
    assert (out / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert len(averages) == len(described["classes"])
    assert len(np.atleast_1d(table["rlnReferenceImage"])) == len(averages)
    assert size == pytest.approx(2.0 * 96 / 64)
    n = sum(len(read_picks(path)) for path in (sorted_run / "star").rglob("*_autopick.star"))
    assert len(particles) == n == sum(one["n_particles"] for one in described["classes"])
    assert set(particles["rlnClassNumber"]) <= set(range(1, len(averages) + 1))
    # Particles are bright in the averages, and dark in the micrographs.
    rows, columns = np.indices(averages.shape[1:]) - averages.shape[1] / 2
    ring = np.abs(np.hypot(rows, columns) - 23 / 1.5) < 2
    assert averages[0][ring].mean() > averages[0][~ring].mean() + 0.3


def test_particles_lie_where_their_rings_are(sorted_run):
    for boxes in read_all_picks(sorted_run / "classes" / "particles.star"):
        places = boxes.recentred(2.0).centres
        off = [np.abs(places - np.array([x, y])).max(axis=1).min() for x in (80, 200, 320) for y in (80, 200, 320, 440)]
        assert np.median(off) < 1.0


def test_relion_gets_angles_that_are_counted_its_way(sorted_run):
    # With this sign, relion_stack_create --apply_transformation (3.1.3) turns the particles onto their average.
    with (sorted_run / "classes" / "particles.csv").open(encoding="utf-8") as file:
        ours = np.array([float(row["angle_degrees"]) for row in csv.DictReader(file)])
    theirs = starfile.read(sorted_run / "classes" / "particles.star")["particles"]["rlnAnglePsi"].to_numpy()
    assert np.ptp(ours) > 0
    assert np.allclose((ours + theirs + 180) % 360 - 180, 0, atol=0.01)


def test_classes_that_are_there_are_not_made_again(vitripick, sorted_run):
    before = (sorted_run / "classes" / "classes.json").stat().st_mtime_ns
    done = vitripick("classes", sorted_run, "--n", "2", "--json")
    assert done.code == 0
    assert json.loads(done.out)["n_particles"] == 24
    assert (sorted_run / "classes" / "classes.json").stat().st_mtime_ns == before


def test_the_picks_of_kept_classes_go_to_files_and_the_rest_to_known_non_particles(vitripick, sorted_run):
    described = json.loads((sorted_run / "classes" / "classes.json").read_text())["classes"]
    done = vitripick("classes", sorted_run, "--n", "2", "--keep-classes", "1", "--format", "box", "--json")
    assert done.code == 0
    told = json.loads(done.out)["kept"]
    assert told["n_kept"] == described[0]["n_particles"]
    kept = read_all_picks(sorted_run / "classes" / "kept" / "box")
    assert sum(map(len, kept)) == told["n_kept"]
    assert {boxes.box_size_px for boxes in kept if len(boxes)} == {70.0}
    assert sum(map(len, read_all_picks(sorted_run / "classes" / "kept.star"))) == told["n_kept"]
    assert told["n_kept"] + told["n_rejected"] == 24


def test_kept_picks_move_to_their_particles_when_asked(vitripick, sorted_run):
    centres = []
    for options in ([], ["--recentre"]):
        done = vitripick("classes", sorted_run, "--n", "2", "--keep-classes", "good", "--format", "csv", *options)
        assert done.code == 0
        assert "vitripick train" in done.out
        parts = read_all_picks(sorted_run / "classes" / "kept")
        centres.append(np.concatenate([boxes.centres for boxes in parts]))
    moved = np.abs(centres[0] - centres[1]).max()
    assert 0 < moved < 10


def test_other_settings_make_other_classes(vitripick, sorted_run, tmp_path):
    done = vitripick("classes", sorted_run, "--n", "1", "--max-particles", "10", "--out", tmp_path / "one", "--json")
    told = json.loads(done.out)
    assert len(told["classes"]) == 1
    assert told["n_particles"] == 24
    assert not (sorted_run / "classes" / "one").exists()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--keep-classes", "1,99"], 2, "there is no class 99"),
        (["--keep-classes", "all"], 2, "give numbers of classes"),
        (["--keep-classes", "1", "--format", "nonsense"], 2, "nonsense"),
        (["--diameter-px", "5"], 3, "binned less"),
        (["--threshold", "1"], 3, "no picks at the threshold of 1"),
    ],
)
def test_what_cannot_be_is_said_in_words(vitripick, sorted_run, options, code, says):
    done = vitripick("classes", sorted_run, "--n", "2", *options)
    assert (done.code, says in done.err) == (code, True), done.err


def test_a_folder_that_is_no_run_is_refused(vitripick, tmp_path):
    done = vitripick("classes", tmp_path)
    assert (done.code, "there is no run.json here" in done.err) == (3, True)


def test_the_line_of_a_report_ends_in_a_comma_and_is_taken():
    assert ClassesSettings(keep_classes="1, 3,").keep_classes == "1,3"
    with pytest.raises(ValueError, match="numbers of classes"):
        ClassesSettings(keep_classes=",")


def test_a_report_shows_the_classes_of_its_run(vitripick, sorted_run, tmp_path):
    assert vitripick("report", sorted_run, "--out", tmp_path / "report.html").code == 0
    page = (tmp_path / "report.html").read_text()
    assert "Averages of the two-dimensional classes" in page
    described = json.loads((sorted_run / "classes/classes.json").read_text())["classes"]
    for one in described:  # what seems to be a particle is chosen, and the command below names each class
        checked = " checked" if one["guess"] == "particle" else ""
        assert f'aria-label="Class {one["number"]} is good"{checked}>' in page
        assert f'<span class="k{one["number"]}">{one["number"]},</span>' in page


def test_pick_sorts_its_picks_at_the_end_when_asked(vitripick, ring_micrograph, tmp_path):
    given = ["--diameter-px", "60", "--keep-diameter", "--threshold", "0.3"]
    done = vitripick("pick", ring_micrograph, "--out", tmp_path / "run", "--classes", *given)
    assert done.code == 0
    assert "classes: 9 particles in 1 class" in done.out
    assert (tmp_path / "run" / "classes" / "sheet.png").is_file()


def test_phases_are_flipped_where_the_star_gives_the_defocus(vitripick, picked, tmp_path, monkeypatch):
    monkeypatch.chdir(picked.parent)
    (picked.parent / "ctf.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroupName\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n"
        "_rlnMicrographPixelSize\ng 1 300 2.7 2.0\n\ndata_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
        "_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\nmics/m0.mrc 1 20000 21000 10\nmics/m1.mrc 1 0 0 0\n"
    )
    given = ["--diameter-px", "60", "--keep-diameter", "--threshold", "0.3"]
    assert run_command(["pick", "ctf.star", "--out", str(tmp_path / "run"), *given]) == 0
    done = vitripick("classes", tmp_path / "run", "--n", "1")
    assert "phases flipped on 1 of 2 micrographs" in done.out
    assert "contrast transfer not corrected" in vitripick("classes", picked, "--n", "2").out
    told = json.loads(vitripick("classes", tmp_path / "run", "--n", "1", "--json").out)
    assert (told["n_micrographs"], told["n_phases_flipped"]) == (2, 1)


def test_a_watcher_leaves_classes_behind(vitripick, ring_micrograph, tmp_path):
    waits = ["--idle-timeout", "0.5", "--settle", "0", "--poll", "0.05", "--survey-wait", "0", "--classes"]
    given = ["--diameter-px", "60", "--keep-diameter", "--threshold", "0.3"]
    assert vitripick("watch", ring_micrograph.parent, "--out", tmp_path / "run", *given, *waits).code == 0
    assert (tmp_path / "run" / "classes" / "sheet.png").is_file()


def test_a_share_of_a_run_has_no_classes(vitripick, ring_micrograph, tmp_path):
    done = vitripick("pick", ring_micrograph, "--out", tmp_path / "run", "--classes", "--shard", "1/2")
    assert (done.code, "a share has not all picks" in done.err) == (2, True)
