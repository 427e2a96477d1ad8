"""Picks on real micrographs without a particle, at several diameters: every one is false."""

from __future__ import annotations

import argparse
from pathlib import Path

from vitripick.formats import find_micrographs, read_micrograph
from vitripick.models import DEFAULT_MODEL, TorchModel, load_weights
from vitripick.models.run import for_inference
from vitripick.picking import pick

DIAMETERS_PX = (16, 24, 32, 48)


def main() -> None:
    """Print one table; the micrographs' particle and pixel size are unknown, so several diameters stand for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    model = load_weights(arguments.model)
    ready = TorchModel(for_inference(model.detector), model.card, model.sha256)
    print(f"{model.card.name}, threshold {model.card.threshold:g}\n")
    print("| micrograph | " + " | ".join(f"{d} px" for d in DIAMETERS_PX) + " |")
    print("|---|" + "---|" * len(DIAMETERS_PX))
    for kind in ("empty_no_ice", "empty_vitreous_ice", "contamination", "crystalline_ice"):
        for file in find_micrographs([str(arguments.data / "quality_examples_micassess" / kind / "*.png")]):
            micrograph = read_micrograph(file.path, name=file.name)
            counts = [len(pick(micrograph, ready, diameter_px=d)) for d in DIAMETERS_PX]
            print(f"| {kind}/{file.name[:14]} | " + " | ".join(str(count) for count in counts) + " |")


if __name__ == "__main__":
    main()
