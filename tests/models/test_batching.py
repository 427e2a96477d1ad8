"""Images of several threads in one batch: the same maps as one at a time, in float16 nearly so."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vitripick.models import build_detector
from vitripick.models.engines.batching import BatchedNetwork
from vitripick.models.run import for_inference


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return for_inference(build_detector("heatmap", {"width": 16}).eval())


def images(n, side=64, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 1, side, side)).astype(np.float32)


def test_threads_get_the_maps_of_their_own_images(detector):
    network, each = BatchedNetwork(detector, batch=4), [images(1, seed=i) for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(network.run, each))
    for image, maps in zip(each, found, strict=True):
        np.testing.assert_allclose(maps, detector.run(image), atol=1e-4)


def test_maps_do_not_depend_on_what_else_is_in_the_batch(detector):
    network, image = BatchedNetwork(detector, batch=4), images(1)
    alone = network.run(image)
    together = network.run(np.concatenate([image, images(3, seed=1)]))[:1]
    np.testing.assert_array_equal(together, alone)


def test_images_of_several_shapes_and_more_than_a_batch_are_all_answered(detector):
    network = BatchedNetwork(detector, batch=2)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(network.run, [images(3, side) for side in (64, 80, 64, 96, 80, 64)]))
    assert [maps.shape[0] for maps in found] == [3] * 6
    assert len({maps.shape for maps in found}) == 3


def test_half_precision_is_near_to_single_precision(detector):
    maps = BatchedNetwork(detector, batch=2, half=True).run(images(2))
    np.testing.assert_allclose(maps, detector.run(images(2)), atol=0.02)


def test_maps_that_overflow_in_half_precision_are_made_again_in_single(detector):
    large = images(1) * np.float32(1e6)
    np.testing.assert_allclose(BatchedNetwork(detector, half=True).run(large), detector.run(large), rtol=1e-3)


def test_each_thread_of_a_batch_learns_of_its_error(detector):
    network, together = BatchedNetwork(detector, batch=4), threading.Barrier(4)
    wrong = np.zeros((1, 2, 64, 64), np.float32)  # two channels where the network takes one

    def run(_):
        together.wait()
        with pytest.raises(RuntimeError):
            network.run(wrong)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert network.run(images(1)).shape[0] == 1
