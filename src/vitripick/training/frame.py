"""Stop before training if labels lie in another frame than the micrographs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from vitripick.errors import MicrographError, UsageError, parameter
from vitripick.evaluation import Seen, check_frame
from vitripick.formats import MicrographFile, read_micrograph
from vitripick.geometry import Boxes
from vitripick.images import spot_maps
from vitripick.settings.train import TrainingSet

log = logging.getLogger("vitripick")

# This many micrographs with labels are looked at, spread over the set. That takes a second or less.
_N_LOOKED_AT = 5


def refuse_other_frame(
    files: Mapping[str, MicrographFile], labels: Mapping[str, Boxes], entry: TrainingSet, *, diameter_px: float
) -> None:
    """Compare some labels with their micrographs, as they are and read in other ways.

    Parameters
    ----------
    files
        Micrographs by name.
    labels
        Labels by the same names.
    entry
        The set that they come from.
    diameter_px
        Median size of the labels' boxes, in full-size pixels.

    Raises
    ------
    UsageError
        If labels fit far better when read in another way, unless the set says `keep_labels`; then it is a warning.
    """
    names = [name for name in sorted(labels) if len(labels[name])]
    names = [names[i] for i in sorted({len(names) * (2 * k + 1) // (2 * _N_LOOKED_AT) for k in range(_N_LOOKED_AT)})]
    seen = []
    for name in names:
        try:
            image = read_micrograph(files[name].path).image
        except MicrographError:  # the training names it
            continue
        maps = spot_maps(image, diameter_px=diameter_px)
        seen.append(Seen(labels[name], (image.shape[0], image.shape[1]), maps))
    hint = check_frame(seen, half_box_px=float(np.round(diameter_px / 2, 3)))
    if hint is None:
        return
    if not entry.keep_labels:
        raise UsageError(f"{entry.labels}: {hint} To train on them as they are, give {parameter('keep_labels', True)}.")
    log.warning("%s: %s", entry.labels, hint)
