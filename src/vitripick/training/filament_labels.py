"""Train on micrographs with labelled filaments; all filaments on them must be labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vitripick.errors import UsageError, parameter
from vitripick.geometry import Filament, Filaments, Image, Micrograph
from vitripick.images import Preparation, prepare
from vitripick.models.card import ModelCard
from vitripick.models.filament_bundle import FilamentModel
from vitripick.models.filament_network import FilamentNetwork, filament_targets
from vitripick.training.filaments import fit_filaments

CROP_PX = 192
_BATCH = 8
# This share of the crops lies on a filament; the rest lie anywhere.
_ON_LABELS = 0.7
# Filaments of a micrograph are brought to widths between 1 / 1.2 and 1.2 of the working width.
_SCALES = (1 / 1.2, 1.0, 1.2)


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Holds a prepared micrograph, padded to one crop at least, with its targets and the cells that lie on lines."""

    image: Image
    targets: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    on_line: npt.NDArray[np.int64]


def train_filaments(
    labelled: Sequence[tuple[Micrograph, Filaments]],
    *,
    start: FilamentModel | None = None,
    width_px: float | None = None,
    width_angstrom: float | None = None,
    steps: int = 400,
    device: str = "cpu",
    seed: int = 1,
    name: str = "filaments",
    on_step: Callable[[int, int, float], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FilamentModel:
    """Return a model of the labelled filaments.

    Parameters
    ----------
    labelled
        Micrographs with all their filaments; a micrograph without filaments teaches the background.
    start
        The model to go on from; without it, training starts from scratch and needs many more steps.
    width_px, width_angstrom
        Width of the filament, one of the two; by default the median of the labels'.
    steps
        Batches of eight crops.
    device, seed, name
        Device, seed of random numbers, and the name in the card.
    on_step
        Called with (done, total, loss) every 10 steps.
    should_stop
        Asked before each step; if it returns true, the training ends with the model so far.

    Raises
    ------
    UsageError
        If there is no labelled filament, or no width.
    """
    if not any(len(filaments) for _, filaments in labelled):
        raise UsageError("there is no labelled filament to train on.")
    card = None if start is None else start.card
    network = FilamentNetwork() if start is None else start.network
    widths = [_width(micrograph, filaments, width_px, width_angstrom) for micrograph, filaments in labelled]
    known = [width for width in widths if width is not None]
    if not known:
        raise UsageError(
            f"the labels do not say how wide the filaments are; give {parameter('width_px')} or "
            f"{parameter('width_angstrom')}."
        )
    typical = float(np.median(known))
    preparation = _preparation(network, card)
    sets = [
        _prepared(micrograph, filaments, (width or typical) / scale, preparation, network)
        for (micrograph, filaments), width in zip(labelled, widths, strict=True)
        for scale in _SCALES
    ]

    def tell(step: int, parts: dict[str, float]) -> None:
        if on_step is not None:
            on_step(step, steps, sum(parts.values()))

    torch.manual_seed(seed)
    trained = fit_filaments(
        network,
        _batches(sets, network.stride, seed),
        device=torch.device(device),
        steps=steps,
        learning_rate=2e-3 if start is None else 5e-4,
        seed=seed,
        on_step=tell,
        every=10,
        should_stop=should_stop,
    )
    sizes = {micrograph.pixel_size for micrograph, _ in labelled}
    size = next(iter(sizes)) if len(sizes) == 1 else None
    options = {
        "width": trained.trunk.down4[0][0].in_channels,  # type: ignore[index, union-attr]
        "stride": trained.stride,
        "working_width_px": trained.working_width_px,
    }
    new_card = ModelCard(
        name=name,
        description="Filaments, trained on labelled micrographs.",
        architecture="filaments",
        options=options if card is None else card.options,
        preparation=preparation,
        diameter_px=typical,
        diameter_angstrom=None if size is None else typical * size,
        threshold=0.3 if card is None else card.threshold,
        training={
            "micrographs": [micrograph.name for micrograph, _ in labelled],
            "filaments": sum(len(filaments) for _, filaments in labelled),
            "steps": steps,
            "seed": seed,
            "from": None if card is None else card.name,
        },
    )
    return FilamentModel(trained, new_card)


def _width(
    micrograph: Micrograph, filaments: Filaments, width_px: float | None, width_angstrom: float | None
) -> float | None:
    if width_px is not None:
        return width_px
    if width_angstrom is not None:
        if micrograph.pixel_size is None:
            raise UsageError(
                f"{micrograph.name}: a width in Å needs the pixel size, which this file does not state; give "
                f"{parameter('pixel_size')}, or {parameter('width_px')} instead."
            )
        return width_angstrom / micrograph.pixel_size
    known = [one.width for one in filaments if np.isfinite(one.width)]
    return float(np.median(known)) if known else None


def _preparation(network: FilamentNetwork, card: ModelCard | None) -> Preparation:
    if card is not None:
        return card.preparation
    return Preparation(working_diameter_px=network.working_width_px, background_diameters=3.0)


def _prepared(
    micrograph: Micrograph, filaments: Filaments, width: float, preparation: Preparation, network: FilamentNetwork
) -> _Labelled:
    prepared = prepare(micrograph, preparation, diameter_px=width)
    rows, columns = (max(CROP_PX, -(-n // network.stride) * network.stride) for n in prepared.image.shape)
    image = np.zeros((rows, columns), np.float32)
    image[: prepared.image.shape[0], : prepared.image.shape[1]] = prepared.image
    scale = prepared.scale[1]
    moved = []
    for one in filaments:
        x, y = prepared.to_working(one.points[:, 0], one.points[:, 1])
        wide = one.width * scale if np.isfinite(one.width) else width * scale
        moved.append(Filament.through(np.column_stack([x, y]), width=wide))
    stride = network.stride
    targets = filament_targets(moved, (rows, columns), stride=stride, working_width_px=network.working_width_px)
    weight = np.zeros(targets.shape[1:], np.float32)
    weight[: prepared.image.shape[0] // stride, : prepared.image.shape[1] // stride] = 1
    return _Labelled(image, targets, weight, np.argwhere(targets[0] > 0.9))


def _batches(sets: Sequence[_Labelled], stride: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield batches of random crops, most of them with a filament near their middle."""
    rng = np.random.default_rng(seed)
    side = CROP_PX // stride
    while True:
        images, targets, weights = [], [], []
        for _ in range(_BATCH):
            one = sets[int(rng.integers(len(sets)))]
            rows, columns = one.targets.shape[1:]
            row, column = rng.integers(rows), rng.integers(columns)
            if len(one.on_line) and rng.random() < _ON_LABELS:
                row, column = one.on_line[rng.integers(len(one.on_line))] + rng.integers(-side // 4, side // 4, 2)
            top = int(np.clip(row - side // 2, 0, rows - side))
            left = int(np.clip(column - side // 2, 0, columns - side))
            y, x = top * stride, left * stride
            images.append(one.image[y : y + CROP_PX, x : x + CROP_PX][None])
            targets.append(one.targets[:, top : top + side, left : left + side])
            weights.append(one.weight[None, top : top + side, left : left + side])
        yield tuple(torch.from_numpy(np.stack(some)) for some in (images, targets, weights))  # type: ignore[misc]
