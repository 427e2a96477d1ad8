"""Write the classes of a run into a folder, and read them back.

classes.json      each class: its number, share, guess, resolution; and what the classes were made from
classes.mrcs      the averages, the largest class first
classes.star      RELION's table of the classes (relion_display, Subset selection)
particles.star    all picks with class, angle and shift, as RELION 3.1 and later have them
particles.csv     the same for people: in pixels, with the score
sheet.png         the averages side by side
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.errors import InputError
from vitripick.formats.micrographs.mrc import read_mrc_volume
from vitripick.formats.micrographs.stack import open_stack
from vitripick.formats.star.dialect import StarBlock, StarTable, format_star
from vitripick.formats.star.particles import GROUP, optics_block, optics_groups
from vitripick.formats.text import format_number
from vitripick.geometry import Boxes, FloatArray, Image
from vitripick.json_toml import read_json_object
from vitripick.pictures.class_sheet import ClassTile, class_sheet_png
from vitripick.run_layout import CLASSES_FILE
from vitripick.runs.particle_images import contrast_of
from vitripick.runs.record import Record

AVERAGES, TABLE, PARTICLES, LIST, SHEET = "classes.mrcs", "classes.star", "particles.star", "particles.csv", "sheet.png"
_VERSION = "30001"
_LIST_COLUMNS = (
    *("micrograph", "x", "y", "confidence", "class", "angle_degrees", "shift_x_px", "shift_y_px", "score", "fits"),
)


@dataclass(frozen=True)
class RunClass:
    """Describes one class of a run.

    Attributes
    ----------
    number
        From 1, the largest class first, when it was made.
    n_particles
        Picks in it, of all picks.
    share
        The share of all picks, 0-1.
    guess
        particle, edge, junk or empty.
    resolution_px, resolution_angstrom
        Finest detail in full-size pixels and in Å; None where it is not known.
    mean_confidence
        Mean confidence of its picks; None if none has a confidence.
    """

    number: int
    n_particles: int
    share: float
    guess: str
    resolution_px: float | None
    resolution_angstrom: float | None
    mean_confidence: float | None


@dataclass(frozen=True, eq=False)
class Members:
    """Holds the picks of one micrograph with the classes that they are in.

    Attributes
    ----------
    record
        Of the micrograph.
    picks
        Where they were picked.
    class_number : (n,), int64
    angle_degrees : (n,), float64
        From the class average to the particle, from x towards y.
    shift_px : (n, 2), float64
        The particle lies at the pick plus this, in full-size pixels.
    score : (n,), float64
        How much more probable the image is with its class than as noise, as a logarithm.
    fits : (n,), bool
        False where the image is as faint as noise, or shows far more beside the particle than the others do, and the
        model is not sure of it.
    """

    record: Record
    picks: Boxes
    class_number: npt.NDArray[np.int64]
    angle_degrees: FloatArray
    shift_px: FloatArray
    score: FloatArray
    fits: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RunClasses:
    """Holds the classes of a run.

    Attributes
    ----------
    classes
        The classes, the largest first.
    averages : (classes, size, size), float32
        Particles bright.
    scale
        Full-size pixels of a pixel of the averages.
    pixel_size
        Å per full-size pixel; None where it is not known, or differs.
    members
        The picks of each micrograph.
    made_from
        What the classes were made from, to see whether they still fit the run.
    failures
        A sentence for each micrograph that could not be read.
    """

    classes: tuple[RunClass, ...]
    averages: Image
    scale: float
    pixel_size: float | None
    members: tuple[Members, ...]
    made_from: dict[str, Any]
    failures: tuple[str, ...] = ()

    @property
    def good(self) -> tuple[int, ...]:
        """Return the numbers of the classes that seem to show particles."""
        return tuple(one.number for one in self.classes if one.guess == "particle")

    @property
    def n_flipped(self) -> int:
        """Return on how many micrographs phases were flipped, because their contrast transfer is known."""
        return sum(contrast_of(part.record) is not None for part in self.members)

    @property
    def about_contrast(self) -> str:
        """Return what was done about contrast transfer, in words."""
        n, total = self.n_flipped, len(self.members)
        if n == total:
            return "phases flipped by the defocus of the STAR"
        if n:
            return f"phases flipped on {n} of {total} micrographs, whose defocus and microscope the STAR gives"
        return "contrast transfer not corrected: no STAR gave the defocus and the microscope"

    @property
    def n_particles(self) -> int:
        """Return the number of picks in all classes."""
        return sum(len(part.picks) for part in self.members)


def write_classes(found: RunClasses, out: Path, *, kept: Sequence[int] | None = None) -> None:
    """Write all files of the classes into a folder; `kept` marks the classes that a person keeps on the sheet."""
    size = found.averages.shape[1]
    pixel_size = None if found.pixel_size is None else found.pixel_size * found.scale
    with open_stack(out / AVERAGES, size, pixel_size=pixel_size) as stack:
        for average in found.averages:
            stack.append(average)
    write_text_atomically(out / TABLE, _table(found, out / AVERAGES))
    write_text_atomically(out / PARTICLES, _particles(found))
    write_text_atomically(out / LIST, _list(found))
    write_sheet(found, out, kept=kept)
    described = {
        "made_from": found.made_from,
        "scale": found.scale,
        "pixel_size": found.pixel_size,
        "n_micrographs": len(found.members),
        "n_phases_flipped": found.n_flipped,
        "classes": [asdict(one) for one in found.classes],
        "failures": list(found.failures),
    }
    # This file is written last, because it says that all others are complete.
    write_text_atomically(out / CLASSES_FILE, json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def write_sheet(found: RunClasses, out: Path, *, kept: Sequence[int] | None = None) -> None:
    """Write the averages side by side."""
    write_bytes_atomically(out / SHEET, sheet_of(found, kept=kept))


def sheet_of(found: RunClasses, *, kept: Sequence[int] | None = None) -> bytes:
    """Return the averages side by side, as PNG."""
    title = f"{found.n_particles} particles in {len(found.classes)} classes"
    return class_sheet_png(tiles_of(found, kept=kept), title=title)


def tiles_of(found: RunClasses, *, kept: Sequence[int] | None = None) -> list[ClassTile]:
    """Return the classes as a sheet shows them."""
    return [
        ClassTile(
            average,
            one.number,
            one.share,
            one.mean_confidence,
            _resolution(one),
            one.guess,
            None if kept is None else one.number in kept,
        )
        for one, average in zip(found.classes, found.averages, strict=True)
    ]


def read_classes(folder: Path, records: dict[str, Record]) -> RunClasses:
    """Read back what `write_classes` wrote.

    Parameters
    ----------
    folder
        The folder of the classes.
    records
        The records of the run by the micrograph's name.

    Raises
    ------
    InputError
        If the folder holds no classes, or they are damaged.
    """
    path = folder / CLASSES_FILE
    try:
        described = read_json_object(path)
        classes = tuple(RunClass(**one) for one in described["classes"])
        averages = read_mrc_volume(folder / AVERAGES)[0]
        if len(averages) != len(classes):
            raise ValueError(f"{AVERAGES} holds {len(averages)} averages for {len(classes)} classes")
        return RunClasses(
            classes,
            averages,
            float(described["scale"]),
            described["pixel_size"],
            _read_list(folder / LIST, records),
            described["made_from"],
            tuple(described["failures"]),
        )
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: there are no classes here; `vitripick classes` makes them.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: these classes are damaged ({error}); remove the folder and make them again.") from (
            error
        )


def _resolution(one: RunClass) -> str:
    if one.resolution_angstrom is not None:
        return f"{one.resolution_angstrom:.0f} Å"
    return "" if one.resolution_px is None else f"{one.resolution_px:.0f} px"


def _table(found: RunClasses, stack: Path) -> str:
    """Return the part of RELION's model STAR that describes classes."""
    size = found.averages.shape[1]
    pixel_size = 1.0 if found.pixel_size is None else found.pixel_size * found.scale
    general = StarBlock(
        "model_general",
        pairs={
            "rlnReferenceDimensionality": "2",
            "rlnDataDimensionality": "2",
            "rlnOriginalImageSize": str(size),
            "rlnCurrentResolution": format_number(2 * pixel_size),
            "rlnPixelSize": format_number(pixel_size),
            "rlnNrClasses": str(len(found.classes)),
        },
    )
    table = StarTable(["rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution"])
    for one in found.classes:
        finest = one.resolution_angstrom if one.resolution_angstrom is not None else size * pixel_size
        table.rows.append([f"{one.number:06d}@{stack}", f"{one.share:.6f}", format_number(finest)])
    return format_star([general, StarBlock("model_classes", table=table)], version=_VERSION)


