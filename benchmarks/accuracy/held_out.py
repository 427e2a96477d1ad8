"""The bundled model on micrographs it never saw, beside a blob detector whose threshold is tuned on the same ones.

With `--blobs`, only the blob detector, on all labelled micrographs of each set: what a model that never saw the set is
compared with. Each figure has its interval over micrographs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import DIAMETERS_PX, HEAD, LabelledSet, judge, load_set, load_sets, row

from vitripick.models import DEFAULT_MODEL, TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--blobs", action="store_true", help="only the blob detector, on all micrographs of each set")
    arguments = parser.parse_args()
    if arguments.blobs:
        print(HEAD)
        for name in DIAMETERS_PX:
            one = load_set(arguments.data / name)
            print(_blobs(one, tuple(one.labels)), flush=True)
        return
    model = load_weights(arguments.model)
    ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
    print(f"{model.card.name}, sha256 {model.sha256[:12]}, threshold {model.card.threshold:g}\n\n{HEAD}")
    for one in load_sets(arguments.data):
        names = one.held_out
        ours = judge(
            one,
            names,
            lambda m, d: pick(m, ready, diameter_px=d, threshold=0),
            threshold=model.card.threshold,
        )
        print(row(one.name, f"{model.card.name}, default threshold", ours))
        print(_blobs(one, names))


def _blobs(one: LabelledSet, names: tuple[str, ...]) -> str:
    tuned = judge(one, names, lambda m, d: pick_blobs(m, diameter_px=d), threshold=None).criteria["distance"].best
    judged = judge(one, names, lambda m, d: pick_blobs(m, diameter_px=d), threshold=tuned.threshold)
    return row(one.name, "blob detector, best threshold", judged, leak="threshold tuned here")


if __name__ == "__main__":
    main()
