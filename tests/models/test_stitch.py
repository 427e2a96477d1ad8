"""Patches through a detector without learning: it finds what is bright, cut particles included."""

import numpy as np
import pytest
from scipy import ndimage

from vitripick.images import patch_windows
from vitripick.models import Decoding, Detections
from vitripick.models.run import detect
from vitripick.models.stitch import stitch

DIAMETER = 14


class Bright:
    """Finds connected bright places; how sure it is and where exactly it finds them differs from patch to patch."""

    decoding = Decoding(kind="heatmap", stride=1, pad_to=32, numbers={"working_diameter_px": DIAMETER})

    def __init__(self):
        self.batch_sizes = []

    def run(self, images):
        self.batch_sizes.append(len(images))
        maps = np.zeros((len(images), 4, *images.shape[2:]), np.float32)
        maps[:, 0] = -20.0
        for n, image in enumerate(images[:, 0]):
            parts, count = ndimage.label(image > 0.5)
            jitter = (n % 3 - 1) * 1.5
            confidence = 0.9 - n / 100
            for y, x in ndimage.center_of_mass(parts > 0, parts, range(1, count + 1)):
                row, column = round(y), round(x)
                at = np.log(confidence / (1 - confidence)), x - column + jitter, y - row - jitter, 0.0
                maps[n, :, row, column] = at
        return maps


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
    assert found.confidence.tolist() == pytest.approx([0.9])


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
