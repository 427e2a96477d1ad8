"""Run `vitripick cryosparc-job`, which picks as an External job of cryoSPARC."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitripick.cli import options
from vitripick.settings.pick import PickSettings


@options.with_settings
def cryosparc_job(
    source: Annotated[str, typer.Argument(help="Job and output with the micrographs, such as J12.micrographs.")],
    project: Annotated[str, typer.Option(help="The project, such as P3.")],
    workspace: Annotated[str, typer.Option(help="The workspace, such as W1.")],
    instance: Annotated[
        Path, typer.Option(help="JSON with the arguments of cryosparc.tools.CryoSPARC; readable by you alone.")
    ],
    out: Annotated[Path, typer.Option(help="Our run folder; run again to go on where it stopped.")],
    settings: PickSettings,
    model: options.ModelName = None,
    device: options.Device = "auto",
    flip_y: Annotated[bool, typer.Option("--flip-y", help="Flip y: count rows from the last one.")] = False,
) -> int:
    """Pick the micrographs of a cryoSPARC job into a new External job (needs the extra [cryosparc])."""
    from vitripick.cli.progress import progress_bar
    from vitripick.errors import InputError
    from vitripick.json_toml import read_json_object
    from vitripick.models import DEFAULT_MODEL, device_name, open_model
    from vitripick.programs.cryosparc_job import connect, run_cryosparc_job

    try:
        arguments = read_json_object(instance)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{instance}: this should be JSON with the instance's address and account ({error})."
        ) from None
    target = device_name(device)
    with progress_bar("asking cryoSPARC for the micrographs", "micrographs") as bar:
        summary = run_cryosparc_job(
            connect(arguments),
            project=project,
            workspace=workspace,
            source=source,
            out=out,
            model=open_model(model or DEFAULT_MODEL),
            settings=settings,
            device=str(target),
            flip_y=flip_y,
            on_done=bar.update,
            on_stage=bar.stage,
        )
    print("\n".join([*([] if summary.survey is None else summary.survey.summary_lines()), *summary.lines()]))
    print(f"saved as an External job of {project}")
    return 4 if summary.failures else 0
