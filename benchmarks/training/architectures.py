"""What each architecture costs and gives on the same data: parameters, work, time, peak memory, AUC.

Each cell is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import RECIPE, cell, settings_from, table, train_and_judge, usual_parser

from vitripick.models import describe
from vitripick.training import read_training_plan

COLUMNS = [
    "architecture",
    "parameters (M)",
    "GFLOP an image",
    "of px",
    "training steps",
    "training (min)",
    "s per step",
    "picking (s per micrograph)",
    "peak memory, training (GiB)",
    "GPU memory (GiB)",
    "AUC IoU 0.6",
    "F1 default",
    "mean IoU",
]


def main() -> None:
    """Measure every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the real sets; apoferritin 10146 is used")
    parser.add_argument("--architectures", nargs="+", default=["heatmap", "yolo", "inception_resnet"])
    parser.add_argument("--one", help="measure this architecture and print the figures as JSON: what each cell runs")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(arguments.one, arguments)))
        return
    rows = []
    for architecture in arguments.architectures:
        for seed in arguments.seeds:
            r = cell(
                arguments.out / "cells" / f"{architecture}_{seed}.json",
                lambda architecture=architecture, seed=seed: _in_a_process(architecture, seed),
            )
            rows.append(
                [
                    architecture,
                    r["parameters"] / 1e6,
                    r["gigaflop"],
                    r["image_px"],
                    r["steps"],
                    r["training_seconds"] / 60,
                    r["training_seconds"] / r["steps"],
                    r["picking_seconds_a_micrograph"],
                    r["memory_gib"],
                    r["gpu_memory_gib"],
                    r["auc_iou"],
                    r["f1"],
                    r["mean_iou"],
                ]
            )
            print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


def _in_a_process(architecture: str, seed: int) -> dict[str, object]:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", architecture, "--seeds", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _measure(architecture: str, arguments) -> dict[str, object]:
    (seed,) = arguments.seeds
    entry = read_training_plan(RECIPE, data_root=arguments.data)[0][0]
    settings = settings_from(arguments, architecture, seed)
    out = arguments.out / "runs" / f"{architecture}_{seed}"
    result = train_and_judge(entry, entry, entry.leave_out, out, settings, device=arguments.device)
    options = {} if settings.input_size_px is None else {"input_size_px": settings.input_size_px}
    description = describe(architecture, options)
    gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return {
        **result,
        "parameters": description.n_parameters,
        "gigaflop": description.gigaflop,
        "image_px": description.input_size_px,
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "gpu_memory_gib": gpu,
    }


if __name__ == "__main__":
    main()
