"""`vitripick models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitripick.errors import UsageError
from vitripick.models.architecture_names import ARCHITECTURE_NAMES, in_a_row

if TYPE_CHECKING:
    from vitripick.models import ModelCard


def models(
    model: Annotated[
        str | None,
        typer.Argument(help="A released model's name or a bundle, to see all it says about itself."),
    ] = None,
    describe: Annotated[
        str | None, typer.Option(help=f"Print the layers of an architecture: {in_a_row(ARCHITECTURE_NAMES)}.")
    ] = None,
    write_graph: Annotated[
        bool,
        typer.Option(
            "--write-graph", help="Write a graph beside this bundle, so that it can pick where torch is not installed."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models that are there, or show one; or the layers of an architecture."""
    if describe is not None:
        _describe(describe, as_json)
        return
    from vitripick.models import DEFAULT_MODEL, RELEASED, file_sha256, read_model_card, released_path
    from vitripick.models.released import OF_FILAMENTS

    if write_graph:
        if model is None:
            raise UsageError("--write-graph needs the bundle: vitripick models MODEL --write-graph.")
        print(_write_graph(model))
        return
    if model is not None:
        print(read_model_card(model).model_dump_json(indent=1))
        return
    rows: list[dict[str, Any]] = []
    for name in (*RELEASED, *OF_FILAMENTS):
        path, card = released_path(name), read_model_card(name)
        rows.append(
            {
                "name": name,
                "default": name == DEFAULT_MODEL,
                "architecture": card.architecture,
                "diameters": _diameters(card),
                "description": card.description,
                "licence": card.licence,
                "megabytes": round(path.stat().st_size / 1e6, 2),
                "sha256": file_sha256(path),
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        note = " (default)" if row["default"] else " (for --filaments)" if row["name"] in OF_FILAMENTS else ""
        print(f"{row['name']}{note}")
        for key in ("description", "architecture", "diameters", "licence"):
            print(f"  {key:<13}{row[key]}")
        print(f"  {'size':<13}{row['megabytes']} MB")
        print(f"  {'sha256':<13}{row['sha256']}")


def _write_graph(model: str) -> Path:
    """Make the graph of a bundle, unless it lies beside it already, and return where it is."""
    from vitripick.models import open_model
    from vitripick.models.engines.graph import shipped_graph
    from vitripick.models.loading import import_torch

    found = shipped_graph(open_model(model), "fp32")
    if found is not None:
        return found.path
    import_torch("--write-graph")
    from vitripick.models.engines.export import write_graph
    from vitripick.models.weights import weights_of

    return write_graph(weights_of(open_model(model))).path


def _describe(name: str, as_json: bool) -> None:
    from vitripick.models.loading import import_torch

    import_torch("--describe")
    from vitripick.models import describe

    description = describe(name)
    if as_json:
        print(json.dumps(description.to_dict(), indent=1))
        return
    head = ("", "layer", "filters", "kernel", "stride", "output", "parameters", "then")
    rows = [
        (
            str(i),
            layer.name,
            "pool" if layer.filters is None else str(layer.filters),
            layer.kernel,
            str(layer.stride),
            f"{layer.output[0]} x {layer.output[1]} x {layer.output[2]}",
            f"{layer.n_parameters:,}",
            ", ".join(layer.follows),
        )
        for i, layer in enumerate(description.layers, start=1)
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())
    print(
        f"\n{name}: {description.n_convolutions} convolutions, {description.n_parameters:,} parameters, stride "
        f"{description.stride}, {description.gigaflop:.1f} GFLOP an image of {description.input_size_px} px"
    )


def _diameters(card: ModelCard) -> str:
    trained = card.training.get("diameters_px", [])
    text = f"trained on particles of {', '.join(f'{d:g}' for d in trained)} px" if trained else "not stated"
    if card.diameter_range_angstrom:
        low, high = card.diameter_range_angstrom
        text += f" ({low:.0f} Å)" if low == high else f" ({low:.0f}-{high:.0f} Å)"
    if card.preparation.scale_by == "particle":
        text += "; any diameter can be given, each is brought to the same scale"
    return text
