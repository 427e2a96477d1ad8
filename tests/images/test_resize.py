import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vitripick.images import resize, resize_fourier


def smooth_noise(shape, sigma):
    rng = np.random.default_rng(0)
    image = gaussian_filter(rng.standard_normal(shape), sigma)
    return (image / image.std()).astype(np.float32)


@pytest.mark.parametrize("shape", [(400, 400), (301, 517), (640, 128)])
@pytest.mark.parametrize("factor", [0.21, 0.5, 0.83, 1.3])
def test_the_fast_way_stays_close_to_the_fourier_reference(shape, factor):
    # Detail of a particle at the working scale: sigma of 3 working pixels.
    image = smooth_noise(shape, 3 / factor)
    target = round(shape[0] * factor), round(shape[1] * factor)
    fast, reference = resize(image, target), resize_fourier(image, target)
    inner = (slice(4, -4), slice(4, -4))
    difference = (fast - reference)[inner]
    assert difference.std() < 0.05 * reference[inner].std()


@pytest.mark.parametrize("way", [resize, resize_fourier])
@pytest.mark.parametrize("factor", [0.25, 0.6, 1.5])
def test_a_particle_stays_where_it_is(way, factor):
    rows, columns = np.mgrid[:200, :320]
    image = np.exp(-((columns - 100.3) ** 2 + (rows - 60.7) ** 2) / (2 * 12.0**2)).astype(np.float32)
    target = round(200 * factor), round(320 * factor)
    small = way(image, target).astype(np.float64)
    rows, columns = np.mgrid[: target[0], : target[1]]
    small -= small.min()
    x = ((columns * small).sum() / small.sum() + 0.5) * 320 / target[1] - 0.5
    y = ((rows * small).sum() / small.sum() + 0.5) * 200 / target[0] - 0.5
    assert abs(x - 100.3) < 0.1
    assert abs(y - 60.7) < 0.1


@pytest.mark.parametrize("way", [resize, resize_fourier])
def test_detail_finer_than_the_new_pixels_does_not_come_back_as_coarse_detail(way):
    stripes = np.tile(np.array([1, -1], np.float32), (256, 128))
    assert np.abs(way(stripes, (64, 64))[8:-8, 8:-8]).max() < 0.05


def test_the_fourier_way_keeps_the_mean():
    image = smooth_noise((120, 90), 2) + 7
    assert np.isclose(resize_fourier(image, (31, 44)).mean(), image.mean(), rtol=1e-5)
