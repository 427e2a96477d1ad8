"""A model from ONE labelled micrograph, from scratch, judged on all others of the set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import HEAD, judge, load_sets, row

from vitripick.models import TorchModel
from vitripick.models.run import for_inference
from vitripick.picking import pick
from vitripick.training import TrainingSet, default_settings, train

# The first of each set's training micrographs, by name: chosen before any was tried.
POSITIONS = (0,)


def main() -> None:
    """Train, judge, print one table; runs that are done already are not trained again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's own")
    parser.add_argument("--sets", nargs="+", help="instead of both")
    arguments = parser.parse_args()
    changes = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    print(HEAD, flush=True)
    for one in load_sets(arguments.data):
        if arguments.sets and one.name not in arguments.sets:
            continue
        usable = sorted(name for name in one.micrographs if name not in one.held_out)
        for position in POSITIONS:
            name = usable[position]
            others = [other for other in one.micrographs if other != name]
            folder = arguments.data / one.name
            entry = TrainingSet(
                micrographs=str(folder / "micrographs"),
                labels=str(folder / "coordinates"),
                leave_out=tuple(others),
            )
            stem = PurePosixPath(name).stem
            result = train(
                entry,
                arguments.out / f"{one.name}_{stem}",
                settings=default_settings(steps=arguments.steps, **changes),
                device="cpu",
            )
            ready = TorchModel(for_inference(result.model.detector), result.model.card, result.model.sha256)
            evaluation = judge(
                one,
                others,
                lambda m, d, ready=ready: pick(m, ready, diameter_px=d, threshold=0),
                threshold=result.model.card.threshold,
            )
            method = f"from {stem}, {len(one.labels[name])} labels, {result.seconds / 60:.1f} min"
            print(row(one.name, method, evaluation), flush=True)


if __name__ == "__main__":
    main()
