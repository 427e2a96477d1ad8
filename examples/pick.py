"""Pick one micrograph, and write its picks and a picture: python examples/pick.py MICROGRAPH DIAMETER_PX OUT"""

from __future__ import annotations

import sys
from pathlib import Path

import vitripick
from vitripick.pictures import draw_overlay


def main(micrograph_path: str, diameter_px: float, out: str) -> None:
    """Pick, and write OUT.star, OUT.csv and OUT.png."""
    model = vitripick.load_model("general")
    micrograph = vitripick.read_micrograph(micrograph_path)
    picks = vitripick.pick(micrograph, model, diameter_px=diameter_px)
    for suffix in (".star", ".csv"):
        vitripick.write_picks(picks, Path(out).with_suffix(suffix))
    draw_overlay(micrograph.image, picks, Path(out).with_suffix(".png"))
    print(f"{len(picks)} picks in {out}.star, {out}.csv and {out}.png")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
