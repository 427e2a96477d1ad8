"""Read scene recipes, which say what may be drawn for a simulated micrograph, from TOML or by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from vitripick.errors import InputError, UsageError, parameter
from vitripick.json_toml import parse_toml, read_toml
from vitripick.settings import Settings
from vitripick.settings.wording import field_at, in_words

_BUNDLED = resources.files("vitripick.simulation") / "scene_recipes"


def _in_order(value: float | tuple[float, float]) -> float | tuple[float, float]:
    """Return the value, if it is one number or a range whose smaller number comes first."""
    if isinstance(value, tuple) and value[1] < value[0]:
        raise ValueError(f"a range runs from its smaller number to its larger one, not from {value[0]} to {value[1]}")
    return value


def _positive(value: float | tuple[float, float]) -> float | tuple[float, float]:
    """Return the value, if nothing in it is 0 or less."""
    if min(np.atleast_1d(value)) <= 0:
        raise ValueError("must be larger than 0")
    return value


def _not_negative(value: float | tuple[float, float]) -> float | tuple[float, float]:
    """Return the value, if nothing in it is below 0."""
    if min(np.atleast_1d(value)) < 0:
        raise ValueError("cannot be negative")
    return value


def _at_most(limit: float) -> AfterValidator:
    """Return a validator that refuses numbers above a limit."""

    def check(value: float | tuple[float, float]) -> float | tuple[float, float]:
        if max(np.atleast_1d(value)) > limit:
            raise ValueError(f"cannot be larger than {limit:g}")
        return value

    return AfterValidator(check)


# One number, or [low, high] to draw from.
AnyRange: TypeAlias = Annotated[float | tuple[float, float], AfterValidator(_in_order)]
Range: TypeAlias = Annotated[AnyRange, AfterValidator(_not_negative)]
PositiveRange: TypeAlias = Annotated[AnyRange, AfterValidator(_positive)]
Chance: TypeAlias = Annotated[float, Field(ge=0, le=1)]
# (rows, columns).
Shape: TypeAlias = tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]]
_T = TypeVar("_T")
# The simulator chooses one of these, so there must be one.
Choice: TypeAlias = Annotated[tuple[_T, ...], Field(min_length=1)]


class _RecipeTable(Settings):
    """Refuses nan and inf, which TOML allows, because nothing can be drawn from them."""

    model_config = ConfigDict(allow_inf_nan=False)


class ParticleRecipe(_RecipeTable):
    """Says which molecules there are, how many, and how they lie.

    Attributes
    ----------
    count
        Particles with their centre inside each micrograph; more than fit is an error. Without it, `coverage` decides.
    coverage
        Share of the micrograph's area under the particles' enclosing circles; a particle without a place is left out.
    spacing
        Nearest distance of two centres in units of their mean diameter: 1 keeps them apart, 0.6 lets them touch.
    clustering
        Share of particles placed next to another.
    preferred_chance, preferred_concentration
        Chance that a micrograph prefers one view, and how strongly (kappa of a von Mises distribution of the tilt).
    tilt_degrees
        Angle between the molecule's z axis and the beam, for side views (90) or top views (0) only. With it,
        preferred views are not used.
    belts
        Whether membrane proteins get a micelle or nanodisc.
    genome_chance
        Share of capsids that are full.
    box
        `projected`: a square around the particle's own projection; `constant`: the same for all, from the molecule's
        diameter.
    box_margin
        Box side over extent or diameter.
    """

    count: int | None = Field(default=None, ge=0)
    coverage: Range = (0.05, 0.4)
    spacing: PositiveRange = 0.9
    clustering: Range = 0.0
    preferred_chance: Chance = 0.0
    preferred_concentration: Range = (1.0, 12.0)
    tilt_degrees: Range | None = None
    belts: bool = True
    genome_chance: Chance = 0.5
    box: Literal["projected", "constant"] = "projected"
    box_margin: float = Field(default=1.15, gt=0)


class OpticsRecipe(_RecipeTable):
    """Describes the microscope; see `Optics`. From a list one value is chosen, from a range one is drawn."""

    voltages_kv: Choice[Annotated[float, Field(gt=0)]] = (300.0,)
    spherical_aberrations_mm: Choice[Annotated[float, Field(ge=0)]] = (2.7,)
    amplitude_contrast: Annotated[Range, _at_most(0.99)] = 0.1  # `Optics` needs less than 1
    defocus_angstrom: AnyRange = (10000.0, 30000.0)
    astigmatism: Range = 0.0  # relative to the defocus
    phase_plate_chance: Chance = 0.0
    phase_shift_degrees: Range = (30.0, 120.0)
    phase_plate_defocus_angstrom: Range = (3000.0, 10000.0)
    b_factor: Range = 100.0


class IceRecipe(_RecipeTable):
    """Describes the ice; see `thickness_field` and `ice_spectrum`.

    Thickness and structure factor are drawn evenly on a log scale; `wedge` is over 400 nm.
    """

    thickness_angstrom: PositiveRange = 300.0
    wedge: Range = 0.0
    waviness: Range = 0.0
    structure_factor: Range = 0.05


class ExposureRecipe(_RecipeTable):
    """Describes dose, camera, illumination and processing of the file; see `Camera`, `illumination` and `History`.

    `contrast` is the share of the calculated phase contrast that an image has. Motion, charging and damage take the
    rest (Henderson & McMullan 2013). `gradient` and `vignetting` hold for 400 nm; smaller fields have less.
    """

    contrast: Range = 1.0
    dose_per_square_angstrom: PositiveRange = 40.0
    detector_pixel_size: PositiveRange = 1.0
    mtf_nyquist: Annotated[PositiveRange, _at_most(1)] = 0.5
    noise_nyquist: Annotated[PositiveRange, _at_most(1)] = 0.9
    gain_error: Range = 0.0
    scan_lines_chance: Chance = 0.0
    scan_lines: Range = (0.001, 0.01)
    hot_pixels: Annotated[Range, _at_most(0.01)] = 0.0
    x_rays: Range = 0.0
    gradient: Range = 0.0
    vignetting: Range = 0.0
    beam_edge_chance: Chance = 0.0
    lowpass_chance: Chance = 0.0
    lowpass_angstrom: Range = (3.0, 16.0)
    eight_bit_chance: Chance = 0.0
    jpeg_chance: Chance = 0.0
    jpeg_quality: Annotated[Range, _at_most(100)] = (50.0, 95.0)
    inverted_chance: Chance = 0.0


class ContaminationRecipe(_RecipeTable):
    """Says which contaminants are in a micrograph. A count is drawn evenly and rounded.

    Attributes
    ----------
    chance
        Chance that a micrograph has contamination of these kinds.
    ice_balls, ice_crystals, gold_beads
        How many there are; their radii are drawn evenly on a log scale.
    support_edge_chance, particles_on_film_chance
        The rim of a hole, and whether carbon carries labelled particles too.
    aggregates, aggregate_size
        Clumps, and molecules in each.
    broken, subunits, discs, filaments, stacks
        Halves of the molecule; pieces of 15-60 kDa; empty micelles and nanodiscs; filaments across the field; piles
        of the molecule along its z axis. All are numbers, but `broken` and `stacks` are shares of the particles.
    background_proteins
        Bare 10-30 kDa proteins per square micrometre.
    """

    chance: Chance = 1.0
    ice_balls: Range = 0.0
    ice_ball_radius_angstrom: PositiveRange = (80.0, 800.0)
    ice_crystals: Range = 0.0
    ice_crystal_radius_angstrom: PositiveRange = (150.0, 1500.0)
    gold_beads: Range = 0.0
    support_edge_chance: Chance = 0.0
    particles_on_film_chance: Chance = 0.0
    aggregates: Range = 0.0
    aggregate_size: Range = (5.0, 40.0)
    broken: Range = 0.0
    subunits: Range = 0.0
    discs: Range = 0.0
    filaments: Range = 0.0
    stacks: Range = 0.0
    background_proteins: Range = 0.0


class StainRecipe(_RecipeTable):
    """Describes negative stain instead of ice; see `stained_intensity`.

    Attributes
    ----------
    layer_angstrom
        Stain between particles, drawn evenly on a log scale.
    pool_depth
        Height of the stain around a particle, over the particle's own.
    pool_reach
        How far it runs out from the particle, in diameters.
    grain
        Relative sd of the stain's grain.
    bare_discs
        Number of bubbles and beads without stain in a field of 200 nm.
    """

    layer_angstrom: PositiveRange = (5.0, 60.0)
    pool_depth: Range = (0.4, 1.5)
    pool_reach: PositiveRange = (0.05, 0.3)
    grain: Range = (0.05, 0.4)
    bare_discs: Range = 0.0


class GaussianNoise(_RecipeTable):
    """Holds the noise model of Wagner et al. 2019: y = CTF[x + N(0, structural)] + N(0, shot), instead of ice and dose.

    Attributes
    ----------
    level
        The paper's k: both standard deviations are multiplied by it.
    structural_sd, shot_sd
        White noise per pixel before and after the CTF.
    signal_per_radian
        Grey values of x per radian of phase shift. The paper does not give its scale; this one makes the SNR of the
        bundled TRPV3 1.25 at k = 1 (docs/simulation.md).
    """

    level: float = Field(default=1.0, gt=0)
    structural_sd: float = Field(default=88.0, ge=0)
    shot_sd: float = Field(default=51.0, ge=0)
    signal_per_radian: float = Field(default=3050.0, gt=0)


class SceneRecipe(_RecipeTable):
    """Says how micrographs are simulated: what lies in them, and how they are taken.

    Attributes
    ----------
    description
        One line for the user.
    structures
        Files, folders or bundled names to use if none are given.
    shape
        (rows, columns) of each micrograph.
    pixel_size
        Å per pixel, drawn evenly on a log scale.
    particles, optics, ice, exposure, contamination
        The tables of the recipe; each class explains its own.
    stain
        If given, it takes the place of ice: particles lie in negative stain on carbon.
    noise
        If given, it takes the place of ice, exposure and detector.
    """

    description: str = ""
    structures: tuple[str, ...] = ()
    shape: Shape = (1024, 1024)
    pixel_size: PositiveRange = 2.0
    particles: ParticleRecipe = ParticleRecipe()
    optics: OpticsRecipe = OpticsRecipe()
    ice: IceRecipe = IceRecipe()
    exposure: ExposureRecipe = ExposureRecipe()
    contamination: ContaminationRecipe = ContaminationRecipe()
    stain: StainRecipe | None = None
    noise: GaussianNoise | None = None


def draw(rng: np.random.Generator, value: float | tuple[float, float], *, log: bool = False) -> float:
    """Return a number drawn from a `Range`; with `log`, evenly on a log scale."""
    if not isinstance(value, tuple):
        return float(value)
    low, high = value
    if log and low > 0:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(rng.uniform(low, high))


def scene_recipe_names() -> tuple[str, ...]:
    """Return the names of the scene recipes that come with vitripick."""
    return tuple(sorted(entry.name[:-5] for entry in _BUNDLED.iterdir() if entry.name.endswith(".toml")))


def load_scene_recipe(source: str | Path, *, changes: Sequence[str] = ()) -> SceneRecipe:
    """Return a scene recipe by name or from a TOML file, with changes on top.

    A file may start from another recipe: it has `base = "general"` and only the keys that differ.

    Parameters
    ----------
    source
        One of `scene_recipe_names()`, or a path that ends in `.toml`.
    changes
        Texts `"key=value"`, with dots between the tables: `"particles.count=100"`, `"pixel_size=[1.5, 3]"`. The value
        is TOML.

    Raises
    ------
    InputError
        If the file cannot be read or is not TOML, or a key or value in it is wrong.
    UsageError
        If there is no recipe of that name, or a change cannot be used.
    """
    table = _table(source, seen=())
    for change in changes:
        _apply(table, change)
    try:
        return SceneRecipe.model_validate(table)
    except ValidationError as error:
        items = [item for item in error.errors() if not _is_beside_the_point(item)]
        places = [[part for part in item["loc"] if not _is_type(part)] for item in items]
        problem = "; ".join(
            f"{'.'.join(map(str, place))}: {in_words(item, field_at(place, SceneRecipe))}"
            for place, item in zip(places, items, strict=True)
        )
        kind = UsageError if changes else InputError
        raise kind(f"scene recipe {source}: {problem} (docs/simulation.md lists the keys).") from error


def _is_type(part: int | str) -> bool:
    """Return whether a part of an error's place names one of the types of a `Range`, and not a key."""
    return str(part).startswith(("float", "tuple", "function-after"))


