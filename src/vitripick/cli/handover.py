"""Run `vitripick handover`, which checks a hand-over to another program without writing anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vitripick.programs.handover_checks import Handover


def handover(
    run: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="Output folder of `pick` or `watch`, or a RELION External job.")
    ],
    to: Annotated[str, typer.Option(help="The other program: relion or cryosparc.")],
    project: Annotated[Path, typer.Option(help="The project's folder there.")] = Path("."),
    micrographs: Annotated[
        Path | None,
        typer.Option(
            help="The micrographs that the program has: RELION's micrographs STAR, cryoSPARC's .cs of exposures.  "
            "[default: the one in the project that fits best]"
        ),
    ] = None,
    box_size_px: Annotated[
        int | None,
        typer.Option(min=4, help="Side of the boxes to extract, in full-size pixels.  [default: about 1.5 diameters]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> int:
    """Check that another program will take every pick of a run, and print what to type there; nothing is written."""
    from vitripick.cli.progress import progress_bar
    from vitripick.programs.handover import check_handover

    with progress_bar("reading picks", "micrographs") as bar:
        found = check_handover(
            run, to, project=project, micrographs=micrographs, box_size_px=box_size_px, on_done=bar.update
        )
    if as_json:
        print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
    else:
        _print(found)
    return 0 if found.fits else 3


def _print(found: Handover) -> None:
    program = {"relion": "RELION", "cryosparc": "cryoSPARC"}[found.program]
    verb = "extract" if found.program == "relion" else "import"
    print(f"{program} will {verb} {found.n_taken} of {found.n_picks} picks; micrographs: {found.micrographs}")
    width = max(len(check.about) for check in found.checks)
    for check in found.checks:
        print(f"  {check.result:6}  {check.about:{width}}  {check.text}")
    if not found.fits:
        print("Not everything fits: see each misfit.")
    for steps in found.steps:
        print(f"{steps.where}:")
        for line in steps.lines:
            print(f"  {line}")
