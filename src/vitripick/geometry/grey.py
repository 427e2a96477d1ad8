"""Which intensities of a micrograph black and white stand for, in every picture of it."""

from __future__ import annotations

import numpy as np

from vitripick.geometry.micrograph import Image

# Of a Gaussian, in standard deviations.
_QUARTILE = 0.6745


def grey_range(values: Image, *, tails_percent: float = 0.5, spreads: float = 5.0) -> tuple[float, float]:
    """What black and white should stand for, so that the ice and what is in it fill the scale between.

    Parameters
    ----------
    values
        An image, or a sample of its pixels.
    tails_percent
        So many pixels at each end, dead ones for instance, do not count.
    spreads
        Nothing farther than this from the median counts either, in standard deviations as the quartile of that side
        tells them: a crystal, a film or a grid bar may be a tenth of the picture and thirty of them away.
    """
    low, quarter, middle, three_quarters, high = np.percentile(values, [tails_percent, 25, 50, 75, 100 - tails_percent])
    # Where half of all pixels are of one value, quartiles tell nothing.
    below, above = spreads * (middle - quarter) / _QUARTILE, spreads * (three_quarters - middle) / _QUARTILE
    return float(max(low, middle - below) if below else low), float(min(high, middle + above) if above else high)
