"""F1 of picks before and after culling by what the classes suggest (`vitripick classes RUN --keep-classes good`).

    python benchmarks/accuracy/classes_cull.py --data DATA --runs RUNS --out OUT

RUNS/SET is a run folder of `vitripick pick DATA/SET/micrographs`, for each set that has one. Picks are judged one to
one within d/4 at the threshold of the run; labels in DATA/SET/ignore count neither way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import DIAMETERS_PX, table

from vitripick.evaluation import evaluate
from vitripick.evaluation.result import Score
from vitripick.formats import pair_labels, read_all_picks
from vitripick.geometry import Boxes
from vitripick.runs.class_files import Members
from vitripick.runs.classes import classify_run
from vitripick.runs.cull import kept_of
from vitripick.settings.classes import GOOD, ClassesSettings


def judged(parts: tuple[Members, ...], picks: dict[str, Boxes], labels: Path, diameter_px: float) -> Score:
    """Return how many picks are true, false and missed."""
    names = [part.record.name for part in parts]
    known = pair_labels(names, read_all_picks(labels)).pairs
    ignored = labels.parent / "ignore"
    found = evaluate(
        {name: picks[name] for name in known},
        known,
        diameter_px=diameter_px,
        threshold=0.0,
        ignored=pair_labels(names, read_all_picks(ignored)).pairs if ignored.is_dir() else None,
        n_bootstrap=0,
        chance_level=False,
    )
    return found.criteria["distance"].default


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--runs", type=Path, required=True, help="folder of their run folders")
    parser.add_argument("--out", type=Path, required=True, help="where the classes go")
    rows = []
    arguments = parser.parse_args()
    for run in sorted(arguments.runs.iterdir()):
        labels = arguments.data / run.name / "coordinates"
        if not labels.is_dir():
            continue
        found = classify_run(run, arguments.out / run.name, ClassesSettings())
        diameter = DIAMETERS_PX.get(run.name, found.made_from["diameter_px"])
        scores = []
        for cull in (False, True):
            picks = {}
            for part in found.members:
                picks[part.record.name] = part.picks.select(kept_of(part, GOOD, found.good)) if cull else part.picks
            scores.append(judged(found.members, picks, labels, diameter))
        before, after = scores
        n_culled = found.n_particles - sum(int(kept_of(part, GOOD, found.good).sum()) for part in found.members)
        rows.append([run.name, found.n_particles, len(found.classes), len(found.good), n_culled])
        rows[-1] += [before.f1, after.f1, before.precision, after.precision, before.recall, after.recall]
    columns = ["set", "picks", "classes", "good", "picks culled", "F1 before", "after", "precision before", "after"]
    print(table([*columns, "recall before", "after"], rows))


if __name__ == "__main__":
    main()
