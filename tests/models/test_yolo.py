import numpy as np
import pytest
import torch

from vitripick.errors import UsageError
from vitripick.models import build_detector, describe

# Wagner et al. 2019, Table 2: filters and kernel of each layer, "P" where a 2 x 2 max-pool follows.
PAPER = """
32 3 P | 64 3 P | 128 3 | 64 1 | 128 3 P | 256 3 | 128 1 | 256 3 P | 512 3 | 256 1 | 512 3 | 256 1 | 512 3 P |
1024 3 | 512 1 | 1024 3 | 512 1 | 1024 3 | 1024 3 | 1024 3 | 1024 3
"""


@pytest.fixture(scope="module")
def described():
    return describe("yolo")


def test_the_network_is_the_papers_table_layer_by_layer(described):
    layers = {layer.name: layer for layer in described.layers}
    paper = [row.split() for row in PAPER.split("|")]
    assert len(paper) == 21
    side, n_pools = 1024, 0
    for i, row in enumerate(paper, start=1):
        layer = layers[f"layer{i}"]
        assert (str(layer.filters), layer.kernel, layer.stride) == (row[0], f"{row[1]}x{row[1]}", 1)
        assert layer.output == (int(row[0]), side, side)
        assert layer.follows == ("batch norm", "leaky ReLU 0.1")
        if row[2:] == ["P"]:
            n_pools, side = n_pools + 1, side // 2
            pool = layers[f"pool{n_pools}"]
            assert (pool.kernel, pool.stride, pool.output[1:]) == ("2x2", 2, (side, side))
    assert n_pools == 5
    assert [name for name in layers if name not in {f"layer{i}" for i in range(1, 22)} and "pool" not in name] == [
        "passthrough",
        "head",
    ]


def test_layer_13_is_passed_on_to_layer_21_by_space_to_depth(described):
    layers = {layer.name: layer for layer in described.layers}
    assert (layers["passthrough"].kernel, layers["passthrough"].output) == ("1x1", (256, 32, 32))
    assert layers["passthrough"].follows[-1] == "space to depth 2"
    # 1024 of layer 20 and 256 passed on, 3 x 3, to 1024; scale and shift of the batch norm.
    assert layers["layer21"].n_parameters == (1024 + 256) * 9 * 1024 + 2 * 1024


def test_dropout_stands_before_a_1x1_convolution_with_six_filters(described):
    head = described.layers[-1]
    assert (head.name, head.filters, head.kernel, head.follows) == ("head", 6, "1x1", ("after dropout 0.2",))
    assert head.output == (6, 32, 32)


def test_parameters_and_work_are_those_of_the_table(described):
    n, n_in = 0, 1
    for i, row in enumerate(PAPER.split("|"), start=1):
        filters, kernel = (int(value) for value in row.split()[:2])
        n += (n_in + (256 if i == 21 else 0)) * filters * kernel**2 + 2 * filters
        n_in = filters
    n += 512 * 64 + 2 * 64 + 1024 * 6 + 6
    assert described.n_parameters == n == 50_532_838
    assert described.gigaflop == pytest.approx(176.4, abs=0.1)
    assert sum(p.numel() for p in build_detector("yolo").parameters()) == n


def test_the_paper_network_turns_1024_pixels_into_32_cells():
    detector = build_detector("yolo")
    assert 1024 // detector.stride == 32
    assert detector.default_preparation().input_size_px == 1024


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
    detector = build_detector("yolo")
    features = torch.ones(1, 1024, 2, 2)
    with torch.no_grad():
        detector.eval()
        torch.testing.assert_close(detector.head(features), detector.head(features))
        detector.train()
        assert not torch.allclose(detector.head(features), detector.head(features))


def test_an_input_that_the_cells_do_not_divide_is_refused():
    with pytest.raises(UsageError, match="multiple of 32"):
        build_detector("yolo", {"input_size_px": 500})