def _particles(found: RunClasses) -> str:
    """Return all picks with class, angle and shift; without a pixel size, shifts in Å are not known."""
    groups = optics_groups([part.picks for part in found.members], [part.record.optics for part in found.members])
    labels = ["rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnClassNumber"]
    in_angstrom = all(part.record.pixel_size is not None for part in found.members)
    # RELION counts its angle from y towards x. Only then do our averages agree with those of relion_refine 3.1.3, and
    # with images turned by relion_stack_create. Its shift moves the particle to the middle.
    labels += ["rlnAnglePsi", *(("rlnOriginXAngst", "rlnOriginYAngst") if in_angstrom else ())]
    rows = []
    for part, group in zip(found.members, groups, strict=True):
        shift = -part.shift_px * (part.record.pixel_size or 1.0)
        for i in range(len(part.picks)):
            confidence = part.picks.confidence[i]
            row = [part.record.relion_name, f"{part.picks.x[i]:.6f}", f"{part.picks.y[i]:.6f}"]
            row += [f"{-999 if np.isnan(confidence) else confidence:.6f}", str(part.class_number[i])]
            row += [f"{_wrapped(-part.angle_degrees[i]):.3f}"]
            row += [f"{shift[i, 0]:.4f}", f"{shift[i, 1]:.4f}"] if in_angstrom else []
            rows.append([*row, str(group.group)])
    used = [group for part, group in zip(found.members, groups, strict=True) if len(part.picks)]
    particles = StarBlock("particles", table=StarTable([*labels, GROUP], rows))
    return format_star([optics_block(groups, used), particles], version=_VERSION)


