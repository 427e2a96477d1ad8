"""List the options of simulating micrographs, besides the scene recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, model_validator

from vitripick.errors import parameter
from vitripick.settings import OUTPUT, Option, RowsColumns, Settings, option

Kind: TypeAlias = Literal["soluble", "membrane", "nucleoprotein", "virus", "filament"]
KINDS: tuple[str, ...] = get_args(Kind)
SCENE, STRUCTURES, LINES = "Scene", "Structures", "Filaments"
_LEAST_SIDE = 32
# Settings that act on filaments only.
OF_LINES = ("n_filaments", "rise_angstrom", "twist_degrees", "radius_angstrom", "n_starts", "crossings")


def _not_tiny(shape: tuple[int, int]) -> tuple[int, int]:
    if min(shape) < _LEAST_SIDE:
        raise ValueError(f"give at least {_LEAST_SIDE} rows and columns, not {shape[0]}x{shape[1]}")
    return shape


def _square(value: Any) -> Any:
    """Return the text of a single number as that of a square."""
    return f"{value}x{value}" if isinstance(value, str) and value.strip().isdecimal() else value


# Rows and columns of a micrograph; the text "512" means a square.
Shape: TypeAlias = Annotated[RowsColumns, BeforeValidator(_square), AfterValidator(_not_tiny)]


class SimulateSettings(Settings):
    """Says which micrographs to make, besides what the scene recipe says."""

    n_micrographs: int = option(4, "How many micrographs to simulate.", about=Option(SCENE, name="micrographs"), ge=1)
    seed: int = option(1, "The same seed gives the same files.", about=Option(SCENE), ge=0)
    pixel_size: float | None = option(
        None,
        "Å per pixel, below 100.",
        about=Option(SCENE, default_text="the scene recipe's"),
        gt=0,
        lt=100,
        allow_inf_nan=False,
    )
    shape: Shape | None = option(
        None,
        "Rows and columns of each micrograph.",
        about=Option(SCENE, metavar="ROWSxCOLUMNS", default_text="the scene recipe's"),
    )
    kind: Kind | None = option(None, "What the structures are.", about=Option(STRUCTURES))
    assembly: str = option("1", "Biological assembly of mmCIF and PDB files, or asu.", about=Option(STRUCTURES))
    prefix: str = option(
        "simulated",
        "Micrographs are called PREFIX_0001 and so on; grid1/mic puts them in subfolders.",
        about=Option(OUTPUT),
    )
    dtype: Literal["float32", "float16"] = option("float32", "Numbers in the MRC files.", about=Option(OUTPUT))
    overlays: bool = option(False, "Draw a PNG of every micrograph with its particles.", about=Option(OUTPUT))
    filaments: bool = option(
        False, "Simulate filaments, labelled by their centre lines, instead of particles.", about=Option(LINES)
    )
    n_filaments: int = option(10, "How many paths of filaments a micrograph has.", about=Option(LINES), ge=0, le=10_000)
    rise_angstrom: float | None = option(
        None,
        "Distance in Å from one copy of the structure to the next, along the axis (its z); without it, the seed "
        "draws a filament.",
        about=Option(LINES),
        gt=0,
        allow_inf_nan=False,
    )
    twist_degrees: float = option(
        0.0,
        "Angle in degrees from one copy of the structure to the next, around the axis.",
        about=Option(LINES),
        allow_inf_nan=False,
    )
    radius_angstrom: float = option(
        0.0, "Distance in Å from the axis to the structure's centre.", about=Option(LINES), ge=0, allow_inf_nan=False
    )
    n_starts: int = option(
        1, "Copies of the structure around the axis at each step.", about=Option(LINES), ge=1, le=100
    )
    crossings: bool = option(True, "Let filaments cross.", about=Option(LINES))

    @model_validator(mode="after")
    def _only_with_filaments(self) -> SimulateSettings:
        idle = [name for name in OF_LINES if getattr(self, name) != type(self).model_fields[name].default]
        if idle and not self.filaments:
            typed = ", ".join(parameter(name) for name in idle)
            raise ValueError(f"{typed} acts on filaments only; give {parameter('filaments', True)}, too")
        return self
