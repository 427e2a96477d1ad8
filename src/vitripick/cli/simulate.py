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
    recipe: Annotated[str, typer.Option(help="A recipe's name (--list shows them) or a TOML file.")] = "clean",
    micrographs: Annotated[int, typer.Option(min=1, help="How many.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 1,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the recipe, such as particles.count=100; repeat for several."),
    ] = None,
    pixel_size: Annotated[float | None, typer.Option(help="Å per pixel, instead of the recipe's.")] = None,
    shape: Annotated[str | None, typer.Option(help="ROWSxCOLUMNS, instead of the recipe's.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the structures are: soluble, membrane, nucleoprotein, virus, filament.")
    ] = None,
    assembly: Annotated[str, typer.Option(help="Biological assembly of mmCIF and PDB files, or asu.")] = "1",
    prefix: Annotated[str, typer.Option(help="Micrographs are called PREFIX_0001 and so on.")] = "simulated",
    dtype: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; all cores by default.")] = None,
    overlays: Annotated[bool, typer.Option(help="Draw a PNG of every micrograph with its particles.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List recipes and bundled structures, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Simulate micrographs whose true particles are known."""
    from vitripick.cli.progress import progress_bar
    from vitripick.simulation import load_recipe, simulate_folder
    from vitripick.simulation.structure import KINDS

    if show:
        _list(as_json)
        return
    if out is None:
        raise typer.BadParameter("say where the micrographs should go", param_hint="--out")
    if dtype not in ("float32", "float16"):
        raise typer.BadParameter(f"{dtype!r} is neither float32 nor float16", param_hint="--dtype")
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}", param_hint="--kind")
    changes = list(change or ())
    if pixel_size is not None:
        if not 0 < pixel_size < 100:
            raise typer.BadParameter(f"must lie between 0 and 100 Å, not {pixel_size}", param_hint="--pixel-size")
        changes.append(f"pixel_size={pixel_size}")
    if shape is not None:
        changes.append(f"shape={list(_shape(shape))}")
    settings = load_recipe(recipe, changes=changes)
    with progress_bar("simulating", "micrographs") as update:
        summary = simulate_folder(
            settings,
            out,
            n_micrographs=micrographs,
            structures=structure or (),
            kind=kind,  # type: ignore[arg-type]
            assembly=assembly,
            seed=seed,
            prefix=prefix,
            dtype=dtype,  # type: ignore[arg-type]
            n_workers=jobs,
            on_progress=update,
        )
    if overlays:
        _draw(out, summary.names)
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
    rows, cross, columns = text.lower().partition("x")
    try:
        return int(rows), int(columns if cross else rows)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ROWSxCOLUMNS", param_hint="--shape") from None


def _draw(out: Path, names: tuple[str, ...]) -> None:
    from vitripick.formats import read_micrograph, read_picks
    from vitripick.pictures import draw_overlay

    for name in names:
        image = read_micrograph(out / "micrographs" / f"{name}.mrc").image
        draw_overlay(image, read_picks(out / "labels" / f"{name}.cbox"), out / "overlays" / f"{name}.png", title=name)


def _list(as_json: bool) -> None:
    from vitripick.simulation import bundled_structures, load_recipe, read_structure, recipe_names

    recipes = {name: load_recipe(name).description for name in recipe_names()}
    structures = {name: read_structure(path) for name, path in bundled_structures().items()}
    if as_json:
        bundled = {
            name: {"kind": s.kind, "mass_kda": s.mass_kda, "diameter_angstrom": round(s.diameter_angstrom)}
            for name, s in structures.items()
        }
        print(json.dumps({"recipes": recipes, "structures": bundled}, indent=1))
        return
    print("recipes:")
    for name, description in recipes.items():
        print(f"  {name:14s} {description}")
    print("bundled structures:")
    for name, s in structures.items():
        print(f"  {name:20s} {s.kind:14s} {s.mass_kda:7.0f} kDa  {s.diameter_angstrom:4.0f} Å")
