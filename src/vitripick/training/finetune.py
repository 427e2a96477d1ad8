"""Go on from a trained model: take its settings, and choose which of its layers may change."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, TypeAlias

from torch import nn

from vitripick.errors import UsageError
from vitripick.models import Detector, TorchModel
from vitripick.settings.train import TrainSettings
from vitripick.training.plan import default_settings

# "all" layers learn, or this number of the last ones.
Trainable: TypeAlias = Literal["all"] | int


def settings_from(start: TorchModel, settings: TrainSettings | None) -> TrainSettings:
    """Return `settings` with architecture and options of the start model; the fine-tuning defaults where None.

    Raises
    ------
    UsageError
        If `settings` ask for another architecture or another scale than the model has.
    """
    card = start.card
    if settings is None:
        settings = default_settings(card.architecture, fine_tune=True)
    if settings.architecture != card.architecture:
        raise UsageError(
            f"model {card.name!r} is a {card.architecture} and cannot go on as {settings.architecture}: leave out "
            "the architecture, it comes from the model."
        )
    scales = {
        "working_diameter_px": card.preparation.working_diameter_px,
        "input_size_px": card.preparation.input_size_px,
        "patches": card.preparation.patches,
    }
    for key, own in scales.items():
        wanted = getattr(settings, key)
        if wanted is not None and wanted != own:
            raise UsageError(
                f"model {card.name!r} works at a {key.replace('_', ' ')} of {own}, not {wanted}; leave this out, "
                "it comes from the model."
            )
    for key, value in settings.options.items():
        if card.options.get(key) != value:
            raise UsageError(
                f"model {card.name!r} was built with {key} = {card.options.get(key)}, not {value}; leave options out, "
                "they come from the model."
            )
    return settings.model_copy(update={"options": dict(card.options)})


def weights_sha256(detector: nn.Module) -> str:
    """Return the hash of every weight and buffer, by name: the same for a model in memory and for its bundle."""
    digest = hashlib.sha256()
    for name, value in sorted(detector.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def provenance(start: TorchModel, trainable: Trainable) -> dict[str, Any]:
    """Return, for the new bundle's card, the start model and all data that it had seen."""
    return {
        "name": start.card.name,
        "sha256": start.sha256,
        "weights_sha256": weights_sha256(start.detector),
        "trainable": trainable,
        "training": start.card.training,
    }


def layers(detector: Detector) -> list[list[nn.Module]]:
    """Return the layers from input to output: each convolution with the normalisation that follows it.

    The order is that in which the architecture names its parts.
    """
    result: list[list[nn.Module]] = []
    for module in detector.modules():
        if next(iter(module.parameters(recurse=False)), None) is None:
            continue
        if isinstance(module, nn.Conv2d) or not result:
            result.append([module])
        else:
            result[-1].append(module)
    return result


def freeze_all_but_last(detector: Detector, n_layers: int) -> None:
    """Let only the last `n_layers` layers go on learning.

    Raises
    ------
    UsageError
        If there are fewer layers.
    """
    own = layers(detector)
    if not 1 <= n_layers <= len(own):
        raise UsageError(f"this network has {len(own)} layers; the last {n_layers} of them cannot be trained.")
    for module in (module for layer in own[: len(own) - n_layers] for module in layer):
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)


def keep_frozen(detector: Detector) -> None:
    """Put frozen modules into evaluation mode, because the running means of a frozen normalisation would drift
    otherwise."""
    for module in detector.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
