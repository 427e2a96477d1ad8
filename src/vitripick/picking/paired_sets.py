"""Picks and labels under the same names: what an evaluation compares, and how plain files are paired for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import FormatError
from vitripick.formats import find_micrographs, pair_labels, read_header
from vitripick.geometry import Boxes


@dataclass(frozen=True, eq=False)
class GatheredSets:
    """Picks and labels under the same names, ready for `evaluate`.

    Attributes
    ----------
    picks, labels
        By micrograph.
    threshold
        Of the run the picks come from; None where they do not come from one.
    unmatched_picks
        Names with picks but no labels: not judged.
    unmatched_labels
        Names with labels that are not judged, because the micrograph is not in the run or not in the folder.
    failed_labels
        Names of micrographs with labels that failed in the run: not judged.
    without_picks
        Names with labels but no picks file: judged as zero picks.
    diameter_px
        The run's, where no box of picks or labels could tell it: an empty set, and nothing was picked.
    """

    picks: dict[str, Boxes]
    labels: dict[str, Boxes]
    threshold: float | None = None
    unmatched_picks: tuple[str, ...] = ()
    unmatched_labels: tuple[str, ...] = ()
    failed_labels: tuple[str, ...] = ()
    without_picks: tuple[str, ...] = ()
    diameter_px: float | None = None


def by_micrographs(pick_parts: list[Boxes], label_parts: list[Boxes], folder: Path) -> GatheredSets:
    """Paired through the micrographs' own names; only labelled ones are opened, for their headers."""
    files = {file.name: file for file in find_micrographs([folder])}
    picked, labelled = pair_labels(list(files), pick_parts), pair_labels(list(files), label_parts)
    labels = {name: boxes.of(shape=read_header(files[name].path).shape) for name, boxes in labelled.pairs.items()}
    return GatheredSets(
        picks=picked.pairs,
        labels=labels,
        unmatched_picks=(*picked.unmatched_labels, *(name for name in picked.pairs if name not in labels)),
        unmatched_labels=labelled.unmatched_labels,
        without_picks=tuple(name for name in labels if name not in picked.pairs),
    )


def by_names(pick_parts: list[Boxes], label_parts: list[Boxes], *, both_files: bool) -> GatheredSets:
    """Paired through the names in the picks; two files of one micrograph each need no name."""
    if both_files and len(pick_parts) == 1 and len(label_parts) == 1:
        name = label_parts[0].micrograph or pick_parts[0].micrograph or "micrograph"
        return GatheredSets(picks={name: pick_parts[0]}, labels={name: label_parts[0]})
    # A part without a name cannot be paired; a placeholder lets it be told to the user.
    named: dict[str, Boxes] = {}
    for i, part in enumerate(pick_parts):
        name = part.micrograph or f"picks {i + 1}"
        if named.setdefault(name, part) is not part:
            raise FormatError(
                f"there are two sets of picks of the name {name}; leave only one of them in the picks' folder, or give "
                "one of the files."
            )
    pairing = pair_labels(list(named), label_parts)
    alone = {
        part.micrograph: part
        for part in label_parts
        if part.micrograph is not None and part.micrograph in pairing.unmatched_labels
    }
    return GatheredSets(
        picks=named,
        labels={**pairing.pairs, **alone},
        unmatched_picks=pairing.unmatched_micrographs,
        without_picks=tuple(alone),
    )
