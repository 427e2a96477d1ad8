"""Calibrate confidences, from picks on data that a model was not trained on; the result goes into its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from vitripick.geometry import FloatArray


def fit_calibration(sets: Sequence[tuple[FloatArray, npt.NDArray[np.bool_]]]) -> tuple[float, float]:
    """Return the slope and intercept on the logit of the confidence that make the observed picks most likely (Platt
    1999).

    Parameters
    ----------
    sets
        Of each data set: the network's confidences (n,), 0-1, and which picks are right, (n,); from a model that was
        not trained on it. Sets count alike.
    """
    logits = [logit(np.clip(confidence, 1e-7, 1 - 1e-7)) for confidence, _ in sets]

    def cost(parameters: FloatArray) -> float:
        total = 0.0
        for own, (_, is_true) in zip(logits, sets, strict=True):
            p = np.clip(expit(parameters[0] * own + parameters[1]), 1e-9, 1 - 1e-9)
            total -= float(np.where(is_true, np.log(p), np.log1p(-p)).mean())
        return total

    found = minimize(cost, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9})
    slope, intercept = found.x
    return float(slope), float(intercept)
