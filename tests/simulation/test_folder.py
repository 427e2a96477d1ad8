"""Many micrographs into a folder."""

import json
import shutil

import numpy as np
import pytest

from made import snapshot
from vitripick.errors import InputError, UsageError
from vitripick.formats import read_micrograph, read_picks
from vitripick.simulation import SimulateSettings, bundled_structures, load_scene_recipe, simulate_folder


def small(**changes):
    return load_scene_recipe("general", changes=["shape=[160, 200]", "pixel_size=4", *changes.pop("extra", ())])


def simulate(out, recipe=None, *, structures=("trpv3",), n_workers=1, on_progress=None, **options):
    """Simulate into a folder, in this process unless a test asks for more."""
    options = SimulateSettings(**options)
    return simulate_folder(recipe or small(), out, structures, options, n_workers=n_workers, on_progress=on_progress)


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    for workers in (1, 2):
        simulate(
            tmp_path / str(workers), structures=("trpv3", "hemoglobin"), n_workers=workers, n_micrographs=4, seed=3
        )
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_a_longer_run_begins_with_the_shorter_one(tmp_path):
    for n in (2, 3):
        simulate(tmp_path / str(n), n_micrographs=n)
    two, three = snapshot(tmp_path / "2"), snapshot(tmp_path / "3")
    assert all(three[name] == data for name, data in two.items() if name != "simulation.json")


def test_every_format_has_the_same_particles_and_the_json_all_that_was_drawn(tmp_path):
    simulate(tmp_path, n_micrographs=1, dtype="float16")
    micrograph = read_micrograph(tmp_path / "micrographs" / "simulated_0001.mrc")
    assert micrograph.shape == (160, 200)
    # 1024 bytes of header and two a pixel.
    assert (tmp_path / "micrographs" / "simulated_0001.mrc").stat().st_size == 1024 + 2 * 160 * 200
    assert micrograph.pixel_size == pytest.approx(4.0)
    drawn = json.loads((tmp_path / "parameters" / "simulated_0001.json").read_text())
    truth = np.array([[p["x"], p["y"]] for p in drawn["particles"]]).reshape(-1, 2)
    for name in ("labels/simulated_0001.cbox", "star/simulated_0001.star", "csv/simulated_0001.csv"):
        np.testing.assert_allclose(read_picks(tmp_path / name).centres, truth, atol=0.01)
    assert {"structure", "optics", "ice", "dose_per_square_angstrom", "detector", "snr", "contaminants"} <= set(drawn)


def test_called_again_it_goes_on_where_it_stopped(tmp_path):
    simulate(tmp_path, n_micrographs=2)
    before = (tmp_path / "micrographs" / "simulated_0001.mrc").stat().st_mtime_ns
    (tmp_path / "parameters" / "simulated_0002.json").write_text("{ cut sh")
    seen = []
    again = simulate(tmp_path, n_micrographs=3, on_progress=lambda *p: seen.append(p))
    assert (tmp_path / "micrographs" / "simulated_0001.mrc").stat().st_mtime_ns == before
    assert again.n_skipped == 1
    assert [name for _, _, name in seen] == ["simulated_0002", "simulated_0003"]


def test_another_seed_or_recipe_makes_them_anew(tmp_path):
    simulate(tmp_path, n_micrographs=1)
    assert simulate(tmp_path, n_micrographs=1, seed=2).n_skipped == 0
    changed = small(extra=["optics.b_factor=10"])
    assert simulate(tmp_path, changed, n_micrographs=1, seed=2).n_skipped == 0


def test_micrographs_of_another_seed_are_not_left_among_the_new_ones(tmp_path):
    simulate(tmp_path, n_micrographs=3)
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=r"another recipe, seed or version \(simulated_0003\) .* another out="):
        simulate(tmp_path, n_micrographs=2, seed=2)
    assert snapshot(tmp_path) == before


