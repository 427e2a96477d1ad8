"""`vitripick pick`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitripick.cli import options
from vitripick.errors import UsageError, parameter
from vitripick.settings import MACHINE, OUTPUT
from vitripick.settings.filaments import FilamentSettings, check_filament_options
from vitripick.settings.pick import PickSettings

if TYPE_CHECKING:
    from vitripick.cli.progress import Bar
    from vitripick.runs import Outcome, Survey


@options.with_settings
def pick(
    micrographs: Annotated[list[str], typer.Argument(help="Files, globs, folders or a RELION micrographs STAR.")],
    out: Annotated[Path, typer.Option(help="Folder for the picks; run again to go on where it stopped.")],
    settings: PickSettings,
    lines: FilamentSettings,
    model: options.ModelName = None,
    device: Annotated[
        str,
        typer.Option(
            help="cpu, cuda, cuda:1 …, several (cuda:0,cuda:1), all CUDA devices (all), or auto.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Micrographs to work on at once; one on each core by default. Picks do not change.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Pick this share only: 3/16, or auto in an array job. The same command without it finishes the run.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Pick on a Dask cluster: a scheduler's address, or a TOML that says how to start one.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Print on stderr how long each stage took; files read from disk are counted apart.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    classes: Annotated[
        bool,
        typer.Option(
            "--classes",
            help="Sort the picks into 2-D classes at the end, and draw them: OUT/classes/sheet.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Let the model learn on from its own sure picks on up to 12 of these micrographs first: a minute or "
            "two on a CPU, no labels. Needs the extra [train].",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    json_lines: options.JsonLines = False,
    as_json: options.Json = False,
) -> int:
    """Find the particles in micrographs and write them for the next program."""
    if shard is not None and cluster is not None:
        raise typer.BadParameter("a cluster shares out the work itself; give one of the two", param_hint="--shard")
    if jobs is not None and cluster is not None:
        raise typer.BadParameter("a cluster's workers take one micrograph each", param_hint="--jobs")
    if classes and shard is not None:
        raise typer.BadParameter(
            "a share has not all picks; give it to the command that joins them", param_hint="--classes"
        )
    for name, given in (("--shard", shard), ("--cluster", cluster)):
        if adapt and given is not None:
            raise typer.BadParameter(
                f"adapt in a call without {name} first; give the model it leaves, OUT/adapted/model.safetensors, to "
                "the others",
                param_hint="--adapt",
            )
    check_filament_options(lines, settings)
    if lines.filaments:
        from vitripick.cli.filaments import trace_into

        for name, unused in (("profile", profile), ("classes", classes), ("adapt", adapt)):
            if unused:
                raise UsageError(f"{parameter(name)} acts on particles, not on filaments; leave it out.")
        return trace_into(
            micrographs,
            out,
            model,
            lines,
            settings,
            device=device,
            jobs=jobs,
            shard=shard,
            cluster=cluster,
            json_lines=json_lines,
            as_json=as_json,
        )
    from vitripick.cli.progress import progress_bar

    with progress_bar("starting", "micrographs") as bar:
        # These imports and the model take a second or more, so the bar is there before them.
        from vitripick.models import DEFAULT_MODEL, open_model
        from vitripick.picking import choose_devices
        from vitripick.runs import parse_shard, pick_many
        from vitripick.runs.profile import Profile

        if adapt:
            model = str(_adapted(micrographs, out, model or DEFAULT_MODEL, settings, choose_devices(device)[0], bar))
        share = None if shard is None else parse_shard(shard)
        times = Profile()

        def on_outcome(outcome: Outcome) -> None:
            if outcome.record is not None:
                times.add(outcome.record)
            if json_lines:
                print_line(outcome)

        def on_survey(survey: Survey) -> None:
            # This is printed at once, so that a user who sees a wrong diameter can stop the run early.
            for line in survey.summary_lines():
                print(line, file=sys.stderr if as_json or json_lines else sys.stdout, flush=True)

        if cluster is not None:
            from vitripick.programs.dask import pick_on_cluster

            summary = pick_on_cluster(
                micrographs,
                out,
                model or DEFAULT_MODEL,
                settings,
                cluster=cluster,
                device=device,
                on_done=bar.update,
                on_outcome=on_outcome,
                on_survey=on_survey,
                on_stage=bar.stage,
                on_note=lambda line: print(line, file=sys.stderr),
            )
        else:
            summary = pick_many(
                micrographs,
                out,
                open_model(model or DEFAULT_MODEL),
                settings,
                device=choose_devices(device),
                jobs=jobs,
                shard=share,
                on_done=bar.update,
                on_outcome=on_outcome,
                on_survey=on_survey,
                on_stage=bar.stage,
            )
    if classes and summary.n_picks:
        from vitripick.cli.classes import sort_run

        sort_run(out, to=sys.stderr if as_json or json_lines else sys.stdout)
    if profile:
        print(times.table() or "nothing was picked, so there are no times", file=sys.stderr)
        for line in times.advice():
            print(f"advice: {line}", file=sys.stderr)
    for failure in summary.failures[:5]:
        print(f"failed: {failure['error']}", file=sys.stderr)
    if summary.failures:
        listed = summary.out / ("failures.jsonl" if share is None else "failed")
        print(
            f"{len(summary.failures)} of {len(summary.failures) + len(summary.records)} micrographs failed; "
            f"all are listed in {listed}",
            file=sys.stderr,
        )
    # The last line says what to do next; it stands below all messages about failures.
    if json_lines:
        told = {"summary": {k: v for k, v in summary.to_dict().items() if k not in ("micrographs", "failures")}}
        print(json.dumps(told, ensure_ascii=False))
    elif as_json:
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(summary.lines()))
        if share is not None:
            print(f"this was share {share}; when all are done, the same command without --shard joins them")
    if summary.failures and not summary.records:
        return 3
    return 4 if summary.failures else 0


def _adapted(micrographs: list[str], out: Path, model: str, settings: PickSettings, device: str, bar: Bar) -> Path:
    """Adapt the model to the micrographs, with its steps on the bar, and return the bundle."""
    from vitripick.models import open_model
    from vitripick.training import Callbacks, adapt_to_run

    callbacks = Callbacks(
        on_stage=bar.stage,
        on_step=lambda step, total, loss: bar.update(step, total, f"adapting, loss {loss:.3f}"),
    )
    bundle = adapt_to_run(micrographs, out, open_model(model), settings, device=device, callbacks=callbacks)
    bar.say(f"{model} was adapted to these micrographs: {bundle}")
    return bundle


def print_line(outcome: Outcome) -> None:
    """Print one micrograph as one line of JSON, at once."""
    print(json.dumps(outcome.to_dict(), ensure_ascii=False), flush=True)
