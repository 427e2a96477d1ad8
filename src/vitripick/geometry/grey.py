"""Choose which intensities of a micrograph are black and white, in every picture of it."""

from __future__ import annotations

import numpy as np

from vitripick.geometry.micrograph import Image

# The quartile of a Gaussian lies this many standard deviations from its middle.
_QUARTILE = 0.6745


def grey_range(values: Image, *, tails_percent: float = 0.5, spreads: float = 5.0) -> tuple[float, float]:
    """Return the intensities of black and white, so that the ice and what is in it fill the scale between.

    Parameters
    ----------
    values
        An image, or a sample of its pixels.
    tails_percent
        This percentage of the pixels at each end (dead ones, for example) does not count.
    spreads
        Pixels farther than this from the median do not count either. The unit is the standard deviation, estimated
        from the quartile of that side. A crystal, a film or a grid bar may be a tenth of the picture, 30 of them away.
    """
    low, quarter, middle, three_quarters, high = np.percentile(values, [tails_percent, 25, 50, 75, 100 - tails_percent])
    # If half of all pixels have one value, a quartile equals the median, so it gives no spread.
    below, above = spreads * (middle - quarter) / _QUARTILE, spreads * (three_quarters - middle) / _QUARTILE
    return float(max(low, middle - below) if below else low), float(min(high, middle + above) if above else high)
