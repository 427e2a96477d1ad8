import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vitripick.errors import FormatError, InputError
from vitripick.models import (
    ARCHITECTURES,
    DEFAULT_MODEL,
    RELEASED,
    ModelCard,
    TorchModel,
    build_detector,
    choose_device,
    load_weights,
    open_model,
    released_path,
    save_model,
)
from vitripick.models.engines import EngineModel


def small_model(name="heatmap", options=None):
    torch.manual_seed(3)
    detector = build_detector(name, options or {}).eval()
    detector.set_priors(np.array([[17.0, 19.0]]))
    preparation = detector.default_preparation()
    card = ModelCard(name="test", architecture=name, options=options or {}, preparation=preparation, threshold=0.42)
    return TorchModel(detector, card)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_model_is_the_same_after_saving_and_loading(name, tmp_path):
    model = small_model(name)
    save_model(model, tmp_path / "m.safetensors")
    again = load_weights(tmp_path / "m.safetensors")
    assert again.card == model.card
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        raw, raw_again = model.detector(image), again.detector(image)
    torch.testing.assert_close(raw, raw_again)
    before, after = model.detector.decode(raw, floor=0)[0], again.detector.decode(raw_again, floor=0)[0]
    np.testing.assert_array_equal(before.width, after.width)


def test_a_missing_model_lists_the_released_ones(tmp_path):
    with pytest.raises(InputError, match=DEFAULT_MODEL):
        load_weights(tmp_path / "no.safetensors")


def test_a_file_that_is_no_bundle_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(FormatError, match="not a model bundle"):
        load_weights(path)


def test_weights_without_our_description_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, path)
    with pytest.raises(FormatError, match="without a vitripick description"):
        load_weights(path)


def test_a_description_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    fields = json.loads(small_model().card.model_dump_json()) | {"surprise": 1}
    save_file({"w": np.zeros(3, np.float32)}, path, metadata={"vitripick": json.dumps(fields)})
    with pytest.raises(FormatError, match="surprise"):
        load_weights(path)


def test_weights_of_another_network_are_refused(tmp_path):
    model = small_model(options={"width": 16})
    card = model.card.model_copy(update={"options": {"width": 32}})
    save_model(TorchModel(model.detector, card), tmp_path / "m.safetensors")
    with pytest.raises(FormatError, match="do not fit"):
        load_weights(tmp_path / "m.safetensors")


def test_weights_are_loaded_once_wherever_they_are(tmp_path):
    model = small_model()
    save_model(model, tmp_path / "m.safetensors")
    assert load_weights(model) is model
    loaded = load_weights(open_model(tmp_path / "m.safetensors"))
    assert loaded.path == tmp_path / "m.safetensors"
    for name, value in model.detector.state_dict().items():
        assert torch.equal(loaded.detector.state_dict()[name], value)


def test_the_weights_of_a_model_that_was_never_saved_cannot_be_loaded():
    model = small_model()
    on_engine = EngineModel(model.detector, model.card, "", None, "test")
    with pytest.raises(InputError, match="never saved"):
        load_weights(on_engine)


def test_no_module_hides_a_function_of_the_package():
    import vitripick.models.layers

    assert vitripick.models.layers.Layer is vitripick.models.Layer
    assert callable(vitripick.models.describe)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_models_are_small_and_say_what_they_are(name):
    model = load_weights(name)
    assert released_path(name).stat().st_size <= 10e6
    assert model.card.licence != "not stated"
    assert model.card.description
    assert model.card.training["split"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_an_error_and_not_a_fallback():
    with pytest.raises(InputError, match="no CUDA"):
        choose_device("cuda")
