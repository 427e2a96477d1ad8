import numpy as np
import torch
from torch import nn

from vitripick.models import build_detector


def convolutions(detector):
    return [module for module in detector.modules() if isinstance(module, nn.Conv2d)]


def test_the_paper_has_21_convolutions_then_a_passthrough_and_six_outputs():
    detector = build_detector("yolo")
    body = [m for part in (detector.layers1_13, detector.layers14_20, detector.layer21) for m in convolutions(part)]
    assert len(body) == 21
    filters = [m.out_channels for m in body]
    assert filters[:8] == [32, 64, 128, 64, 128, 256, 128, 256]
    assert filters[8:13] == [512, 256, 512, 256, 512]
    assert filters[13:] == [1024, 512, 1024, 512, 1024, 1024, 1024, 1024]
    assert [m.kernel_size[0] for m in body].count(1) == 6
    assert detector.head[1].out_channels == 6
    assert detector.head[0].p == 0.2
    assert sum(isinstance(m, nn.MaxPool2d) for m in detector.modules()) == 5
    assert {m.negative_slope for m in detector.modules() if isinstance(m, nn.LeakyReLU)} == {0.1}


def test_the_paper_network_turns_1024_pixels_into_32_cells():
    detector = build_detector("yolo")
    assert 1024 // detector.stride == 32
    assert detector.default_preparation(working_diameter_px=None, input_size_px=None).input_size_px == 1024


def test_a_missed_particle_costs_five_times_a_false_one():
    detector = build_detector("yolo").eval()
    shape = (64, 64)
    label = np.array([[15.5, 15.5, 32, 32]], np.float32)
    detector.set_priors(np.array([[32.0, 32.0]]))
    sure, unsure = torch.zeros(1, 6, 2, 2), torch.zeros(1, 6, 2, 2)
    sure[:, 4], unsure[:, 4] = -30, -30
    unsure[:, 4, 0, 0] = 30
    weight = torch.ones(1, 1, *shape)
    missed = detector.loss(sure, detector.targets([label], shape), weight)["particle"]
    false = detector.loss(unsure, detector.targets([label[:0]], shape), weight)["no_particle"]
    torch.testing.assert_close(missed, 5 * false)


def test_the_anchor_is_the_median_label_box():
    detector = build_detector("yolo")
    detector.set_priors(np.array([[30.0, 40.0], [32.0, 42.0], [90.0, 99.0]]))
    assert detector.anchor_px.tolist() == [32, 42]


def test_dropout_acts_in_training_only():
    detector = build_detector("yolo").eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(detector(image), detector(image))
