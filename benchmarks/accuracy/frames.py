"""Whether labels in another frame are noticed: each labelled set as it is, mirrored, swapped, moved and scaled.

Prints how well labels fit, in standard deviations above random places, and the note that `evaluate` would give. Labels
as they are must give none.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from vitripick.evaluation import Seen, check_frame
from vitripick.evaluation.frame import fits_of_readings
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.images import spot_maps

AT_MOST = 5


def spoilt(labels, shape):
    """Yield a name, labels in another frame, and the factor of their scale."""
    half = labels.box_size_px / 2
    yield "as they are", labels, 1.0
    yield "y mirrored", dataclasses.replace(labels, y=shape[0] - 1 - labels.y), 1.0
    yield "x and y swapped", dataclasses.replace(labels, x=labels.y, y=labels.x), 1.0
    yield "corners", dataclasses.replace(labels, x=labels.x - half, y=labels.y - half), 1.0
    yield "half a box too far", dataclasses.replace(labels, x=labels.x + half, y=labels.y + half), 1.0
    for factor in (2.0, 4.0, 8.0, 0.5, 0.25, 0.125):
        yield f"times {factor:g}", labels.scaled(factor), factor


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    print("| set | frame | fit as given | best other fit | said |\n|---|---|---|---|---|")
    for folder in sorted(path.parent for path in data.glob("*/coordinates")):
        files = {file.name: file for file in find_micrographs([folder / "micrographs"])}
        pairs = pair_labels(list(files), read_all_picks(folder / "coordinates")).pairs
        names = [name for name in sorted(pairs) if len(pairs[name])]
        names = [names[i] for i in sorted({len(names) * (2 * k + 1) // (2 * AT_MOST) for k in range(AT_MOST)})]
        images = {name: read_micrograph(files[name].path).image for name in names}
        size = float(np.median([pairs[name].box_size_px for name in names]))
        seen: dict[str, list[Seen]] = {}
        factors: dict[str, float] = {}
        for name, image in images.items():
            shape = (image.shape[0], image.shape[1])
            for kind, labels, factor in spoilt(pairs[name], shape):
                seen.setdefault(kind, []).append(Seen(labels, shape, spot_maps(image, diameter_px=size * factor)))
                factors[kind] = factor
        for kind, own in seen.items():
            half = size * factors[kind] / 2
            given, *others = fits_of_readings(own, half_box_px=half)
            best = max(others, key=lambda found: abs(found[1]))
            hint = check_frame(own, half_box_px=half)
            said = "nothing" if hint is None else hint.reading.typed
            print(f"| {folder.name} | {kind} | {given[1]:.1f} | {best[1]:.1f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
