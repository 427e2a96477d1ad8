"""Tell unsigned bytes from signed ones by their histogram, because older MRC files do not say which they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# A histogram of fewer bytes has too many gaps to show its shape. The smallest micrographs have more in one row of ten.
_LEAST_BYTES = 4096


def looks_unsigned(counts: npt.NDArray[np.int64]) -> bool:
    """Return whether bytes make sense only from 0 to 255; `counts` are those of each byte, (256,).

    Greys of a micrograph lie around one value, or a few, with less and less of them farther off. Read with the wrong
    sign, such a heap is cut in two: its middle lies at both ends, at -128 and 127, and its ends meet in the middle.
    """
    values = np.arange(256)
    n = counts.sum()
    if n < _LEAST_BYTES:
        return False

    def variance(of: npt.NDArray[np.int64]) -> float:
        mean = (counts * of).sum() / n
        return float((counts * (of - mean) ** 2).sum() / n)

    signed = np.where(values < 128, values, values - 256)
    # The last value on each side is left out: signed bytes that were clipped heap up there.
    below, above = counts[112:127].mean(), counts[129:144].mean()
    middle = np.concatenate([counts[1:16], counts[240:255]]).mean()
    is_heap = below > 0 and above > 0 and max(below, above) < 4 * min(below, above)
    # Two heaps of signed bytes, one dark and one bright, become fewer towards both ends.
    is_dip = counts[96:112].mean() > 1.2 * below and counts[144:160].mean() > 1.2 * above
    return bool(is_heap and not is_dip and min(below, above) > 4 * middle and variance(signed) > 2 * variance(values))
