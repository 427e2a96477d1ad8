import csv
import json

import numpy as np
import pytest
import torch

from vitripick.errors import InputError, ResourceError, UsageError
from vitripick.formats import read_micrograph, write_picks
from vitripick.geometry import Boxes, match
from vitripick.images import Preparation
from vitripick.models import load_weights
from vitripick.picking import pick
from vitripick.training import About, default_settings, train
from vitripick.training import loop as loop_module
from vitripick.training.checkpoint import Checkpoint
from vitripick.training.data import load_training_data


def weights(path):
    return load_weights(path).detector.state_dict()


def assert_same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def test_a_small_set_trains_in_seconds_and_its_particles_are_found(labelled_set, tmp_path):
    settings = default_settings(
        options={"width": 16}, steps=60, steps_per_epoch=20, batch_size=8, crop_px=96, working_diameter_px=16
    )
    model = train(labelled_set, tmp_path / "run", settings=settings).model
    micrograph = read_micrograph(tmp_path / "micrographs" / "disc0.mrc")
    picks = pick(micrograph, model)
    labels = np.loadtxt(tmp_path / "labels" / "disc0.csv", delimiter=",", skiprows=1)
    found = match(picks, Boxes.at(labels[:, 0], labels[:, 1]), criterion="distance", distance_px=5)
    assert (found >= 0).sum() >= 12
    assert (found < 0).sum() <= 2


