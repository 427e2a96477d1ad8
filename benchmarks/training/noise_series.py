"""The paper's noise series (Wagner et al. 2019, Fig. 6): AUC as the noise grows, for each architecture.

At each level k, 15 simulated micrographs train and 4 validate, as in the paper; judged on 4 more.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import cell, settings_from, simulate, table, train_and_judge, usual_parser

LEVELS = (1, 4, 6, 8, 10)
COLUMNS = ["k", "architecture", "seed", "AUC IoU 0.6", "AUC d/4", "F1 default", "recall", "mean IoU", "minutes"]


def main() -> None:
    """Simulate and train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS))
    parser.add_argument("--architectures", nargs="+", default=["heatmap", "yolo"])
    parser.add_argument("--structure", default="", help="instead of the recipe's own")
    parser.add_argument("--micrographs", type=int, nargs=3, default=[15, 4, 4], help="to train, validate and judge")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the simulation's recipe; repeat")
    arguments = parser.parse_args()
    n_training, n_validating, n_judged = arguments.micrographs
    n_seen = n_training + n_validating
    changes = dict(given.replace(".", "__").split("=", 1) for given in arguments.set)
    rows = []
    for level in arguments.levels:
        for architecture in arguments.architectures:
            for seed in arguments.seeds:
                name = f"{level}_{architecture}_{seed}"
                settings = settings_from(arguments, architecture, seed)

                def compute(level=level, settings=settings, name=name):
                    parts = {}
                    for part, n, part_seed in (("train", n_seen, 1), ("judge", n_judged, 2)):
                        parts[part] = simulate(
                            arguments.out / "sets" / f"{level}_{part}",
                            n=n,
                            seed=100 * level + part_seed,
                            recipe="paper",
                            structure=arguments.structure,
                            noise__level=level,
                            **changes,
                        )
                    validate_on = tuple(f"simulated_{i:04d}" for i in range(n_training + 1, n_seen + 1))
                    entry = parts["train"].model_copy(update={"validate_on": validate_on})
                    return train_and_judge(
                        entry, parts["judge"], (), arguments.out / "runs" / name, settings, device=arguments.device
                    )

                r = cell(arguments.out / "cells" / f"{name}.json", compute)
                figures = [r[k] for k in ("auc_iou", "auc_distance", "f1", "recall", "mean_iou")]
                rows.append([level, architecture, seed, *figures, r["training_seconds"] / 60])
                print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


if __name__ == "__main__":
    main()
