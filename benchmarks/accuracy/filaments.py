"""Make the figures of docs/filaments.md: simulated fields, rods of a virus among KLH, empty micrographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vitripick.atomic import write_bytes_atomically
from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.formats import find_micrographs, read_micrograph
from vitripick.formats.filaments import read_filaments
from vitripick.geometry import Filaments, Micrograph
from vitripick.models import LoadedModel
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL, open_filament_model
from vitripick.picking.filaments import trace_filaments
from vitripick.pictures.filaments import filaments_png
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure
from vitripick.simulation.filament_shapes import random_helix
from vitripick.simulation.filaments import FilamentLayout, simulate_filaments
from vitripick.tracing import Tracing

# Layouts of the simulated fields: how many are thrown, whether they may cross, and whether others lie beside them.
LAYOUTS = {
    "well apart": FilamentLayout(
        count=12, length_widths=(12, 50), bend=0.01, bundle_chance=0, gap_chance=0, crossings=False
    ),
    "crossing": FilamentLayout(count=10, length_widths=(25, 60), bend=0.01, bundle_chance=0, gap_chance=0),
    "bundles": FilamentLayout(count=8, length_widths=(20, 50), bend=0.01, bundle_chance=0.8, gap_chance=0),
}
RECIPES = ("clean", "general")
WORKING_WIDTH_PX = 12.0
# Seeds of the fields; those of training are pairs whose first number is 1 or 1 000 003.
SEED = 77
# Rods of KLH, in pixels of the files, and where no filament is: widths in pixels that stand for the unknown one.
ROD_WIDTH_PX, ROD_LABEL_WIDTH_PX = 36.0, 24.0
EMPTY = ("empty_no_ice", "empty_vitreous_ice", "contamination", "crystalline_ice")
EMPTY_WIDTHS_PX = (12, 18, 24, 36)


def simulated(recipe_name: str, layout: FilamentLayout, n: int, side_px: int) -> list[tuple[Micrograph, Filaments]]:
    """Return fields, each of a filament, a dose and a dirt of its own, and their true centre lines."""
    recipe = load_scene_recipe(recipe_name)
    structures = [read_structure(path) for path in bundled_structures().values()]
    structures = [one for one in structures if one.diameter_angstrom < 350]
    fields = []
    for i in range(n):
        rng = np.random.default_rng([SEED, i])
        helix = random_helix(rng, structures)
        made = simulate_filaments(
            recipe,
            helix,
            rng,
            layout=layout,
            structures=structures,
            shape=(side_px, side_px),
            pixel_size=helix.width_angstrom / WORKING_WIDTH_PX,
        )
        fields.append((Micrograph(made.image, name=f"{i:02d}", pixel_size=made.pixel_size), made.filaments))
    return fields


def row(name: str, traced: Sequence[Filaments], true: Sequence[Filaments], width_px: float | None = None) -> str:
    """Return one line of the table of labelled fields."""
    e = evaluate_filaments(traced, true, width_px=width_px)
    figures = [e.f1, e.recall, e.precision]
    cells = [name, str(len(true)), *(f"{value:.3f}" for value in figures), f"{e.angle_error_degrees:.2f}"]
    cells += [f"{e.breaks:.2f}", f"{e.false_joins:.2f}", f"{e.bridges:.2f}", f"{e.n_traced} / {e.n_true}"]
    return "| " + " | ".join(cells) + " |"


def draw(pictures: Path | None, name: str, micrograph: Micrograph, traced: Filaments, true: Filaments) -> None:
    """Write an overlay where pictures are asked for: traced ones in colour over true ones in blue."""
    if pictures is not None:
        image = cv2.GaussianBlur(micrograph.image, (0, 0), 1.0)
        write_bytes_atomically(pictures / f"{name}.png", filaments_png(image, traced, labels=true, max_side=1024))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="real sets; without it, only simulated fields are judged")
    parser.add_argument("--model", default=DEFAULT_FILAMENT_MODEL)
    parser.add_argument("--engine", choices=["auto", "openvino", "onnxruntime", "torch"], default="auto")
    parser.add_argument("--precision", choices=["auto", "fp32", "int8"], default="auto")
    parser.add_argument("--threshold", type=float, help="instead of the model's own")
    parser.add_argument("--fields", type=int, default=16, help="simulated fields for each line; 0 for none")
    parser.add_argument("--side", type=int, default=512, help="of a simulated field, in pixels")
    parser.add_argument("--pictures", type=Path, help="a folder for overlays")
    given = parser.parse_args()
    model = load_on_engine(
        open_filament_model(given.model), engine=given.engine, precision=given.precision, filaments=True
    )
    threshold = model.card.threshold if given.threshold is None else given.threshold
    tracing = Tracing(threshold=threshold)
    print(f"{model.card.name}, threshold {threshold:g}, {model.engine}\n")
    print("| fields | n | F1 | recall | precision | angle error | breaks | false joins | bridges | traced / true |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for recipe in RECIPES if given.fields else ():
        for name, layout in LAYOUTS.items():
            traced, true = [], []
            for micrograph, own in simulated(recipe, layout, given.fields, given.side):
                traced.append(trace_filaments(micrograph, model, width_px=WORKING_WIDTH_PX, tracing=tracing).filaments)
                true.append(own)
                draw(given.pictures, f"{recipe}_{name}_{micrograph.name}", micrograph, traced[-1], own)
            print(row(f"`{recipe}`, {name}", traced, true), flush=True)
    if given.data is not None:
        rods(given.data, model, tracing, given.pictures)
        empties(given.data, model, tracing, given.pictures)


def rods(data: Path, model: LoadedModel, tracing: Tracing, pictures: Path | None) -> None:
    """Print the lines of the rods among KLH: micrographs with a rod, and all, among them those without one."""
    folder = data / "klh_deepcryopicker"
    traced, true = [], []
    for file in find_micrographs([folder / "micrographs"]) if folder.is_dir() else []:
        micrograph = read_micrograph(file.path, name=file.name)
        labels = folder / "filaments" / f"{file.path.stem}.csv"
        true.append(read_filaments(labels)[0] if labels.is_file() else Filaments())
        traced.append(trace_filaments(micrograph, model, width_px=ROD_WIDTH_PX, tracing=tracing).filaments)
        draw(pictures, file.path.stem, micrograph, traced[-1], true[-1])
    some = [i for i, own in enumerate(true) if len(own)]
    if some:
        chosen = [traced[i] for i in some], [true[i] for i in some]
        print(row("TMV rods among KLH", *chosen, ROD_LABEL_WIDTH_PX))
        print(row("the same, and KLH without a rod", traced, true, ROD_LABEL_WIDTH_PX))


def empties(data: Path, model: LoadedModel, tracing: Tracing, pictures: Path | None) -> None:
    """Print what is traced where no filament is, at several widths, because the pixel size is not known."""
    print("\n| no filament is here | micrographs | " + " | ".join(f"{width} px" for width in EMPTY_WIDTHS_PX) + " |")
    print("|---|---|" + "---|" * len(EMPTY_WIDTHS_PX))
    for kind in EMPTY:
        files = find_micrographs([str(data / "quality_examples_micassess" / kind / "*.png")])
        counts = np.zeros(len(EMPTY_WIDTHS_PX), int)
        for file in files:
            micrograph = read_micrograph(file.path, name=file.name)
            for i, width in enumerate(EMPTY_WIDTHS_PX):
                found = trace_filaments(micrograph, model, width_px=width, tracing=tracing).filaments
                counts[i] += len(found)
                draw(pictures, f"{kind}_{file.path.stem}_{width}px", micrograph, found, Filaments())
        print(f"| {kind} | {len(files)} | " + " | ".join(str(count) for count in counts) + " |", flush=True)


if __name__ == "__main__":
    main()
