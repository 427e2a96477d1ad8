"""`vitripick models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vitripick.models import ModelCard


def models(
    model: Annotated[
        str | None,
        typer.Argument(help="A released model's name or a bundle, to see all it says about itself."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the models that are there, or show one."""
    from vitripick.models import DEFAULT_MODEL, RELEASED, file_sha256, read_model_card, released_path

    if model is not None:
        print(read_model_card(model).model_dump_json(indent=1))
        return
    rows: list[dict[str, Any]] = []
    for name in RELEASED:
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
        print(f"{row['name']}{' (default)' if row['default'] else ''}")
        for key in ("description", "architecture", "diameters", "licence"):
            print(f"  {key:<13}{row[key]}")
        print(f"  {'size':<13}{row['megabytes']} MB")
        print(f"  {'sha256':<13}{row['sha256']}")


def _diameters(card: ModelCard) -> str:
    trained = card.training.get("diameters_px", [])
    text = f"trained on particles of {', '.join(f'{d:g}' for d in trained)} px" if trained else "not stated"
    if card.diameter_range_angstrom:
        low, high = card.diameter_range_angstrom
        text += f" ({low:.0f} Å)" if low == high else f" ({low:.0f}-{high:.0f} Å)"
    if card.preparation.scale_by == "particle":
        text += "; any diameter can be given, each is brought to the same scale"
    return text
