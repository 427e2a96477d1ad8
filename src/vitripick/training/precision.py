"""Choose the numbers in which a training multiplies: bfloat16 if the hardware has it, else float32.

Weights, averages, losses and the optimiser are float32 either way. Processors with AMX (Intel's, from 2023 on) train
two to three times faster in bfloat16 (docs/benchmarks/training.md); on other CPUs it is emulated and slower.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from vitripick.errors import UsageError, parameter
from vitripick.models.architectures import find_architecture

TrainingPrecision: TypeAlias = Literal["fp32", "bf16"]


def training_precision(wanted: str, device: torch.device, architecture: str) -> TrainingPrecision:
    """Return the precision on a device for `TrainSettings.precision`: `"auto"` is bf16 on CUDA and on CPUs with AMX.

    A precision that is named is used, even where it is slow.

    Raises
    ------
    UsageError
        If there is no such architecture, or it cannot be trained in the precision that was named.
    """
    if device.type == "cpu" and not find_architecture(architecture).bf16_on_cpu:
        if wanted == "bf16":
            raise UsageError(
                f"{architecture} cannot be trained in bf16 on a CPU; use {parameter('precision', 'fp32')} or auto."
            )
        return "fp32"
    if wanted == "auto":
        return "bf16" if device.type == "cuda" or (device.type == "cpu" and _cpu_has_amx()) else "fp32"
    return "bf16" if wanted == "bf16" else "fp32"


def autocast(precision: TrainingPrecision, device: torch.device) -> torch.autocast:
    """Return the context in which the network is called."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _cpu_has_amx() -> bool:
    # Torch offers this only under a private name; if it disappears, float32 is used, which is right but slower.
    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check()) if check is not None else False
