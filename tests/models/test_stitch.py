"""Patches through a detector without learning: it finds what is bright, cut particles included."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from vitripick.images import patch_windows
from vitripick.models import Detections, Detector
from vitripick.models.run import detect
from vitripick.models.stitch import stitch

DIAMETER = 14


class Bright(Detector):
    """Finds connected bright places; how sure it is and where exactly it finds them differs from patch to patch."""

    stride, pad_to, margin = 1, 32, None

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.batch_sizes = []

    def forward(self, images):
        self.batch_sizes.append(len(images))
        return images

    def decode(self, raw, *, floor):
        found = []
        for n, image in enumerate(raw[:, 0].numpy()):
            parts, count = ndimage.label(image > 0.5)
            centres = np.array(ndimage.center_of_mass(parts > 0, parts, range(1, count + 1))).reshape(-1, 2)
            size = np.full(count, float(DIAMETER))
            jitter = (n % 3 - 1) * 1.5
            found.append(
                Detections(centres[:, 1] + jitter, centres[:, 0] - jitter, size, size, size * 0 + 0.9 - n / 100)
            )
        return found

    def targets(self, labels, shape):
        raise NotImplementedError

    def loss(self, raw, targets, weight):
        raise NotImplementedError

    @classmethod
    def default_preparation(cls, *, working_diameter_px, input_size_px):
        raise NotImplementedError

    def set_priors(self, box_sizes_px):
        raise NotImplementedError


def discs(*centres, shape=(220, 300)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.float32)
    for x, y in centres:
        image[np.hypot(columns - x, rows - y) < DIAMETER / 2] = 1
    return image


@pytest.mark.parametrize("patches", [(1, 2), (2, 2), (3, 3)])
def test_a_particle_moved_across_every_seam_pixel_by_pixel_is_found_exactly_once(patches):
    detector = Bright()
    for x in range(8, 292):
        y = 8 + (x - 8) * 204 / 284  # from one corner to the other: across each seam of both directions
        found = detect(detector, discs((x, y)), floor=0.1, patches=patches)
        assert len(found) == 1, (x, y)
        assert np.hypot(found.x - x, found.y - y)[0] < 3


def test_all_patches_are_predicted_as_one_batch():
    detector = Bright()
    detect(detector, discs((50, 50)), floor=0.1, patches=(2, 3))
    assert detector.batch_sizes == [6]


def test_of_two_patches_the_more_confident_is_believed():
    windows = patch_windows((200, 200), (1, 2))
    seam = (windows[0].right + windows[1].left) / 2
    found = detect(Bright(), discs((seam, 100), shape=(200, 200)), floor=0.1, patches=(1, 2))
    assert found.confidence.tolist() == [0.9]


def test_two_particles_that_touch_on_a_seam_both_stay():
    windows = patch_windows((200, 200), (1, 2))
    seam = (windows[0].right + windows[1].left) / 2
    pair = [(seam, 90), (seam, 90 + DIAMETER + 2)]
    assert len(detect(Bright(), discs(*pair, shape=(200, 200)), floor=0.1, patches=(1, 2))) == 2


def test_a_particle_cut_by_the_micrographs_own_edge_is_found_as_without_patches():
    image = discs((2, 110), (297, 110), (150, 1), (150, 218))
    whole, patched = (detect(Bright(), image, floor=0.1, patches=p) for p in ((1, 1), (2, 2)))
    assert len(whole) == len(patched) == 4


def test_two_detections_of_one_patch_are_not_merged_however_near():
    windows = patch_windows((200, 200), (1, 2))
    near = Detections(*(np.array(v, float) for v in ([50, 53], [90, 90], [14, 14], [14, 14], [0.9, 0.8])))
    nothing = Detections(*(np.empty(0) for _ in range(5)))
    assert len(stitch([near, nothing], windows, (200, 200))) == 2
