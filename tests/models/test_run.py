from types import SimpleNamespace

import numpy as np
import torch

from vitripick.models import build_detector
from vitripick.models.run import _raw_map, expect, for_inference


def test_tiles_stitch_to_the_map_of_the_whole_image():
    torch.manual_seed(0)
    detector = for_inference(build_detector("heatmap", {"width": 16}))
    image = np.random.default_rng(0).standard_normal((640, 960)).astype(np.float32)
    whole = _raw_map(detector, image, tile_px=4096)
    tiled = _raw_map(detector, image, tile_px=512)
    torch.testing.assert_close(tiled, whole, rtol=1e-3, atol=1e-4)


def test_the_margin_covers_all_that_a_place_depends_on():
    torch.manual_seed(0)
    detector = build_detector("heatmap", {"width": 16}).eval()
    image = torch.randn(1, 1, 512, 512, requires_grad=True)
    detector(image)[0, :, 64, 64].sum().backward()
    seen = image.grad[0, 0].abs().amax(dim=0).nonzero()
    middle = 64 * detector.stride
    assert middle - int(seen.min()) <= detector.margin
    assert int(seen.max()) - middle <= detector.margin


def test_an_engine_is_told_the_padded_shape_that_will_come_and_not_that_of_tiles():
    told = []
    network = SimpleNamespace(decoding=SimpleNamespace(pad_to=16), expect=told.append)
    expect(network, (300, 401))
    expect(network, (300, 4000))
    assert told == [(1, 1, 304, 416)]
