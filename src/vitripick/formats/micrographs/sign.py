"""Distinguish unsigned from signed bytes by their histogram, because older MRC files do not say which they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# A histogram of fewer bytes has too many gaps to show its shape. The smallest micrographs have more in one row of ten.
_LEAST_BYTES = 4096


def looks_unsigned(counts: npt.NDArray[np.int64]) -> bool:
    """Return whether bytes make sense only from 0 to 255; `counts` are those of each byte, (256,).

    The greys of a micrograph lie around one value, or a few, and become rarer farther away. If they are read with the
    wrong sign, such a peak is cut in two: its middle lies at -128 and at 127, and its tails meet at 0.
    """
    values = np.arange(256)
    n = counts.sum()
    if n < _LEAST_BYTES:
        return False

    def variance(of: npt.NDArray[np.int64]) -> float:
        mean = (counts * of).sum() / n
        return float((counts * (of - mean) ** 2).sum() / n)

    signed = np.where(values < 128, values, values - 256)
    # The last value on each side is left out, because clipped signed bytes gather there.
    below, above = counts[112:127].mean(), counts[129:144].mean()
    middle = np.concatenate([counts[1:16], counts[240:255]]).mean()
    is_heap = below > 0 and above > 0 and max(below, above) < 4 * min(below, above)
    # Two peaks of signed bytes, one dark and one bright, become rarer towards both ends.
    is_dip = counts[96:112].mean() > 1.2 * below and counts[144:160].mean() > 1.2 * above
    return bool(is_heap and not is_dip and min(below, above) > 4 * middle and variance(signed) > 2 * variance(values))
