"""Working diameter, width and stride of `heatmap`: short trainings of equal length, judged on validation micrographs.

The held-out micrographs have no say here: choices are made on the recipe's validation share alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import RECIPE

from vitripick.training import default_settings, read_training_plan, train

# Crops are eight diameters wide throughout, so that every variant sees as many particles per step.
VARIANTS: dict[str, dict[str, object]] = {
    "24 px, width 32, stride 4": {},
    "12 px": {"working_diameter_px": 12, "crop_px": 96},
    "16 px": {"working_diameter_px": 16, "crop_px": 128},
    "32 px": {"working_diameter_px": 32, "crop_px": 256},
    "width 16": {"options": {"width": 16}},
    "stride 2": {"options": {"stride": 2}},
    "width 48": {"options": {"width": 48}},
    "48 px": {"working_diameter_px": 48, "crop_px": 384},
}


def main() -> None:
    """Train each variant, print one table; finished runs are not trained again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_args()
    sets, _ = read_training_plan(RECIPE, data_root=arguments.data)
    print(
        "| variant | parameters | GFLOP a crop | F1 d/4 | AUC d/4 | AUC IoU 0.6 |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for name in arguments.variants:
        settings = default_settings(
            steps=arguments.steps, batch_size=arguments.batch_size, steps_per_epoch=100, **VARIANTS[name]
        )
        folder = arguments.out / name.replace(" ", "_").replace(",", "")
        result = train(sets, folder, settings=settings, device="cpu")
        best = max(result.rows, key=lambda r: r["validation_auc"] + r["validation_auc_iou"])
        detector = result.model.detector
        size = sum(p.numel() for p in detector.parameters()) / 1e6
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            detector(torch.zeros(1, 1, settings.crop_px, settings.crop_px))
        print(
            f"| {name} | {size:.2f} M | {counter.get_total_flops() / 1e9:.2f} | {best['validation_f1']:.3f} | "
            f"{best['validation_auc']:.3f} | {best['validation_auc_iou']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
