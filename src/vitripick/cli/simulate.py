"""`vitripick simulate`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path | None, typer.Option(help="Folder; run again to go on where it stopped.")] = None,
    structure: Annotated[
        list[str] | None,
        typer.Option(help="mmCIF, PDB, MRC map, npz, a folder of these, or a bundled name; repeat for several."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="A scene recipe: its name (--list shows them) or a TOML file.")] = "clean",
    micrographs: Annotated[int, typer.Option(min=1, help="How many.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 1,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the scene recipe, such as particles.count=100; repeat for several."),
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Å per pixel, instead of the scene recipe's.")] = None,
    shape: Annotated[str | None, typer.Option(help="ROWSxCOLUMNS, instead of the scene recipe's.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the structures are: soluble, membrane, nucleoprotein, virus, filament.")
    ] = None,
    assembly: Annotated[str, typer.Option(help="Biological assembly of mmCIF and PDB files, or asu.")] = "1",
    prefix: Annotated[str, typer.Option(help="Micrographs are called PREFIX_0001 and so on.")] = "simulated",
    dtype: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all cores by default.")] = None,
    overlays: Annotated[bool, typer.Option(help="Draw a PNG of every micrograph with its particles.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List scene recipes and bundled structures, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Simulate micrographs whose true particles are known."""
    from vitripick.cli.progress import progress_bar
    from vitripick.simulation import SimulateSettings, load_scene_recipe, simulate_folder
    from vitripick.simulation.structures import KINDS

    if show:
        _list(as_json)
        return
    if out is None:
        raise typer.BadParameter("say where the micrographs should go", param_hint="--out")
    if dtype not in ("float32", "float16"):
        raise typer.BadParameter(f"{dtype!r} is neither float32 nor float16", param_hint="--dtype")
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="--kind")
    if pixel_size is not None and not 0 < pixel_size < 100:
        raise typer.BadParameter(f"must lie between 0 and 100 Å, not {pixel_size}", param_hint="--pixel-size")
    settings = SimulateSettings(
        n_micrographs=micrographs,
        seed=seed,
        pixel_size=pixel_size,
        shape=None if shape is None else _shape(shape),
        kind=kind,  # type: ignore[arg-type]
        assembly=assembly,
        prefix=prefix,
        dtype=dtype,  # type: ignore[arg-type]
        overlays=overlays,
    )
    scene = load_scene_recipe(recipe, changes=change or ())
    with progress_bar("simulating", "micrographs") as update:
        summary = simulate_folder(scene, out, structure or (), settings, n_workers=jobs, on_progress=update)
    if as_json:
        print(
            json.dumps(
                {
                    "out": str(out),
                    "micrographs": [f"micrographs/{name}.mrc" for name in summary.names],
                    "n_skipped": summary.n_skipped,
                    "n_particles": summary.n_particles,
                },
                indent=1,
            )
        )
        return
    print(f"{len(summary.names)} micrographs with {summary.n_particles} particles in {out}")
    if summary.n_skipped:
        print(f"{summary.n_skipped} of them were there already")
    images, labels = shlex.quote(f"{out}/micrographs"), shlex.quote(f"{out}/labels")
    print(f"train with: vitripick train --micrographs {images} --labels {labels} --out RUN")


def _shape(text: str) -> tuple[int, int]:
    """Return the rows and columns that a text says."""
    rows, cross, columns = text.lower().partition("x")
    try:
        shape = int(rows), int(columns if cross else rows)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ROWSxCOLUMNS", param_hint="--shape") from None
    if min(shape) < 32:
        raise typer.BadParameter(f"a micrograph has at least 32 rows and columns, not {text}", param_hint="--shape")
    return shape


def _list(as_json: bool) -> None:
    """Print the scene recipes and bundled structures."""
    from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure, scene_recipe_names

    recipes = {name: load_scene_recipe(name).description for name in scene_recipe_names()}
    structures = {name: read_structure(path) for name, path in bundled_structures().items()}
    if as_json:
        bundled = {
            name: {"kind": s.kind, "mass_kda": s.mass_kda, "diameter_angstrom": round(s.diameter_angstrom)}
            for name, s in structures.items()
        }
        print(json.dumps({"recipes": recipes, "structures": bundled}, indent=1))
        return
    print("scene recipes:")
    for name, description in recipes.items():
        print(f"  {name:14s} {description}")
    print("bundled structures:")
    for name, s in structures.items():
        print(f"  {name:20s} {s.kind:14s} {s.mass_kda:7.0f} kDa  {s.diameter_angstrom:4.0f} Å")
