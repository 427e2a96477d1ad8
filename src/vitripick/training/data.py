"""Prepare labelled micrographs for training: choose which train, which validate, and which are left out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from vitripick.errors import InputError, UsageError, parameter
from vitripick.formats import MicrographFile, find_micrographs, pair_labels, read_micrograph, recentre_in_micrographs
from vitripick.formats.names.stems import split_name
from vitripick.formats.passed_by import passed_by_collected
from vitripick.formats.picks.table import without_picks_suffix
from vitripick.geometry import Boxes, why_unseen
from vitripick.images import WHOLE, Patches, Preparation, Window, patch_windows, prepare
from vitripick.settings.train import TrainingSet, TrainSettings
from vitripick.text import listed
from vitripick.training.areas import Areas, ignored_pixels, read_areas, read_ignored
from vitripick.training.frame import refuse_other_frame
from vitripick.training.samples import Knowledge, Sample, TrainingData, join_data
from vitripick.training.survivors import read_labels, read_rejected

log = logging.getLogger("vitripick")

# Labels are taken to reach the border where they are at least this dense there, relative to the rest. Measured: 0.86
# and 1.0-1.2 where labels reached up to the border, 0.0, 0.31 and 0.38 where not.
_REACHES_BORDER = 0.7


@dataclass
class _Split:
    train: list[str] = field(default_factory=list)
    validate: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def load_training_data(sets: Sequence[TrainingSet], settings: TrainSettings, preparation: Preparation) -> TrainingData:
    """Read, pair, split and prepare every set of labelled micrographs.

    Micrographs without labels, and labels without a micrograph, are logged and not used. A label file
    without labels is a micrograph that holds no particles.

    Raises
    ------
    InputError
        If a set has no labelled micrograph or no label at all.
    UsageError
        If labels have no size and none is given, their boxes are too small or too large to show a particle, most labels
        of a micrograph lie outside of it, or they lie in another frame (unless the set says `keep_labels`); if a name
        to validate on or leave out is not there.
    """
    return join_data([_load_set(entry, index, settings, preparation) for index, entry in enumerate(sets)])


def _load_set(entry: TrainingSet, index: int, settings: TrainSettings, preparation: Preparation) -> TrainingData:
    files = {file.name: file for file in find_micrographs([entry.micrographs], include=entry.include)}
    with passed_by_collected() as passed_by:
        labels = read_labels(entry)
    pairing = pair_labels(list(files), labels)
    unread = {split_name(without_picks_suffix(one.path))[1] for one in passed_by}
    lost = [name for name in pairing.unmatched_micrographs if split_name(name)[1] in unread]
    bare, n = [name for name in pairing.unmatched_micrographs if name not in lost], len(files)
    if lost:
        log.warning(
            "not used, because their labels were not read: %d of %d micrographs (%s)", len(lost), n, listed(lost)
        )
    if bare:
        log.warning("not used, because they have no labels: %d of %d micrographs (%s)", len(bare), n, listed(bare))
    if strangers := pairing.unmatched_labels:
        where = entry.micrographs
        log.warning("labels without a micrograph in %s, not used: %d (%s)", where, len(strangers), listed(strangers))
    if not pairing.pairs:
        raise InputError(
            f"none of the {len(labels)} label sets in {entry.labels} belongs to one of the {len(files)} "
            f"micrographs of {entry.micrographs}; names must agree (docs/formats.md says how)."
        )
    diameter = _label_diameter(pairing.pairs, entry)
    pairs = dict(pairing.pairs)
    if not entry.keep_coordinates:
        pairs = recentre_in_micrographs(pairs, files, entry.labels, pixel_size=entry.pixel_size)
    refuse_other_frame(files, pairs, entry, diameter_px=diameter)
    areas = read_areas(entry.areas, list(pairs))
    for name, places in read_rejected(entry, pairing.pairs, pairs, diameter_px=diameter).items():
        areas[name] = areas.get(name, Areas(complete=None)).with_rejected(places)
    for name, boxes in read_ignored(entry.ignored, list(pairs), diameter_px=diameter).items():
        areas[name] = areas.get(name, Areas(complete=None)).with_ignored(boxes)
    split = _split(sorted(pairs), entry, settings, index)
    angstrom: float | None = None
    training: list[Sample] = []
    validation: list[Sample] = []
    for name in [*split.train, *split.validate]:
        pixel_size = entry.pixel_size or files[name].pixel_size
        sample, pixel_size = _prepare_one(
            files[name], pairs[name], index, preparation, diameter, areas.get(name), pixel_size
        )
        if entry.classes and not len(pairs[name]):
            # Its particles are in other classes, so it may not be empty.
            sample = sample.knowing(empty=False)
        sample = dataclasses.replace(sample, set_weight=entry.weight)
        angstrom = diameter * pixel_size if pixel_size is not None else angstrom
        if name in split.train:
            training.append(sample)
        else:
            validation.append(dataclasses.replace(sample, patches=preparation.patches))
    if labels_reach_border(training, settings.border_diameters):
        training = [sample.knowing(unknown_edges=(False,) * 4) for sample in training]
    if not split.validate:
        trains, validates = _cut_strip(training.pop(), settings.validation_share)
        training.append(trains)
        validation.append(validates)
    names = {
        "train": split.train,
        "validate": split.validate or [f"{split.train[0]} (a strip of it)"],
        "left_out": split.left_out,
        "without_labels": list(pairing.unmatched_micrographs),
    }
    return TrainingData(
        training=tuple(part for sample in training for part in _cut_patches(sample, preparation.patches)),
        validation=tuple(validation),
        split=(names,),
        diameters_px=(diameter,),
        diameters_angstrom=(angstrom,),
    )


def labels_reach_border(samples: Sequence[Sample], border_diameters: float) -> bool:
    """Return whether these whole micrographs are labelled up to their borders, judged by the density of labels.

    Parameters
    ----------
    samples
        Whole micrographs.
    border_diameters
        Width of the band along the border, in diameters.
    """
    in_band, expected = 0, 0.0
    for sample in samples:
        height, width = sample.image.shape
        band = round(border_diameters * sample.diameter_px)
        inner = max(0, height - 2 * band) * max(0, width - 2 * band)
        x, y = sample.labels[:, 0], sample.labels[:, 1]
        to_border = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y])
        n_inside = int((to_border >= band).sum())
        in_band += len(sample.labels) - n_inside
        expected += n_inside * (height * width - inner) / inner if inner else 0.0
    return expected > 0 and in_band >= _REACHES_BORDER * expected


def _label_diameter(pairs: dict[str, Boxes], entry: TrainingSet) -> float:
    if not any(len(boxes) for boxes in pairs.values()):
        raise InputError(f"{entry.labels}: not a single label in {len(pairs)} label files; there is nothing to learn.")
    sizes = [np.sqrt(boxes.width * boxes.height) for boxes in pairs.values() if len(boxes)]
    diameter = float(np.median(np.concatenate(sizes)))
    if not np.isfinite(diameter):
        raise UsageError(f"{entry.labels}: these labels have no box size; give {parameter('box_size_px')}.")
    return diameter


def _split(names: list[str], entry: TrainingSet, settings: TrainSettings, index: int) -> _Split:
    left_out = _named(names, entry.leave_out, "leave out")
    rest = [name for name in names if name not in left_out]
    if not rest:
        raise UsageError(f"{entry.micrographs}: every labelled micrograph is left out; there is nothing to train on.")
    if entry.validate_on:
        validate = [name for name in _named(names, entry.validate_on, "validate on") if name in rest]
    elif len(rest) == 1:
        validate = []
    else:
        count = max(1, round(settings.validation_share * len(rest)))
        order = np.random.default_rng([settings.seed, index]).permutation(len(rest))
        validate = sorted(rest[i] for i in order[:count])
    train = [name for name in rest if name not in validate]
    if not train:
        raise UsageError(f"{entry.micrographs}: every labelled micrograph validates; none is left to train on.")
    return _Split(train=train, validate=validate, left_out=left_out)


def _named(names: list[str], wanted: Sequence[str], purpose: str) -> list[str]:
    found = []
    for want in wanted:
        matches = [name for name in names if want in (name, PurePosixPath(name).stem, PurePosixPath(name).name)]
        if not matches:
            raise UsageError(f"cannot {purpose} {want!r}: no labelled micrograph has this name or stem.")
        found += matches
    return found


def _prepare_one(
    file: MicrographFile,
    labels: Boxes,
    set_index: int,
    preparation: Preparation,
    diameter_px: float,
    areas: Areas | None,
    pixel_size: float | None,
) -> tuple[Sample, float | None]:
    micrograph = read_micrograph(file.path, name=file.name, pixel_size=pixel_size)
    for warning in micrograph.warnings:
        log.warning("%s: %s", file.name, warning)
    if why := why_unseen(diameter_px, micrograph.shape):
        raise UsageError(
            f"{file.name}: a particle with label boxes of {diameter_px:.4g} px {why}. Are the boxes in pixels of these "
            f"very micrographs, and is {parameter('box_size_px')} in pixels (not Å or nm)?"
        )
    labels = _inside(labels, micrograph.shape, file.name)
    prepared = prepare(micrograph.image, preparation, diameter_px=diameter_px)
    x, y = prepared.to_working(labels.x, labels.y)
    scale_y, scale_x = prepared.scale
    boxes = np.column_stack([x, y, labels.width * scale_x, labels.height * scale_y]).astype(np.float32)
    scale = float(np.sqrt(scale_x * scale_y))
    knowledge = Knowledge(empty=not len(labels), ignored=ignored_pixels(areas, prepared))
    if areas is not None:
        rejected = np.column_stack(prepared.to_working(areas.rejected[:, 0], areas.rejected[:, 1]))
        knowledge = dataclasses.replace(knowledge, complete=areas.complete, rejected=rejected.astype(np.float32))
    sample = Sample(file.name, set_index, prepared.image, boxes, diameter_px * scale, knowledge)
    return sample, micrograph.pixel_size


def _inside(labels: Boxes, shape: tuple[int, int], name: str) -> Boxes:
    """Return the labels with their centre in the micrograph; if most lie outside, they belong to another one."""
    inside = labels.inside(shape)
    n_outside = len(labels) - len(inside)
    if 2 * n_outside > len(labels):
        rows, columns = shape
        raise UsageError(
            f"{name}: {n_outside} of its {len(labels)} labels lie outside of it ({columns} x {rows} px). Are they in "
            "pixels of these very micrographs (not of unbinned ones)?"
        )
    if n_outside:
        log.warning("%s: %d of its %d labels lie outside of it; they are not used", name, n_outside, len(labels))
    return inside


def _cut_strip(sample: Sample, share: float) -> tuple[Sample, Sample]:
    """Cut one micrograph in two: its last columns validate what its first ones teach."""
    height, width = sample.image.shape
    cut = round(width * (1 - share))
    return _part(sample, Window(0, 0, height, cut)), _part(sample, Window(0, cut, height, width - cut))


def _cut_patches(sample: Sample, patches: Patches) -> list[Sample]:
    """Return one sample for each image that the network sees at once."""
    shape = (int(sample.image.shape[0]), int(sample.image.shape[1]))
    return [_part(sample, window) for window in patch_windows(shape, patches)] if patches != WHOLE else [sample]


def _part(sample: Sample, window: Window) -> Sample:
    labels = sample.labels - np.array([window.left, window.top, 0, 0], np.float32)
    inside = ((labels[:, :2] >= -0.5) & (labels[:, :2] < np.array([window.width, window.height]) - 0.5)).all(axis=1)
    image = np.ascontiguousarray(sample.image[window.top : window.bottom, window.left : window.right])
    known = sample.knowledge
    ignored = known.ignored
    if ignored is not None:
        ignored = ignored[window.top : window.bottom, window.left : window.right]
    rejected = known.rejected - np.array([window.left, window.top], np.float32)
    height, width = sample.image.shape
    # A particle cut by a seam is not labelled in this part.
    seams = (window.top > 0, window.bottom < height, window.left > 0, window.right < width)
    edges = tuple(unknown or seam for unknown, seam in zip(known.unknown_edges, seams, strict=True))
    part = dataclasses.replace(sample, image=image, labels=labels[inside])
    return part.knowing(ignored=ignored, rejected=rejected, unknown_edges=edges)