def _is_beside_the_point(item: ErrorDetails) -> bool:
    """Return whether an error only repeats that a bad number of a `Range` is not a list, or a bad list not a number."""
    other = "float_type" if isinstance(item["input"], list) else "tuple_type"
    return item["type"] == other and _is_type(item["loc"][-1])


def _table(source: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    """Return the table of a recipe on top of its base; `seen` are the recipes that led here."""
    if str(source) in seen:
        raise InputError(f"scene recipe {source}: starts from itself by way of {' and '.join(seen)}.")
    if str(source) in scene_recipe_names():
        path = Path(str(_BUNDLED)) / f"{source}.toml"
    elif str(source).endswith(".toml"):
        path = Path(source)
    else:
        raise UsageError(
            f"there is no scene recipe {str(source)!r}; give one of {', '.join(scene_recipe_names())}, or a .toml file."
        )
    try:
        table = read_toml(path)
    except OSError as error:
        raise InputError(f"{source}: cannot read this scene recipe: {error}.") from error
    except ValueError as error:
        raise InputError(f"{source}: not a TOML file that can be used: {error}.") from error
    base = table.pop("base", None)
    if base is None:
        return table
    if isinstance(base, str) and base.endswith(".toml"):
        base = str(Path(source).parent / base)
    return _merged(_table(str(base), (*seen, str(source))), table)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a table with the keys of another one on top, table by table."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _apply(table: dict[str, Any], change: str) -> None:
    """Put a change, `KEY=VALUE`, into a table."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"{parameter('changes', (change,))}: write KEY=VALUE, as in "
            f"{parameter('changes', ('particles.count=100',))}."
        )
    try:
        value = parse_toml(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()  # a bare word is a string
    *path, last = key.strip().split(".")
    for part in path:
        inner = table.get(part, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{parameter('changes', (change,))}: {part} is not a table of the scene recipe.")
        table[part] = dict(inner)
        table = table[part]
    table[last] = value
