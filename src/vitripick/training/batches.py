"""Draws the batch of any training step from (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitripick.models.detector import Detector
from vitripick.training.contaminants import paint_contaminants, replace_by_noise
from vitripick.training.crops import augment, draw_crop, draw_whole
from vitripick.training.data import Sample
from vitripick.training.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's input: images (n, 1, p, p), the detector's targets, weight (n, 1, p, p)."""

    images: Tensor
    targets: Tensor
    weight: Tensor


class Batches:
    """Draws the batch of any step, the same one whenever it is asked for."""

    def __init__(self, detector: Detector, samples: Sequence[Sample], settings: TrainSettings) -> None:
        self.detector, self.settings = detector, settings
        self.sets: list[list[Sample]] = []
        for index in sorted({sample.set_index for sample in samples}):
            self.sets.append([sample for sample in samples if sample.set_index == index])

    def draw(self, step: int) -> Batch:
        settings = self.settings
        crops = []
        for position in range(settings.batch_size):
            rng = np.random.default_rng([settings.seed, step, position])
            # Sets count alike, whatever their size.
            own = self.sets[rng.integers(len(self.sets))]
            sample = own[rng.integers(len(own))]
            if self.detector.margin is None:
                crop = draw_whole(sample, rng, settings, self.detector.pad_to)
            else:
                crop = draw_crop(sample, rng, settings)
            if rng.random() < settings.augmentation.noise_only_chance:
                crop = replace_by_noise(crop, rng)
            if rng.random() < settings.augmentation.contaminant_chance:
                crop = paint_contaminants(crop, rng, diameter_px=sample.diameter_px)
            crops.append((augment(crop.image, rng, settings.augmentation), crop.labels, crop.weight))
        images = torch.from_numpy(np.stack([image for image, _, _ in crops])[:, None])
        weight = torch.from_numpy(np.stack([weight for _, _, weight in crops])[:, None])
        shape = (int(images.shape[2]), int(images.shape[3]))
        targets = self.detector.targets([labels for _, labels, _ in crops], shape)
        return Batch(images, targets, weight)