def test_the_same_seed_gives_the_same_weights_and_another_does_not(session_set, short, tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    train(session_set, a, settings=short)
    train(session_set, b, settings=short)
    train(session_set, c, settings=short.model_copy(update={"seed": 2}))
    assert_same_weights(weights(a / "model.safetensors"), weights(b / "model.safetensors"))
    first, other = weights(a / "model.safetensors"), weights(c / "model.safetensors")
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("architecture", ["heatmap", "yolo"])
def test_a_killed_run_resumed_ends_with_the_same_weights(architecture, session_set, short, tmp_path, monkeypatch):
    if architecture == "yolo":
        short = default_settings("yolo", steps=4, steps_per_epoch=2, batch_size=1, input_size_px=64)
    whole = train(session_set, tmp_path / "whole", settings=short)

    real_step = loop_module._step

    def killed(network, state, batch, settings, processes):
        if state.progress.step == settings.steps_per_epoch + 1:
            raise KeyboardInterrupt
        return real_step(network, state, batch, settings, processes)

    monkeypatch.setattr(loop_module, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(session_set, tmp_path / "killed", settings=short)
    monkeypatch.undo()
    resumed = train(session_set, tmp_path / "killed", settings=short)
    assert [row["step"] for row in resumed.rows] == [row["step"] for row in whole.rows]
    last = [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "killed")]
    assert_same_weights(last[0]["weights"], last[1]["weights"])
    assert_same_weights(last[0]["averaged"], last[1]["averaged"])
    assert_same_weights(weights(whole.path), weights(resumed.path))


@pytest.mark.parametrize(("seconds", "at"), [(0.0, [2, 4, 6]), (1000.0, [6])])
def test_checkpoints_lie_some_seconds_apart_and_the_last_one_is_never_left_out(
    seconds, at, session_set, short, tmp_path, monkeypatch
):
    steps, save = [], Checkpoint.save

    def counted(checkpoint, state):
        steps.append(state.progress.step)
        save(checkpoint, state)

    monkeypatch.setattr(Checkpoint, "save", counted)
    monkeypatch.setattr(loop_module, "_SECONDS_BETWEEN_CHECKPOINTS", seconds)
    train(session_set, tmp_path / "run", settings=short.model_copy(update={"steps_per_epoch": 2}))
    assert steps == at


def test_a_run_folder_of_other_settings_is_not_overwritten(session_set, short, tmp_path):
    train(session_set, tmp_path / "run", settings=short)
    with pytest.raises(UsageError, match="another out="):
        train(session_set, tmp_path / "run", settings=short.model_copy(update={"seed": 9}))


def test_the_run_folder_tells_how_the_model_came_about(session_set, short, tmp_path):
    result = train(session_set, tmp_path / "run", settings=short, about=About(name="discs", licence="CC0"))
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["training"]["seed"] == short.seed
    assert settings["versions"]["torch"] == torch.__version__
    split = json.loads((tmp_path / "run" / "split.json").read_text())[0]
    assert len(split["validate"]) == 1
    assert len(split["train"]) == 3
    with (tmp_path / "run" / "curves.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3", "6"]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = result.model.card
    assert (card.name, card.licence, card.diameter_px, card.diameter_angstrom) == ("discs", "CC0", 20, 80)
    assert json.loads((tmp_path / "run" / "model.json").read_text())["name"] == "discs"


def test_micrographs_can_be_named_to_validate_on_or_kept_for_judging(session_set, short, tmp_path):
    chosen = session_set.model_copy(update={"validate_on": ("disc1",), "leave_out": ("disc3.mrc",)})
    train(chosen, tmp_path / "run", settings=short)
    split = json.loads((tmp_path / "run" / "split.json").read_text())[0]
    assert split["validate"] == ["disc1.mrc"]
    assert split["left_out"] == ["disc3.mrc"]
    assert split["train"] == ["disc0.mrc", "disc2.mrc"]


def test_a_name_that_is_not_there_is_an_error(session_set, short, tmp_path):
    with pytest.raises(UsageError, match="disc77"):
        train(session_set.model_copy(update={"leave_out": ("disc77",)}), tmp_path / "run", settings=short)


def test_micrographs_without_labels_are_named_and_not_used(labelled_set, short, tmp_path, caplog):
    (tmp_path / "labels" / "disc2.csv").unlink()
    train(labelled_set, tmp_path / "run", settings=short)
    assert any("disc2" in record.getMessage() for record in caplog.records)
    split = json.loads((tmp_path / "run" / "split.json").read_text())[0]
    assert split["without_labels"] == ["disc2.mrc"]


def test_a_single_micrograph_validates_on_a_strip_of_itself(labelled_set, short, tmp_path):
    for n in (1, 2, 3):
        (tmp_path / "labels" / f"disc{n}.csv").unlink()
    result = train(labelled_set, tmp_path / "run", settings=short)
    split = json.loads((tmp_path / "run" / "split.json").read_text())[0]
    assert split["validate"] == ["disc0.mrc (a strip of it)"]
    assert len(result.rows) == 2


def test_a_micrograph_labelled_empty_is_a_negative_and_no_error(labelled_set, short, tmp_path):
    write_picks(Boxes.empty(), tmp_path / "labels" / "disc0.csv")
    train(labelled_set, tmp_path / "run", settings=short)


def test_no_label_at_all_is_an_error_that_says_so(labelled_set, short, tmp_path):
    for n in range(4):
        write_picks(Boxes.empty(), tmp_path / "labels" / f"disc{n}.csv")
    with pytest.raises(InputError, match="not a single label"):
        train(labelled_set, tmp_path / "run", settings=short)


def test_labels_without_a_size_ask_for_one(labelled_set, short, tmp_path):
    for n in range(4):
        (tmp_path / "labels" / f"disc{n}.csv").unlink()
        write_picks(Boxes.at([50], [60]), tmp_path / "labels" / f"disc{n}.star", format="star")
    with pytest.raises(UsageError, match="box_size_px="):
        train(labelled_set, tmp_path / "run", settings=short)
    sized = labelled_set.model_copy(update={"box_size_px": 20.0})
    assert train(sized, tmp_path / "run2", settings=short).model.card.diameter_px == 20


@pytest.mark.parametrize(("size", "why"), [(3.0, "fewer than the 6 pixels"), (500.0, "larger than the micrograph")])
def test_labels_in_which_no_particle_can_be_seen_are_refused(size, why, labelled_set, short, tmp_path):
    for n in range(4):
        (tmp_path / "labels" / f"disc{n}.csv").unlink()
        write_picks(Boxes.at([50], [60]), tmp_path / "labels" / f"disc{n}.star", format="star")
    with pytest.raises(UsageError, match=f"{why}.*box_size_px="):
        train(labelled_set.model_copy(update={"box_size_px": size}), tmp_path / "run", settings=short)


@pytest.mark.parametrize(("inside", "outside"), [(1, 2), (0, 1)])
def test_labels_of_another_micrograph_are_refused(inside, outside, labelled_set, short, tmp_path):
    labels = Boxes.at([50] * inside + [1000] * outside, [60] * (inside + outside), size_px=20)
    write_picks(labels, tmp_path / "labels" / "disc1.csv")
    with pytest.raises(UsageError, match=f"disc1.*{outside} of its {inside + outside} labels lie outside"):
        train(labelled_set, tmp_path / "run", settings=short)


def test_a_few_labels_outside_are_named_and_not_used(labelled_set, short, tmp_path, caplog):
    write_picks(Boxes.at([50, 90, 1000], [60, 60, 60], size_px=20), tmp_path / "labels" / "disc1.csv")
    data = load_training_data([labelled_set], short, Preparation())
    assert "1 of its 3 labels lie outside" in caplog.text
    (one,) = [sample for sample in (*data.training, *data.validation) if sample.name.startswith("disc1")]
    assert len(one.labels) == 2


def test_running_out_of_memory_says_what_to_make_smaller(session_set, short, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop_module, "_step", exhausted)
    with pytest.raises(ResourceError, match=r"batch_size=.*input_size_px="):
        train(session_set, tmp_path / "run", settings=short)


def test_a_folder_of_another_run_keeps_its_settings(session_set, short, tmp_path):
    train(session_set, tmp_path / "run", settings=short)
    before = (tmp_path / "run" / "settings.json").read_text()
    with pytest.raises(UsageError):
        train(session_set, tmp_path / "run", settings=short.model_copy(update={"seed": 9}))
    assert (tmp_path / "run" / "settings.json").read_text() == before


def test_worker_processes_change_no_weight(session_set, short, tmp_path):
    train(session_set, tmp_path / "alone", settings=short)
    train(session_set, tmp_path / "helped", settings=short, n_workers=2)
    a, b = (weights(tmp_path / name / "model.safetensors") for name in ("alone", "helped"))
    assert_same_weights(a, b)


def test_two_sets_give_a_model_that_falls_back_on_neither_diameter(session_set, short, tmp_path):
    card = train([session_set, session_set], tmp_path / "run", settings=short).model.card
    assert card.diameter_px is None
    assert card.training["diameters_px"] == [20, 20]
