"""Run `vitripick cryosparc`, which writes picks under cryoSPARC's names of the micrographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vitripick.programs.cryosparc_import import CryosparcFile

_SHOWN = 20


def cryosparc(
    picks: Annotated[Path, typer.Argument(help="Output folder of `vitripick pick`, or picks in any format we read.")],
    out: Annotated[Path, typer.Option(help="File to write: .star for Import Particle Stack, or .cs.")],
    strip_uid: Annotated[bool, typer.Option("--strip-uid", help="Take off cryoSPARC's 21 digits in front.")] = False,
    strip_prefix: Annotated[str, typer.Option(help="Take this off the start of each name.")] = "",
    strip_suffix: Annotated[str, typer.Option(help="Take this off the end, before .mrc.")] = "",
    add_prefix: Annotated[str, typer.Option(help="Put this before each name.")] = "",
    add_suffix: Annotated[str, typer.Option(help="Put this after each name, before .mrc.")] = "",
    against: Annotated[
        Path | None,
        typer.Option(
            help="Micrographs of cryoSPARC, to check the names: a .cs of exposures, a STAR, a text or a folder."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest confidence to write; the run's by default.")
    ] = None,
    flip_y: Annotated[bool, typer.Option("--flip-y", help="Flip y: count rows from the last one.")] = False,
    keep_coordinates: Annotated[
        bool,
        typer.Option(
            "--keep-coordinates", help="Take the coordinates as they stand; by default refined shifts are applied."
        ),
    ] = False,
    pixel_size: Annotated[
        float | None, typer.Option(min=0.001, help="Å per pixel of the micrographs, for such shifts.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the names and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the names as JSON.")] = False,
) -> int:
    """Join the picks of a run for cryoSPARC, with its names of the micrographs."""
    from vitripick.programs.cryosparc_import import write_for_cryosparc
    from vitripick.programs.cryosparc_names import NameMapping

    done = write_for_cryosparc(
        picks,
        out,
        mapping=NameMapping(strip_uid, strip_prefix, strip_suffix, add_prefix, add_suffix),
        against=against,
        threshold=threshold,
        flip_y=flip_y,
        pixel_size=pixel_size,
        keep_coordinates=keep_coordinates,
        dry_run=dry_run,
    )
    if as_json:
        rows = [
            {"name": one.name, "written": one.written, "exposure": None if one.exposure is None else one.exposure.path}
            for one in done.names
        ]
        fields = {"picks": done.n_picks, "written": done.written, "unmatched": len(done.unmatched), "names": rows}
        print(json.dumps(fields, indent=1, ensure_ascii=False))
    else:
        _print_table(done)
        where = f"written to {out}" if done.written else "nothing written (--dry-run)"
        print(f"{done.n_picks} picks of {len(done.names)} micrographs: {where}")
    if done.unmatched:
        typer.echo(
            f"{len(done.unmatched)} of {len(done.names)} names are not in {against}, first "
            f"{done.unmatched[0].written!r}; cryoSPARC would find no micrograph for their picks.",
            err=True,
        )
        return 3
    return 0


def _print_table(done: CryosparcFile) -> None:
    width = max((len(one.name) for one in done.names[:_SHOWN]), default=0)
    second = max((len(one.written) for one in done.names[:_SHOWN]), default=0)
    for one in done.names[:_SHOWN]:
        there = "" if not done.checked else (one.exposure.path if one.exposure is not None else "NOT THERE")
        print(f"{one.name:{width}}  ->  {one.written:{second}}  {there}".rstrip())
    if len(done.names) > _SHOWN:
        print(f"and {len(done.names) - _SHOWN} more; --json prints all")
