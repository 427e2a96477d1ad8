"""Train on your labels, starting from the bundled model: python examples/train.py MICROGRAPHS LABELS OUT [STEPS]"""

from __future__ import annotations

import sys
from pathlib import Path

import vitripick
from vitripick.training import TrainingSet, default_settings


def main(micrographs: str, labels: str, out: str, steps: int = 100) -> None:
    """Train, and say how good the model is where it did not learn."""
    data = TrainingSet(micrographs=micrographs, labels=labels)
    result = vitripick.train(data, out, settings=default_settings(steps=steps), start="general", device="auto")
    print(f"threshold {result.model.card.threshold:.2f}, particles of {result.model.card.diameter_px:.0f} px")
    print(f"pick with: vitripick pick MICROGRAPHS --model {Path(out) / 'model.safetensors'} --out PICKS")


if __name__ == "__main__":
    main(*sys.argv[1:4], *(int(steps) for steps in sys.argv[4:5]))
