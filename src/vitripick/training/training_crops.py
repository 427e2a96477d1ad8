"""Draw training crops: first the geometry, then differences between exposures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from vitripick.geometry import Image
from vitripick.models.detector import LabelArray
from vitripick.settings.train import Augmentation, TrainSettings
from vitripick.training.samples import Sample


@dataclass(frozen=True, eq=False)
class Crop:
    """Holds what a network trains on.

    Attributes
    ----------
    image : (h, w), float32
    labels : (n, 4), float32
        x, y, width, height in pixels of the crop; some may lie just outside.
    weight : (h, w), float32
        1 where labels count; 0 outside the micrograph and in its border band; between where an unlabelled place counts
        less (`unlabelled.py`); more than 1 where a place was rejected.
    junk : (h, w), float32
        1 where a place is known to be junk, 0 where it is known not to be, -1 where that is unknown.
    """

    image: Image
    labels: LabelArray
    weight: Image
    junk: Image


def draw_crop(sample: Sample, rng: np.random.Generator, settings: TrainSettings) -> Crop:
    """Return a square of `settings.crop_px`, anywhere in the sample, rotated, flipped and scaled."""
    augmentation, side = settings.augmentation, settings.crop_px
    height, width = sample.image.shape
    known = _places_to_look_at(sample, rng)
    if len(known) and rng.random() < settings.label_centred_share:
        centre = known[rng.integers(len(known))] + rng.uniform(-side / 3, side / 3, 2)
    else:
        centre = rng.uniform((0, 0), (width, height))
    # Most of the crop lies inside the micrograph, whatever its size.
    inset = np.minimum(side / 3, np.array([width, height]) / 2)
    centre = np.clip(centre, inset, np.array([width, height]) - inset)
    angle = rng.uniform(0, 2 * np.pi) if augmentation.rotate else 0.0
    span = np.log1p(augmentation.scale_jitter)
    scale = float(np.exp(rng.uniform(-span, span)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    turn = turn @ np.diag(rng.choice([-1.0, 1.0], 2))
    shift = (side - 1) / 2 - turn @ centre
    weight = how_much_counts(sample, settings.rejected_weight) * _along_borders(sample, settings, 0.0)
    return _warp(sample, np.column_stack([turn, shift]), scale, (side, side), weight)


def _places_to_look_at(sample: Sample, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the places of the labels, (n, 2), or of rejected picks; these are chosen by their number, but at most
    every second time.

    Without that limit, many rejected picks beside few particles would leave hardly a crop with a particle.
    """
    labels, rejected = sample.labels[:, :2], sample.knowledge.rejected
    if not len(rejected):
        return labels
    share = min(0.5, len(rejected) / (len(labels) + len(rejected))) if len(labels) else 1.0
    return rejected if rng.random() < share else labels


