"""One contract for every architecture in the registry, and for two that a newcomer might add."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vitripick.models
from vitripick.errors import UsageError
from vitripick.models import (
    ARCHITECTURE_NAMES,
    ARCHITECTURES,
    DECODERS,
    ModelCard,
    TorchModel,
    build_detector,
    describe,
    load_weights,
    open_model,
    register,
    register_decoder,
    save_model,
)
from vitripick.models.architectures import import_architectures
from vitripick.models.detections import decode
from vitripick.models.engines import load_on_engine
from vitripick.models.engines.export import make_graph
from vitripick.models.run import detect, for_inference
from vitripick.training import default_settings
from vitripick.training.precision import training_precision

SIDE = 128
# One file each in the folder toys, and one line in the list of architectures.
TOYS = {"paper_toy": "long_side", "sides_toy": "particle"}
EVERY = pytest.mark.parametrize("name", [*sorted(ARCHITECTURE_NAMES), *TOYS])
EVERY_TOY = pytest.mark.parametrize("name", list(TOYS))


@pytest.fixture(scope="module", autouse=True)
def _toys_are_added():
    with pytest.MonkeyPatch.context() as patch:
        folder = str(Path(__file__).parent / "toys")
        patch.setattr(vitripick.models, "__path__", [*vitripick.models.__path__, folder])
        for name, scale_by in TOYS.items():
            patch.setitem(ARCHITECTURE_NAMES, name, scale_by)
        import_architectures()
        yield
    for name in TOYS:
        del ARCHITECTURES[name], sys.modules[f"vitripick.models.{name}"]
    del DECODERS["sides"]


def labels_at(*centres, size=24.0):
    return np.array([[x, y, size, size] for x, y in centres], np.float32).reshape(-1, 4)


def fresh(name):
    torch.manual_seed(0)
    detector = build_detector(name)
    detector.set_priors(np.array([[24.0, 24.0]]))
    return detector


@EVERY
def test_raw_maps_are_finite_and_as_large_as_the_stride_says(name):
    detector = fresh(name).eval()
    raw = detector(torch.randn(2, 1, SIDE, 2 * SIDE))
    assert raw.shape[0] == 2
    assert raw.shape[2:] == (SIDE // detector.stride, 2 * SIDE // detector.stride)
    assert torch.isfinite(raw).all()


@EVERY
def test_every_weight_gets_a_gradient(name):
    detector = fresh(name).train()
    images = torch.randn(2, 1, SIDE, SIDE)
    targets = detector.targets([labels_at((40, 50)), labels_at()], (SIDE, SIDE))
    parts = detector.loss(detector(images), targets, torch.ones(2, 1, SIDE, SIDE))
    total = torch.stack(list(parts.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    # yolo's one class has nothing to tell apart: its last filter is the paper's and takes no part in the loss.
    for key, parameter in detector.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


@EVERY
def test_an_image_without_labels_has_a_finite_loss(name):
    detector = fresh(name)
    targets = detector.targets([labels_at()], (SIDE, SIDE))
    raw = detector(torch.randn(1, 1, SIDE, SIDE).expand(2, -1, -1, -1))
    parts = detector.loss(raw, targets.expand(2, -1, -1, -1), torch.ones(2, 1, SIDE, SIDE))
    assert all(torch.isfinite(part) for part in parts.values())


@EVERY
def test_what_carries_no_weight_changes_no_loss(name):
    detector = fresh(name).eval()
    raw = detector(torch.randn(1, 1, SIDE, SIDE))
    weight = torch.ones(1, 1, SIDE, SIDE)
    weight[..., : SIDE // 2, :] = 0
    below = labels_at((70, 100))
    both = labels_at((70, 100), (60, 20))
    one, two = (detector.loss(raw, detector.targets([x], (SIDE, SIDE)), weight) for x in (below, both))
    for part in one:
        torch.testing.assert_close(one[part], two[part])


@EVERY
def test_the_perfect_raw_map_decodes_to_the_labels(name):
    """Fits the raw map itself to the loss: targets, loss and decoding must mean the same place and size."""
    detector = fresh(name).eval()
    wanted = labels_at((37.3, 41.8), (100.9, 70.2), size=26.0)
    targets = detector.targets([wanted], (SIDE, SIDE))
    with torch.no_grad():
        raw = detector(torch.zeros(1, 1, SIDE, SIDE))
    raw = torch.zeros_like(raw).requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=0.1)
    for _ in range(400):
        parts = detector.loss(raw, targets, torch.ones(1, 1, SIDE, SIDE))
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
    found = detector.decode(raw.detach(), floor=0.5)[0]
    for x, y, width, height in wanted:
        nearest = np.argmin(np.hypot(found.x - x, found.y - y))
        assert abs(found.x[nearest] - x) < 0.5
        assert abs(found.y[nearest] - y) < 0.5
        assert abs(found.width[nearest] / width - 1) < 0.05
        assert abs(found.height[nearest] / height - 1) < 0.05
    distances = np.hypot(found.x[:, None] - wanted[:, 0], found.y[:, None] - wanted[:, 1])
    assert distances.min(axis=1).max() < 6, "a detection far from every label"


@EVERY
def test_the_confidence_channel_holds_the_confidence(name):
    detector = fresh(name).eval()
    with torch.no_grad():
        raw = detector(torch.randn(1, 1, SIDE, SIDE)).numpy()
    confidence = 1 / (1 + np.exp(-raw[0, detector.decoding.confidence_channel]))
    assert decode(raw, detector.decoding, floor=0)[0].confidence.max() == pytest.approx(confidence.max(), rel=1e-5)


@EVERY
def test_folding_batch_normalisation_changes_nothing(name):
    detector = fresh(name).train()
    with torch.no_grad():
        detector(torch.randn(4, 1, SIDE, SIDE))  # batch statistics worth folding
    detector.eval()
    images = torch.randn(1, 1, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(for_inference(detector)(images), detector(images), rtol=1e-3, atol=1e-3)


@EVERY
def test_an_odd_image_is_padded_and_nothing_outside_it_is_found(name):
    detector = for_inference(fresh(name))
    image = np.random.default_rng(0).standard_normal((77, 131)).astype(np.float32)
    found = detect(detector, image, floor=0.0)
    assert len(found)
    assert found.x.max() < 130.5
    assert found.y.max() < 76.5
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_an_unknown_architecture_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="heatmap"):
        build_detector("resnet9000")


def test_an_unknown_option_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="width"):
        build_detector("heatmap", {"widht": 16})


def test_two_architectures_of_one_name_are_refused():
    def heatmap():
        raise AssertionError("never built")

    with pytest.raises(ValueError, match="registered already"):
        register(heatmap)


def test_two_decoders_of_one_name_are_refused():
    with pytest.raises(ValueError, match="registered already"):
        register_decoder("grid", confidence_channel=0)(lambda maps, decoding, floor: None)


@EVERY
def test_the_list_says_how_the_network_sees_a_micrograph(name):
    detector = build_detector(name)
    preparation = detector.default_preparation()
    assert ARCHITECTURE_NAMES[name] == preparation.scale_by
    if preparation.scale_by == "long_side":
        assert preparation.input_size_px == detector.input_size_px
    assert describe(name).input_size_px == (detector.input_size_px or 192)


@EVERY
def test_its_recipe_is_a_training_plan(name):
    settings, recipe = default_settings(name), dict(ARCHITECTURES[name].recipe)
    assert settings.architecture == name
    augmentation = recipe.pop("augmentation", {})
    assert {key: getattr(settings, key) for key in recipe} == recipe
    assert {key: getattr(settings.augmentation, key) for key in augmentation} == augmentation


def test_a_toy_under_the_papers_head_is_trained_by_the_papers_recipe():
    settings = default_settings("paper_toy")
    assert settings.model_copy(update={"architecture": "yolo", "batch_size": 4}) == default_settings("yolo")
    assert settings.batch_size == 2
    assert not settings.augmentation.rotate
    assert training_precision("auto", torch.device("cpu"), "paper_toy") == "fp32"


def test_a_toy_without_a_recipe_is_trained_by_the_general_one():
    assert default_settings("sides_toy").augmentation == default_settings().augmentation


@EVERY_TOY
def test_a_toy_is_saved_loaded_exported_and_picks_the_same_without_torch(name, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRIPICK_CACHE", str(tmp_path / "cache"))
    detector = fresh(name)
    with torch.no_grad():
        detector(torch.randn(4, 1, SIDE, SIDE))
    card = ModelCard(name=name, architecture=name, preparation=detector.default_preparation())
    save_model(TorchModel(detector.eval(), card), tmp_path / "m.safetensors")
    graph = make_graph(load_weights(tmp_path / "m.safetensors"), "fp32")
    assert graph.info.decoding == detector.decoding
    model = load_on_engine(open_model(tmp_path / "m.safetensors"), engine="onnxruntime")
    image = np.random.default_rng(0).standard_normal((77, 131)).astype(np.float32)
    found, wanted = (detect(network, image, floor=0.05) for network in (model.network, detector))
    assert len(found) == len(wanted) > 0
    for values in ("x", "y", "width", "height", "confidence"):
        np.testing.assert_allclose(getattr(found, values), getattr(wanted, values), rtol=1e-3, atol=1e-3)


def test_nothing_but_its_own_file_the_list_and_a_default_names_an_architecture():
    package = Path(vitripick.models.__file__).parent.parent
    named = re.compile(rf"\b({'|'.join(set(ARCHITECTURE_NAMES) - set(TOYS))})\b")
    # The decoder of the heat map has the name of its only user; it stands apart because it needs no torch.
    # The settings name the default one.
    known = {"models/architecture_names.py", "models/detections.py", "settings/train.py"}
    known |= {f"models/{name}.py" for name in ARCHITECTURE_NAMES}
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).as_posix() in known:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        prose |= {
            id(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").startswith("DEFAULT_")
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                assert not named.search(node.value), f"{path}, line {node.lineno}"
            if isinstance(node, ast.alias):
                assert not named.search(node.name), f"{path}, line {node.lineno}"
