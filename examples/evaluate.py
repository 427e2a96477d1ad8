"""Compare picks with labels, threshold by threshold: python examples/evaluate.py MICROGRAPH LABELS DIAMETER_PX"""

from __future__ import annotations

import sys

import vitripick


def main(micrograph_path: str, labels_path: str, diameter_px: float) -> None:
    """Print F1, precision and recall within a quarter of the diameter at some thresholds."""
    model = vitripick.load_model("general")
    micrograph = vitripick.read_micrograph(micrograph_path)
    labels = vitripick.read_picks(labels_path)
    picks = vitripick.pick(micrograph, model, diameter_px=diameter_px, threshold=0.05)
    print("threshold  F1     precision  recall")
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9):
        figures = vitripick.evaluate(picks, labels, diameter_px=diameter_px, threshold=threshold, n_bootstrap=0)
        score = figures.criteria["distance"].default
        print(f"{threshold:9.1f}  {score.f1 or 0:.3f}  {score.precision or 0:9.3f}  {score.recall or 0:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
