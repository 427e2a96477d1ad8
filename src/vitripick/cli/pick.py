"""`vitripick pick`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitripick.cli import options
from vitripick.settings import MACHINE
from vitripick.settings.pick import PickSettings
from vitripick.text import count

if TYPE_CHECKING:
    from vitripick.runs import Outcome, RunSummary, Survey


_WHOSE = {"given": "as given", "model": "the model's own", "survey": "chosen from the scores, see below"}


@options.with_settings
def pick(
    micrographs: Annotated[list[str], typer.Argument(help="Files, globs, folders or a RELION micrographs STAR.")],
    out: Annotated[Path, typer.Option(help="Folder for the picks; run again to go on where it stopped.")],
    settings: PickSettings,
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
            help="Print on stderr how long each stage took, files from disk apart.",
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
    from vitripick.cli.progress import progress_bar
    from vitripick.models import DEFAULT_MODEL, open_model
    from vitripick.picking import choose_devices
    from vitripick.runs import parse_shard, pick_many
    from vitripick.runs.profile import Profile

    share = None if shard is None else parse_shard(shard)
    times = Profile()

    def on_outcome(outcome: Outcome) -> None:
        if outcome.record is not None:
            times.add(outcome.record)
        if json_lines:
            print_line(outcome)

    def on_survey(survey: Survey) -> None:
        # At once: who sees a wrong diameter need not wait for the end.
        for line in survey.summary_lines():
            print(f"survey: {line}", file=sys.stderr)

    with progress_bar("picking", "micrographs") as update:
        if cluster is not None:
            from vitripick.programs.dask import pick_on_cluster

            summary = pick_on_cluster(
                micrographs,
                out,
                model or DEFAULT_MODEL,
                settings,
                cluster=cluster,
                device=device,
                on_done=update,
                on_outcome=on_outcome,
                on_survey=on_survey,
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
                on_done=update,
                on_outcome=on_outcome,
                on_survey=on_survey,
            )
    if json_lines:
        told = {"summary": {k: v for k, v in summary.to_dict().items() if k not in ("micrographs", "failures")}}
        print(json.dumps(told, ensure_ascii=False))
    elif as_json:
        print(json.dumps(summary.to_dict(), indent=1, ensure_ascii=False))
    else:
        print(_summary_lines(summary))
        if share is not None:
            print(f"this was share {share}; when all are done, the same command without --shard joins them")
    if profile:
        print(times.table() or "nothing was picked, so there are no times", file=sys.stderr)
    for failure in summary.failures[:5]:
        print(f"failed: {failure['error']}", file=sys.stderr)
    if summary.failures:
        listed = summary.out / ("failures.jsonl" if share is None else "failed")
        print(
            f"{len(summary.failures)} of {len(summary.failures) + len(summary.records)} micrographs failed; "
            f"all are listed in {listed}",
            file=sys.stderr,
        )
    if summary.failures and not summary.records:
        return 3
    return 4 if summary.failures else 0


def print_line(outcome: Outcome) -> None:
    """One micrograph as one line of JSON, at once."""
    print(json.dumps(outcome.to_dict(), ensure_ascii=False), flush=True)


def _summary_lines(summary: RunSummary) -> str:
    from vitripick.runs.suspects import summary_lines

    n = len(summary.records)
    lines = [
        f"{summary.n_picks} picks on {count('micrograph', n)} with {summary.model} at threshold "
        f"{summary.threshold:g} ({_WHOSE[summary.threshold_from]})"
    ]
    if summary.survey is not None:
        lines += summary.survey.summary_lines()
    if summary.n_skipped:
        lines.append(f"{summary.n_skipped} of them were picked before and not picked again")
    seconds = [record.seconds for record in summary.records if record.seconds]  # 0 for those done before
    if seconds:
        at_once = f", {summary.jobs} at once" if summary.jobs > 1 else ""
        engines = summary.engine or ", ".join(sorted({r.engine for r in summary.records if r.seconds}))
        lines.append(
            f"{summary.seconds:.1f} s in all, {sum(seconds) / len(seconds):.2f} s a micrograph{at_once}; "
            f"network run by {engines}"
        )
    counts = sorted(record.n_picks for record in summary.records)
    if n > 1:
        lines.append(f"picks a micrograph: {counts[0]} to {counts[-1]}, median {statistics.median(counts):g}")
    empty = sum(count == 0 for count in counts)
    if empty:
        lines.append(f"{empty} without a pick")
    lines += summary_lines(summary.records)
    if n and empty == n:
        lines.append(
            f"fainter candidates are stored in {summary.out / 'cbox'}: look at them with --threshold 0.1, check the "
            "diameter, or train on one labelled micrograph (docs/training.md)"
        )
    if summary.earlier.records:
        whole = summary.all_records
        n_all = sum(record.n_picks for record in whole)
        lines.append(
            f"with {len(summary.earlier.records)} of earlier calls, {summary.out} holds {n_all} picks on "
            f"{count('micrograph', len(whole))}, and so do its joined files"
        )
    lines += [f"note: {note}" for note in summary.earlier.notes]
    lines.append(f"written to {summary.out}")
    named: dict[str, list[str]] = {}
    for record in summary.records:
        for warning in record.warnings:
            named.setdefault(warning, []).append(record.name)
    warned = [(_and_more(names), warning) for warning, names in named.items()]
    lines += [f"note: {name}: {warning}" for name, warning in warned[:5]]
    if len(warned) > 5:
        lines.append(f"note: {len(warned) - 5} more in {summary.out / 'micrographs'}")
    return "\n".join(lines)


def _and_more(names: list[str]) -> str:
    """Return the first name, and the number of the others."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
