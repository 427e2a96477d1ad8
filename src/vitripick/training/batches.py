"""Draw the batch of any training step from (seed, step) only, in threads or in worker processes.

The number of threads or processes does not change the batches: crop number `position` of step `step` has its own
generator.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vitripick.geometry import Image
from vitripick.models.detector import Detector
from vitripick.settings.train import TrainSettings
from vitripick.training.contaminants import paint_contaminants, replace_by_noise
from vitripick.training.samples import Sample
from vitripick.training.training_crops import Crop, augment, draw_crop, draw_whole, stress_junk


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Holds one step's input: images (n, 1, p, p), the detector's targets, weight (n, 1, p, p)."""

    images: Tensor
    targets: Tensor
    weight: Tensor


# The arrays that a worker returns: images (n, p, p), targets, weights (n, p, p).
_Arrays = tuple[Image, npt.NDArray[np.float32], Image]


class Batches:
    """Holds the batches of a run, in order.

    Parameters
    ----------
    detector
        Makes the targets; says whether it trains on crops or on whole samples.
    samples
        To draw from; `replace_samples` changes them between two epochs.
    settings
        Seed, batch size, crops, augmentation.
    n_workers
        Number of workers that draw while the network computes; 0: one thread. Crops are drawn by processes, because
        they need much Python on small arrays, which threads would do one after another. Whole samples are drawn by
        threads: OpenCV and NumPy work on large arrays without the interpreter's lock, and moving 34 MB per step through
        a pipe takes as long as drawing them.
    rank
        Number of this process, if several train together; it draws its own share of their common batch.
    """

    def __init__(
        self,
        detector: Detector,
        samples: Sequence[Sample],
        settings: TrainSettings,
        *,
        n_workers: int = 0,
        rank: int = 0,
    ) -> None:
        self.n_workers = n_workers
        whole_pad = detector.pad_to if detector.margin is None else None
        positions = range(rank * settings.batch_size, (rank + 1) * settings.batch_size)
        self._steps = _Steps(_by_set(samples), settings, whole_pad, positions, detector)
        self._order = _Order()
        self._loader: DataLoader[_Arrays] | None = None

    def replace_samples(self, samples: Sequence[Sample]) -> None:
        """Draw from these samples, beginning with the next `epoch`."""
        self._steps.sets = _by_set(samples)
        self._loader = None  # its processes have the old samples

    def epoch(self, first: int, last: int) -> Iterator[TrainingBatch]:
        """Yield the batches of steps `first` to `last` - 1, each drawn while the one before it is used."""
        in_threads = not self.n_workers or self._steps.whole_pad is not None
        drawn = self._from_threads(first, last) if in_threads else self._from_processes(first, last)
        for images, targets, weight in drawn:
            yield TrainingBatch(
                torch.from_numpy(images)[:, None], torch.from_numpy(targets), torch.from_numpy(weight)[:, None]
            )

    def _from_threads(self, first: int, last: int) -> Iterator[_Arrays]:
        ahead = max(1, self.n_workers)
        with ThreadPoolExecutor(ahead, thread_name_prefix="crops") as workers:
            pending = deque(workers.submit(self._steps.__getitem__, step) for step in range(first, last)[:ahead])
            for step in range(first, last):
                arrays = pending.popleft().result()
                if step + ahead < last:
                    pending.append(workers.submit(self._steps.__getitem__, step + ahead))
                yield arrays

    def _from_processes(self, first: int, last: int) -> Iterator[_Arrays]:
        # Workers inherit the samples when they start, at no cost if processes fork. They live until the samples change,
        # because starting eight for each epoch takes as long as some steps on a GPU.
        if self._loader is None:
            # batch_size=None and no collation: arrays come back as they are, and shared memory (often 64 MB in a
            # container) is not needed.
            self._loader = DataLoader(
                self._steps,
                batch_size=None,
                sampler=self._order,
                num_workers=min(self.n_workers, last - first),
                collate_fn=_as_it_is,
                worker_init_fn=_one_thread,
                persistent_workers=True,
            )
        self._order.steps = range(first, last)
        yield from self._loader


class _Order(Sampler[int]):
    """Yields the steps of the next epoch; a loader whose workers go on asks for them at the start of each."""

    steps: range = range(0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


class _Steps(Dataset[_Arrays]):
    """Turns a step's number into its arrays."""

    def __init__(
        self,
        sets: list[list[Sample]],
        settings: TrainSettings,
        whole_pad: int | None,
        positions: range,
        detector: Detector,
    ) -> None:
        self.sets, self.settings, self.whole_pad, self.positions = sets, settings, whole_pad, positions
        self.detector = detector

    def __getitem__(self, step: int) -> _Arrays:
        crops = [self._draw(step, position) for position in self.positions]
        # Whole samples may differ in size; the smaller ones are padded, without weight.
        rows, columns = (max(crop.image.shape[axis] for crop in crops) for axis in (0, 1))
        images = np.stack([_padded(crop.image, rows, columns, cv2.BORDER_REFLECT) for crop in crops])
        weight = np.stack([_padded(crop.weight, rows, columns, cv2.BORDER_CONSTANT) for crop in crops])
        more = {}
        if self.detector.learns_junk:
            more["junk"] = np.stack([_padded(crop.junk, rows, columns, cv2.BORDER_REFLECT) for crop in crops])
        targets = self.detector.targets([crop.labels for crop in crops], (rows, columns), **more)
        return images, targets.numpy(), weight

    def _draw(self, step: int, position: int) -> Crop:
        settings = self.settings
        rng = np.random.default_rng([settings.seed, step, position])
        # Sets count alike, whatever their size, unless they were given a weight.
        weights = [own[0].set_weight for own in self.sets]
        if len(set(weights)) == 1:
            own = self.sets[rng.integers(len(self.sets))]
        else:
            own = self.sets[rng.choice(len(self.sets), p=np.array(weights) / sum(weights))]
        sample = own[rng.integers(len(own))]
        if self.whole_pad is not None:
            crop = draw_whole(sample, rng, settings, self.whole_pad)
        else:
            crop = draw_crop(sample, rng, settings)
        if rng.random() < settings.augmentation.noise_only_chance:
            crop = replace_by_noise(crop, rng)
        if rng.random() < settings.augmentation.contaminant_chance:
            crop = paint_contaminants(crop, rng, diameter_px=sample.diameter_px)
        crop = stress_junk(crop, settings.junk_weight)
        return dataclasses.replace(crop, image=augment(crop.image, rng, settings.augmentation))


def _by_set(samples: Sequence[Sample]) -> list[list[Sample]]:
    indices = sorted({sample.set_index for sample in samples})
    return [[sample for sample in samples if sample.set_index == index] for index in indices]


def _padded(image: Image, rows: int, columns: int, border: int) -> Image:
    down, right = rows - image.shape[0], columns - image.shape[1]
    if not (down or right):
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, border), np.float32)


def _as_it_is(arrays: Any) -> Any:
    return arrays


def _one_thread(worker: int) -> None:
    # OpenCV's own threads do not survive a fork, and the workers are the parallelism.
    cv2.setNumThreads(0)
