"""`vitripick simulate`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from vitripick.cli import options
from vitripick.settings import MACHINE
from vitripick.settings.simulate import SCENE, STRUCTURES, SimulateSettings


@options.with_settings
def simulate(
    settings: SimulateSettings,
    out: Annotated[Path | None, typer.Option(help="Folder; run again to go on where it stopped.")] = None,
    recipe: Annotated[str, typer.Option(help="A scene recipe: its name (--list shows them) or a TOML file.")] = "clean",
    show: Annotated[bool, typer.Option("--list", help="List scene recipes and bundled structures, and stop.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="KEY=VALUE of the scene recipe, such as particles.count=100; repeat for several.",
            rich_help_panel=SCENE,
        ),
    ] = None,
    structure: Annotated[
        list[str] | None,
        typer.Option(
            help="mmCIF, PDB, MRC map, npz, a folder of these, or a bundled name; repeat for several.",
            rich_help_panel=STRUCTURES,
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; all cores by default.", rich_help_panel=MACHINE)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Simulate micrographs whose true particles are known."""
    from vitripick.atomic import check_folder
    from vitripick.cli.progress import progress_bar
    from vitripick.simulation import load_scene_recipe, simulate_folder

    if show:
        _list(as_json)
        return
    if out is None:
        raise typer.BadParameter("say where the micrographs should go", param_hint="--out")
    check_folder(out)
    scene = load_scene_recipe(recipe, changes=change or ())
    with progress_bar("simulating", "micrographs") as bar:
        summary = simulate_folder(scene, out, structure or (), settings, n_workers=jobs, on_progress=bar.update)
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
    what = "filaments" if settings.filaments else "particles"
    print(f"{len(summary.names)} micrographs with {summary.n_particles} {what} in {out}")
    if summary.n_skipped:
        print(f"{summary.n_skipped} of them were there already")
    images, labels = shlex.quote(f"{out}/micrographs"), shlex.quote(f"{out}/labels")
    with_what = "--filaments " if settings.filaments else ""
    print(f"train with: vitripick train {with_what}--micrographs {images} --labels {labels} --out RUN")


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
