import dataclasses
import json

import pytest
import torch

from vitripick.errors import Stopped, UsageError
from vitripick.formats import read_micrograph
from vitripick.models import load_weights
from vitripick.picking import pick
from vitripick.training import Callbacks, default_settings, train
from vitripick.training.finetune import freeze_all_but_last, layers
from vitripick.training.loop import learning_rate_at


@pytest.fixture(scope="module")
def start(session_set, tmp_path_factory):
    """Sixty steps on the discs: it finds them."""
    settings = default_settings(
        options={"width": 16}, steps=60, steps_per_epoch=30, batch_size=8, crop_px=96, working_diameter_px=16
    )
    return train(session_set, tmp_path_factory.mktemp("start") / "run", settings=settings).model


@pytest.fixture
def few():
    return default_settings(fine_tune=True, steps=4, steps_per_epoch=2, batch_size=4, crop_px=64)


def changed_layers(before, after):
    a, b = before.state_dict(), after.state_dict()
    return {name for name in a if not torch.equal(a[name], b[name])}


def last_weights(folder):
    return torch.load(folder / "last.pt", weights_only=True)["weights"]


def test_a_model_goes_on_with_its_own_architecture_options_and_preparation(session_set, start, few, tmp_path):
    result = train(session_set, tmp_path / "run", settings=few, start=start)
    card = result.model.card
    assert card.options["width"] == 16
    assert card.preparation == start.card.preparation
    assert result.start_figures["auc"] > 0.8
    assert result.rows[0]["validation_auc"] > 0.8, "two steps must not shake out what it knew"


def test_the_card_and_the_settings_say_where_it_started(session_set, start, few, tmp_path):
    card = train(session_set, tmp_path / "run", settings=few, start=start).model.card
    assert card.training["started_from"]["sha256"] == start.sha256
    assert card.training["started_from"]["training"]["split"] == start.card.training["split"]
    written = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert written["started_from"]["name"] == start.card.name


def test_a_bundle_and_the_same_model_in_memory_are_one_start(session_set, start, few, tmp_path):
    train(session_set, tmp_path / "a", settings=few, start=start)
    origin = tmp_path / "start.safetensors"
    from vitripick.models import save_model

    save_model(start, origin)
    train(session_set, tmp_path / "b", settings=few, start=origin)
    a, b = last_weights(tmp_path / "a"), last_weights(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_only_the_last_layers_change_and_frozen_statistics_stay(session_set, start, few, tmp_path):
    train(session_set, tmp_path / "run", settings=few, start=start, trainable=2)
    after = last_weights(tmp_path / "run")
    before = start.detector.state_dict()
    changed = {name.rpartition(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"head.0.0", "head.0.1", "head.1"}


def test_a_layer_is_a_convolution_with_its_normalisation(start):
    own = layers(start.detector)
    convolutions = [m for m in start.detector.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(own) == len(convolutions)
    assert [layer[0] for layer in own] == convolutions


def test_more_layers_than_there_are_cannot_be_trained(start):
    with pytest.raises(UsageError, match="has 21 layers"):
        freeze_all_but_last(load_weights("general").detector, 99)


def test_a_killed_fine_tuning_resumed_ends_with_the_same_weights(session_set, start, few, tmp_path):
    train(session_set, tmp_path / "whole", settings=few, start=start)
    asked = iter([False, False, True])
    with pytest.raises(Stopped, match="step 3 of 4"):
        train(
            session_set,
            tmp_path / "stopped",
            settings=few,
            start=start,
            callbacks=Callbacks(should_stop=lambda: next(asked)),
        )
    assert (tmp_path / "stopped" / "best.safetensors").is_file()
    resumed = train(session_set, tmp_path / "stopped", settings=few, start=start)
    a, b = last_weights(tmp_path / "whole"), last_weights(tmp_path / "stopped")
    assert all(torch.equal(a[name], b[name]) for name in a)
    whole = (tmp_path / "whole" / "curves.csv").read_text()
    assert whole == (tmp_path / "stopped" / "curves.csv").read_text()
    assert len(resumed.rows) == 2


def test_another_start_is_another_run(session_set, start, few, tmp_path):
    train(session_set, tmp_path / "run", settings=few, start=start)
    other = dataclasses.replace(start, detector=load_other(start))
    with pytest.raises(UsageError, match="another out="):
        train(session_set, tmp_path / "run", settings=few, start=other)
    with pytest.raises(UsageError, match="another out="):
        train(session_set, tmp_path / "run", settings=few, start=start, trainable=1)


def load_other(start):
    import copy

    other = copy.deepcopy(start.detector)
    with torch.no_grad():
        next(other.parameters()).add_(0.01)
    return other


def test_what_comes_from_the_model_cannot_be_asked_for(session_set, start, tmp_path):
    with pytest.raises(UsageError, match="cannot go on as yolo"):
        train(session_set, tmp_path / "run", settings=default_settings("yolo"), start=start)
    with pytest.raises(UsageError, match="working diameter px of 16"):
        train(session_set, tmp_path / "run", settings=default_settings(working_diameter_px=24), start=start)
    with pytest.raises(UsageError, match="start= with trainable="):
        train(session_set, tmp_path / "run", trainable=2)


def test_a_fine_tuned_model_still_finds_its_particles(session_set, start, few, tmp_path):
    model = train(session_set, tmp_path / "run", settings=few, start=start).model
    micrograph = read_micrograph(f"{session_set.micrographs}/disc0.mrc")
    assert 10 <= len(pick(micrograph, model)) <= 18


def test_fine_tuning_is_shorter_and_gentler():
    scratch, fine = default_settings(), default_settings(fine_tune=True)
    assert fine.steps < scratch.steps
    assert fine.learning_rate < scratch.learning_rate


def test_warm_restarts_bring_the_full_learning_rate_back():
    settings = default_settings(steps=100, learning_rate=1.0, warmup_share=0.0, warm_restarts=1)
    rates = [learning_rate_at(step, settings) for step in range(101)]
    # One step of warm-up, then two equal stretches of 49.5 steps.
    assert rates[1] == pytest.approx(1.0)
    assert rates[50] < 0.02
    assert rates[51] > 0.99
    assert rates[99] < 0.02