def _wrapped(angle: float) -> float:
    return (angle + 180) % 360 - 180


def _list(found: RunClasses) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_LIST_COLUMNS)
    for part in found.members:
        picks = part.picks
        for i in range(len(picks)):
            confidence = "" if np.isnan(picks.confidence[i]) else f"{picks.confidence[i]:.6f}"
            row = [part.record.name, f"{picks.x[i]:.4f}", f"{picks.y[i]:.4f}", confidence, part.class_number[i]]
            row += [f"{value:.3f}" for value in (part.angle_degrees[i], *part.shift_px[i], part.score[i])]
            writer.writerow([*row, int(part.fits[i])])
    return text.getvalue()


def _read_list(path: Path, records: dict[str, Record]) -> tuple[Members, ...]:
    rows: dict[str, list[list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != _LIST_COLUMNS:
            raise ValueError(f"{path.name} has other columns")
        for name, *fields in reader:
            rows.setdefault(name, []).append([float(field) if field else np.nan for field in fields])
    members = []
    for name, values in rows.items():
        if name not in records:
            raise ValueError(f"{path.name} names {name!r}, which is not in the run")
        record, table = records[name], np.array(values).reshape(len(values), len(_LIST_COLUMNS) - 1)
        x, y, confidence, number, angle, shift_x, shift_y, score, fits = table.T
        picks = Boxes.at(x, y, confidence=confidence).of(
            micrograph=name, shape=record.shape, pixel_size=record.pixel_size
        )
        shift = np.column_stack([shift_x, shift_y])
        members.append(Members(record, picks, number.astype(np.int64), angle, shift, score, fits > 0))
    return tuple(members)