def test_fewer_micrographs_of_the_same_seed_leave_the_others_and_say_so(tmp_path, caplog):
    simulate(tmp_path, n_micrographs=3)
    assert simulate(tmp_path, n_micrographs=1).n_skipped == 1
    assert "2 more micrographs of the same recipe and seed (from simulated_0002 on)" in caplog.text
    assert (tmp_path / "micrographs" / "simulated_0003.mrc").exists()


def test_another_prefix_adds_to_the_folder(tmp_path):
    for seed in (1, 2):
        prefix = f"grids/mic{seed}"
        simulate(tmp_path, n_micrographs=3 - seed, seed=seed, prefix=prefix)
    assert len(list((tmp_path / "micrographs").rglob("*.mrc"))) == 3


@pytest.mark.parametrize("prefix", ["", "../mic", "grid1/../../mic", "/tmp/mic"])
def test_a_prefix_that_leads_out_of_the_folder_is_a_usage_error(tmp_path, prefix):
    with pytest.raises(UsageError, match=r"prefix='.*': micrographs stay inside"):
        simulate(tmp_path / "out", n_micrographs=1, prefix=prefix)
    assert list(tmp_path.iterdir()) == []


def test_a_run_broken_off_does_not_leave_its_image_to_an_earlier_recipe(tmp_path, monkeypatch):
    def first_recipe():
        return simulate(tmp_path, n_micrographs=1)

    def break_off(*_):
        raise KeyboardInterrupt

    first_recipe()
    image = (tmp_path / "micrographs" / "simulated_0001.mrc").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("vitripick.simulation.folder.write_picks", break_off)
        with pytest.raises(KeyboardInterrupt):
            simulate(tmp_path, n_micrographs=1, seed=2)
    assert first_recipe().n_skipped == 0
    assert (tmp_path / "micrographs" / "simulated_0001.mrc").read_bytes() == image


def test_what_an_index_says_of_a_structure_decides_whether_its_micrograph_is_made_anew(tmp_path):
    structures = tmp_path / "structures"
    structures.mkdir()
    shutil.copy(bundled_structures()["hemoglobin"], structures / "mine.npz")
    skipped = []
    for index in (None, "other.npz,virus,1", "mine.npz,virus,64", "mine.npz,virus,65", "mine.npz,soluble,65"):
        if index:
            (structures / "index.csv").write_text(f"file,kind,mw_kda\n{index}\n")
        summary = simulate(tmp_path / "out", n_micrographs=1, structures=[structures])
        skipped.append(summary.n_skipped)
    assert skipped == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_reaches_the_user(tmp_path, workers):
    recipe = small(extra=["particles.count=4000", "contamination.chance=0"])
    with pytest.raises(UsageError, match=r"only \d+ of 4000 particles"):
        simulate(tmp_path, recipe, n_micrographs=2, n_workers=workers)


def test_a_structure_that_is_not_there_is_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="neither a file or folder nor a bundled structure"):
        simulate(tmp_path / "out", n_micrographs=1, structures=["trpv33"])
    assert not (tmp_path / "out").exists()


def test_pixel_size_and_shape_go_before_the_recipes(tmp_path):
    simulate(tmp_path, n_micrographs=1, pixel_size=5, shape=(96, 128))
    micrograph = read_micrograph(tmp_path / "micrographs" / "simulated_0001.mrc")
    assert micrograph.shape == (96, 128)
    assert micrograph.pixel_size == pytest.approx(5.0)
    by_recipe = small(extra=["pixel_size=5", "shape=[96, 128]"])
    assert simulate(tmp_path, by_recipe, n_micrographs=1).n_skipped == 1


def test_overlays_are_drawn_of_all_micrographs_also_of_those_that_were_there(tmp_path):
    simulate(tmp_path, n_micrographs=1)
    assert simulate(tmp_path, n_micrographs=2, overlays=True).n_skipped == 1
    assert sorted(path.name for path in (tmp_path / "overlays").iterdir()) == [
        "simulated_0001.png",
        "simulated_0002.png",
    ]
