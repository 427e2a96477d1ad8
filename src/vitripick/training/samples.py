"""Hold what a network learns from: samples, and what is known about each besides its labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.geometry import Image
from vitripick.images import WHOLE, Patches
from vitripick.models.detector import LabelArray


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Holds what is known about a sample besides its labels, and how much that counts.

    Attributes
    ----------
    complete
        Whether every particle is labelled; None where that is not known.
    empty
        Whether a person marked the micrograph as empty.
    ignored : (h, w), bool
        Mask of what is neither taught nor counted; None if there is nothing.
    rejected : (n, 2), float32
        x and y of places that a person said are not particles.
    open_places : (n, 4), float32
        As labels, but whether a particle is there is not known: these places do not count.
    unlabelled_weight
        How much a place without a label counts in the loss; 1 where labels are taken to be complete.
    junk : (h, w), bool
        Where junk is; None where that is not known.
    unknown_edges
        Top, bottom, left, right: along these sides labels say nothing, within `border_diameters`.
    """

    complete: bool | None = None
    empty: bool = False
    ignored: npt.NDArray[np.bool_] | None = None
    rejected: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))
    open_places: LabelArray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    unlabelled_weight: float = 1.0
    junk: npt.NDArray[np.bool_] | None = None
    unknown_edges: tuple[bool, bool, bool, bool] = (True, True, True, True)


@dataclass(frozen=True, eq=False)
class Sample:
    """Describes one prepared micrograph (or a part of one) with its labels.

    Attributes
    ----------
    name, set_index
        The number of the micrograph, and of its training set.
    image : (h, w), float32
        Prepared.
    labels : (n, 4), float32
        x, y, width, height in working pixels.
    diameter_px
        Median label box of the set, in working pixels.
    knowledge
        What is known besides the labels.
    patches
        Rows and columns of patches to see it in; a training sample *is* one patch.
    set_weight
        How often its set is drawn from, relative to others.
    """

    name: str
    set_index: int
    image: Image
    labels: LabelArray
    diameter_px: float
    knowledge: Knowledge = field(default_factory=Knowledge)
    patches: Patches = WHOLE
    set_weight: float = 1.0

    def with_labels(self, labels: LabelArray, open_places: LabelArray) -> Sample:
        """Return the sample with other labels and open places, as a network found them at its unlabelled places."""
        return dataclasses.replace(self, labels=labels).knowing(open_places=open_places)

    def knowing(self, **changes: Any) -> Sample:
        """Return the sample with these fields of its knowledge changed."""
        return dataclasses.replace(self, knowledge=dataclasses.replace(self.knowledge, **changes))


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Holds the samples of a run, or of one of its sets.

    Attributes
    ----------
    training, validation
        Samples.
    split
        For the run folder: per set, the names that train, validate, are left out or have no labels; of a simulated
        set what was simulated, from which structures, and which of these were left out.
    diameters_px, diameters_angstrom
        Label box size of each set at full size; Å where the pixel size is known.
    """

    training: tuple[Sample, ...] = ()
    validation: tuple[Sample, ...] = ()
    split: tuple[dict[str, list[str]], ...] = ()
    diameters_px: tuple[float, ...] = ()
    diameters_angstrom: tuple[float | None, ...] = ()


def join_data(parts: Sequence[TrainingData]) -> TrainingData:
    """Return the samples of all parts, in their order."""
    return TrainingData(
        training=tuple(sample for part in parts for sample in part.training),
        validation=tuple(sample for part in parts for sample in part.validation),
        split=tuple(one for part in parts for one in part.split),
        diameters_px=tuple(diameter for part in parts for diameter in part.diameters_px),
        diameters_angstrom=tuple(diameter for part in parts for diameter in part.diameters_angstrom),
    )
