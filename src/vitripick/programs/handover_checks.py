"""Hold the result of checking a hand-over to another program, and the checks that all programs share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from vitripick.errors import InputError, MicrographError, parameter
from vitripick.evaluation import Seen, check_frame
from vitripick.evaluation.frame import fits_of_readings
from vitripick.formats import read_micrograph
from vitripick.geometry import Boxes
from vitripick.images import spot_maps
from vitripick.programs.relion_names import STORE_FOLDER
from vitripick.run_layout import RunLayout
from vitripick.runs.folder import is_run_folder, read_run_folder
from vitripick.runs.record import Record
from vitripick.text import count, listed

FITS: Final = "fits"
NOTE: Final = "note"
MISFIT: Final = "misfit"
# This many micrographs are compared with their picks. That takes a second or two.
_N_LOOKED_AT = 5
# Below this number of standard deviations above random places, picks do not fit the images as they are. Picks come from
# these images, so another reading that is clearly seen then means that the images were changed.
_CLEAR, _OTHER_CLEAR = 5.0, 8.0
# A box for a first 2-D classification is about one and a half times as large as the particle.
_BOX_DIAMETERS = 1.5


@dataclass(frozen=True)
class Check:
    """Holds what one check found.

    Attributes
    ----------
    about
        The subject of the check, in a word: names, images, optics, ……
    result
        `fits`; `note`, which is good to know; or `misfit`, if picks will be lost or wrong.
    text
        What was found, and what to do.
    """

    about: str
    result: Literal["fits", "note", "misfit"]
    text: str


@dataclass(frozen=True)
class Steps:
    """Holds what to type: `lines`, in one program or one version of it."""

    where: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Handover:
    """Says which picks of a run another program will take, and how to hand them over.

    Attributes
    ----------
    program
        The other program.
    run
        The run folder.
    micrographs
        The list of micrographs that the other program has.
    n_picks
        Picks of the run, at its threshold.
    n_taken
        Those that the other program will take.
    checks
        What was checked.
    steps
        What to type, for each version of the program.
    """

    program: str
    run: Path
    micrographs: Path
    n_picks: int
    n_taken: int
    checks: tuple[Check, ...]
    steps: tuple[Steps, ...]

    @property
    def fits(self) -> bool:
        """Return whether everything fits, so that all picks are taken, each at its place."""
        return all(check.result != MISFIT for check in self.checks) and self.n_taken == self.n_picks

    def to_dict(self) -> dict[str, Any]:
        """Return the hand-over ready for JSON; users of the command line rely on these keys."""
        return {
            "program": self.program,
            "run": str(self.run),
            "micrographs": str(self.micrographs),
            "fits": self.fits,
            "n_picks": self.n_picks,
            "n_taken": self.n_taken,
            "checks": [vars(check) for check in self.checks],
            "steps": [{"where": steps.where, "lines": list(steps.lines)} for steps in self.steps],
        }


@dataclass(frozen=True, eq=False)
class HandedRun:
    """Holds a run that is to be handed over.

    Attributes
    ----------
    folder
        As it was given.
    layout
        Where its files lie.
    records
        One for each micrograph.
    picks
        Picks at the run's threshold by the micrograph's name, without any whose centre lies outside.
    failed
        Names of micrographs that failed.
    threshold
        The run's.
    diameter_px
        The particle's diameter; None if no micrograph states it.
    """

    folder: Path
    layout: RunLayout
    records: dict[str, Record]
    picks: dict[str, Boxes]
    failed: tuple[str, ...]
    threshold: float | None
    diameter_px: float | None

    @property
    def n_picks(self) -> int:
        """Return the number of all picks."""
        return sum(map(len, self.picks.values()))

    @property
    def suggested_box_px(self) -> int:
        """Return an even side of the boxes to extract, where none is known."""
        return 2 * int(np.ceil(_BOX_DIAMETERS * (self.diameter_px or 64.0) / 2))


def read_handed_run(folder: str | Path, on_done: Callable[[int, int, str], None] | None = None) -> HandedRun:
    """Read a run folder of `pick` or `watch`, or the folder of an External job of RELION.

    `on_done` is called with (done, total, name) after each micrograph.

    Raises
    ------
    InputError
        If it is neither, or the run is not finished.
    """
    folder = Path(folder)
    is_job = not is_run_folder(folder) and is_run_folder(folder / STORE_FOLDER)
    run = read_run_folder(folder / STORE_FOLDER if is_job else folder)
    picks = {}
    for done, (name, record) in enumerate(run.records.items(), start=1):
        boxes = run.read_picks_of(record).above(0.0 if run.threshold is None else run.threshold)
        picks[name] = _as_written(boxes, record.shape)
        if on_done is not None:
            on_done(done, len(run.records), name)
    return HandedRun(
        folder=folder,
        layout=RunLayout(run.folder, star_folder=folder if is_job else None),
        records=run.records,
        picks=picks,
        failed=run.failed,
        threshold=run.threshold,
        diameter_px=run.diameter_px,
    )


def check_border(
    boxes: Mapping[str, Boxes], box_size_px: int, *, diameter_px: float | None, what_happens: str
) -> Check:
    """Return how many boxes and how many particles stick out of their micrograph; none may lie wholly outside.

    Parameters
    ----------
    boxes
        Picks of each micrograph, each with its shape.
    box_size_px
        Side of the boxes that will be extracted.
    diameter_px
        The particle's diameter, if it is known.
    what_happens
        What the other program does with a box that sticks out, as the end of a sentence.
    """
    half, n_cut, n_cut_particles, outside = box_size_px // 2, 0, 0, []
    for name, some in boxes.items():
        if not len(some) or some.shape is None:
            continue
        rows, columns = some.shape
        left, top = np.trunc(some.x) - half, np.trunc(some.y) - half
        cut = (left < 0) | (top < 0) | (left + box_size_px > columns) | (top + box_size_px > rows)
        n_cut += int(cut.sum())
        if diameter_px is not None:
            nearest = np.minimum.reduce([some.x + 0.5, some.y + 0.5, columns - 0.5 - some.x, rows - 0.5 - some.y])
            n_cut_particles += int((nearest < diameter_px / 2).sum())
        if ((left >= columns) | (top >= rows) | (left + box_size_px <= 0) | (top + box_size_px <= 0)).any():
            outside.append(name)
    if outside:
        text = f"a box lies wholly outside in {count('micrograph', len(outside))} ({listed(outside, 3)})"
        return Check("border", MISFIT, f"{text}; the coordinates belong to another image. Pick again.")
    n_boxes = sum(map(len, boxes.values()))
    if not n_cut:
        return Check("border", FITS, f"no box of {box_size_px} px sticks out of its micrograph")
    text = f"{n_cut} of {n_boxes} boxes of {box_size_px} px stick out of their micrograph; {what_happens}"
    if n_cut_particles:
        text += f". The border cuts {n_cut_particles} of the particles themselves"
        text += f"; {parameter('edge', 'particle')} of pick leaves them out"
    return Check("border", NOTE, text)


def check_empty(boxes: Mapping[str, Boxes], *, what_happens: str) -> Check:
    """Return which micrographs have no picks; `what_happens` ends the sentence."""
    empty = [name for name, some in boxes.items() if not len(some)]
    if len(empty) == len(boxes):
        return Check("empty", MISFIT, "no micrograph has any picks at the run's threshold")
    if not empty:
        return Check("empty", FITS, "every micrograph has picks")
    return Check("empty", NOTE, f"{count('micrograph', len(empty))} without picks ({listed(empty, 3)}); {what_happens}")


def check_orientation(images: Iterable[tuple[Path, Boxes]], *, diameter_px: float | None) -> Check:
    """Compare picks with the images: as they are, upside down, with x for y, scaled, and as corners.

    Parameters
    ----------
    images
        Path and picks of each micrograph; those with the most picks are read.
    diameter_px
        The particle's diameter.
    """
    about, seen = "orientation", []
    for path, boxes in sorted(images, key=lambda pair: -len(pair[1]))[:_N_LOOKED_AT]:
        if not len(boxes) or diameter_px is None:
            continue
        try:
            image = read_micrograph(path).image
        except MicrographError:  # the check of the images names it
            continue
        seen.append(Seen(boxes, (image.shape[0], image.shape[1]), spot_maps(image, diameter_px=diameter_px)))
    half = None if diameter_px is None else diameter_px / 2
    if not seen:
        return Check(about, NOTE, "no image could be compared with its picks")
    (_, given), *others = fits_of_readings(seen, half_box_px=half)
    reading, best = max(others, key=lambda one: abs(one[1]))
    hint = check_frame(seen, half_box_px=half)
    unclear = abs(given) < _CLEAR and abs(best) >= _OTHER_CLEAR
    if hint is not None or unclear:
        words = reading.words if hint is None else hint.reading.words
        figures = f"{abs(best):.0f} instead of {abs(given):.0f} standard deviations above random places"
        return Check(
            about, MISFIT, f"the picks fit the images far better {words} ({figures}). Pick these images again."
        )
    where = f"{abs(given):.0f} standard deviations above random places, on {count('micrograph', len(seen))}"
    if abs(given) < _CLEAR:
        return Check(about, NOTE, f"the images do not show whether y has the right direction (picks fit them {where})")
    return Check(about, FITS, f"the picks fit the images as they are ({where})")


def choose_list(lists: Sequence[tuple[Path, Sequence[str]]], names: set[str], *, folder: Path) -> Path:
    """Return the list of micrographs that holds the most of a run's names, and the fewest others; else the last one.

    Raises
    ------
    InputError
        If there is none.
    """
    if not lists:
        raise InputError(
            f"{folder}: no list of micrographs is below this folder (CtfFind/job003/micrographs_ctf.star, "
            f"J12/exposures.cs). Give {parameter('micrographs')}, or another {parameter('project')}."
        )
    return max(lists, key=lambda one: (len(names & set(one[1])), -len(set(one[1]) - names), lists.index(one)))[0]


def _as_written(boxes: Boxes, shape: tuple[int, int]) -> Boxes:
    """Return the boxes that files for other programs hold: those with a centre inside, rounded to six decimals."""
    x, y = np.round(boxes.x, 6), np.round(boxes.y, 6)
    return boxes.select((x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]))