def draw_whole(sample: Sample, rng: np.random.Generator, settings: TrainSettings, pad_to: int) -> Crop:
    """Return the whole sample, flipped and moved at random, filled up to multiples of `pad_to` as in picking.

    A network finds false particles at the edges of its input if nothing ever counted there. So along a border that
    labels do not reach, unlabelled places count a little as background.
    """
    height, width = sample.image.shape
    shape = (-(-height // pad_to) * pad_to, -(-width // pad_to) * pad_to)
    flip_x, flip_y = rng.choice([False, True], 2)
    # Whole pixels: nothing is interpolated.
    right, down = rng.integers(-settings.augmentation.shift_px, settings.augmentation.shift_px + 1, 2)
    matrix = np.array(
        [
            [-1.0 if flip_x else 1.0, 0.0, (width - 1.0 if flip_x else 0.0) + right],
            [0.0, -1.0 if flip_y else 1.0, (height - 1.0 if flip_y else 0.0) + down],
        ]
    )
    weight = how_much_counts(sample, settings.rejected_weight)
    weight = weight * _along_borders(sample, settings, settings.unlabelled_weight)
    return _warp(sample, matrix, 1.0, shape, weight)


def _warp(sample: Sample, matrix: npt.NDArray[np.float64], scale: float, shape: tuple[int, int], weight: Image) -> Crop:
    """Return the sample in an image of `shape`, by a matrix from its pixels to those of the image."""
    # Simulated samples are stored in half precision.
    image = cv2.warpAffine(
        np.asarray(sample.image, np.float32),
        matrix,
        shape[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    weight = np.asarray(cv2.warpAffine(weight, matrix, shape[::-1], flags=cv2.INTER_NEAREST, borderValue=0), np.float32)
    labels = np.empty_like(sample.labels)
    labels[:, :2] = sample.labels[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    labels[:, 2:] = sample.labels[:, 2:] * scale
    near = ((labels[:, :2] > -labels[:, 2:]) & (labels[:, :2] < shape[::-1] + labels[:, 2:])).all(axis=1)
    taught = labels[near]
    return Crop(np.asarray(image, np.float32), taught, weight, _known_junk(sample, taught, matrix, shape))


def _known_junk(sample: Sample, labels: LabelArray, matrix: npt.NDArray[np.float64], shape: tuple[int, int]) -> Image:
    """Return (h, w), float32, as `Crop.junk`: where a particle is labelled, no junk is."""
    if sample.knowledge.junk is not None:
        junk = np.asarray(sample.knowledge.junk, np.float32)
        warped = cv2.warpAffine(junk, matrix, shape[::-1], flags=cv2.INTER_NEAREST, borderValue=-1)
        return np.asarray(warped, np.float32)
    known = np.full(shape, -1, np.float32)
    for x, y, width, _ in labels:
        cv2.circle(known, (round(float(x)), round(float(y))), max(1, round(float(width) / 2)), 0.0, -1)
    return known


def _along_borders(sample: Sample, settings: TrainSettings, unlabelled_weight: float) -> Image:
    """Return (h, w), float32: 1, and less in the band along edges that labels do not reach, except at labels.

    Where nothing unlabelled counts there, labels do not either: the middle of a particle that is cut is unknown.
    """
    height, width = sample.image.shape
    band = round(settings.border_diameters * sample.diameter_px)
    top, bottom, left, right = (band if unknown else 0 for unknown in sample.knowledge.unknown_edges)
    factor = np.full((height, width), unlabelled_weight, np.float32)
    factor[top : height - bottom, left : width - right] = 1
    if unlabelled_weight:
        _fill_labelled(factor, sample)
    return factor


def how_much_counts(sample: Sample, rejected_weight: float = 1.0) -> Image:
    """Return (h, w), float32: how much each place counts, by what is known about it, without the border band."""
    known = sample.knowledge
    counts = np.full(sample.image.shape, known.unlabelled_weight, np.float32)
    radius = max(1, round(sample.diameter_px / 2))
    for x, y, *_ in known.open_places:
        cv2.circle(counts, (round(float(x)), round(float(y))), radius, 0.0, -1)
    for x, y in known.rejected:
        cv2.circle(counts, (round(float(x)), round(float(y))), radius, rejected_weight, -1)
    if known.unlabelled_weight < 1 or len(known.open_places) or len(known.rejected):
        # A labelled place counts in full, also next to places that count less.
        _fill_labelled(counts, sample)
    return counts if known.ignored is None else np.where(known.ignored, np.float32(0), counts)


def _fill_labelled(counts: Image, sample: Sample) -> None:
    radius = max(1, round(sample.diameter_px / 2))
    for x, y, *_ in sample.labels:
        cv2.circle(counts, (round(float(x)), round(float(y))), radius, 1.0, -1)


def stress_junk(crop: Crop, junk_weight: float) -> Crop:
    """Return the crop with places of junk that hold no particle counting `junk_weight` times.

    A pick on junk costs more than one on clean ice, where few are made anyway.
    """
    if junk_weight == 1 or not (crop.junk > 0).any():
        return crop
    times = np.where(crop.junk > 0, np.float32(junk_weight), np.float32(1))
    for x, y, width, height in crop.labels:
        cv2.circle(times, (round(float(x)), round(float(y))), max(1, round(float(max(width, height)) / 2)), 1.0, -1)
    return dataclasses.replace(crop, weight=crop.weight * times)


def augment(image: Image, rng: np.random.Generator, settings: Augmentation) -> Image:
    """Change what differs between exposures and leave the particles where they are; the paper's list."""

    def drawn(chance: float) -> bool:
        return bool(rng.random() < chance)

    if drawn(settings.spectrum_chance):
        image = _bend_spectrum(image, rng, settings.spectrum_range)
    if drawn(settings.blur_chance):
        sigma = rng.uniform(0, settings.blur_sigma_px)
        if sigma > 0.1:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
    if drawn(settings.box_blur_chance):
        size = int(rng.integers(2, settings.box_blur_px + 1))
        image = cv2.blur(image, (size, size))
    if drawn(settings.contrast_chance):
        median = np.float32(np.median(image))
        span = np.log1p(settings.contrast_range)
        image = (image - median) * np.float32(np.exp(rng.uniform(-span, span))) + median
    if drawn(settings.noise_chance):
        sd = np.float32(rng.uniform(0, settings.noise_sd) * image.std())
        image = image + sd * rng.standard_normal(image.shape, dtype=np.float32)
    if drawn(settings.dropout_chance):
        share = rng.uniform(0.01, settings.dropout_share)
        image = np.where(rng.random(image.shape, dtype=np.float32) < share, image.mean(), image)
    return np.ascontiguousarray(image, dtype=np.float32)


# Gains are drawn at this many frequencies from 0 to the corner of the spectrum; lines between them are smooth enough.
_KNOTS = 7


def _bend_spectrum(image: Image, rng: np.random.Generator, gain_range: float) -> Image:
    """Return the image with other gains over spatial frequency, at the same contrast."""
    span = np.log1p(gain_range)
    knots = np.exp(rng.uniform(-span, span, _KNOTS))
    rows, columns = image.shape
    frequency = np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :])
    gain = np.interp(frequency, np.linspace(0, np.sqrt(0.5), _KNOTS), knots).astype(np.float32)
    bent = fft.irfft2(fft.rfft2(image) * gain, s=image.shape)
    return np.asarray(bent * (image.std() / max(float(bent.std()), 1e-6)), np.float32)
