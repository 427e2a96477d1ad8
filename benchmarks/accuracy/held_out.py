"""The bundled model on micrographs it never saw, beside a blob detector whose threshold is tuned on the same ones.

With `--blobs`, only the blob detector, on all labelled micrographs of each set: what a model that never saw the set is
compared with; with `--relion` RELION's LoG picker, too, which must be installed, at the best of its thresholds. Each
figure has its interval over micrographs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import (
    DIAMETERS_PX,
    HEAD,
    LOG_THRESHOLDS,
    LabelledSet,
    judge,
    load_set,
    load_sets,
    log_command,
    micrographs_star,
    row,
)

from vitripick.formats import read_picks
from vitripick.geometry import Boxes, Micrograph
from vitripick.models import DEFAULT_MODEL, TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick, pick_blobs


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--blobs", action="store_true", help="only the blob detector, on all micrographs of each set")
    parser.add_argument("--relion", action="store_true", help="with --blobs: RELION's LoG picker, too")
    arguments = parser.parse_args()
    if arguments.blobs:
        print(HEAD)
        for name in DIAMETERS_PX:
            one = load_set(arguments.data / name)
            print(_blobs(one, tuple(one.labels)), flush=True)
            if arguments.relion:
                print(_log(one, arguments.data / name), flush=True)
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


def _log(one: LabelledSet, folder: Path) -> str:
    """Return the row of RELION's LoG picker at the threshold that is best on these very labels."""
    pixel_size = next(iter(one.micrographs.values())).pixel_size or 1.0
    angstrom, found = one.diameter_px * pixel_size, []
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "mics").symlink_to((folder / "micrographs").absolute())
        star = micrographs_star([f"mics/{name}" for name in one.micrographs], pixel_size)
        (Path(root) / "micrographs.star").write_text(star)
        for threshold in LOG_THRESHOLDS:
            out = f"log{threshold:g}"
            command = log_command("micrographs.star", out, diameter_angstrom=angstrom, threshold=threshold)
            subprocess.run(command, cwd=root, check=True, capture_output=True)
            judged = judge(one, one.micrographs, partial(_read, Path(root) / out / "mics"), threshold=None)
            found.append((judged.criteria["distance"].default.f1 or 0.0, threshold, judged))
    _, threshold, best = max(found, key=lambda each: each[0])
    return row(one.name, f"RELION's LoG, best threshold ({threshold:g})", best, leak="threshold tuned here")


def _read(folder: Path, micrograph: Micrograph, diameter: float) -> Boxes:
    """Return all that LoG wrote for a micrograph, without its scores, which are not confidences."""
    boxes = read_picks(folder / f"{Path(micrograph.name).stem}_autopick.star")
    return Boxes.at(boxes.x, boxes.y, size_px=diameter, micrograph=micrograph.name, shape=micrograph.shape)


if __name__ == "__main__":
    main()
