"""`vitripick train`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitripick.cli import options
from vitripick.errors import UsageError
from vitripick.settings import MACHINE
from vitripick.settings.train import DEFAULT_ARCHITECTURE, LABELS, SCHEDULE, About, TrainingSet, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitripick.training import SimulatedSet


@options.with_settings
def train(
    out: Annotated[Path, typer.Option(help="Run folder; run again to go on where it stopped.")],
    about_set: Annotated[dict[str, Any], options.Given(TrainingSet)],
    given: Annotated[dict[str, Any], options.Given(TrainSettings)],
    about: About,
    micrographs: Annotated[
        list[str] | None,
        typer.Option(help="Folder, glob or RELION STAR; repeat, with as many --labels, for several particles."),
    ] = None,
    labels: Annotated[list[str] | None, typer.Option(help="Labels in any format we read: folder or file.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="TOML with [[sets]] and [training], instead of --micrographs and --labels."),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder that the recipe's relative paths start from.")] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="A released model's name or a bundle to go on from, instead of from scratch."),
    ] = None,
    train_last: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --from: only this many of the last layers learn; all by default.",
            rich_help_panel=SCHEDULE,
        ),
    ] = None,
    device: options.Device = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=(
                "Number of processes or threads that draw crops beside the network; by default 0 on a CPU, up to 8 "
                "for a GPU."
            ),
            rich_help_panel=MACHINE,
        ),
    ] = None,
    fields: Annotated[
        Path | None,
        typer.Option(help="Folder for a recipe's simulated fields; OUT/fields by default.", rich_help_panel=LABELS),
    ] = None,
    filaments: Annotated[
        bool,
        typer.Option("--filaments", help="Train on filaments; by default, from the released model of filaments."),
    ] = False,
    width_px: Annotated[
        float | None,
        typer.Option(min=0.001, help="Width of filaments in full-size pixels.", rich_help_panel=LABELS),
    ] = None,
    width_angstrom: Annotated[
        float | None, typer.Option(min=0.001, help="Width of filaments in Å.", rich_help_panel=LABELS)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a model on labelled micrographs; the result is OUT/model.safetensors."""
    if filaments:
        from vitripick.cli.filaments import train_on_labels

        train_on_labels(
            micrographs or [],
            labels or [],
            out,
            start=start,
            width_px=width_px,
            width_angstrom=width_angstrom,
            steps=given.get("steps"),
            seed=given.get("seed", 1),
            pixel_size=about_set.get("pixel_size"),
            device=device,
            as_json=as_json,
        )
        return
    from vitripick.cli.progress import progress_bar
    from vitripick.formats.passed_by import passed_by_collected
    from vitripick.training import Callbacks
    from vitripick.training import train as train_model

    sets, settings = _gather(recipe, data_root, _sets(micrographs, labels, about_set), given, start)
    if not sets:
        raise UsageError("nothing to train on: give --micrographs and --labels, or a --recipe with [[sets]].")

    with passed_by_collected() as passed_by, progress_bar("starting", "steps", in_log=True) as bar:

        def tell(row: dict[str, float]) -> None:
            bar.say(
                f"step {row['step']:.0f}  loss {row['train_loss']:.3f}  validation F1 {row['validation_f1']:.3f}  "
                f"AUC {row['validation_auc']:.3f}  AUC (IoU) {row['validation_auc_iou']:.3f}"
            )

        result = train_model(
            sets,
            out,
            settings=settings,
            start=start,
            trainable="all" if train_last is None else train_last,
            about=about,
            device=device,
            n_workers=workers,
            simulated_fields=fields,
            callbacks=Callbacks(
                on_stage=bar.stage,
                on_step=lambda step, total, loss: bar.update(step, total, f"loss {loss:.3f}"),
                on_epoch=tell,
                on_field=lambda done, total: bar.update(done, total, "fields simulated"),
            ),
        )
        if os.environ.get("RANK", "0") != "0":
            return  # with several processes (torchrun), only the first one prints
        from vitripick.models.engines.export import write_graph_or_warn

        bar.stage("making the graph that picks without torch")
        write_graph_or_warn(result.model)
    card = result.model.card
    before = result.start_figures
    if as_json:
        summary = {
            "model": str(result.path),
            "sha256": result.model.sha256,
            "threshold": card.threshold,
            "seconds": round(result.seconds, 1),
            "curves": result.rows,
            "passed_by": [one.to_dict() for one in passed_by],
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


def _sets(micrographs: list[str] | None, labels: list[str] | None, about_set: dict[str, Any]) -> list[TrainingSet]:
    """Return the sets of the command line; options of a set hold for each of them."""
    micrographs, labels = micrographs or [], labels or []
    if len(micrographs) != len(labels):
        raise UsageError(
            f"each --micrographs needs its --labels, but there are {len(micrographs)} of the one and {len(labels)} "
            "of the other."
        )
    if len(micrographs) != 1 and set(about_set) - {"box_size_px", "include", "keep_labels", "keep_coordinates"}:
        raise UsageError(
            "--classes, --rejected, --pixel-size, --validate-on, --leave-out and --areas go with one --micrographs and "
            "its --labels; for several sets, give them for each set in the --recipe."
        )
    if not micrographs and about_set:
        raise UsageError(
            "--box-size-px and --include go with --micrographs and --labels; a --recipe has them for each set."
        )
    return [
        options.settings_from(TrainingSet, {"micrographs": images, "labels": own, **about_set})
        for images, own in zip(micrographs, labels, strict=True)
    ]


def _gather(
    recipe: Path | None,
    data_root: Path | None,
    sets: Sequence[TrainingSet | SimulatedSet],
    given: dict[str, Any],
    start: str | None,
) -> tuple[Sequence[TrainingSet | SimulatedSet], TrainSettings]:
    """Return a recipe's sets and settings, or the architecture's own; what the user typed overrides them."""
    from vitripick.models import read_model_card
    from vitripick.training import default_settings, read_training_plan

    own = None if start is None else read_model_card(start).architecture
    if recipe is None:
        changes = {"architecture": own or DEFAULT_ARCHITECTURE, **given}
        return sets, default_settings(fine_tune=start is not None, **changes)
    if sets or "architecture" in given:
        raise UsageError("--recipe names its sets and architecture; leave out --micrographs, --labels, --architecture.")
    sets, settings = read_training_plan(recipe, data_root=data_root, start_architecture=own)
    return sets, default_settings(**{**settings.model_dump(), **given})
