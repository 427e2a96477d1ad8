"""Whether white particles are noticed: how sure the network is of real micrographs and of inverted copies of them."""

import argparse
from pathlib import Path

import numpy as np

from vitripick.formats import find_micrographs, read_micrograph
from vitripick.models import open_model
from vitripick.models.engines import load_on_engine
from vitripick.picking.diameter import contrast_of, diameters_to_try, is_poor, sweep

AT_MOST = 3


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    print("| folder | sureness | inverted | as they are | copies |\n|---|---|---|---|---|")
    model = load_on_engine(open_model("general"))
    folders = {path.parent for suffix in ("mrc", "png") for path in data.glob(f"**/*.{suffix}")}
    for folder in sorted(folders):
        files = find_micrographs([folder])
        files = [files[i] for i in sorted({len(files) * (2 * k + 1) // (2 * AT_MOST) for k in range(AT_MOST)})]
        seen = []
        for invert in (False, True):
            micrographs = {file.name: read_micrograph(file.path).image for file in files}
            seen.append(
                {n: sweep(i, model, diameters_to_try(i.shape, None), invert=invert) for n, i in micrographs.items()}
            )
        sure = [float(np.median([one.sureness.max() for one in sweeps.values()])) for sweeps in seen]
        found = [contrast_of(*pair) if is_poor(pair[0]) else "dark" for pair in (seen, seen[::-1])]
        name = str(folder.relative_to(data))
        print(f"| {name} | {sure[0]:.2f} | {sure[1]:.2f} | {found[0]} | {found[1]} |", flush=True)


if __name__ == "__main__":
    main()
