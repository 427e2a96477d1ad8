"""A model learns on from its own sure picks, without labels."""

from pathlib import Path

import numpy as np
import pytest

from vitripick.errors import FormatError, UsageError
from vitripick.formats import read_all_picks, read_micrograph, write_mrc
from vitripick.models import load_weights, open_model
from vitripick.models.engines import load_on_engine
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.runs import PickSettings
from vitripick.training import adapt_to_run, default_settings

MICROGRAPHS = Path(__file__).parents[2] / "examples/apoferritin/micrographs"
ONE_STEP = default_settings(fine_tune=True, steps=1, steps_per_epoch=1, batch_size=1)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """Return the run folder and the bundle of `general`, adapted in one step."""
    out = tmp_path_factory.mktemp("run")
    settings = PickSettings(diameter_px=80.0)
    return out, adapt_to_run([MICROGRAPHS], out, open_model("general"), settings, train_settings=ONE_STEP)


def test_sure_picks_are_the_labels_and_unsure_ones_count_neither_way(adapted):
    out, bundle = adapted
    labels = read_all_picks(out / "adapted/labels")
    ignored = read_all_picks(out / "adapted/ignored")
    assert len(labels) == 2
    loaded = load_on_engine(open_model("general"))
    picks = [pick(read_micrograph(path), loaded, diameter_px=80.0, threshold=0.8) for path in MICROGRAPHS.iterdir()]
    assert sum(map(len, labels)) == sum(map(len, picks))
    assert 250 < sum(map(len, labels)) < 300, "people labelled 294"
    assert 0 < sum(map(len, ignored)) < 50
    card = load_weights(bundle).card
    assert card.training["adapted"] == {
        "micrographs": 2,
        "labels": sum(map(len, labels)),
        "ignored": sum(map(len, ignored)),
    }


def test_the_adapted_model_is_the_last_one_and_keeps_what_the_first_knows_of_itself(adapted):
    _, bundle = adapted
    before, after = load_weights("general"), load_weights(bundle)
    assert after.card.name == "general, adapted"
    same = ("calibration", "threshold", "diameter_px", "diameter_angstrom", "options")
    assert all(getattr(after.card, key) == getattr(before.card, key) for key in same)
    changed = [
        not np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(before.detector.state_dict().values(), after.detector.state_dict().values(), strict=True)
    ]
    assert any(changed), "validated on its own picks, the first model would be kept"
    assert for_inference(after.detector).decoding == for_inference(before.detector).decoding


def test_a_later_call_takes_the_adapted_model_as_it_is(adapted):
    out, bundle = adapted
    before = bundle.stat().st_mtime_ns
    again = adapt_to_run([MICROGRAPHS], out, open_model("general"), PickSettings(diameter_px=80.0))
    assert (again, again.stat().st_mtime_ns) == (bundle, before)


def test_a_run_is_not_adapted_twice_in_different_ways(adapted):
    out, _ = adapted
    with pytest.raises(UsageError, match="another model or for another diameter"):
        adapt_to_run([MICROGRAPHS], out, open_model("general"), PickSettings(diameter_px=60.0))


def test_what_a_damaged_folder_was_adapted_from_is_not_guessed(adapted):
    out, _ = adapted
    kept = out / "adapted/adapted.json"
    text = kept.read_text()
    kept.write_text(text[:20])
    with pytest.raises(FormatError, match=r"adapted\.json: cannot be read"):
        adapt_to_run([MICROGRAPHS], out, open_model("general"), PickSettings(diameter_px=80.0))
    kept.write_text(text)


def test_a_model_of_one_particle_is_not_adapted(adapted, tmp_path):
    model = open_model("general")
    card = model.card.model_copy(update={"diameter_px": 80.0})
    one = type(model)(model.path, card, model.sha256)
    with pytest.raises(UsageError, match="trained on one particle"):
        adapt_to_run([MICROGRAPHS], tmp_path, one, PickSettings())


def test_too_few_sure_picks_are_refused(tmp_path):
    noise = np.random.default_rng(1).normal(0, 1, (600, 600)).astype(np.float32)
    write_mrc(tmp_path / "mics/a.mrc", noise)
    with pytest.raises(UsageError, match=r"needs 50 sure picks.*1 micrograph gave"):
        adapt_to_run(
            [tmp_path / "mics"], tmp_path / "out", open_model("general"), PickSettings(diameter_px=60.0, threshold=0.4)
        )
