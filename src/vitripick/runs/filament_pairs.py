"""Bring traced filaments and labelled ones of the same micrographs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import InputError, UsageError, parameter
from vitripick.evaluation.filaments import FilamentEvaluation, evaluate_filaments
from vitripick.formats.filaments import read_filaments
from vitripick.geometry import Filaments
from vitripick.runs.filament_record import read_stored, records_of
from vitripick.runs.folder import is_filament_folder


@dataclass(frozen=True, eq=False)
class FilamentPairs:
    """Holds what is compared, by the stem of each labelled micrograph.

    Attributes
    ----------
    traced, true
        The same micrographs in the same order.
    names
        The name of each micrograph.
    unlabelled
        Micrographs with traced filaments and without labels.
    not_traced
        Labelled micrographs that a run does not hold; they are not judged. Beside a file of filaments, they are judged
        as not found.
    """

    traced: Mapping[str, Filaments]
    true: Mapping[str, Filaments]
    names: Mapping[str, str]
    unlabelled: tuple[str, ...] = ()
    not_traced: tuple[str, ...] = ()

    def judged(self, *, width_px: float | None = None) -> FilamentEvaluation:
        """Return how all traced filaments compare with the labels; `width_px` is that of labels that do not say it."""
        return evaluate_filaments(list(self.traced.values()), list(self.true.values()), width_px=width_px)

    def judged_one_by_one(self, *, width_px: float | None = None) -> dict[str, FilamentEvaluation]:
        """Return the same for each micrograph, by its name."""
        return {
            self.names[stem]: evaluate_filaments([self.traced[stem]], [self.true[stem]], width_px=width_px)
            for stem in self.true
        }


def pair_filaments(picks: Path, labels: Path, *, width_px: float | None = None) -> FilamentPairs:
    """Return the traced and labelled filaments of the same micrographs.

    Parameters
    ----------
    picks, labels
        Folders that `pick --filaments` wrote, or files or folders of filaments in any format.
    width_px
        Width of the labelled filaments where their file does not say it.

    Raises
    ------
    InputError
        If no micrograph is in both, or two of one side have the same name.
    UsageError
        If the width of a labelled filament is not known.
    """
    traced, true = _by_stem(picks), _by_stem(labels)
    if not set(traced) & set(true):
        raise InputError(f"{picks} and {labels}: no micrograph is in both.")
    is_run = is_filament_folder(picks)
    judged = [stem for stem in sorted(true) if stem in traced or not is_run]
    if width_px is None and any(not one.width > 0 for stem in judged for one in true[stem]):
        raise UsageError(f"{labels}: the labels do not say the width; give {parameter('width_px')}.")
    found = {stem: traced.get(stem, Filaments()) for stem in judged}
    return FilamentPairs(
        found,
        {stem: true[stem] for stem in judged},
        {stem: found[stem].micrograph or true[stem].micrograph or stem for stem in judged},
        tuple(sorted(set(traced) - set(true))),
        tuple(sorted(set(true) - set(judged))),
    )


def stored_filaments(path: Path) -> list[Filaments]:
    """Return the filaments of a folder of `pick --filaments`, or of a file or folder in any format."""
    if is_filament_folder(path):
        return [read_stored(path, stem, record).filaments for stem, record in records_of(path)]
    return read_filaments(path)


def _by_stem(path: Path) -> dict[str, Filaments]:
    found: dict[str, Filaments] = {}
    for one in stored_filaments(path):
        stem = Path(one.micrograph or "").stem
        if stem in found:
            raise InputError(f"{path}: two micrographs are called {stem}, so it is not known which one is meant.")
        found[stem] = one
    return found
