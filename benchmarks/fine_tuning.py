"""One labelled micrograph of a protein that the bundled model never saw: from its weights, and from scratch."""

from __future__ import annotations

from pathlib import Path

from cells import cell, figures, judge_model, table, usual_parser

from vitripick.training import TrainingSet, default_settings, train

SETS = ("t20s_empiar10025", "trpv1_empiar10059")
COLUMNS = ["set", "start", "seed", "AUC IoU 0.6", "AUC d/4", "F1 default", "recall", "best F1", "mean IoU", "seconds"]


def main() -> None:
    """Train every cell that has no result yet, print the table."""
    parser = usual_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", default="general")
    parser.set_defaults(steps=100, batch_size=8)
    arguments = parser.parse_args()
    rows = []
    for name in SETS:
        root = arguments.data / name
        stems = sorted(path.stem for path in (root / "micrographs").glob("*.mrc"))
        everything = TrainingSet(micrographs=str(root / "micrographs"), labels=str(root / "coordinates"))
        for start in (arguments.start, None):
            for seed in arguments.seeds:
                key = f"{name}_{start or 'scratch'}_{seed}"

                def compute(everything=everything, stems=stems, start=start, seed=seed, key=key):
                    changes = {"steps": arguments.steps, "batch_size": arguments.batch_size, "steps_per_epoch": 25}
                    result = train(
                        everything.model_copy(update={"leave_out": tuple(stems[1:])}),
                        arguments.out / "runs" / key,
                        settings=default_settings(fine_tune=start is not None, seed=seed, **changes),
                        start=start,
                        device=arguments.device,
                    )
                    evaluation, _ = judge_model(result.model, everything, tuple(stems[1:]), device=arguments.device)
                    return {**figures(evaluation), "training_seconds": result.seconds}

                r = cell(arguments.out / "cells" / f"{key}.json", compute)
                keys = ("auc_iou", "auc_distance", "f1", "recall", "best_f1", "mean_iou")
                rows.append([name, start or "scratch", seed, *(r[k] for k in keys), round(r["training_seconds"])])
                print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(COLUMNS, rows))


if __name__ == "__main__":
    main()
