"""`vitripick train`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitripick.models.architecture_names import (
    ARCHITECTURE_NAMES,
    DEFAULT_ARCHITECTURE,
    in_a_row,
    names_that_scale_by,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitripick.training import SimulatedSet, TrainingSet, TrainSettings

_BY_PARTICLE, _BY_LONG_SIDE = names_that_scale_by("particle"), names_that_scale_by("long_side")


def train(
    out: Annotated[Path, typer.Option(help="Run folder; run again to go on where it stopped.")],
    micrographs: Annotated[
        list[str] | None,
        typer.Option(help="Folder, glob or RELION STAR; repeat, with as many --labels, for several particles."),
    ] = None,
    labels: Annotated[list[str] | None, typer.Option(help="Labels in any format we read: folder or file.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="TOML with [[sets]] and [training], instead of --micrographs and --labels."),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the recipe's relative paths start.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="A released model's name or a bundle to go on from, instead of from scratch."),
    ] = None,
    train_last: Annotated[
        int | None, typer.Option(min=1, help="With --from: only the last so many layers learn; all by default.")
    ] = None,
    box_size_px: Annotated[float | None, typer.Option(help="Label box size, if the labels have none.")] = None,
    validate_on: Annotated[
        list[str] | None, typer.Option(help="Name or stem of a micrograph to validate on; repeat.")
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Name or stem of a micrograph to keep for judging; repeat.")
    ] = None,
    areas: Annotated[
        str | None,
        typer.Option(help="Folder that says where labels are incomplete or areas are to be ignored (docs/label.md)."),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help=f"{in_a_row(ARCHITECTURE_NAMES)}; {DEFAULT_ARCHITECTURE} by default.")
    ] = None,
    working_diameter_px: Annotated[
        float | None, typer.Option(help=f"{_BY_PARTICLE}: particle diameter in the pixels the network sees.")
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(help=f"{_BY_LONG_SIDE}: long side of the micrograph in the pixels the network sees."),
    ] = None,
    patches: Annotated[
        str | None,
        typer.Option(help=f"{_BY_LONG_SIDE}: train and pick in rows x columns of patches, such as 2x2."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at most.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Crops a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(help="What a place without a label is taken for: background, lighter, ignore or teach."),
    ] = None,
    warm_restarts: Annotated[
        int | None, typer.Option(help="How often the learning rate starts again from its full height.")
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16, or auto: bf16 on GPUs and on CPUs that have it in hardware (AMX).")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; the run folder's by default.")] = None,
    licence: Annotated[str, typer.Option(help="For those who get the model.")] = "not stated",
    description: Annotated[str, typer.Option(help="For those who get the model.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … or auto.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many draw crops beside the network: by default none on a CPU, up to 8 for a GPU."
        ),
    ] = None,
    fields: Annotated[
        Path | None, typer.Option(help="Where a recipe's simulated fields are kept; OUT/fields by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model on labelled micrographs; the result is OUT/model.safetensors."""
    from vitripick.cli.progress import progress_bar
    from vitripick.images import parse_patches
    from vitripick.training import About, Callbacks
    from vitripick.training import train as train_model

    sets, settings = _gather(
        recipe,
        data_root,
        _sets(micrographs, labels, box_size_px, validate_on, leave_out, areas),
        {
            "architecture": architecture,
            "working_diameter_px": working_diameter_px,
            "input_size_px": input_size,
            "patches": None if patches is None else parse_patches(patches),
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "seed": seed,
            "precision": precision,
            "warm_restarts": warm_restarts,
            "unlabelled": unlabelled,
        },
        start,
    )

    def tell(row: dict[str, float]) -> None:
        print(
            f"step {row['step']:.0f}  loss {row['train_loss']:.3f}  validation F1 {row['validation_f1']:.3f}  "
            f"AUC {row['validation_auc']:.3f}  AUC (IoU) {row['validation_auc_iou']:.3f}",
            file=sys.stderr,
        )

    with progress_bar("training", "steps") as update:
        result = train_model(
            sets,
            out,
            settings=settings,
            start=start,
            trainable="all" if train_last is None else train_last,
            about=About(name=name, licence=licence, description=description),
            device=device,
            n_workers=workers,
            simulated_fields=fields,
            callbacks=Callbacks(
                on_step=lambda step, total, loss: update(step, total, f"loss {loss:.3f}"),
                on_epoch=tell,
                on_field=lambda done, total: update(done, total, "fields simulated"),
            ),
        )
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes (torchrun) the first one talks
    card = result.model.card
    before = result.start_figures
    if as_json:
        summary = {
            "model": str(result.path),
            "sha256": result.model.sha256,
            "threshold": card.threshold,
            "seconds": round(result.seconds, 1),
            "curves": result.rows,
            **({} if before is None else {"before": before}),
        }
        print(json.dumps(summary, indent=1))
        return
    validation = card.training["validation"]
    print(f"model written to {result.path} after {result.seconds / 60:.1f} minutes")
    print(
        f"on the validation micrographs: F1 {validation['f1']:.3f} at threshold {card.threshold:g}, "
        f"AUC {validation['auc']:.3f} (d/4), {validation['auc_iou']:.3f} (IoU 0.6)"
    )
    if before is not None:
        print(f"the model it started from had F1 {before['f1']:.3f} there, AUC {before['auc']:.3f} (d/4)")
    print(f"pick with: vitripick pick MICROGRAPHS --model {result.path} --out PICKS")


