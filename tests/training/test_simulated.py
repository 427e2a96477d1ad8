"""Simulated fields in a training: made once, the same for every run, with the truth about junk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.images import Preparation
from vitripick.simulation import bundled_structures
from vitripick.training import SimulatedSet, default_settings, read_training_plan, train
from vitripick.training import simulated as module
from vitripick.training.samples import TrainingData
from vitripick.training.simulated import load_simulated

RECIPES = Path(module.__file__).parent / "recipes"
ONE = str(bundled_structures()["apoferritin"])


@pytest.fixture(autouse=True)
def small_chunks_in_this_process(monkeypatch):
    """Two fields a file, and no processes to start."""

    def here(job, own, missing):
        own.mkdir(parents=True, exist_ok=True)
        structures = [module.read_structure(path) for path in job.paths]
        for start in missing:
            module._write_chunk(job, own, structures, start)
            yield start

    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setattr(module, "_simulate", here)


def entry(**changes):
    asked = {"structures": ONE, "samples": 4, "validation_samples": 1, "field_px": 64, "seed": 3, **changes}
    return SimulatedSet(**asked)


def load(folder, **changes):
    return load_simulated(entry(**changes), 5, folder, working_diameter_px=16)


def test_fields_are_split_into_those_that_train_and_those_that_validate(tmp_path):
    own = load(tmp_path)
    assert (len(own.training), len(own.validation)) == (4, 1)
    assert own.structures == ["apoferritin"]
    names = [sample.name for sample in [*own.training, *own.validation]]
    assert len(set(names)) == 5
    assert all(sample.set_index == 5 for sample in own.training)


def test_no_field_is_made_twice_and_each_has_the_weight_of_its_set(tmp_path):
    own = load(tmp_path, weight=2.5)
    fields = [np.asarray(sample.image).tobytes() for sample in [*own.training, *own.validation]]
    assert len(set(fields)) == 5
    assert {sample.set_weight for sample in own.training} == {2.5}


def test_a_field_is_normalised_and_its_labels_have_the_working_size(tmp_path):
    for sample in load(tmp_path).training:
        image = np.asarray(sample.image, np.float32)
        assert image.shape == (64, 64)
        assert abs(image.mean()) < 0.3
        assert 0.5 < image.std() < 1.5
        assert 16 / 1.26 < sample.diameter_px < 16 * 1.26
        assert np.all(np.abs(sample.labels[:, 2] / sample.diameter_px - 1) < 0.3)


def test_what_is_there_is_not_simulated_again_and_what_is_missing_is(tmp_path):
    first = load(tmp_path)
    (folder,) = tmp_path.iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "000002.npz").unlink()
    again = load(tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {n for n in before if n.startswith("000002")}
    for one, two in zip(first.training, again.training, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.labels, two.labels)


def test_more_fields_of_the_same_kind_keep_those_that_are_there(tmp_path):
    few, many = load(tmp_path), load(tmp_path, samples=8)
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(few.training[3].image, many.training[3].image)


@pytest.mark.parametrize("changes", [{"seed": 4}, {"recipe": "clean"}, {"scale_jitter": 0.1}])
def test_other_draws_go_to_another_folder(tmp_path, changes):
    load(tmp_path)
    load(tmp_path, **changes)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_broken_file_is_named(tmp_path):
    load(tmp_path)
    (path,) = tmp_path.glob("*/000000.pixels.npy")
    path.write_bytes(b"no array")
    with pytest.raises(InputError, match="000000"):
        load(tmp_path)


def test_a_structure_to_leave_out_must_be_there():
    with pytest.raises(UsageError, match="apofferritin"):
        module._chosen(SimulatedSet(leave_out=("apofferritin",)))


def test_a_structure_left_out_is_not_simulated():
    names = {path.stem for path in module._chosen(SimulatedSet(leave_out=("apoferritin",)))}
    assert "apoferritin" not in names
    assert len(names) == len(bundled_structures()) - 1


def test_only_molecules_up_to_a_mass_are_simulated_where_one_is_given():
    names = {path.stem for path in module._chosen(SimulatedSet(heaviest_kda=140))}
    assert "cftr" in names  # 138 kDa
    assert not names & {"b2ar_gs", "trpv3", "apoferritin"}
    with pytest.raises(UsageError, match="as light as 1 kDa"):
        module._chosen(SimulatedSet(heaviest_kda=1))


def test_junk_is_known_everywhere_in_an_empty_dirty_field(tmp_path):
    own = load(tmp_path, recipe="empty", samples=6, field_px=96)
    assert all(sample.knowledge.empty and sample.knowledge.junk is not None for sample in own.training)
    for sample in own.training:
        # Thick ice, carbon and gold are darker than what lies around them.
        image = np.asarray(sample.image, np.float32)
        if 0.1 < sample.knowledge.junk.mean() < 0.9:
            assert image[sample.knowledge.junk].mean() < image[~sample.knowledge.junk].mean()
    assert any(0.1 < sample.knowledge.junk.mean() < 0.9 for sample in own.training)


def test_a_recipe_may_hold_simulated_sets(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[[simulated]]\nsamples = 3\nstructures = "molecules"\n')
    (own,), _ = read_training_plan(path, data_root="/data")
    assert isinstance(own, SimulatedSet)
    assert own.structures == "/data/molecules"


def test_what_simulated_sets_share_stands_once_and_a_set_may_differ(tmp_path):
    path = tmp_path / "r.toml"
    shared = '[all_simulated]\nsamples = 3\nleave_out = ["trpv3"]\n'
    path.write_text(shared + "[[simulated]]\n[[simulated]]\nsamples = 5\n")
    (one, other), _ = read_training_plan(path)
    assert (one.samples, other.samples) == (3, 5)
    assert one.leave_out == other.leave_out == ("trpv3",)


def test_no_simulated_set_of_the_bundled_models_recipes_holds_a_structure_kept_for_judging():
    kept = {"cftr", "trpv3", "apoferritin", "map_betagal", "t20s_proteasome", "map_26s", "t4_baseplate"}
    for name in ("general", "general_simulated", "general_simulated_more"):
        sets, _ = read_training_plan(RECIPES / f"{name}.toml")
        simulated = [entry for entry in sets if isinstance(entry, SimulatedSet)]
        assert simulated
        assert all(kept <= set(entry.leave_out) for entry in simulated)


def test_a_network_that_sees_whole_micrographs_takes_no_fields(tmp_path):
    data = TrainingData()
    with pytest.raises(UsageError, match="simulate"):
        module.with_simulated(data, [entry()], tmp_path, Preparation(scale_by="long_side"))


def test_simulated_sets_stand_behind_the_labelled_ones_and_leave_the_data_as_it_was(tmp_path):
    labelled = TrainingData(training=(load(tmp_path).training[0],), split=({"train": ["a.mrc"]},), diameters_px=(80.0,))
    both = module.with_simulated(labelled, [entry()], tmp_path, Preparation(working_diameter_px=16))
    assert len(labelled.training) == len(labelled.split) == 1
    assert [sample.set_index for sample in both.training] == [5, 1, 1, 1, 1]
    assert both.diameters_px == (80.0,)
    assert both.split[1]["structures"] == ["apoferritin"]


def test_a_model_trained_on_fields_and_micrographs_is_one_of_several_particles(labelled_set, tmp_path):
    settings = default_settings(
        options={"width": 16, "junk": True},
        steps=4,
        steps_per_epoch=2,
        batch_size=4,
        crop_px=64,
        working_diameter_px=16,
    )
    result = train([labelled_set, entry()], tmp_path / "run", settings=settings, simulated_fields=tmp_path / "fields")
    card = result.model.card
    assert card.diameter_px is None
    assert card.diameter_range_angstrom is not None
    assert card.diameter_range_angstrom[0] <= 80
    assert card.training["split"][1]["structures"] == ["apoferritin"]
    assert result.model.detector.decoding.junk
