"""Run `vitripick label`, which opens the page for labelling in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitripick.cli import options


def label(
    micrographs: Annotated[list[str], typer.Argument(help="Files, globs, folders or a RELION micrographs STAR.")],
    out: Annotated[
        Path, typer.Option(help="Project folder: labels, edits, trained models; give it again to go on.")
    ] = Path("vitripick-labels"),
    picks: Annotated[
        Path | None, typer.Option(help="Picks to look at: a folder of vitripick pick, or any file.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels to add to the project, in any format we read: folder or file.")
    ] = None,
    box_size_px: Annotated[
        float | None, typer.Option(help="Box size in full-size pixels; the page changes it.")
    ] = None,
    filaments: Annotated[
        bool, typer.Option("--filaments", help="Label filaments; a project that was begun so stays so.")
    ] = False,
    width_px: Annotated[
        float | None, typer.Option(help="Width of the filaments in full-size pixels; the page changes it.")
    ] = None,
    pixel_size: options.PixelSize = None,
    include: options.Include = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only show the project: nothing can be changed.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; with any but the default, other people can reach the page.")
    ] = "127.0.0.1",
    url: Annotated[
        str | None,
        typer.Option(
            help="Address at which the browser finds the page behind a reverse proxy, such as "
            "https://hub.example.org/user/me/proxy/{port}/; {port} stands for the port.",
            metavar="URL",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="8417 by default, or a free one.")] = None,
) -> None:
    """Label, train, look and correct in the browser."""
    from vitripick.errors import UsageError

    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"the page needs {error.name}, which is not installed: pip install 'vitripick[web]' (in a clone: "
            "pip install '.[web]')."
        ) from error
    del starlette, uvicorn
    from vitripick.web.serve import say, serve
    from vitripick.web.session import open_session

    session = open_session(
        micrographs,
        out,
        picks=picks,
        labels=labels,
        box_size_px=box_size_px,
        pixel_size=pixel_size,
        include=include or (),
        filaments=filaments,
        width_px=width_px,
        read_only=read_only,
        say=say,
    )
    say(f"The project is in {out}")
    serve(session, host=host, port=port, say=say, url=url)