def _sets(
    micrographs: list[str] | None,
    labels: list[str] | None,
    box_size_px: float | None,
    validate_on: list[str] | None,
    leave_out: list[str] | None,
    areas: str | None,
) -> list[TrainingSet]:
    from vitripick.errors import UsageError
    from vitripick.training import TrainingSet

    micrographs, labels = micrographs or [], labels or []
    if len(micrographs) != len(labels):
        raise UsageError(
            f"each --micrographs needs its --labels, but there are {len(micrographs)} of the one and {len(labels)} "
            "of the other."
        )
    if len(micrographs) != 1 and (validate_on or leave_out or areas):
        raise UsageError(
            "--validate-on, --leave-out and --areas go with one --micrographs and its --labels; for several sets, say "
            "it of each in the --recipe."
        )
    if not micrographs and box_size_px is not None:
        raise UsageError("--box-size-px goes with --micrographs and --labels; a --recipe says it of each set.")
    return [
        TrainingSet(
            micrographs=images,
            labels=own,
            box_size_px=box_size_px,
            validate_on=tuple(validate_on or ()),
            leave_out=tuple(leave_out or ()),
            areas=areas,
        )
        for images, own in zip(micrographs, labels, strict=True)
    ]


def _gather(
    recipe: Path | None,
    data_root: Path | None,
    sets: Sequence[TrainingSet | SimulatedSet],
    options: dict[str, object],
    start: str | None,
) -> tuple[Sequence[TrainingSet | SimulatedSet], TrainSettings]:
    """A recipe's settings with the options given on the command line on top, or the architecture's own."""
    from vitripick.errors import UsageError
    from vitripick.models import read_model_card
    from vitripick.training import default_settings, read_training_plan

    given = {key: value for key, value in options.items() if value is not None}
    own = None if start is None else read_model_card(start).architecture
    if recipe is None:
        architecture = str(given.pop("architecture", own or DEFAULT_ARCHITECTURE))
        return sets, default_settings(architecture, fine_tune=start is not None, **given)
    if sets or "architecture" in given:
        raise UsageError("--recipe names its sets and architecture; leave out --micrographs, --labels, --architecture.")
    sets, settings = read_training_plan(recipe, data_root=data_root, start_architecture=own)
    return sets, default_settings(**{**settings.model_dump(), **given})
