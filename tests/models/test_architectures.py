"""One contract for every architecture in the registry."""

import numpy as np
import pytest
import torch

from vitripick.errors import UsageError
from vitripick.models import ARCHITECTURES, build_detector, register
from vitripick.models.run import detect, for_inference

SIDE = 128
EVERY = pytest.mark.parametrize("name", sorted(ARCHITECTURES))


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
